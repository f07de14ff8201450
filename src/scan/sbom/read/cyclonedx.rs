//! CycloneDX, any version that is JSON: only what names packages is looked at.
//!
//! Spec: <https://cyclonedx.org/docs/1.6/json/>

use std::borrow::Cow;

use serde::Deserialize;

use super::{Collected, Entry, Trouble};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bill<'a> {
    #[serde(borrow)]
    bom_format: Cow<'a, str>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    components: Option<Vec<Component<'a>>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    component: Option<Component<'a>>,
}

#[derive(Deserialize)]
struct Component<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    group: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    purl: Option<Cow<'a, str>>,
    #[serde(borrow)]
    properties: Option<Vec<Property<'a>>>,
    #[serde(borrow)]
    components: Option<Vec<Component<'a>>>,
}

#[derive(Deserialize)]
struct Property<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
}

/// Collects the components of the bill in `json`, nested ones too.
pub(super) fn read(json: &str, collected: &mut Collected<'_>) -> Result<(), Trouble> {
    let bill: Bill<'_> = serde_json::from_str(json)?;
    if bill.bom_format != "CycloneDX" {
        return Err(Trouble::Malformed(format!("its bomFormat is {}", bill.bom_format)));
    }
    // The component that it is about is the image itself, and what is below it is in the image.
    let about = bill.metadata.and_then(|metadata| metadata.component);
    let below = about.and_then(|component| component.components);
    let mut left: Vec<Component<'_>> = bill.components.unwrap_or_default();
    left.extend(below.unwrap_or_default());
    while let Some(mut component) = left.pop() {
        left.extend(component.components.take().unwrap_or_default());
        if component.purl.is_none() && component.is_no_package() {
            continue;
        }
        let name = component.whole_name();
        let source = component.source();
        collected.add(&Entry { name: &name, url: component.purl.as_deref(), source })?;
    }
    Ok(())
}

impl Component<'_> {
    /// Whether the form itself says that it is something else.
    fn is_no_package(&self) -> bool {
        const OTHERS: [&str; 7] = [
            "container",
            "cryptographic-asset",
            "data",
            "device",
            "file",
            "machine-learning-model",
            "operating-system",
        ];
        let kind = self.kind.as_deref();
        // An application without a version is what its packages are grouped by: a file that lists them.
        let has_version = self.version.as_deref().is_some_and(|version| !version.is_empty());
        kind.is_some_and(|kind| OTHERS.contains(&kind) || kind == "application" && !has_version)
    }

    fn whole_name(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        match self.group.as_deref().filter(|group| !group.is_empty()) {
            Some(group) => format!("{group}/{name}"),
            None => name.to_owned(),
        }
    }

    /// What Trivy says that a distribution's package was built from, which its package URLs do not.
    fn source(&self) -> Option<(String, String)> {
        let said = |key: &str| {
            let properties = self.properties.iter().flatten();
            let mut named = properties.filter(|it| {
                it.name.as_deref().and_then(|name| name.strip_prefix("aquasecurity:trivy:"))
                    == Some(key)
            });
            named.find_map(|it| it.value.as_deref()).filter(|value| !value.is_empty())
        };
        let (name, version) = (said("SrcName")?, said("SrcVersion")?);
        let epoch = said("SrcEpoch").filter(|epoch| *epoch != "0");
        let epoch = epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
        let release = said("SrcRelease").map(|release| format!("-{release}")).unwrap_or_default();
        Some((name.to_owned(), format!("{epoch}{version}{release}")))
    }
}
