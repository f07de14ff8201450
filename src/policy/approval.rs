//! Who has to approve what a rule asks people about.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::pattern::Pattern;
use super::problem::FileNumber;
use super::scanned::{Grace, Rating, ScanGate};
use super::tags::TagFilter;
use crate::oci::Name;

/// How many people have to say yes, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalPolicy {
    pub(super) name: String,
    pub(super) requesters: Vec<Principal>,
    pub(super) approvers: Vec<Principal>,
    pub(super) quorum: usize,
    pub(super) distinct_groups: bool,
    pub(super) self_approval: bool,
    pub(super) covers_children: bool,
    pub(super) tag_follow: TagFollow,
    pub(super) expires_after: Option<Duration>,
    pub(super) pending_timeout: Option<Duration>,
    pub(super) on_new_finding: Option<UnseenFinding>,
    pub(super) re_evaluate: Option<ReEvaluate>,
}

/// What becomes of what was approved, when a critical, high or exploited finding comes up that those who
/// approved it were not shown. Malware is refused whatever is written, where anything is but to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnseenFinding {
    /// People are asked again once the grace is over; until then it is served on.
    Hold(Grace),
    /// It is refused once the grace is over.
    Revoke(Grace),
    /// It is served on, and that is told.
    Serve,
}

impl fmt::Display for UnseenFinding {
    /// One text for each, in which the graces are in seconds: `hold critical=86400 high=604800`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, grace) = match self {
            Self::Hold(grace) => ("hold", *grace),
            Self::Revoke(grace) => ("revoke", *grace),
            Self::Serve => ("serve", Grace::default()),
        };
        f.write_str(word)?;
        for (name, rating) in Rating::CHOICES.iter().rev() {
            let seconds = grace.of(*rating).as_secs();
            if seconds > 0 {
                write!(f, " {name}={seconds}")?;
            }
        }
        Ok(())
    }
}

/// When what an approval beside people rests on is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReEvaluate {
    /// How old what is attached to an image upstream may be, before it is looked for again; `None` is as old as
    /// the image.
    pub every: Option<Duration>,
    /// How many of [`ReEvaluate::CAUSES`] are written down. All of them act, whatever is.
    pub named: usize,
}

impl ReEvaluate {
    /// What has a verdict reached again by itself, in the words of the policy: a vulnerability database, a
    /// policy or a trust root that comes into force, a revocation, and a tag that moves.
    pub const CAUSES: [(&str, &str); 4] = [
        ("new-cve", "new-cve"),
        ("policy-change", "policy-change"),
        ("signer-revoked", "signer-revoked"),
        ("upstream-tag-moved", "upstream-tag-moved"),
    ];
}

/// For which newer versions of what is approved the mirror asks people by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagFollow {
    /// For none.
    #[default]
    None,
    /// For those of which the first two numbers are the same, and for what the tag itself moved to.
    Patch,
    /// For those of which the first number is the same.
    Minor,
}

impl TagFollow {
    /// The words of the policy.
    pub const CHOICES: [(&str, Self); 3] =
        [("none", Self::None), ("patch", Self::Patch), ("minor", Self::Minor)];
}

/// Approvals of the same content under other names that count under a rule.
#[derive(Debug, Clone)]
pub struct Carries {
    pub(super) from: Vec<Pattern>,
    pub(super) policies: Vec<String>,
}

impl Carries {
    /// The patterns of the repositories whose approvals count, canonical.
    pub fn from(&self) -> &[Pattern] {
        &self.from
    }

    /// The approval policies, beside that of the rule, that ask as much.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// Whether an approval in `name` may count.
    pub fn covers(&self, name: &Name) -> bool {
        let text = name.to_string();
        self.from.iter().any(|pattern| pattern.matches(&text))
    }
}

/// What of a rule needs nobody's yes, because people said once what is as good as one.
#[derive(Debug, Clone)]
pub struct StandingApproval {
    /// Only what one of these tags stands for.
    pub tags: TagFilter,
    /// One of these has to sign the very digest.
    pub signers: Vec<String>,
    /// What may be known against it.
    pub findings: AllowedFindings,
}

/// What may be known against something that needs nobody's yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowedFindings {
    /// Whatever the gates of the rule let pass.
    Any,
    /// No critical or high finding that what is admitted of its line has not.
    NoWorse,
}

impl AllowedFindings {
    /// The words of the policy.
    pub const CHOICES: [(&str, Self); 2] = [("no-worse", Self::NoWorse), ("any", Self::Any)];
}

/// Who grants exceptions at the desk, and for how long at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionApproval {
    pub(super) approval: Arc<ApprovalPolicy>,
    pub(super) longest: Option<Duration>,
    /// Whether a rule says it, and not the defaults.
    pub(super) is_of_rule: bool,
    /// The file with a scope that says it; `None` is the base file.
    pub(super) part: Option<FileNumber>,
}

impl ExceptionApproval {
    /// Whether what these grant may take out what `gate` refuses: nothing is taken from the floor, and where a
    /// file with a scope says who grants, only what that file asks for.
    pub fn takes_from(&self, gate: &ScanGate) -> bool {
        !gate.is_floor && self.part.is_none_or(|part| gate.part == Some(part))
    }

    /// Who has to say yes.
    pub fn approval(&self) -> &Arc<ApprovalPolicy> {
        &self.approval
    }

