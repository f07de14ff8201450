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
            Self::Token { name } => f.write_str(name),
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
    /// nothing.
    pub fn caller(&self, id: &PersonId) -> Option<Caller> {
        match id {
            PersonId::Token { name } => self.token_caller(name),
            PersonId::Local { .. } | PersonId::Oidc { .. } => self.person_caller(id),
        }
    }
}
