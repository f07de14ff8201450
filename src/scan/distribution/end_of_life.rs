//! Until when the releases of distributions get fixes. After that nothing new is said about their
//! packages, and silence means nothing.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Distribution;
use super::releases::RELEASES;
use crate::time::Timestamp;

/// When a release gets no fixes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfLife {
    /// From this moment on.
    From(Timestamp),
    /// No day is known for it, or it has no releases and is always the newest.
    Open,
    /// Nothing is known of such a release.
    Unknown,
}

impl EndOfLife {
    /// Whether it is over; `None` where nothing is known.
    pub fn has_passed(self, now: Timestamp) -> Option<bool> {
        match self {
            Self::From(end) => Some(end <= now),
            Self::Open => Some(false),
            Self::Unknown => None,
        }
    }
}

/// What has no releases.
const ROLLING: [&str; 6] =
    ["chainguard", "cleanstart", "clnstrt", "minimos", "opensuse-tumbleweed", "wolfi"];
/// Releases for which no last day has been said.
const OPEN: [(&str, &str); 3] = [("azurelinux", "3"), ("ol", "10"), ("photon", "5.0")];

/// The end of a distribution's release.
pub(super) fn of(distribution: &Distribution) -> EndOfLife {
    let id = distribution.id.as_str();
    if ROLLING.contains(&id) {
        return EndOfLife::Open;
    }
    let Some(release) = release(distribution) else { return EndOfLife::Unknown };
    // What Debian is working on.
    let is_unreleased = id == "debian" && distribution.version.is_none();
    let releases = RELEASES.iter().find(|(known, _)| *known == id).map_or(&[][..], |(_, it)| it);
    match releases.iter().find(|(known, _)| *known == release) {
        Some((_, last_day)) => from_day_after(*last_day),
        None if is_unreleased || OPEN.contains(&(id, release)) => EndOfLife::Open,
        // What is older than all that are known ended before the first of them did.
        None => match releases.iter().min_by_key(|(known, _)| numbers(known)) {
            Some((first, last_day)) if is_before(release, first) => from_day_after(*last_day),
            Some(_) | None => EndOfLife::Unknown,
        },
    }
}

/// The numbers of a release; `None` where it has something else, too.
fn numbers(release: &str) -> Option<Vec<u32>> {
    release.split('.').map(|part| part.parse().ok()).collect()
}

fn is_before(release: &str, other: &str) -> bool {
    numbers(release).zip(numbers(other)).is_some_and(|(release, other)| release < other)
}

fn from_day_after(last_day: Date) -> EndOfLife {
    let day_after = last_day.tomorrow().ok();
    let moment = day_after.and_then(|day| TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok());
    moment.map_or(EndOfLife::Unknown, |moment| {
        EndOfLife::From(Timestamp::from_milliseconds(moment.as_millisecond()))
    })
}

/// A release as the table names it.
fn release(distribution: &Distribution) -> Option<&str> {
    match distribution.id.as_str() {
        "debian" => distribution.debian_release(),
        "alpine" | "opensuse-leap" | "photon" | "sles" | "ubuntu" => {
            distribution.minor().or(distribution.version.as_deref())
        }
        // Its first had dates for versions.
        "amzn" => match distribution.major()? {
            "2018" => Some("2018.03"),
            major => Some(major),
        },
        _ => distribution.major(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::distribution;
    use super::*;

    #[test]
    fn a_release_ends_with_its_last_day() {
        for (id, version, from) in [
            ("debian", "12", "2028-07-01T00:00:00Z"),
            ("debian", "11", "2026-09-01T00:00:00Z"),
            ("alpine", "3.20.1", "2026-04-02T00:00:00Z"),
            ("ubuntu", "22.04", "2027-04-02T00:00:00Z"),
            ("almalinux", "9.4", "2032-06-01T00:00:00Z"),
            ("rhel", "7.9", "2024-07-01T00:00:00Z"),
            ("centos", "8", "2022-01-01T00:00:00Z"),
            ("amzn", "2018.03", "2024-01-01T00:00:00Z"),
            ("sles", "15.5", "2025-01-01T00:00:00Z"),
            ("sles", "15", "2020-01-01T00:00:00Z"),
            ("photon", "4.0", "2027-10-12T00:00:00Z"),
            ("mariner", "2.0", "2025-08-01T00:00:00Z"),
            // Older than all that are listed.
            ("alpine", "3.2", "2017-11-02T00:00:00Z"),
            ("alpine", "2.7.9", "2017-11-02T00:00:00Z"),
            ("debian", "4", "2016-03-01T00:00:00Z"),
            ("rhel", "3.9", "2012-03-01T00:00:00Z"),
        ] {
            let end: Timestamp = from.parse().unwrap();
            let found = distribution(id, version, "").end_of_life();
            assert_eq!(found, EndOfLife::From(end), "{id} {version}");
            let before = Timestamp::from_milliseconds(end.milliseconds() - 1);
            assert_eq!(
                (found.has_passed(before), found.has_passed(end)),
                (Some(false), Some(true))
            );
        }
    }

    #[test]
    fn a_release_that_is_not_known_has_no_end_that_is() {
        for (id, version) in [
            ("debian", "99"),
            ("debian", "x"),
            ("debian", ""),
            ("alpine", "3.21.0_alpha20240807"),
            ("linux", ""),
            ("gentoo", "2.15"),
            ("rhel", ""),
        ] {
            let found = distribution(id, version, "").end_of_life();
            assert_eq!(found, EndOfLife::Unknown, "{id} {version}");
            assert_eq!(found.has_passed(Timestamp::from_milliseconds(0)), None);
        }
    }

    #[test]
    fn what_is_always_the_newest_has_no_end() {
        for (id, version) in [("wolfi", ""), ("photon", "5.0"), ("azurelinux", "3.0")] {
            let found = distribution(id, version, "").end_of_life();
            assert_eq!(found, EndOfLife::Open, "{id}");
            assert_eq!(found.has_passed(Timestamp::from_milliseconds(i64::MAX)), Some(false));
        }
        let forky = Some("forky".to_owned());
        let testing = Distribution { codename: forky, ..distribution("debian", "", "") };
        assert_eq!(testing.end_of_life(), EndOfLife::Open);
    }

    /// Or its end could never be told.
    #[test]
    fn every_release_in_the_table_is_found_by_its_own_name() {
        assert_eq!(RELEASES.len(), 15);
        for (id, releases) in RELEASES {
            assert!(!releases.is_empty());
            for (release, last_day) in *releases {
                let found = distribution(id, release, "").end_of_life();
                assert_eq!(found, from_day_after(*last_day), "{id} {release}");
                assert!((2005..2045).contains(&last_day.year()), "{id} {release}");
            }
        }
    }
}
