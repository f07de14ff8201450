//! The form of a report: what of it is read.
//!
//! Spec: <https://github.com/aquasecurity/trivy/blob/v0.69.3/pkg/types/report.go>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::scan::cvss;
use crate::scan::reported::or_default;
use crate::scan::reported::said::tenths;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Report {
    pub(super) schema_version: Option<u64>,
    pub(super) trivy: Option<About>,
    pub(super) created_at: Option<String>,
    pub(super) artifact_type: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) results: Vec<ScanResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct About {
    pub(super) version: Option<String>,
    pub(super) server: Option<Server>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Server {
    #[serde(rename = "VulnerabilityDB")]
    pub(super) database: Option<DatabaseTimes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DatabaseTimes {
    pub(super) updated_at: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Metadata {
    #[serde(rename = "OS")]
    pub(super) system: Option<System>,
    #[serde(rename = "ImageID")]
    pub(super) image_id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) repo_digests: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct System {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) family: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(rename = "EOSL", default, deserialize_with = "or_default")]
    pub(super) is_over: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScanResult {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) target: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) class: String,
    #[serde(rename = "Type", default, deserialize_with = "or_default")]
    pub(super) kind: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) packages: Vec<Listed>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) vulnerabilities: Vec<Detected>,
    #[serde(rename = "ExperimentalModifiedFindings", default, deserialize_with = "or_default")]
    pub(super) modified: Vec<Modified>,
}

/// A package of the list beside the findings, which knows more of it than they do.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    #[serde(rename = "ID")]
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) identifier: Identifier,
    pub(super) arch: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) src_name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) src_version: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) src_release: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) src_epoch: u64,
    pub(super) modularitylabel: Option<String>,
    pub(super) file_path: Option<String>,
}

#[derive(Deserialize, Default)]
pub(super) struct Identifier {
    #[serde(rename = "PURL")]
    pub(super) url: Option<String>,
    #[serde(rename = "UID")]
    pub(super) uid: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Modified {
    #[serde(rename = "Type", default, deserialize_with = "or_default")]
    pub(super) kind: String,
    pub(super) finding: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Detected {
    #[serde(rename = "VulnerabilityID", default, deserialize_with = "or_default")]
    pub(super) id: String,
    #[serde(rename = "VendorIDs", default, deserialize_with = "or_default")]
    pub(super) vendor_ids: Vec<String>,
    #[serde(rename = "PkgID")]
    pub(super) package_id: Option<String>,
    #[serde(rename = "PkgName", default, deserialize_with = "or_default")]
    pub(super) package: String,
    #[serde(rename = "PkgPath")]
    pub(super) path: Option<String>,
    #[serde(rename = "PkgIdentifier", default, deserialize_with = "or_default")]
    pub(super) identifier: Identifier,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) installed_version: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) fixed_version: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) status: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) severity: String,
    #[serde(rename = "CVSS", default, deserialize_with = "or_default")]
    pub(super) cvss: BTreeMap<String, Scores>,
    pub(super) published_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Scores {
    pub(super) v2_vector: Option<String>,
    pub(super) v3_vector: Option<String>,
    pub(super) v40_vector: Option<String>,
    pub(super) v2_score: Option<f64>,
    pub(super) v3_score: Option<f64>,
    pub(super) v40_score: Option<f64>,
}

impl Scores {
    /// The base score: the vector's, or the one that stands there.
    pub(super) fn score(&self) -> Option<u8> {
        let pairs = [
            (&self.v40_vector, self.v40_score),
            (&self.v3_vector, self.v3_score),
            (&self.v2_vector, self.v2_score),
        ];
        let score = |(vector, given): &(&Option<String>, Option<f64>)| {
            let of_vector = vector.as_deref().and_then(|vector| cvss::score(vector).ok());
            of_vector.or_else(|| given.and_then(tenths))
        };
        pairs.iter().find_map(score)
    }
}
