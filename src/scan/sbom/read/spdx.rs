//! SPDX 2, as JSON: only what names packages is looked at.
//!
//! Spec: <https://spdx.github.io/spdx-spec/v2.3/>

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;

use super::{Collected, Entry, Trouble};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bill<'a> {
    #[serde(borrow)]
    spdx_version: Cow<'a, str>,
    #[serde(borrow)]
    document_describes: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    packages: Option<Vec<Listed<'a>>>,
    #[serde(borrow)]
    relationships: Option<Vec<Relationship<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    #[serde(rename = "SPDXID", borrow)]
    identifier: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    version_info: Option<Cow<'a, str>>,
    #[serde(borrow)]
    primary_package_purpose: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source_info: Option<Cow<'a, str>>,
    #[serde(borrow)]
    external_refs: Option<Vec<ExternalRef<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef<'a> {
    #[serde(borrow)]
    reference_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reference_locator: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relationship<'a> {
    #[serde(borrow)]
    relationship_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    related_spdx_element: Option<Cow<'a, str>>,
}

/// Collects the packages of the document in `json`.
pub(super) fn read(json: &str, collected: &mut Collected<'_>) -> Result<(), Trouble> {
    let document: Bill<'_> = serde_json::from_str(json)?;
    if !document.spdx_version.starts_with("SPDX-2.") {
        return Err(Trouble::Malformed(format!("its spdxVersion is {}", document.spdx_version)));
    }
    let mut about: HashSet<Cow<'_, str>> =
        document.document_describes.into_iter().flatten().collect();
    for relationship in document.relationships.into_iter().flatten() {
        if relationship.relationship_type.as_deref() == Some("DESCRIBES") {
            about.extend(relationship.related_spdx_element);
        }
    }
    for listed in document.packages.iter().flatten() {
        let urls: Vec<&str> = listed.urls().collect();
        let is_about = listed.identifier.as_ref().is_some_and(|it| about.contains(it));
        if urls.is_empty() && (is_about || listed.is_no_package()) {
            continue;
        }
        let name = listed.name.as_deref().unwrap_or_default();
        if urls.is_empty() {
            collected.add(&Entry { name, ..Entry::default() })?;
        }
        for url in urls {
            collected.add(&Entry { name, url: Some(url), source: listed.source() })?;
        }
    }
    Ok(())
}

impl Listed<'_> {
    fn urls(&self) -> impl Iterator<Item = &str> {
        let references = self.external_refs.iter().flatten();
        let urls = references.filter(|it| it.reference_type.as_deref() == Some("purl"));
        urls.filter_map(|it| it.reference_locator.as_deref())
    }

    /// Whether the form itself says that it is something else.
    fn is_no_package(&self) -> bool {
        const OTHERS: [&str; 4] = ["CONTAINER", "DEVICE", "FILE", "OPERATING-SYSTEM"];
        let Some(purpose) = &self.primary_package_purpose else { return false };
        let purpose = purpose.replace('_', "-");
        // An application without a version is what its packages are grouped by: a file that lists them.
        let has_version = self.version_info.as_deref().is_some_and(|version| !version.is_empty());
        OTHERS.contains(&purpose.as_str()) || purpose == "APPLICATION" && !has_version
    }

    /// What Trivy says that a distribution's package was built from, which its package URLs do not.
    fn source(&self) -> Option<(String, String)> {
        let said = self.source_info.as_deref()?.strip_prefix("built package from: ")?;
        let (name, version) = said.split_once(' ')?;
        Some((name.to_owned(), version.trim().to_owned()))
    }
}
