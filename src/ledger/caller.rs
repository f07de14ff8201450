//! Who somebody is, and what they may do now.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Ledger;
use super::roles::{Permission, Role};
use super::tokens::Scope;
use crate::time::Timestamp;

/// Who somebody is, whatever they are called: the one thing by which people are told apart.
///
/// Never an e-mail address or a name for display: those are given to others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum PersonId {
    /// Somebody whom this ledger knows by a password.
    Local {
        /// The name.
        name: String,
    },
    /// Somebody for whom an identity provider vouches.
    Oidc {
        /// The provider.
        issuer: String,
        /// What the provider calls them: the same for ever, and meaningless.
        subject: String,
    },
    /// Whoever signs approval files with a key that the policy has for a signer.
    Signer {
        /// The name of the signer.
        name: String,
        /// The id of the key: with another one it is somebody else.
        key: String,
    },
    /// Whoever holds a token.
    Token {
        /// The name of the token.
        name: String,
    },
}

impl fmt::Display for PersonId {
    /// As the audit has it. The names of tokens and local people have no colon, so that none looks like
    /// another.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { name } => write!(f, "user:{name}"),
            Self::Oidc { issuer, subject } => write!(f, "oidc:{issuer}#{subject}"),
            Self::Signer { name, key } => write!(f, "signer:{name}#{key}"),
            Self::Token { name } => f.write_str(name),
        }
    }
}

impl PersonId {
    /// Whether `other` is taken for the same person: who signs files under the name by which somebody signs in,
    /// or with the same key under another name, is not somebody else.
    pub fn is_same_person(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Signer { name, .. }, Self::Local { name: local })
            | (Self::Local { name: local }, Self::Signer { name, .. }) => name == local,
            (Self::Signer { name, key }, Self::Signer { name: other, key: its }) => {
                name == other || key == its
            }
            (one, other) => one == other,
        }
    }
}

/// Somebody who asks for something, as of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub id: PersonId,
    /// What they are called, for show.
    pub display: String,
    /// What they may do.
    pub role: Role,
    /// The groups they are in, by name.
    pub groups: BTreeSet<String>,
    /// Since when this identity is theirs: one that was given up and given again is somebody else's.
    pub since: Timestamp,
    /// The repositories that they may ask for and see.
    pub scope: Scope,
}

impl Caller {
    /// Whether they may do what takes `permission`.
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }

    /// What records call them.
    pub fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Ledger {
    /// Whoever `id` is as of now; `None` when there is nobody by that identity any more, or they may do
    /// nothing. Who signs files is nobody here: the policy knows them.
    pub fn caller(&self, id: &PersonId) -> Option<Caller> {
        match id {
            PersonId::Token { name } => self.token_caller(name),
            PersonId::Signer { .. } => None,
            PersonId::Local { .. } | PersonId::Oidc { .. } => self.person_caller(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_with_two_names_is_one() {
        let signer =
            |name: &str, key: &str| PersonId::Signer { name: name.into(), key: key.into() };
        let local = |name: &str| PersonId::Local { name: name.into() };
        let alice = signer("alice", "k1");
        for (other, same) in [
            (alice.clone(), true),
            (signer("alice", "k2"), true),
            (signer("alicia", "k1"), true),
            (local("alice"), true),
            (signer("bob", "k2"), false),
            (local("bob"), false),
            (PersonId::Token { name: "alice".into() }, false),
        ] {
            assert_eq!(alice.is_same_person(&other), same, "{other}");
            assert_eq!(other.is_same_person(&alice), same, "{other}");
        }
        assert_eq!(alice.to_string(), "signer:alice#k1");
    }
}
