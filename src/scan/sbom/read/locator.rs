//! Reading package URLs.
//!
//! Spec: <https://github.com/package-url/purl-spec/blob/main/PURL-SPECIFICATION.rst>

use std::collections::BTreeMap;

use super::{Entry, Listed};
use crate::scan::{Package, PackageKind, SourcePackage};

/// Longest package URL that is read, in bytes.
const URL_BYTES_MAX: usize = 4_096;

/// The parts of a package URL, decoded.
struct Parts {
    kind: String,
    namespace: String,
    name: String,
    version: String,
    qualifiers: BTreeMap<String, String>,
}

/// The package that `url` names; `None` where it names the image itself.
///
/// # Errors
/// Why it cannot be compared with anything.
pub(super) fn package(
    url: &str,
    entry: &Entry<'_>,
    label: &str,
) -> Result<Option<Listed>, &'static str> {
    let parts = parts(url)?;
    let kind = match parts.kind.as_str() {
        "apk" => PackageKind::Apk,
        "cargo" => PackageKind::Cargo,
        "composer" => PackageKind::Composer,
        "deb" => PackageKind::Deb,
        "gem" => PackageKind::Gem,
        "golang" => PackageKind::Go,
        "maven" => PackageKind::Maven,
        "npm" => PackageKind::Npm,
        "nuget" => PackageKind::Nuget,
        "pypi" => PackageKind::Python,
        "rpm" => PackageKind::Rpm,
        "docker" | "oci" => return Ok(None),
        _ => return Err("is of a type for which nothing is known"),
    };
    if parts.version.is_empty() {
        return Err("has no version");
    }
    let is_flat = match kind {
        PackageKind::Cargo
        | PackageKind::Gem
        | PackageKind::Nuget
        | PackageKind::Other
        | PackageKind::Python => true,
        PackageKind::Apk
        | PackageKind::Composer
        | PackageKind::Deb
        | PackageKind::Go
        | PackageKind::Maven
        | PackageKind::Npm
        | PackageKind::Rpm => false,
    };
    if is_flat && !parts.namespace.is_empty() {
        return Err("has a namespace, and its type has none");
    }
    if kind == PackageKind::Maven && !is_of_maven(&name(kind, &parts, entry.name)) {
        return Err("has a colon where Maven has none");
    }
    let said = |key: &str| parts.qualifiers.get(key).filter(|value| !value.is_empty());
    let version = match (kind, said("epoch")) {
        (PackageKind::Rpm, Some(epoch)) if epoch != "0" => format!("{epoch}:{}", parts.version),
        _ => parts.version.clone(),
    };
    let mut package = Package::new(kind, &name(kind, &parts, entry.name), &version, label);
    let mut vendor = None;
    if kind.is_of_distribution() {
        vendor = Some(parts.namespace.to_lowercase()).filter(|vendor| !vendor.is_empty());
        package.architecture = said("arch").cloned();
        package.module = said("rpmmod").or_else(|| said("modularitylabel")).cloned();
        let source = match (said("upstream"), &entry.source) {
            (Some(upstream), _) => Some(source(kind, upstream, &parts.version, &version)?),
            (None, Some((name, version))) => Some((name.clone(), version.clone())),
            (None, None) => None,
        };
        let source = source.map(|(name, version)| SourcePackage { name, version });
        let is_other =
            |it: &SourcePackage| it.name != package.name || it.version != package.version;
        package.source = source.filter(is_other);
    }
    Ok(Some(Listed { package, vendor }))
}

