//! Findings that exceptions took out: those of the policy, and those that people granted at the desk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::oci::Digest;
use crate::scan::{Finding, Fix, Severity};
use crate::time::Timestamp;

/// An exception that people granted at the desk, of the one repository that the subject is in.
///
/// It says who granted it and how many they were: whether that is enough is for the rule to say that
/// applies now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskException {
    /// Its number: `X-7`.
    pub id: String,
    /// The manifest that it is for; `None` is every one of the repository.
    pub digest: Option<Digest>,
    /// The vulnerability, by any of its names.
    pub vulnerability: String,
    /// The package that it is about; `None` is any.
    pub package: Option<String>,
    /// When it ends.
    pub expires: Timestamp,
    /// The approval policy by which it was granted.
    pub approval: String,
    /// Who granted it.
    pub by: Vec<String>,
    /// How many people or groups they stand for, as its approval policy counts them.
    pub counted: usize,
}

/// A finding that would be refused, did not an exception take it out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
pub struct Excepted {
    /// The exception: `X-7` of the desk, else the id of one of the policy.
    pub exception: String,
    /// The image that the finding is in.
    pub image: Digest,
    /// The best known name of the vulnerability.
    pub vulnerability: String,
    /// The package that it is in.
    pub package: String,
    /// The version of that.
    pub version: String,
    /// How bad it is: `critical`, `high`, `medium`, `low`, `none`, `unrated`.
    pub severity: String,
    /// What there is against it: `fixed in 3.0.13`, `no fix yet`, `will not be fixed`.
    pub fix: String,
    /// Whether it is known to be exploited.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exploited: bool,
    /// Who granted the exception; nobody where the policy has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// When the exception ends.
    pub until: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Excepted {
    /// Most of these that a judgement keeps.
    pub const MAX: usize = 1_000;

    /// `finding` of `image`, taken out by the exception called `exception`, which `by` granted until `until`.
    pub(super) fn new(
        image: Digest,
        finding: &Finding,
        (exception, by, until): (&str, &[String], Timestamp),
    ) -> Self {
        Self {
            exception: exception.to_owned(),
            image,
            vulnerability: finding.id.clone(),
            package: finding.package.name.clone(),
            version: finding.package.version.clone(),
            severity: severity(finding).to_owned(),
            fix: match &finding.fix {
                Fix::In(fixed) => format!("fixed in {fixed}"),
                Fix::None => "no fix yet".to_owned(),
                Fix::WillNot => "will not be fixed".to_owned(),
            },
            exploited: finding.exploited,
            by: by.to_vec(),
            until,
        }
    }

    /// What the finding is, without the version of the package: `CVE-2026-1 in openssl: high, fixed in 3.0.13`.
    pub fn described(&self) -> String {
        let Self { vulnerability, package, severity, fix, .. } = self;
        let exploited = if self.exploited { ", exploited" } else { "" };
        format!("{vulnerability} in {package}: {severity}, {fix}{exploited}")
    }
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Some(Severity::Critical) => "critical",
        Some(Severity::High) => "high",
        Some(Severity::Medium) => "medium",
        Some(Severity::Low) => "low",
        Some(Severity::None) => "none",
        None => "unrated",
    }
}
