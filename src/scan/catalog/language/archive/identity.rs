//! Who an archive is: by what Maven left in it, by its manifest, by its name.

use std::collections::BTreeMap;

/// Attributes that may say who an archive is, in lower case.
const ATTRIBUTES: [&str; 10] = [
    "bundle-symbolicname",
    "bundle-version",
    "extension-name",
    "group-id",
    "implementation-title",
    "implementation-vendor-id",
    "implementation-version",
    "plugin-version",
    "short-name",
    "specification-version",
];
/// Longest value of a property that is kept.
const PROPERTY_BYTES_MAX: usize = 512;

/// Name and version of an archive or of something that was shaded into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// `None`: nothing says it.
    pub(super) group: Option<String>,
    pub(super) artifact: String,
    pub(super) version: String,
}

impl Identity {
    /// `group:artifact`, or the artifact alone.
    pub(super) fn name(&self) -> String {
        match &self.group {
            Some(group) => format!("{group}:{}", self.artifact),
            None => self.artifact.clone(),
        }
    }
}

/// Reads `pom.properties`, which lies in `META-INF/maven/GROUP/ARTIFACT/`: the directories say what it
/// does not. `None`: it has no version.
pub(super) fn of_properties(path: &str, text: &str) -> Option<Identity> {
    let property = |name: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
        let mut pairs = lines.filter_map(|line| line.split_once(['=', ':']));
        let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
        let value: String = value.trim().chars().filter(|c| *c != '\\').collect();
        let is_said = !value.is_empty() && !value.contains("${");
        (is_said && value.len() <= PROPERTY_BYTES_MAX).then_some(value)
    };
    let mut directories = path.rsplit('/').skip(1).map(str::to_owned);
    let (artifact, group) = (directories.next(), directories.next());
    Some(Identity {
        group: property("groupId").or(group),
        artifact: property("artifactId").or(artifact)?,
        version: property("version")?,
    })
}

/// Attributes of the main section of a manifest that may say who an archive is.
pub(super) struct Manifest(BTreeMap<&'static str, String>);

impl Manifest {
    /// Reads the main section, which ends with an empty line.
    pub(super) fn read(text: &str) -> Self {
        let mut attributes = BTreeMap::new();
        let mut last = None;
        for line in
            text.lines().flat_map(|line| line.split('\r')).take_while(|line| !line.is_empty())
        {
            if let Some(more) = line.strip_prefix(' ') {
                if let Some(value) = last.and_then(|name| attributes.get_mut(name)) {
                    String::push_str(value, more);
                }
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            last = ATTRIBUTES.into_iter().find(|known| name.eq_ignore_ascii_case(known));
            if let Some(name) = last {
                attributes.insert(name, value.trim_start().to_owned());
            }
        }
        Self(attributes)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The version that somebody gave the archive itself.
    fn version(&self) -> Option<&str> {
        let names = ["implementation-version", "plugin-version"];
        names.iter().find_map(|name| self.get(name)).filter(|version| is_version(version))
    }

    /// A version that may be written another way than the archive's.
    fn other_version(&self) -> Option<&str> {
        let names = ["bundle-version", "specification-version"];
        names.iter().filter_map(|name| self.get(name)).find(|version| is_version(version))
    }

    /// The name of the bundle, without what is to be done with it.
    fn bundle(&self) -> Option<&str> {
        self.get("bundle-symbolicname")?.split(';').next().map(str::trim)
    }

    /// A title that looks like the name of an artifact.
    fn title(&self) -> Option<&str> {
        let names = ["implementation-title", "short-name", "extension-name"];
        names.iter().filter_map(|name| self.get(name)).find(|title| is_artifact(title))
    }

    /// The group: said by Maven's own word, or what the name of the bundle has before the artifact.
    fn group(&self, artifact: &str) -> Option<String> {
        let said = ["implementation-vendor-id", "group-id"].iter().find_map(|name| self.get(name));
        let said = said.filter(|group| is_artifact(group)).map(str::to_owned);
        said.or_else(|| {
            let group = self.bundle()?.strip_suffix(artifact)?.strip_suffix('.')?;
            (!group.is_empty() && is_artifact(group)).then(|| group.to_owned())
        })
    }
}

/// Who an archive is by its manifest and its name; `None` where neither says a version.
pub(super) fn of_archive(file_name: &str, manifest: Option<&Manifest>) -> Option<Identity> {
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    let said = |get: fn(&Manifest) -> Option<&str>| manifest.and_then(get);
    let said_version = said(Manifest::version);
    // Where the name ends with the version that the manifest says, it needs no guess.
    let before = said_version.and_then(|version| stem.strip_suffix(version)?.strip_suffix('-'));
    let (named, named_version) = match before.map(|it| (it, said_version)) {
        Some(split) => split,
        None => split_version(stem).map_or((stem, None), |(it, version)| (it, Some(version))),
    };
    let released = said_version.zip(named_version).map(|(said, named)| release(said, named));
    let version = released.or(said_version).or(named_version);
    let version = version.or_else(|| said(Manifest::other_version))?;
    // A file that has its version in its name has its artifact there, too.
    let artifact = match named_version {
        Some(_) => named,
        None => said(Manifest::title).or_else(|| said(Manifest::bundle)).unwrap_or(named),
    };
    let group = manifest.and_then(|manifest| manifest.group(artifact));
    Some(Identity { group, artifact: artifact.to_owned(), version: version.to_owned() })
}

/// The version of an archive whose manifest says one and whose name says another: the manifest's, but
/// for what it has of a build behind the name's. Advisories speak of `2.1.21`, and nobody of
/// `2.1.21-release-317`. Words that may stand for something before the release stay.
fn release<'a>(said: &'a str, named: &'a str) -> &'a str {
    let build = said.strip_prefix(named).is_some_and(|rest| {
        let word = rest.strip_prefix('-').map(|rest| rest.split('-').next().unwrap_or_default());
        rest.starts_with('+') || word.is_some_and(is_build)
    });
    if build { named } else { said }
}

/// `release`, `build`, or a number, as those who count their builds have it behind a version.
fn is_build(word: &str) -> bool {
    matches!(word, "release" | "build")
        || (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `ARTIFACT-VERSION`: the version is what begins with a digit after a hyphen.
fn split_version(stem: &str) -> Option<(&str, &str)> {
    let hyphens = stem.match_indices('-').map(|(at, _)| at);
    let mut parts = hyphens.filter_map(|at| Some((stem.get(..at)?, stem.get(at + 1..)?)));
    parts.find(|(artifact, version)| !artifact.is_empty() && is_version(version))
}

fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(char::is_whitespace)
}

fn is_artifact(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}