/// The name by which advisories know it.
fn name(kind: PackageKind, parts: &Parts, own: &str) -> String {
    let Parts { namespace, name, .. } = parts;
    let joined = |separator: &str| match namespace.as_str() {
        "" => name.clone(),
        namespace => format!("{namespace}{separator}{name}"),
    };
    match kind {
        PackageKind::Maven => joined(":"),
        // Package URLs have these in lower case, although the names themselves have capitals.
        PackageKind::Composer | PackageKind::Go | PackageKind::Npm => {
            let joined = joined("/");
            if own.eq_ignore_ascii_case(&joined) { own.to_owned() } else { joined }
        }
        PackageKind::Python => normalised(name),
        PackageKind::Apk
        | PackageKind::Cargo
        | PackageKind::Deb
        | PackageKind::Gem
        | PackageKind::Nuget
        | PackageKind::Other
        | PackageKind::Rpm => name.clone(),
    }
}

/// Whether the colon between group and artifact is the only one: of several, it cannot be told which.
fn is_of_maven(name: &str) -> bool {
    match name.split_once(':') {
        Some((group, artifact)) => {
            !group.is_empty() && !artifact.is_empty() && !artifact.contains(':')
        }
        None => true,
    }
}

/// The name of a Python distribution as it is compared.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/name-normalization/>
fn normalised(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if text.ends_with('-') => {}
            '-' | '_' | '.' => text.push('-'),
            c => text.extend(c.to_lowercase()),
        }
    }
    text
}

/// Name and version of what was built, of which `upstream` tells.
fn source(
    kind: PackageKind,
    upstream: &str,
    version: &str,
    with_epoch: &str,
) -> Result<(String, String), &'static str> {
    if kind != PackageKind::Rpm {
        let (name, version) = upstream.rsplit_once('@').unwrap_or((upstream, with_epoch));
        return Ok((name.to_owned(), version.to_owned()));
    }
    let file = upstream.strip_suffix(".rpm").and_then(|it| it.rsplit_once('.'));
    let (name, release) = file
        .and_then(|(identity, _architecture)| identity.rsplit_once('-'))
        .ok_or("has a source that is no source package")?;
    let (name, number) = name.rsplit_once('-').ok_or("has a source that is no source package")?;
    let own = format!("{number}-{release}");
    let own = if own == version { with_epoch.to_owned() } else { own };
    Ok((name.to_owned(), own))
}

fn parts(url: &str) -> Result<Parts, &'static str> {
    const BROKEN: &str = "is no package URL";
    if url.len() > URL_BYTES_MAX {
        return Err("has too long a package URL");
    }
    let (scheme, rest) = url.split_once(':').ok_or(BROKEN)?;
    if !scheme.eq_ignore_ascii_case("pkg") {
        return Err(BROKEN);
    }
    let rest = rest.split_once('#').map_or(rest, |(before, _subpath)| before);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (kind, rest) = rest.trim_start_matches('/').split_once('/').ok_or(BROKEN)?;
    // The sign before a version is the last one, and a name follows no slash after it.
    let (path, version) = match rest.rsplit_once('@') {
        Some((path, version)) if !version.contains('/') && !path.is_empty() => (path, version),
        Some(_) | None => (rest, ""),
    };
    let decode = |text: &str| decoded(text).ok_or(BROKEN);
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(decode)
        .collect::<Result<_, _>>()?;
    let is_odd = |it: &String| it.starts_with('/') || it.ends_with('/') || it.contains("//");
    if segments.iter().any(is_odd) {
        return Err(BROKEN);
    }
    let (name, namespace) = segments.split_last().ok_or(BROKEN)?;
    let mut qualifiers = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(BROKEN)?;
        if qualifiers.insert(key.to_ascii_lowercase(), decode(value)?).is_some() {
            return Err(BROKEN);
        }
    }
    Ok(Parts {
        kind: kind.to_ascii_lowercase(),
        namespace: namespace.join("/"),
        name: name.clone(),
        version: decode(version)?,
        qualifiers,
    })
}

/// `text` with every `%XX` as the byte that it stands for; `None` where one stands for none, or all of it
/// is no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    let text = String::from_utf8(bytes).ok()?;
    // What cannot be shown is no name of anything.
    (!text.chars().any(char::is_control)).then_some(text)
}
