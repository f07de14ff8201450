//! What was answered, and whether it can be used.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use http::Uri;

use super::{CliError, InitArguments};
use crate::oci::Registry;
use crate::upstream::RegistrySettings;

/// Where the kernel keeps the name of this machine.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
const NODE_PORT: u16 = 5000;
const ADMIN_PORT: u16 = 5001;
/// Largest public key that is taken, in bytes.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// One of the five.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Node,
    Registries,
    Trust,
    Data,
    Admin,
}

/// An address that somebody reaches us at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) url: String,
    pub(super) host: String,
    pub(super) listen: SocketAddr,
}

/// What must be true of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    Watch,
    Approve,
    /// Signed by this key, as PEM.
    Signed(String),
}

/// A registry, and where it is when that is not built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) registry: Registry,
    pub(super) url: Option<String>,
}

/// Everything that was answered.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) output: PathBuf,
    pub(super) installed_at: Option<PathBuf>,
    pub(super) node: Place,
    pub(super) admin: Place,
    pub(super) registries: Vec<Upstream>,
    pub(super) trust: Trust,
    pub(super) data: PathBuf,
}

impl Question {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Node => "Where do nodes reach the mirror? https://NAME:PORT",
            Self::Registries => "Which registries may be pulled from? Names with commas between",
            Self::Trust => {
                "What must be true of an image?\n    watch: nothing yet; approve: a person said yes; \
                 signed:FILE: by the public key in FILE"
            }
            Self::Data => "Where are blobs and the ledger kept?",
            Self::Admin => "Where do admins reach it? http://127.0.0.1:PORT is this machine only",
        }
    }

    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::Node => "--node-url",
            Self::Registries => "--registry",
            Self::Trust => "--trust",
            Self::Data => "--data-dir",
            Self::Admin => "--admin-url",
        }
    }

    pub(super) fn default_for(self, arguments: &InitArguments) -> String {
        match self {
            Self::Node => {
                let name = fs::read_to_string(HOST_NAME).unwrap_or_default();
                let name = name.trim();
                // A name that only this machine has for itself leads nobody here.
                let name = if name.is_empty() || name == "(none)" { "localhost" } else { name };
                format!("https://{name}:{NODE_PORT}")
            }
            Self::Registries => {
                let names = RegistrySettings::built_in().into_iter();
                names.map(|it| it.registry.to_string()).collect::<Vec<_>>().join(",")
            }
            Self::Trust => "approve".to_owned(),
            Self::Data => arguments.output.join("data").display().to_string(),
            Self::Admin => format!("http://127.0.0.1:{ADMIN_PORT}"),
        }
    }

    /// # Errors
    /// Why `answer` cannot be used.
    pub(super) fn check(self, answer: &str) -> Result<(), String> {
        match self {
            Self::Node => Place::read(answer, NODE_PORT).map(drop),
            Self::Admin => Place::read(answer, ADMIN_PORT).map(drop),
            Self::Registries => registries(answer).map(drop),
            Self::Trust => Trust::read(answer).map(drop),
            Self::Data => Ok(()),
        }
    }
}

impl Answers {
    /// # Errors
    /// The first answer that cannot be used.
    pub(super) fn read(arguments: &InitArguments, answers: &[String; 5]) -> Result<Self, CliError> {
        let [node, names, trust, data, admin] = answers;
        let misused = |question: Question| {
            move |text: String| CliError::misused(format!("{}: {text}", question.flag()))
        };
        let mut node = Place::read(node, NODE_PORT).map_err(misused(Question::Node))?;
        let mut admin = Place::read(admin, ADMIN_PORT).map_err(misused(Question::Admin))?;
        node.listen = arguments.listen.unwrap_or(node.listen);
        admin.listen = arguments.admin_listen.unwrap_or(admin.listen);
        if node.listen.port() == admin.listen.port() {
            let text = format!("nodes and admins cannot share port {}", node.listen.port());
            return Err(CliError::misused(text));
        }
        for place in [&node, &admin] {
            if place.is_plain() && !place.listen.ip().is_loopback() {
                let text =
                    format!("{} would be read and changed on the way; write https", place.url);
                return Err(CliError::misused(text));
            }
        }
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|error| {
                CliError::failed(format!("{} is no path", path.display())).caused_by(error)
            })
        };
        Ok(Self {
            output: absolute(&arguments.output)?,
            installed_at: arguments.installed_at.clone(),
            node,
            admin,
            registries: registries(names).map_err(misused(Question::Registries))?,
            trust: Trust::read(trust).map_err(misused(Question::Trust))?,
            data: absolute(Path::new(data))?,
        })
    }

    /// The folder, as whoever serves it finds it.
    pub(super) fn served_from(&self) -> &Path {
        self.installed_at.as_deref().unwrap_or(&self.output)
    }
}

