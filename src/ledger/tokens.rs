//! Tokens of the admin API: random, kept only as hashes, compared in constant time, in memory.

use std::sync::PoisonError;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::audit::{AuditEvent, AuditKind};
use super::rows::Sealed;
use super::writer::Writing;
use super::{Error, Ledger};
use crate::oci::{Digest, Secret};
use crate::time::Timestamp;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;
/// Most tokens.
const TOKENS_MAX: usize = 1000;
/// Longest name of a token, in characters.
const TOKEN_NAME_LENGTH_MAX: usize = 64;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything.
    Admin,
    /// To see the tags that upstream has.
    Discover,
    /// To read, not to decide.
    Viewer,
}

impl Role {
    /// The role in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Discover => "discover",
            Self::Viewer => "viewer",
        }
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
        [Self::Admin, Self::Discover, Self::Viewer]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or("a role is admin, discover or viewer")
    }
}

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name, as the audit shows it.
    pub name: String,
    /// What it allows.
    pub role: Role,
}

/// A token as it is listed; the token itself cannot be had again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A token as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Known {
    row: TokenRow,
    hash: Digest,
}

/// Reads all tokens.
pub(super) fn load(connection: &Connection) -> Result<Vec<Known>, Error> {
    let mut statement = connection.prepare("SELECT name, body, seal FROM tokens ORDER BY name")?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, String>(0)?, Sealed::from_row(row, 1)?)))?;
    rows.map(|row| {
        let (name, sealed) = row?;
        sealed.open("tokens", &[&name])
    })
    .collect()
}

impl Writing<'_> {
    fn create_token(&mut self, known: &Known, by: String) -> Result<(), Error> {
        let TokenRow { name, role, .. } = &known.row;
        let tokens = load(self.connection)?;
        if tokens.iter().any(|other| other.row.name == *name) {
            return Err(Error::TokenExists(name.clone()));
        }
        if tokens.len() >= TOKENS_MAX {
            return Err(Error::TooManyTokens(tokens.len()));
        }
        let sealed = Sealed::new("tokens", &[name], known)?;
        self.connection.execute(
            "INSERT INTO tokens (name, body, seal) VALUES (?1, ?2, ?3)",
            params![name, sealed.body, sealed.seal],
        )?;
        let event = AuditEvent::new(AuditKind::TokenCreated, by);
        self.audit(&event.with("token", name).with("role", role))?;
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
    /// Makes a token called `name`, on the word of `by`; this is the only time it can be read.
    ///
    /// # Errors
    /// [`Error::TokenExists`], [`Error::TokenName`], [`Error::TooManyTokens`]; else when it did not
    /// reach the disk.
    pub async fn create_token(&self, name: &str, role: Role, by: &str) -> Result<Secret, Error> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-@".contains(&b);
        if name.is_empty() || name.len() > TOKEN_NAME_LENGTH_MAX || !name.bytes().all(plain) {
            return Err(Error::TokenName(name.chars().take(TOKEN_NAME_LENGTH_MAX).collect()));
        }
        let mut random = [0; TOKEN_BYTES];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::Random)?;
        let secret = Secret::new(URL_SAFE_NO_PAD.encode(random));
        let row = TokenRow { name: name.to_owned(), role, created_at: self.inner.clock.now() };
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

    /// Whose token `presented` is; `None` when it is nobody's. Takes the same time whatever it is.
    pub fn authenticate(&self, presented: &str) -> Option<Token> {
        let hash = Digest::sha256(presented.as_bytes());
        let tokens = self.inner.memory.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for known in tokens.iter() {
            if verify_slices_are_equal(known.hash.as_bytes(), hash.as_bytes()).is_ok() {
                found = Some(known);
            }
        }
        found.map(|known| Token { name: known.row.name.clone(), role: known.row.role })
    }
}
