//! What distributions and their package managers say: dpkg, apk, rpm, `os-release`.
//!
//! Every file is read by code of our own, on bytes, without any of the package managers' libraries: who
//! made the image made these files, too. What is damaged, too much or not understood is a gap; work and
//! memory grow with the size of the file and no faster.

mod apk;
mod collector;
mod dpkg;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod os_release;
mod owned;
mod rpm;

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use self::collector::Collector;
use super::{FileFacts, Place, whole};
use crate::scan::Limits;

/// A file of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum File {
    /// apk's list of what is installed.
    ApkInstalled,
    /// Checksums of the files of one package of dpkg's.
    DpkgChecksums,
    /// dpkg's list of what is installed.
    DpkgStatus,
    /// One package of such a list, in an image without dpkg.
    DpkgStatusPart,
    /// What the image says it is.
    OsRelease,
    /// rpm's database in Berkeley DB's hash format.
    RpmBerkeley,
    /// A journal beside rpm's database in SQLite's format: changes that are not in it yet.
    RpmJournal,
    /// The list of what is installed, in an image of Microsoft's without rpm.
    RpmManifest,
    /// rpm's database in a format of its own.
    RpmNdb,
    /// rpm's database in SQLite's format.
    RpmSqlite,
}

/// Where rpm keeps its database, and kept it before.
macro_rules! in_rpm_folders {
    ($($name:literal),+) => {
        Place::At(&[$(
            concat!("usr/lib/sysimage/rpm/", $name),
            concat!("usr/share/rpm/", $name),
            concat!("var/lib/rpm/", $name),
        )+])
    };
}

impl File {
    /// All that do not count anywhere, but in places of their own.
    pub(super) const PLACED: &'static [Self] = &[
        Self::ApkInstalled,
        Self::DpkgChecksums,
        Self::DpkgStatus,
        Self::DpkgStatusPart,
        Self::OsRelease,
        Self::RpmBerkeley,
        Self::RpmJournal,
        Self::RpmManifest,
        Self::RpmNdb,
        Self::RpmSqlite,
    ];

    /// What a file is, by its path. Only the last folders count: those above may be reached by a link.
    pub(super) fn of(path: &str) -> Option<Self> {
        let mut segments = path.rsplit('/');
        let name = segments.next()?;
        let folder = segments.next()?;
        let above = segments.next().unwrap_or_default();
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        match (above, folder, name) {
            ("apk", "db", "installed") => Some(Self::ApkInstalled),
            ("dpkg", "info" | "status.d", _) if ending == "md5sums" => Some(Self::DpkgChecksums),
            (_, "dpkg", "status") => Some(Self::DpkgStatus),
            ("dpkg", "status.d", _) => Some(Self::DpkgStatusPart),
            (_, "etc" | "lib", "os-release") => Some(Self::OsRelease),
            (_, "rpm", "Packages") => Some(Self::RpmBerkeley),
            (_, "rpm", "Packages.db") => Some(Self::RpmNdb),
            (_, "rpm", "rpmdb.sqlite") => Some(Self::RpmSqlite),
            (_, "rpm", "rpmdb.sqlite-journal" | "rpmdb.sqlite-wal") => Some(Self::RpmJournal),
            (_, "rpmmanifest", "container-manifest-2") => Some(Self::RpmManifest),
            _ => None,
        }
    }

    /// Where in the merged view it counts.
    pub(super) const fn place(self) -> Place {
        match self {
            Self::ApkInstalled => Place::At(&["lib/apk/db/installed", "usr/lib/apk/db/installed"]),
            Self::DpkgChecksums => Place::In(&["var/lib/dpkg/info", "var/lib/dpkg/status.d"]),
            Self::DpkgStatus => Place::At(&["var/lib/dpkg/status"]),
            Self::DpkgStatusPart => Place::In(&["var/lib/dpkg/status.d"]),
            Self::OsRelease => Place::FirstOf(&["etc/os-release", "usr/lib/os-release"]),
            Self::RpmBerkeley => in_rpm_folders!("Packages"),
            Self::RpmJournal => in_rpm_folders!("rpmdb.sqlite-journal", "rpmdb.sqlite-wal"),
            Self::RpmManifest => Place::At(&["var/lib/rpmmanifest/container-manifest-2"]),
            Self::RpmNdb => in_rpm_folders!("Packages.db"),
            Self::RpmSqlite => in_rpm_folders!("rpmdb.sqlite"),
        }
    }

    /// Reads it, up to a bound of its size.
    pub(super) fn read(
        self,
        path: &str,
        size: u64,
        contents: &mut dyn Read,
        limits: &Limits,
    ) -> io::Result<FileFacts> {
        let (bytes_max, bound) = match self {
            Self::DpkgChecksums | Self::DpkgStatusPart | Self::OsRelease => {
                (limits.file_bytes, "file_bytes")
            }
            Self::ApkInstalled
            | Self::DpkgStatus
            | Self::RpmBerkeley
            | Self::RpmJournal
            | Self::RpmManifest
            | Self::RpmNdb
            | Self::RpmSqlite => (limits.database_bytes, "database_bytes"),
        };
        Ok(match whole(size, contents, bytes_max, bound)? {
            Ok(bytes) => self.read_bytes(path, &bytes, limits),
            Err(facts) => facts,
        })
    }

    /// What all of its bytes say.
    fn read_bytes(self, path: &str, bytes: &[u8], limits: &Limits) -> FileFacts {
        let mut facts = Collector::new(path, limits);
        match self {
            Self::ApkInstalled => apk::read(bytes, &mut facts),
            Self::DpkgChecksums => dpkg::read_checksums(bytes, &mut facts),
            Self::DpkgStatus | Self::DpkgStatusPart => dpkg::read_status(bytes, &mut facts),
            Self::OsRelease => os_release::read(bytes, &mut facts),
            Self::RpmBerkeley => rpm::read_berkeley(bytes, &mut facts),
            Self::RpmJournal => rpm::read_journal(bytes, &mut facts),
            Self::RpmManifest => rpm::read_manifest(bytes, &mut facts),
            Self::RpmNdb => rpm::read_ndb(bytes, &mut facts),
            Self::RpmSqlite => rpm::read_sqlite(bytes, &mut facts),
        }
        facts.finish()
    }
}

#[cfg(test)]
mod tests;
