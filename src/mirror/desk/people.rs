//! People who sign in: list, make, change, reset, remove.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Desk, Error, words};
use crate::ledger::{Caller, Entrance, Ledger, NewPerson, Person, PersonChange, PersonId, Role};
use crate::oci::{Name, Secret};
use crate::time::Timestamp;

/// Somebody who may sign in, without what proves it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PersonView {
    /// Who it is, as the audit has it: `user:NAME` or `oidc:ISSUER#SUBJECT`.
    pub id: String,
    /// What they are called.
    pub name: String,
    /// What they may do.
    #[schemars(with = "Role")]
    pub role: String,
    /// The groups they are in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// `active`, `invited` (they have a one-time secret), `lapsed` (it is over) or `disabled`.
    pub state: String,
    /// When they were made.
    pub created_at: Timestamp,
    /// When they last signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in_at: Option<Timestamp>,
    /// Until when their one-time secret lets them in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited_until: Option<Timestamp>,
}

/// A person to be made.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonBody {
    /// The name that they sign in with.
    #[schemars(schema_with = "words::name")]
    pub name: String,
    /// What they may do.
    #[schemars(schema_with = "words::role_of_person")]
    pub role: String,
    /// The groups they are in.
    #[schemars(schema_with = "words::groups")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// What is to be different about somebody; what is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonChangeBody {
    /// What they may do.
    #[schemars(schema_with = "words::maybe_role_of_person")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Groups, instead of those that were.
    #[schemars(schema_with = "words::maybe_groups")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Whether they are kept out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// Somebody's one-time secret; the only time it is told.
#[derive(Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct InvitationView {
    /// The name that they sign in with.
    pub name: String,
    /// The secret, to be typed in the place of a password.
    pub secret: String,
    /// Until when it lets them in.
    pub until: Timestamp,
}

impl std::fmt::Debug for InvitationView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InvitationView {{ name: {:?}, secret: [redacted] }}", self.name)
    }
}

impl Desk {
    /// Everybody who may sign in.
    pub fn people(&self) -> Vec<PersonView> {
        self.mirror.ledger().people().into_iter().map(view).collect()
    }

    /// The person `id`: `user:NAME`, `oidc:ISSUER#SUBJECT`, or the name of a local one.
    ///
    /// # Errors
    /// When there is none.
    pub fn person(&self, id: &str) -> Result<PersonView, Error> {
        let found = self.mirror.ledger().person(&person_id(id));
        found.map(view).ok_or_else(|| Error::PersonUnknown { text: id.to_owned() })
    }

    /// Makes a local person for `by`.
    ///
    /// # Errors
    /// When the name, the role or a group is none, the name is taken, or the ledger fails.
    pub async fn add_person(&self, body: PersonBody, by: &str) -> Result<InvitationView, Error> {
        new_person(self.mirror.ledger(), body, by).await
    }

    /// Changes the person `id` for `by`.
    ///
    /// # Errors
    /// When there is none, they are the last administrator, a provider says what they may do, or the ledger
    /// fails.
    pub async fn change_person(
        &self,
        id: &str,
        body: PersonChangeBody,
        by: &str,
    ) -> Result<PersonView, Error> {
        let PersonChangeBody { role, groups, disabled } = body;
        let change = PersonChange {
            role: role.as_deref().map(parsed_role).transpose()?,
            groups: groups.map(|groups| groups.into_iter().collect()),
            is_disabled: disabled,
        };
        self.mirror.ledger().change_person(&person_id(id), change, by).await?;
        self.person(id)
    }

    /// Takes the local person `id` back to a one-time secret, for `by`.
    ///
    /// # Errors
    /// When there is none, they are the last administrator, or the ledger fails.
    pub async fn reset_person(&self, id: &str, by: &str) -> Result<InvitationView, Error> {
        reset_person(self.mirror.ledger(), id, by).await
    }

    /// Removes the person `id`, for `by`.
    ///
    /// # Errors
    /// As [`Self::reset_person`].
    pub async fn remove_person(&self, id: &str, by: &str) -> Result<(), Error> {
        Ok(self.mirror.ledger().remove_person(&person_id(id), by).await?)
    }

    /// That `images` are among the repositories that `caller` may ask for and see.
    ///
    /// # Errors
    /// When one is not, or is no image.
    pub fn check_scope(&self, caller: &Caller, images: &[String]) -> Result<(), Error> {
        for text in images {
            let image = super::target::image(text)?;
            check_covered(caller, &image.name)?;
        }
        Ok(())
    }
}

fn check_covered(caller: &Caller, name: &Name) -> Result<(), Error> {
    if caller.scope.covers(name) {
        return Ok(());
    }
    let patterns: Vec<&str> = caller.scope.patterns().collect();
    let (name, scope) = (name.to_string(), patterns.join(", "));
    Err(Error::OutOfScope { name, who: caller.display.clone(), scope })
}

/// Makes a local person in `ledger` for `by`: the desk's way, and the command line's while no server runs.
///
/// # Errors
/// As [`Desk::add_person`].
pub async fn new_person(
    ledger: &Ledger,
    body: PersonBody,
    by: &str,
) -> Result<InvitationView, Error> {
    let PersonBody { name, role, groups } = body;
    let groups = groups.into_iter().collect();
    let new = NewPerson { name: name.clone(), role: parsed_role(&role)?, groups };
    let told = ledger.add_person(new, by).await?;
    Ok(invitation(name, &told))
}

/// Takes the local person `id` of `ledger` back to a one-time secret, for `by`.
///
/// # Errors
/// As [`Desk::reset_person`].
pub async fn reset_person(ledger: &Ledger, id: &str, by: &str) -> Result<InvitationView, Error> {
    let PersonId::Local { name } = person_id(id) else {
        return Err(Error::NoPassword { text: id.to_owned() });
    };
    let told = ledger.reset_person(&name, by).await?;
    Ok(invitation(name, &told))
}

fn invitation(name: String, (secret, until): &(Secret, Timestamp)) -> InvitationView {
    InvitationView { name, secret: secret.expose().to_owned(), until: *until }
}

fn parsed_role(text: &str) -> Result<Role, Error> {
    text.parse().map_err(|_| Error::Role { text: text.to_owned() })
}

/// Whom a text means: the form of the audit, or the name of a local person.
pub(super) fn person_id(text: &str) -> PersonId {
    let oidc = text.strip_prefix("oidc:").and_then(|rest| rest.split_once('#'));
    if let Some((issuer, subject)) = oidc {
        return PersonId::Oidc { issuer: issuer.to_owned(), subject: subject.to_owned() };
    }
    PersonId::Local { name: text.strip_prefix("user:").unwrap_or(text).to_owned() }
}

fn view((person, entrance): (Person, Entrance)) -> PersonView {
    let (state, invited_until) = match entrance {
        Entrance::Open => ("active", None),
        Entrance::Invited(until) => ("invited", Some(until)),
        Entrance::Lapsed => ("lapsed", None),
        Entrance::Disabled => ("disabled", None),
    };
    PersonView {
        id: person.id.to_string(),
        name: person.display,
        role: person.role.to_string(),
        groups: person.groups.into_iter().collect(),
        state: state.to_owned(),
        created_at: person.created_at,
        signed_in_at: person.signed_in_at,
        invited_until,
    }
}
