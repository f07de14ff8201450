//! Which of the files that a package manager installed are worth remembering.
//!
//! What the distribution installed is judged by the distribution's advisories alone; so what counts is
//! every file that a cataloger of languages could read. Most of a distribution is none of that. What
//! is left out here by mistake is looked at twice, and hides nothing.

use crate::scan::Limits;

/// Folders in which no package manager of a language leaves anything that is read.
const IDLE_FOLDERS: [&str; 16] = [
    "boot/",
    "dev/",
    "proc/",
    "sys/",
    "usr/include/",
    "usr/lib/locale/",
    "usr/share/bash-completion/",
    "usr/share/doc/",
    "usr/share/fonts/",
    "usr/share/i18n/",
    "usr/share/icons/",
    "usr/share/info/",
    "usr/share/licenses/",
    "usr/share/locale/",
    "usr/share/man/",
    "usr/share/zoneinfo/",
];

/// What no distribution's package owns, whatever it says: it is the administrator's, or for software
/// that is added to the distribution.
const NEVER_OWNED: [&str; 2] = ["opt/", "usr/local/"];

/// Endings of names that no cataloger reads.
const IDLE_ENDINGS: [&str; 14] =
    ["c", "css", "gz", "h", "hpp", "html", "mo", "pl", "pm", "png", "py", "pyc", "rst", "svg"];

/// The path of an installed file, normalised, if a cataloger could ever read what is there.
pub(super) fn of_interest(directory: &str, name: &str, limits: &Limits) -> Option<String> {
    let directory = directory.trim_start_matches("./").trim_matches('/');
    let name = name.trim_start_matches("./").trim_start_matches('/');
    if directory.len().saturating_add(name.len()) >= limits.path_bytes || name.is_empty() {
        return None;
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if IDLE_ENDINGS.contains(&ending) {
        return None;
    }
    let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
    if IDLE_FOLDERS.iter().chain(&NEVER_OWNED).any(|folder| path.starts_with(folder)) {
        return None;
    }
    let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
    path.split('/').all(is_plain).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(directory: &str, name: &str) -> Option<String> {
        of_interest(directory, name, &Limits::default())
    }

    #[test]
    fn paths_are_normalised() {
        for (directory, name) in [
            ("/usr/lib/python3/", "METADATA"),
            ("usr/lib/python3", "METADATA"),
            ("", "/usr/lib/python3/METADATA"),
            ("", "./usr/lib/python3/METADATA"),
        ] {
            assert_eq!(of(directory, name).as_deref(), Some("usr/lib/python3/METADATA"));
        }
    }

    #[test]
    fn what_no_cataloger_reads_is_left_out() {
        for path in [
            "/usr/share/doc/bash/copyright",
            "/usr/lib/python3/dist-packages/six.py",
            "/usr/include/zlib",
            "/",
            "",
        ] {
            assert_eq!(of("", path), None, "{path}");
        }
    }

    #[test]
    fn what_is_the_administrators_or_leads_elsewhere_is_nobodys() {
        for path in [
            "/usr/local/lib/python3/x.dist-info/METADATA",
            "/opt/vendor/lib/x.dist-info/METADATA",
            "/usr/bin/../local/bin/x",
            "/usr//bin/x",
            "/usr/./local/x",
            "../x",
        ] {
            assert_eq!(of("", path), None, "{path}");
        }
    }

    #[test]
    fn a_path_has_a_bound() {
        let limits = Limits { path_bytes: 12, ..Limits::default() };
        assert_eq!(of_interest("usr/bin", "abcd", &limits).as_deref(), Some("usr/bin/abcd"));
        assert_eq!(of_interest("usr/bin", "abcde", &limits), None);
    }
}