impl Place {
    /// # Errors
    /// Why `text` is no address.
    fn read(text: &str, port: u16) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not https://NAME:PORT");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong());
        };
        let has_more = !matches!(uri.path(), "" | "/") || uri.query().is_some();
        let is_name = authority.as_str().parse::<Registry>().is_ok();
        if !matches!(scheme, "http" | "https") || has_more || !is_name {
            return Err(wrong());
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(port);
        let ip = match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() => ip,
            Ok(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            Err(_) if host == "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Ok(IpAddr::V4(_)) | Err(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        if scheme == "http" && !ip.is_loopback() {
            return Err(format!("{text} would be read and changed on the way; write https"));
        }
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let url = format!("{scheme}://{shown}:{port}");
        Ok(Self { url, host, listen: SocketAddr::new(ip, port) })
    }

    pub(super) fn is_plain(&self) -> bool {
        self.url.starts_with("http://")
    }
}

impl Trust {
    /// # Errors
    /// Why `text` is none, or its key cannot be had.
    fn read(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "watch" => Ok(Self::Watch),
            None if text == "approve" => Ok(Self::Approve),
            None if text == "signed" => Err("signed needs a key; write signed:FILE".to_owned()),
            Some(("signed", path)) => {
                let size = fs::metadata(path).map_err(|error| format!("{path:?}: {error}"))?.len();
                if size > KEY_BYTES_MAX {
                    return Err(format!("{path:?} is larger than {KEY_BYTES_MAX} bytes"));
                }
                let pem = fs::read_to_string(path).map_err(|error| format!("{path:?}: {error}"))?;
                if !pem.contains("-----BEGIN PUBLIC KEY-----") {
                    return Err(format!("{path:?} is no public key as PEM, as cosign.pub is"));
                }
                Ok(Self::Signed(pem))
            }
            _ => Err(format!("{text:?} is not one of watch, approve, signed:FILE")),
        }
    }
}

/// # Errors
/// Which of them is none.
fn registries(text: &str) -> Result<Vec<Upstream>, String> {
    let mut all: Vec<Upstream> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, url) =
            part.split_once('=').map_or((part, None), |(name, url)| (name, Some(url)));
        let registry: Registry = name
            .parse()
            .map_err(|_| format!("{name:?} is no registry; write a host, or host:port"))?;
        if let Some(url) = url
            && !url.parse::<Uri>().is_ok_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
            })
        {
            return Err(format!("{url:?} is not https://HOST[:PORT]"));
        }
        if all.iter().all(|it| it.registry != registry) {
            all.push(Upstream { registry, url: url.map(str::to_owned) });
        }
    }
    if all.is_empty() { Err("name one registry at least".to_owned()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_to_listen() {
        let listens = |text| Place::read(text, 5000).map(|place| place.listen.to_string());
        assert_eq!(listens("https://mirror.example").unwrap(), "0.0.0.0:5000");
        assert_eq!(listens("https://10.0.0.1:5443").unwrap(), "0.0.0.0:5443");
        assert_eq!(listens("http://127.0.0.1:7000").unwrap(), "127.0.0.1:7000");
        assert_eq!(listens("https://[::1]:7000").unwrap(), "[::1]:7000");
        assert_eq!(listens("http://localhost").unwrap(), "127.0.0.1:5000");
        for bad in ["mirror", "ftp://a", "https://a/b", "http://mirror.example", "https://u:p@a"] {
            assert!(listens(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn registries_are_named_once_and_may_be_elsewhere() {
        let all = registries("docker.io, corp.test=http://127.0.0.1:5555,docker.io").unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].url.as_deref(), Some("http://127.0.0.1:5555"));
        for bad in ["", " , ", "a b", "corp.test=nowhere"] {
            assert!(registries(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_word_that_is_none_is_told_with_those_that_are() {
        assert_eq!(Trust::read("watch"), Ok(Trust::Watch));
        assert!(Trust::read("trust").unwrap_err().contains("watch, approve, signed:FILE"));
        assert!(Trust::read("signed").unwrap_err().contains("signed:FILE"));
        assert!(Trust::read("signed:/nowhere").is_err());
        assert!(Trust::read("signed:/proc/self/status").unwrap_err().contains("no public key"));
    }
}
