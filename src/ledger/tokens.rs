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
use crate::oci::{Digest, Name, Secret};
use crate::policy::Pattern;
use crate::time::Timestamp;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;
/// Most tokens.
const TOKENS_MAX: usize = 1000;
/// Longest name of a token or a group, in characters.
const NAME_LENGTH_MAX: usize = 64;

/// Most patterns in the scope of one token.
const PATTERNS_MAX: usize = 32;
/// Longest pattern, in bytes.
const PATTERN_LENGTH_MAX: usize = 256;
/// Names of parts of the program, by which the audit calls them.
const RESERVED: [&str; 6] = ["gate", "mirror", "pratique", "restore", "rollback", "server"];
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
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The repositories that it is for.
    pub scope: Scope,
    /// Whose it is, where it is a person's.
    pub owner: Option<PersonId>,
}

impl NewToken {
    /// A token in no group, without an end, for every repository.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        let (name, groups) = (name.into(), BTreeSet::new());
        Self { name, role, groups, expires_at: None, scope: Scope::default(), owner: None }
    }
}

/// The repositories that somebody may ask for and see: by patterns, or all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scope(BTreeSet<String>);

impl Scope {
    /// The scope of `patterns`, in the form of the policy's `match`; none at all is every repository.
    ///
    /// # Errors
    /// [`Error::TokenScope`] when one is no pattern, or there are too many.
    pub fn new(patterns: impl IntoIterator<Item = String>) -> Result<Self, Error> {
        let mut canonical = BTreeSet::new();
        for text in patterns {
            let problem = match text.parse::<Pattern>() {
                _ if text.len() > PATTERN_LENGTH_MAX => "is too long".to_owned(),
                _ if canonical.len() >= PATTERNS_MAX => "is one too many".to_owned(),
                Err(problem) => problem,
                Ok(pattern) => {
                    canonical.insert(pattern.as_str().to_owned());
                    continue;
                }
            };
            let pattern = text.chars().take(PATTERN_LENGTH_MAX).collect();
            return Err(Error::TokenScope { pattern, problem });
        }
        Ok(Self(canonical))
    }

    /// Whether it is every repository.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `name` is in it.
    pub fn covers(&self, name: &Name) -> bool {
        let name = name.to_string();
        let matches = |text: &String| text.parse::<Pattern>().is_ok_and(|it| it.matches(&name));
        self.is_everything() || self.0.iter().any(matches)
    }

    /// Its patterns.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
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
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The repositories that it is for.
    #[serde(default, skip_serializing_if = "Scope::is_everything")]
    pub scope: Scope,
    /// Whose it is, where it is a person's: whoever holds it is that person then, as far as its role goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PersonId>,
}

impl TokenRow {
    /// Whether it has ended by `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whoever holds it, where it is nobody's in particular.
    fn holder(&self) -> Caller {
        Caller {
            id: PersonId::Token { name: self.name.clone() },
            display: self.name.clone(),
            role: self.role,
            groups: self.groups.clone(),
            since: self.created_at,
            scope: self.scope.clone(),
        }
    }
}

/// A token as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Known {
    row: TokenRow,
    hash: Digest,
}

impl Known {
    /// Whether whoever holds it can administer this server at `now`.
    pub(super) fn administers(&self, now: Timestamp) -> bool {
        let row = &self.row;
        let is_own = row.owner.is_none() && row.scope.is_everything();
        row.role == Role::Admin && is_own && !row.is_expired(now)
    }
}

/// Reads all tokens that are what was written.
pub(super) fn load(connection: &Tables<'_>) -> Result<Vec<Known>, Error> {
    let mut statement = connection.prepare("SELECT name, body, seal FROM tokens ORDER BY name")?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, String>(0)?, Sealed::from_row(row, 1)?)))?;
    let mut known = Vec::new();
    for row in rows {
        let (name, sealed) = row?;
        match sealed.open(connection.sealer, "tokens", &[&name]) {
            Ok(token) => known.push(token),
            // It opens nothing, and the others are no worse for it.
            Err(error @ Error::CorruptRow { .. }) => tracing::error!(%error, "left out"),
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}

impl Writing<'_> {
    fn create_token(&mut self, known: &Known, by: String) -> Result<(), Error> {
        let TokenRow { name, role, groups, expires_at, scope, owner, .. } = &known.row;
        let tokens = load(self.connection)?;
        if tokens.iter().any(|other| other.row.name == *name) {
            return Err(Error::TokenExists(name.clone()));
        }
        if tokens.len() >= TOKENS_MAX {
            return Err(Error::TooManyTokens(tokens.len()));
        }
        let sealed = Sealed::new(self.connection.sealer, "tokens", &[name], known)?;
        self.connection.execute(
            "INSERT OR REPLACE INTO tokens (name, body, seal) VALUES (?1, ?2, ?3)",
            params![name, sealed.body, sealed.seal],
        )?;
        let mut event = AuditEvent::new(AuditKind::TokenCreated, by);
        event = event.with("token", name).with("role", role);
        if !groups.is_empty() {
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            event = event.with("groups", groups.join(", "));
        }
        if let Some(owner) = owner {
            event = event.with("of", owner);
        }
        if let Some(end) = expires_at {
            event = event.with("expires", end);
        }
        if !scope.is_everything() {
            event = event.with("repositories", scope.patterns().collect::<Vec<_>>().join(", "));
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
    /// [`Error::TokenExists`], [`Error::TokenName`], [`Error::GroupName`], [`Error::TokenExpiry`],
    /// [`Error::TooManyTokens`]; else when it did not reach the disk.
    pub async fn create_token(&self, new: NewToken, by: &str) -> Result<Secret, Error> {
        if !is_name(&new.name) || RESERVED.contains(&new.name.as_str()) {
            return Err(Error::TokenName(new.name.chars().take(NAME_LENGTH_MAX).collect()));
        }
        check_groups(&new.groups)?;
        let now = self.inner.clock.now();
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(Error::TokenExpiry);
        }
        let mut random = [0; TOKEN_BYTES];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::Random)?;
        let secret = Secret::new(URL_SAFE_NO_PAD.encode(random));
        if let Some(owner) = &new.owner
            && self.person(owner).is_none()
        {
            return Err(Error::NoSuchPerson(owner.to_string()));
        }
        let NewToken { name, role, groups, expires_at, scope, owner } = new;
        let row = TokenRow { name, role, groups, created_at: now, expires_at, scope, owner };
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
        let now = self.inner.clock.now();
        let row = tokens.iter().map(|known| &known.row).find(|row| row.name == name);
        row.filter(|row| !row.is_expired(now) && row.owner.is_none()).map(TokenRow::holder)
    }

    /// Whoever holds `token`, as of now; `None` when it is the token of somebody who may not come in any
    /// more.
    pub fn holder_of(&self, token: &TokenRow) -> Option<Caller> {
        let Some(owner) = &token.owner else { return Some(token.holder()) };
        let owner = self.caller(owner)?;
        Some(Caller { role: owner.role.and(token.role), scope: token.scope.clone(), ..owner })
    }

    /// The token that `presented` is; `None` when it is none, or has ended. Takes the same time whatever it is.
    pub fn authenticate(&self, presented: &str) -> Option<TokenRow> {
        let hash = Digest::sha256(presented.as_bytes());
        let tokens = self.inner.memory.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for known in tokens.iter() {
            if verify_slices_are_equal(known.hash.as_bytes(), hash.as_bytes()).is_ok() {
                found = Some(known);
            }
        }
        let now = self.inner.clock.now();
        found.filter(|known| !known.row.is_expired(now)).map(|known| known.row.clone())
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
