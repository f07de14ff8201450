//! Roles, and what each may do: one table.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything.
    Admin,
    /// To read, to ask, and to decide about images.
    Approver,
    /// To read, and to have the audit signed.
    Auditor,
    /// To see the tags that upstream has.
    Discover,
    /// To report what the doctor of a node found, and what runs in a cluster. For robots.
    Node,
    /// To read, and to ask for images. Made for robots.
    Requester,
    /// To read, not to decide.
    Viewer,
}

/// Something that takes a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Whatever is left: tokens, people, backups, the cache, the keys.
    Administer,
    /// To ask for images.
    Ask,
    /// To decide about images.
    Decide,
    /// To see what there is.
    Look,
    /// To report how a node is, and what runs in a cluster.
    Report,
    /// To have the audit signed at once.
    SignAudit,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 6] =
        [Self::Administer, Self::Ask, Self::Decide, Self::Look, Self::Report, Self::SignAudit];

    /// The least role that has it: what is named to somebody who lacks it.
    pub const fn least_role(self) -> Role {
        match self {
            Self::Administer => Role::Admin,
            Self::Ask => Role::Requester,
            Self::Decide => Role::Approver,
            Self::Look => Role::Viewer,
            Self::Report => Role::Node,
            Self::SignAudit => Role::Auditor,
        }
    }
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::Admin,
        Self::Approver,
        Self::Auditor,
        Self::Discover,
        Self::Node,
        Self::Requester,
        Self::Viewer,
    ];

    /// Whether it is for tokens, and nobody signs in as it.
    pub const fn is_for_tokens(self) -> bool {
        matches!(self, Self::Discover | Self::Node)
    }

    /// Whether somebody with this role may do what takes `permission`.
    pub const fn may(self, permission: Permission) -> bool {
        use Permission::{Ask, Decide, Look, Report, SignAudit};
        match self {
            Self::Admin => true,
            Self::Approver => matches!(permission, Look | Ask | Decide),
            Self::Auditor => matches!(permission, Look | SignAudit),
            Self::Discover => false,
            Self::Node => matches!(permission, Report),
            Self::Requester => matches!(permission, Look | Ask),
            Self::Viewer => matches!(permission, Look),
        }
    }

    /// What is allowed by both roles: the lesser one, where one of them has all that the other has, and else
    /// what both have in common.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let within = |a: Self, b: Self| Permission::ALL.iter().all(|it| !a.may(*it) || b.may(*it));
        if within(self, other) {
            return self;
        }
        if within(other, self) {
            return other;
        }
        if self.may(Permission::Look) && other.may(Permission::Look) {
            return Self::Viewer;
        }
        Self::Discover
    }

    /// The role in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Discover => "discover",
            Self::Node => "node",
            Self::Requester => "requester",
            Self::Viewer => "viewer",
        }
    }
}

impl JsonSchema for Role {
    fn schema_name() -> Cow<'static, str> {
        "Role".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "enum": Self::ALL.map(Self::as_str),
            "description": "What somebody may do.",
            "examples": [Self::Viewer.as_str()],
        })
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or("a role is admin, approver, auditor, discover, node, requester or viewer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_a_word_of_its_own_and_the_least_role_has_what_it_is_named_for() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("Admin".parse::<Role>().is_err() && "".parse::<Role>().is_err());
        for permission in Permission::ALL {
            assert!(permission.least_role().may(permission), "{permission:?}");
            assert!(Role::Admin.may(permission) && !Role::Discover.may(permission));
        }
    }

    #[test]
    fn two_roles_together_allow_no_more_than_each() {
        for one in Role::ALL {
            for other in Role::ALL {
                for permission in Permission::ALL {
                    let both = one.may(permission) && other.may(permission);
                    assert!(
                        both || !one.and(other).may(permission),
                        "{one} {other} {permission:?}"
                    );
                }
                assert_eq!(one.and(one), one);
            }
        }
        assert_eq!(Role::Admin.and(Role::Approver), Role::Approver);
        assert_eq!(Role::Approver.and(Role::Auditor), Role::Viewer);
    }

    #[test]
    fn who_asks_never_decides_and_who_decides_never_administers() {
        for role in [Role::Requester, Role::Viewer, Role::Auditor] {
            assert!(!role.may(Permission::Decide), "{role}");
        }
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Admin) {
            assert!(!role.may(Permission::Administer), "{role}");
        }
    }
}
