//! Tokens of the admin API: random, kept only as hashes, compared in constant time, in memory.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::caller::{Caller, PersonId};
use super::roles::Role;
use super::rows::Sealed;
use super::sealer::Tables;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::oci::{Digest, Secret};
use crate::time::Timestamp;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;
/// Most tokens.
const TOKENS_MAX: usize = 1000;
/// Longest name of a token or a group, in characters.
const NAME_LENGTH_MAX: usize = 64;

/// Most groups of one token.
const GROUPS_MAX: usize = 32;

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// The groups that whoever holds it is in.
    pub groups: BTreeSet<String>,
}

impl NewToken {
    /// A token in no group.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), role, groups: BTreeSet::new() }
    }
}

/// A token as it is listed; the token itself cannot be had again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// The groups that whoever holds it is in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl TokenRow {
    /// Whoever holds it.
    pub fn caller(&self) -> Caller {
        Caller {
            id: PersonId::Token { name: self.name.clone() },
            display: self.name.clone(),
            role: self.role,
            groups: self.groups.clone(),
            since: self.created_at,
        }
    }
}

/// A token as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Known {
    row: TokenRow,
    hash: Digest,
}

/// Reads all tokens.
pub(super) fn load(connection: &Tables<'_>) -> Result<Vec<Known>, Error> {
    let mut statement = connection.prepare("SELECT name, body, seal FROM tokens ORDER BY name")?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, String>(0)?, Sealed::from_row(row, 1)?)))?;
    rows.map(|row| {
        let (name, sealed) = row?;
        sealed.open(connection.sealer, "tokens", &[&name])
    })
    .collect()
}

impl Writing<'_> {
    fn create_token(&mut self, known: &Known, by: String) -> Result<(), Error> {
        let TokenRow { name, role, groups, .. } = &known.row;
        let tokens = load(self.connection)?;
        if tokens.iter().any(|other| other.row.name == *name) {
            return Err(Error::TokenExists(name.clone()));
        }
        if tokens.len() >= TOKENS_MAX {
            return Err(Error::TooManyTokens(tokens.len()));
        }
        let sealed = Sealed::new(self.connection.sealer, "tokens", &[name], known)?;
        self.connection.execute(
            "INSERT INTO tokens (name, body, seal) VALUES (?1, ?2, ?3)",
            params![name, sealed.body, sealed.seal],
        )?;
        let mut event = AuditEvent::new(AuditKind::TokenCreated, by);
        event = event.with("token", name).with("role", role);
        if !groups.is_empty() {
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            event = event.with("groups", groups.join(", "));
        }
        self.audit(&event)?;
        self.show_tokens()
    }

    fn revoke_token(&mut self, name: &str, by: String) -> Result<(), Error> {
        if self.connection.execute("DELETE FROM tokens WHERE name = ?1", [name])? == 0 {
            return Err(Error::NoSuchToken(name.to_owned()));
        }
        self.audit(&AuditEvent::new(AuditKind::TokenRevoked, by).with("token", name))?;
        self.show_tokens()
    }

    fn show_tokens(&mut self) -> Result<(), Error> {
        let tokens = load(self.connection)?;
        self.after_commit(move |memory| {
            *memory.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
        });
        Ok(())
    }
}

impl Ledger {
    /// Makes the token `new`, on the word of `by`; this is the only time it can be read.
    ///
    /// # Errors
    /// [`Error::TokenExists`], [`Error::TokenName`], [`Error::GroupName`], [`Error::TooManyTokens`]; else
    /// when it did not reach the disk.
    pub async fn create_token(&self, new: NewToken, by: &str) -> Result<Secret, Error> {
        if !is_name(&new.name) {
            return Err(Error::TokenName(new.name.chars().take(NAME_LENGTH_MAX).collect()));
        }
        check_groups(&new.groups)?;
        let mut random = [0; TOKEN_BYTES];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::Random)?;
        let secret = Secret::new(URL_SAFE_NO_PAD.encode(random));
        let NewToken { name, role, groups } = new;
        let row = TokenRow { name, role, groups, created_at: self.inner.clock.now() };
        let known = Known { row, hash: Digest::sha256(secret.expose().as_bytes()) };
        let by = by.to_owned();
        self.write(move |writing| writing.create_token(&known, by)).await?;
        Ok(secret)
    }

    /// The tokens there are, by name.
    pub fn tokens(&self) -> Vec<TokenRow> {
        let tokens = self.inner.memory.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().map(|known| known.row.clone()).collect()
    }

    /// Ends the token called `name`, on the word of `by`; it is refused from now on.
    ///
    /// # Errors
    /// [`Error::NoSuchToken`]; else when it did not reach the disk.
    pub async fn revoke_token(&self, name: &str, by: &str) -> Result<(), Error> {
        let (name, by) = (name.to_owned(), by.to_owned());
        self.write(move |writing| writing.revoke_token(&name, by)).await
    }

    /// Whoever holds the token called `name`.
    pub(super) fn token_caller(&self, name: &str) -> Option<Caller> {
        let tokens = self.inner.memory.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().find(|known| known.row.name == name).map(|known| known.row.caller())
    }

    /// The token that `presented` is; `None` when it is none. Takes the same time whatever it is.
    pub fn authenticate(&self, presented: &str) -> Option<TokenRow> {
        let hash = Digest::sha256(presented.as_bytes());
        let tokens = self.inner.memory.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for known in tokens.iter() {
            if verify_slices_are_equal(known.hash.as_bytes(), hash.as_bytes()).is_ok() {
                found = Some(known);
            }
        }
        found.map(|known| known.row.clone())
    }
}

/// Whether `text` may name a token or a group: plain, and without the colon that tells kinds of names
/// apart.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-@".contains(&b);
    !text.is_empty() && text.len() <= NAME_LENGTH_MAX && text.bytes().all(plain)
}

/// Checks the form of groups that somebody gives to somebody.
///
/// # Errors
/// [`Error::GroupName`].
pub(super) fn check_groups(groups: &BTreeSet<String>) -> Result<(), Error> {
    if let Some(bad) = groups.iter().find(|group| !is_name(group)) {
        return Err(Error::GroupName(bad.chars().take(NAME_LENGTH_MAX).collect()));
    }
    match groups.iter().nth(GROUPS_MAX) {
        Some(one_more) => Err(Error::GroupName(one_more.clone())),
        None => Ok(()),
    }
}