    /// For how long an exception may be granted from now: what is written with it, or else how long an
    /// approval of those people holds, and never longer than `most`, which is for all exceptions.
    pub fn longest(&self, most: Duration) -> Duration {
        self.longest.or(self.approval.expires_after).map_or(most, |own| own.min(most))
    }
}

/// Somebody, or everybody of a group, as a policy names them: `group:security`, `user:alice`,
/// `token:release-desk`, `oidc:https://login.corp#00u1`, `signer:alice`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// Everybody in the group.
    Group(String),
    /// Somebody for whom an identity provider vouches.
    Oidc {
        /// The provider.
        issuer: String,
        /// What it calls them.
        subject: String,
    },
    /// Whoever signs approval files with the key of that signer of the policy.
    Signer(String),
    /// Whoever holds the token.
    Token(String),
    /// Somebody who signs in here by a password.
    User(String),
}

/// A text names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write group:NAME, user:NAME, token:NAME, oidc:ISSUER#SUBJECT or, for files, signer:NAME")]
pub struct PrincipalError;

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Oidc { issuer, subject } => write!(f, "oidc:{issuer}#{subject}"),
            Self::Signer(name) => write!(f, "signer:{name}"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::User(name) => write!(f, "user:{name}"),
        }
    }
}

impl FromStr for Principal {
    type Err = PrincipalError;

    fn from_str(text: &str) -> Result<Self, PrincipalError> {
        let (kind, rest) = text.split_once(':').ok_or(PrincipalError)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-@".contains(&b);
        let name = || (!rest.is_empty() && rest.bytes().all(plain)).then(|| rest.to_owned());
        match kind {
            "group" if !rest.is_empty() => Ok(Self::Group(rest.to_owned())),
            "signer" => name().map(Self::Signer).ok_or(PrincipalError),
            "token" => name().map(Self::Token).ok_or(PrincipalError),
            "user" => name().map(Self::User).ok_or(PrincipalError),
            "oidc" => match rest.split_once('#') {
                Some((issuer, subject)) if issuer.contains("://") && !subject.is_empty() => {
                    Ok(Self::Oidc { issuer: issuer.to_owned(), subject: subject.to_owned() })
                }
                Some(_) | None => Err(PrincipalError),
            },
            _ => Err(PrincipalError),
        }
    }
}

impl ApprovalPolicy {
    /// Most people that a quorum may ask for.
    pub const QUORUM_MAX: u64 = 10;

    /// The name that rules use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who may ask for images beside the nodes that pull them; none listed is everybody who may ask.
    pub fn requesters(&self) -> &[Principal] {
        &self.requesters
    }

    /// Whose yes counts.
    pub fn approvers(&self) -> &[Principal] {
        &self.approvers
    }

    /// How many distinct people have to say yes.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// Whether each of them has to stand for another of the [`approvers`](Self::approvers).
    pub fn distinct_groups(&self) -> bool {
        self.distinct_groups
    }

    /// Whether somebody who asked for an image may say yes to it.
    pub fn self_approval(&self) -> bool {
        self.self_approval
    }

    /// Whether an approval of an index is one of every manifest that it lists, too.
    pub fn covers_children(&self) -> bool {
        self.covers_children
    }

    /// For which newer versions of what is approved the mirror asks people by itself.
    pub fn tag_follow(&self) -> TagFollow {
        self.tag_follow
    }

    /// How long an approval holds at most.
    pub fn expires_after(&self) -> Option<Duration> {
        self.expires_after
    }

    /// The approvers that sign files, by the names of their signers.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.approvers.iter().filter_map(|it| match it {
            Principal::Signer(name) => Some(name.as_str()),
            Principal::Group(_)
            | Principal::Oidc { .. }
            | Principal::Token(_)
            | Principal::User(_) => None,
        })
    }

    /// After how long a yes counts no more that was not enough.
    pub fn pending_timeout(&self) -> Option<Duration> {
        self.pending_timeout
    }

    /// What becomes of what was approved, when something is found that nobody was shown; `None` where nothing
    /// is written, so that nothing becomes of it and nothing is told.
    pub fn on_new_finding(&self) -> Option<UnseenFinding> {
        self.on_new_finding
    }

    /// After how long what is attached to an image upstream is looked for again.
    pub fn looks_again_after(&self) -> Option<Duration> {
        self.re_evaluate.and_then(|it| it.every)
    }
}

impl fmt::Display for ApprovalPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let approvers: Vec<String> = self.approvers.iter().map(ToString::to_string).collect();
        let people = if self.quorum == 1 { "one".to_owned() } else { self.quorum.to_string() };
        write!(f, "{people} of {}", approvers.join(", "))?;
        if self.distinct_groups && self.quorum > 1 {
            f.write_str(", each from another")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_named_in_one_way() {
        for text in [
            "group:platform-security",
            "group:CN=Leads,OU=Groups",
            "user:alice",
            "token:release.desk",
            "signer:alice",
            "oidc:https://login.corp/realms/x#00u1",
        ] {
            assert_eq!(text.parse::<Principal>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "alice",
            "group:",
            "user:",
            "user:a b",
            "token:a:b",
            "signer:",
            "signer:a b",
            "person:alice",
            "oidc:login.corp#1",
            "oidc:https://login.corp#",
            "oidc:https://login.corp",
        ] {
            assert_eq!(text.parse::<Principal>(), Err(PrincipalError), "{text}");
        }
    }
}
