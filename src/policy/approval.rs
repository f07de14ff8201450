//! Who has to approve what a rule asks people about.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::tags::TagFilter;

/// How many people have to say yes, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalPolicy {
    pub(super) name: String,
    pub(super) requesters: Vec<Principal>,
    pub(super) approvers: Vec<Principal>,
    pub(super) quorum: usize,
    pub(super) distinct_groups: bool,
    pub(super) self_approval: bool,
    pub(super) expires_after: Option<Duration>,
    pub(super) pending_timeout: Option<Duration>,
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

/// Somebody, or everybody of a group, as a policy names them: `group:security`, `user:alice`,
/// `token:release-desk`, `oidc:https://login.corp#00u1`.
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
    /// Whoever holds the token.
    Token(String),
    /// Somebody who signs in here by a password.
    User(String),
}

/// A text names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write group:NAME, user:NAME, token:NAME or oidc:ISSUER#SUBJECT")]
pub struct PrincipalError;

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Oidc { issuer, subject } => write!(f, "oidc:{issuer}#{subject}"),
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

    /// How long an approval holds at most.
    pub fn expires_after(&self) -> Option<Duration> {
        self.expires_after
    }

    /// After how long a yes counts no more that was not enough.
    pub fn pending_timeout(&self) -> Option<Duration> {
        self.pending_timeout
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
            "person:alice",
            "oidc:login.corp#1",
            "oidc:https://login.corp#",
            "oidc:https://login.corp",
        ] {
            assert_eq!(text.parse::<Principal>(), Err(PrincipalError), "{text}");
        }
    }
}
