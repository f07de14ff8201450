//! Which Linux distribution an image says it is.

mod end_of_life;
mod feed;
mod releases;

use serde::{Deserialize, Serialize};

pub use end_of_life::EndOfLife;
pub use feed::{Feed, FeedNames};

/// What `os-release` says. A claim of whoever made the image: it chooses the feed to compare with, and
/// one that no feed is known for is unknown, never clean.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Distribution {
    /// `ID`, in lower case: `debian`, `alpine`, `rhel`.
    pub id: String,
    /// `VERSION_ID`: `12`, `3.20.1`; rolling ones have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `VERSION_CODENAME`, or the one in `VERSION` or `PRETTY_NAME`: `bookworm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codename: Option<String>,
    /// `ID_LIKE`: told to people, and never used to choose a feed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub like: Vec<String>,
    /// `PRETTY_NAME`, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretty: Option<String>,
}

impl Distribution {
    /// Whose advisories its packages are compared with; `None` where no feed is known for its release,
    /// and then nothing can be said of them.
    pub fn feed(&self) -> Option<Feed> {
        feed::of(self)
    }

    /// Until when its release gets fixes.
    pub fn end_of_life(&self) -> EndOfLife {
        end_of_life::of(self)
    }

    /// The first number of its version: `9` of `9.4`.
    fn major(&self) -> Option<&str> {
        let version = self.version.as_deref()?;
        let major = version.split('.').next()?;
        (!major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit())).then_some(major)
    }

    /// The first two numbers of its version: `3.20` of `3.20.1`; `None` for `3.21.0_alpha20240807`.
    fn minor(&self) -> Option<&str> {
        let version = self.version.as_deref()?;
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
        if version.split('.').count() < 2 || !version.split('.').all(is_number) {
            return None;
        }
        let end = version.match_indices('.').nth(1).map_or(version.len(), |(at, _)| at);
        version.get(..end)
    }

    /// The number of a Debian release. Testing has none yet, and is told by its codename, which it
    /// shares with unstable.
    fn debian_release(&self) -> Option<&str> {
        let numbered = self.major();
        let named = || {
            let codename = self.codename.as_deref()?;
            let release = DEBIAN_CODENAMES.iter().find(|(known, _)| *known == codename);
            release.map(|&(_, number)| number)
        };
        if self.version.is_some() { numbered } else { named() }
    }
}

/// Debian's releases by their codenames, from the project's `distro-info-data`.
const DEBIAN_CODENAMES: [(&str, &str); 9] = [
    ("jessie", "8"),
    ("stretch", "9"),
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
    ("sid", "sid"),
];

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What an image would say with these values.
    pub(super) fn distribution(id: &str, version: &str, pretty: &str) -> Distribution {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Distribution {
            id: id.to_owned(),
            version: said(version),
            pretty: said(pretty),
            ..Distribution::default()
        }
    }

    #[test]
    fn the_parts_of_versions() {
        for (version, major, minor) in [
            ("3.20.1", Some("3"), Some("3.20")),
            ("9.4", Some("9"), Some("9.4")),
            ("12", Some("12"), None),
            ("2018.03", Some("2018"), Some("2018.03")),
            ("3.21.0_alpha20240807", Some("3"), None),
            ("edge", None, None),
            ("", None, None),
            (".", None, None),
            ("3.", Some("3"), None),
        ] {
            let distribution = distribution("x", version, "");
            assert_eq!((distribution.major(), distribution.minor()), (major, minor), "{version}");
        }
    }
}
