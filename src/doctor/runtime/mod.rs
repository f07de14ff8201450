//! What pulls on a node, told to pull.

mod commands;
mod cri;
mod protobuf;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::tasks::Tasks;

/// Where the sockets of the runtime interface usually are.
const CRI_SOCKETS: [&str; 3] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
];
/// Where containerd's files usually are.
const HOSTS_FOLDER: &str = "/etc/containerd/certs.d";
/// Where programs usually are.
const FOLDERS: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin"];
/// The socket of a Docker Engine.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Something that pulls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    /// What kubelet calls: containerd or CRI-O, by its socket.
    Cri {
        /// The socket.
        socket: PathBuf,
    },
    /// containerd's own tool.
    Ctr {
        /// The program.
        program: PathBuf,
        /// containerd's socket.
        socket: PathBuf,
        /// The folder with its `hosts.toml`, which the tool does not find by itself.
        hosts: PathBuf,
    },
    /// Docker Engine, by its client.
    Docker {
        /// The program.
        program: PathBuf,
    },
    /// podman.
    Podman {
        /// The program.
        program: PathBuf,
    },
    /// skopeo.
    Skopeo {
        /// The program.
        program: PathBuf,
    },
}

/// What became of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pulled {
    /// It succeeded.
    Yes(Kept),
    /// The runtime tried, and says why not.
    No(String),
    /// The runtime cannot be told to try.
    Untried(String),
}

/// What a pull left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// The image has other names: it stays, it is somebody else's.
    HasOtherNames,
    /// Nothing.
    Nothing,
    /// It could not be removed.
    NotRemoved(String),
    /// It was there before, and stays.
    WasThere,
}

impl Runtime {
    /// What it is called in findings.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Cri { .. } => "cri",
            Self::Ctr { .. } => "ctr",
            Self::Docker { .. } => "docker",
            Self::Podman { .. } => "podman",
            Self::Skopeo { .. } => "skopeo",
        }
    }

    /// What there is on this machine, by the usual places.
    pub fn found() -> Vec<Self> {
        let mut found = Vec::new();
        for socket in CRI_SOCKETS.map(PathBuf::from).into_iter().filter(|path| path.exists()) {
            let is_containerd = socket.ends_with("containerd.sock");
            found.push(Self::Cri { socket: socket.clone() });
            if is_containerd && let Some(program) = program("ctr") {
                found.push(Self::Ctr { program, socket, hosts: HOSTS_FOLDER.into() });
            }
        }
        if Path::new(DOCKER_SOCKET).exists() {
            found.extend(program("docker").map(|program| Self::Docker { program }));
        }
        found.extend(program("podman").map(|program| Self::Podman { program }));
        if !found.iter().any(|it| matches!(it, Self::Podman { .. })) {
            found.extend(program("skopeo").map(|program| Self::Skopeo { program }));
        }
        found
    }

    /// The runtime that is written as `WORD` or `WORD=PATH`: the socket for `cri`, for everything else the
    /// program.
    ///
    /// # Errors
    /// When there is no such runtime, or nothing at its usual place.
    pub fn written(text: &str) -> Result<Self, String> {
        let (word, path) = match text.split_once('=') {
            Some((word, path)) => (word, Some(PathBuf::from(path))),
            None => (text, None),
        };
        let usual = |name: &str| {
            path.clone()
                .or_else(|| program(name))
                .ok_or_else(|| format!("there is no {name} at the usual places; write {word}=PATH"))
        };
        let socket = || CRI_SOCKETS.map(PathBuf::from).into_iter().find(|path| path.exists());
        match word {
            "cri" => match path.clone().or_else(socket) {
                Some(socket) => Ok(Self::Cri { socket }),
                None => Err("there is no socket at the usual places; write cri=SOCKET".to_owned()),
            },
            "ctr" => Ok(Self::Ctr {
                program: usual("ctr")?,
                socket: socket().unwrap_or_else(|| CRI_SOCKETS[0].into()),
                hosts: HOSTS_FOLDER.into(),
            }),
            "docker" => Ok(Self::Docker { program: usual("docker")? }),
            "podman" => Ok(Self::Podman { program: usual("podman")? }),
            "skopeo" => Ok(Self::Skopeo { program: usual("skopeo")? }),
            _ => Err("a runtime is cri, ctr, docker, podman or skopeo".to_owned()),
        }
    }

    /// The same with containerd's socket, or the folder of its `hosts.toml`, at other places.
    #[must_use]
    pub fn at(self, new_socket: Option<&Path>, new_hosts: Option<&Path>) -> Self {
        match self {
            Self::Ctr { program, socket, hosts } => Self::Ctr {
                program,
                socket: new_socket.map_or(socket, Path::to_owned),
                hosts: new_hosts.map_or(hosts, Path::to_owned),
            },
            other @ (Self::Cri { .. }
            | Self::Docker { .. }
            | Self::Podman { .. }
            | Self::Skopeo { .. }) => other,
        }
    }

    /// Pulls `image` within `limit` and removes it again; `plain` where its registry speaks no TLS.
    pub(super) async fn pull(
        &self,
        image: &str,
        plain: bool,
        limit: Duration,
        tasks: &Tasks,
    ) -> Pulled {
        match self {
            Self::Cri { socket } => cri::pull(socket, image, limit, tasks).await,
            Self::Ctr { program, socket, hosts } => {
                commands::ctr(program, socket, hosts, image, limit).await
            }
            Self::Docker { program } => commands::docker(program, image, limit).await,
            Self::Podman { program } => commands::podman(program, image, plain, limit).await,
            Self::Skopeo { program } => commands::skopeo(program, image, plain, limit).await,
        }
    }
}

/// Where the program `name` usually is.
fn program(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_written_with_its_place_or_found_at_the_usual_ones() {
        let cri = Runtime::Cri { socket: "/x/sock".into() };
        assert_eq!(Runtime::written("cri=/x/sock"), Ok(cri));
        let podman = Runtime::Podman { program: "/opt/podman".into() };
        assert_eq!(Runtime::written("podman=/opt/podman"), Ok(podman));
        assert!(Runtime::written("rkt").unwrap_err().contains("cri, ctr, docker"));
        let ctr = Runtime::written("ctr=/x/ctr").unwrap();
        let ctr = ctr.at(Some(Path::new("/y/sock")), Some(Path::new("/y/certs.d")));
        assert_eq!(
            ctr,
            Runtime::Ctr {
                program: "/x/ctr".into(),
                socket: "/y/sock".into(),
                hosts: "/y/certs.d".into()
            }
        );
    }
}
