//! What the program may do, in paths: which folders have to be open so that a file that is replaced, by
//! renaming or by turning a link, is still found.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{Mode, Settings};

/// Most links that are followed for one path.
const LINKS_MAX: usize = 40;
/// Folders in which everybody's files lie: none of them is opened whole for one file in it.
const SHARED: [&str; 26] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/pki",
    "/etc/ssl",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/run/secrets",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/var",
    "/var/lib",
    "/var/run",
    "/var/tmp",
];
/// And in which people have theirs, each in one of their own.
const HOMES: &str = "/home";
/// What looking up a name reads, and what the runtime asks of the machine.
const NEEDED: [&str; 22] = [
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/services",
    "/gnu/store",
    "/lib",
    "/lib64",
    "/nix/store",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/sys",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/usr/lib",
    "/usr/lib64",
];
/// What changes while the program runs, when the machine comes into another network.
const OF_NAMES: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];
/// Where the kernel lists what is mounted where.
const MOUNTS: &str = "/proc/self/mountinfo";

/// What the program may do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Whether it is confined at all.
    pub mode: Mode,
    /// Where it listens.
    pub(super) ports: BTreeSet<u16>,
    pub(super) read: BTreeSet<PathBuf>,
    pub(super) write: BTreeSet<PathBuf>,
    pub(super) programs: BTreeSet<PathBuf>,
    fixed: BTreeSet<PathBuf>,
}

impl Plan {
    /// What every server needs, and what the settings add.
    pub fn new(settings: &Settings) -> Self {
        let mut plan = Self { mode: settings.mode, ..Self::default() };
        plan.read.extend(NEEDED.iter().map(PathBuf::from));
        plan.look_names_up();
        plan.read.extend(settings.read.iter().cloned());
        for path in &settings.write {
            plan.may_write(path);
        }
        plan
    }

    /// It may read the file or folder `path`, whatever replaces it there.
    pub fn may_read(&mut self, path: &Path) {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.follow(absolute);
    }

    /// It may write below the folder `path`.
    pub fn may_write(&mut self, path: &Path) {
        self.write.insert(path.to_owned());
    }

    /// It may listen on `port`.
    pub fn may_listen(&mut self, port: u16) {
        self.ports.insert(port);
    }

    /// It may start the program at `path`, and what that needs in order to run.
    pub fn may_start(&mut self, path: &Path) {
        self.programs.insert(path.to_owned());
    }

    /// Files that are read as they are now: what takes their place by renaming is out of reach.
    pub fn fixed(&self) -> impl Iterator<Item = &Path> {
        self.fixed.iter().map(PathBuf::as_path)
    }

    pub(super) fn may_start_programs(&self) -> bool {
        !self.programs.is_empty()
    }

    /// Opens what leads to `path`: the folder of each link on the way, because links are turned, and in the
    /// end the folder that the file lies in, because files are replaced.
    fn follow(&mut self, path: PathBuf) {
        let mut rest = path;
        for _ in 0..LINKS_MAX {
            match first_link(&rest) {
                Ok(Some((folder, leads_to))) => {
                    if !is_shared(&folder) {
                        self.read.insert(folder);
                    }
                    rest = leads_to;
                }
                Ok(None) => return self.open(&rest),
                // It may come later, a mount for one.
                Err(_) => return self.open(nearest(&rest)),
            }
        }
    }

    fn open(&mut self, path: &Path) {
        if path.is_dir() {
            if path != Path::new("/") {
                self.read.insert(path.to_owned());
            }
            return;
        }
        match path.parent() {
            Some(folder) if !is_shared(folder) => {
                self.read.insert(folder.to_owned());
            }
            Some(_) | None => {
                self.read.insert(path.to_owned());
                if !is_mounted(path) {
                    self.fixed.insert(path.to_owned());
                }
            }
        }
    }

