//! The settings file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use serde::{Deserialize, Deserializer};

/// Largest settings file in bytes.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Most mirrors that are asked one after the other.
const MIRRORS_MAX: usize = 8;

/// How the verifier finds out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where mirrors are, `https://host:port`; asked in this order until one answers.
    pub mirrors: Vec<String>,
    /// A PEM file with the authority behind their certificates, where it is not one of the web's.
    pub ca: Option<PathBuf>,
    /// A PEM file with the node's own certificate.
    pub client_cert: Option<PathBuf>,
    /// A PEM file with its key.
    pub client_key: Option<PathBuf>,
    /// How long all of it may take; containerd's `per_verifier_timeout` must be longer.
    #[serde(default = "eight_seconds", deserialize_with = "duration")]
    pub timeout: Duration,
    /// Registries of the estate that nodes reach past the mirror: their images are not asked about.
    #[serde(default)]
    pub direct: Vec<String>,
    /// What counts while every mirror is away; without it everything is refused then.
    pub offline: Option<Offline>,
}

/// What counts while every mirror is away: summaries that a mirror signed before.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offline {
    /// PEM files with the public keys of mirrors (`pratique public-key` prints them).
    pub keys: Vec<PathBuf>,
    /// The folder with the summaries, one file for each digest.
    pub summaries: PathBuf,
    /// How long a summary counts from when the verdict was reached, or confirmed by the mirror since.
    #[serde(default = "thirty_days", deserialize_with = "duration")]
    pub max_age: Duration,
    /// Whether the summary of what a mirror admits is kept for later.
    #[serde(default)]
    pub remember: bool,
}

/// Why the settings are of no use.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct SettingsError {
    path: PathBuf,
    problem: String,
}

impl Settings {
    /// The settings in the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or something in it is wrong; the error says what.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let failed = |problem: String| SettingsError { path: path.to_owned(), problem };
        let text = super::connection::read_bounded(path, FILE_BYTES_MAX)
            .map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8(text).map_err(|_| failed("is no text".to_owned()))?;
        let settings: Self = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| text.get(..span.start).unwrap_or_default());
            let line = line.map_or(1, |before| before.matches('\n').count() + 1);
            failed(format!("line {line}: {}", error.message()))
        })?;
        settings.problem().map_or(Ok(settings), |problem| Err(failed(problem)))
    }

    fn problem(&self) -> Option<String> {
        if self.mirrors.is_empty() || self.mirrors.len() > MIRRORS_MAX {
            return Some(format!("mirrors: name 1 to {MIRRORS_MAX}, as https://HOST:PORT"));
        }
        if let Some(wrong) = self.mirrors.iter().find(|mirror| authority(mirror).is_none()) {
            return Some(format!("mirrors: {wrong:?} is not http[s]://HOST[:PORT]"));
        }
        if self.client_cert.is_some() != self.client_key.is_some() {
            return Some("client_cert and client_key belong together".to_owned());
        }
        if self.timeout.is_zero() {
            return Some("timeout: must be longer than nothing".to_owned());
        }
        let offline = self.offline.as_ref()?;
        offline.keys.is_empty().then(|| "offline.keys: name at least one public key".to_owned())
    }
}

/// The scheme's security, and the host with its port, of `mirror`.
pub(super) fn authority(mirror: &str) -> Option<(bool, http::uri::Authority)> {
    let uri: Uri = mirror.parse().ok()?;
    let is_secure = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let authority = uri.into_parts().authority?;
    (is_bare && !authority.as_str().contains('@')).then_some((is_secure, authority))
}

const fn eight_seconds() -> Duration {
    Duration::from_secs(8)
}

const fn thirty_days() -> Duration {
    Duration::from_hours(30 * 24)
}

/// `8s`, `5m`, `12h`, `30d`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong =
        || serde::de::Error::custom(format!("{text:?} is no span of time: 8s, 5m, 12h, 30d"));
    let (last, unit) = text.char_indices().next_back().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let count: u32 = text.get(..last).and_then(|it| it.parse().ok()).ok_or_else(wrong)?;
    Ok(Duration::from_secs(u64::from(count) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Settings, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Settings::load(file.path()).map_err(|error| error.problem)
    }

    #[test]
    fn defaults_are_careful() {
        let settings = load("mirrors = [\"https://mirror.test:5000\"]").unwrap();
        assert_eq!(settings.timeout, Duration::from_secs(8));
        assert!(settings.offline.is_none() && settings.direct.is_empty());
        let more = "[offline]\nkeys = [\"k\"]\nsummaries = \"s\"\nmax_age = \"2h\"";
        let more = load(&format!("mirrors = [\"http://10.0.0.1:5000/\"]\n{more}")).unwrap();
        let offline = more.offline.unwrap();
        assert_eq!(offline.max_age, Duration::from_hours(2));
        assert!(!offline.remember);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, problem) in [
            ("", "missing field `mirrors`"),
            ("mirrors = []", "name 1 to 8"),
            ("mirrors = [\"mirror.test\"]", "not http[s]://HOST"),
            ("mirrors = [\"https://u:p@mirror.test\"]", "not http[s]://HOST"),
            ("mirrors = [\"https://mirror.test/v2\"]", "not http[s]://HOST"),
            ("mirrors = [\"ftp://mirror.test\"]", "not http[s]://HOST"),
            ("mirrors = [\"https://m.test\"]\nmirror = 1", "line 2: unknown field `mirror`"),
            ("mirrors = [\"https://m.test\"]\ntimeout = \"soon\"", "no span of time"),
            ("mirrors = [\"https://m.test\"]\ntimeout = \"0s\"", "longer than nothing"),
            ("mirrors = [\"https://m.test\"]\nclient_key = \"k\"", "belong together"),
            (
                "mirrors = [\"https://m.test\"]\n[offline]\nkeys = []\nsummaries = \"s\"",
                "at least one",
            ),
            (
                "mirrors = [\"https://m.test\"]\n[offline]\nkeys = [\"k\"]",
                "missing field `summaries`",
            ),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
        let error = Settings::load(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/at/all: "), "{error}");
    }
}