    /// The files that say how names are looked up are replaced by renaming on many machines, in `/etc`
    /// itself. All of that is opened where the rights of files keep secrets from us; root may read them,
    /// and so gets those files as they are now.
    fn look_names_up(&mut self) {
        for path in OF_NAMES {
            let is_in_etc =
                fs::canonicalize(path).is_ok_and(|it| it.parent() == Some(Path::new("/etc")));
            if is_in_etc && !is_mounted(Path::new(path)) && !rustix::process::geteuid().is_root() {
                self.read.insert(PathBuf::from("/etc"));
            } else {
                self.may_read(Path::new(path));
            }
        }
        // Whoever runs this as root is told in the documents, and not at every start.
        self.fixed.clear();
    }
}

/// The folder of the first link on the way of `path`, and where the rest of the way leads then.
fn first_link(path: &Path) -> io::Result<Option<(PathBuf, PathBuf)>> {
    let mut done = PathBuf::from("/");
    let mut components = path.components();
    while let Some(component) = components.next() {
        match component {
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
            Component::ParentDir => {
                done.pop();
                continue;
            }
            Component::Normal(name) => done.push(name),
        }
        if fs::symlink_metadata(&done)?.is_symlink() {
            let target = fs::read_link(&done)?;
            done.pop();
            let leads_to = done.join(target).join(components.as_path());
            return Ok(Some((done, leads_to)));
        }
    }
    Ok(None)
}

/// The nearest folder above `path` that is there.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|it| it.is_dir() && !is_shared(it)).unwrap_or(path)
}

fn is_shared(folder: &Path) -> bool {
    SHARED.iter().any(|it| folder == Path::new(it)) || folder.parent() == Some(Path::new(HOMES))
}

/// Whether `path` itself is mounted: then it is written in place and never renamed over.
fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string(MOUNTS).unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(4).is_some_and(|at| Path::new(at) == path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn read(path: &Path) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
        let mut plan = Plan::default();
        plan.may_read(path);
        (plan.read, plan.fixed)
    }

    #[test]
    fn a_file_opens_its_folder_and_a_folder_itself() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::write(root.join("policy.yaml"), "").unwrap();
        let expected = (BTreeSet::from([root.clone()]), BTreeSet::new());
        assert_eq!(read(&root.join("policy.yaml")), expected);
        assert_eq!(read(&root), expected);
        // What is not there yet is found when it comes.
        assert_eq!(read(&root.join("later").join("policy.yaml")), expected);
    }

    #[test]
    fn the_folder_of_each_link_is_open_so_that_it_may_be_turned() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["etc", "releases", "releases/1"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("releases/1/policy.yaml"), "").unwrap();
        symlink("1", root.join("releases/current")).unwrap();
        symlink("../releases/current/policy.yaml", root.join("etc/policy.yaml")).unwrap();
        let (open, fixed) = read(&root.join("etc/policy.yaml"));
        let expected = ["etc", "releases", "releases/1"].map(|name| root.join(name));
        assert_eq!(open, BTreeSet::from(expected));
        assert!(fixed.is_empty());
    }

    #[test]
    fn links_in_a_circle_open_nothing_beyond_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(read(&root.join("a")).0, BTreeSet::from([root]));
    }

    #[test]
    fn where_everybodys_files_lie_only_the_file_is_open_and_that_is_told() {
        let file = tempfile::NamedTempFile::new_in("/tmp").unwrap();
        let path = file.path().to_owned();
        let expected = BTreeSet::from([path.clone()]);
        assert_eq!(read(&path), (expected.clone(), expected));
        for shared in ["/", "/etc", "/home", "/home/alice", "/var/lib", "/root"] {
            assert!(is_shared(Path::new(shared)), "{shared}");
        }
        for own in ["/etc/pratique", "/home/alice/pratique", "/var/lib/pratique", "/config"] {
            assert!(!is_shared(Path::new(own)), "{own}");
        }
    }
}
