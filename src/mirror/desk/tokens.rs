//! Tokens: who may use the admin API, and the first one of all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::view::{NewTokenView, TokenBody, TokenView};
use super::{Desk, Error};
use crate::ledger::{Ledger, NewToken, Role, Scope, TokenRow};
use crate::time::Timestamp;

/// The file under the data directory with the first token.
pub const FIRST_TOKEN_FILE: &str = "admin.token";
/// Name of the first token.
const FIRST_TOKEN: &str = "first-run";
/// Old token files that are kept before giving up.
const OLD_FILES_MAX: u32 = 1_000;

impl Desk {
    /// All tokens, without their secrets.
    pub fn tokens(&self) -> Vec<TokenView> {
        let (tokens, now) = (self.mirror.ledger().tokens(), self.mirror.clock().now());
        let view = |token: &TokenRow| TokenView {
            name: token.name.clone(),
            role: token.role.to_string(),
            groups: token.groups.iter().cloned().collect(),
            created_at: token.created_at,
            expires_at: token.expires_at,
            expired: token.is_expired(now),
            repositories: token.scope.patterns().map(str::to_owned).collect(),
            of: token.owner.as_ref().map(ToString::to_string),
        };
        tokens.iter().map(view).collect()
    }

    /// Makes a token for `by`. Its secret is told this once.
    ///
    /// # Errors
    /// When the name or the role is none, the name is taken, or the ledger fails.
    pub async fn create_token(&self, body: TokenBody, by: &str) -> Result<NewTokenView, Error> {
        new_token(self.mirror.ledger(), body, by).await
    }

    /// Ends the token `name`, for `by`.
    ///
    /// # Errors
    /// When there is none, it is the last that may make others, or the ledger fails.
    pub async fn revoke_token(&self, name: &str, by: &str) -> Result<(), Error> {
        let _one_at_a_time = self.deciding.lock().await;
        let ledger = self.mirror.ledger();
        let tokens = ledger.tokens();
        let Some(token) = tokens.iter().find(|token| token.name == name) else {
            return Err(Error::TokenUnknown { name: name.to_owned() });
        };
        let now = self.mirror.clock().now();
        if opens_everything(token, now)
            && tokens.iter().filter(|it| opens_everything(it, now)).count() == 1
        {
            return Err(Error::LastAdminToken { name: name.to_owned() });
        }
        ledger.revoke_token(name, by).await?;
        Ok(())
    }
}

/// Makes a token in `ledger` for `by`: the desk's way, and the command line's while no server runs.
///
/// # Errors
/// As [`Desk::create_token`].
pub async fn new_token(ledger: &Ledger, body: TokenBody, by: &str) -> Result<NewTokenView, Error> {
    let TokenBody { name, role, groups, expires_at, repositories, of } = body;
    let parsed: Role = role.parse().map_err(|_| Error::Role { text: role.clone() })?;
    let (groups, scope) = (groups.into_iter().collect(), Scope::new(repositories)?);
    let owner = of.map(|of| super::people::person_id(&of));
    let new = NewToken { groups, expires_at, scope, owner, ..NewToken::new(&name, parsed) };
    let secret = ledger.create_token(new, by).await?;
    Ok(NewTokenView { name, role, token: secret.expose().to_owned() })
}

/// Whether whoever holds `token` at `now` can make others.
fn opens_everything(token: &TokenRow, now: Timestamp) -> bool {
    let is_own = token.owner.is_none() && token.scope.is_everything();
    token.role == Role::Admin && is_own && !token.is_expired(now)
}

/// Makes the token `first-run` when nobody could use the admin API otherwise, and writes it to
/// [`FIRST_TOKEN_FILE`] under `data_dir`, readable by its owner alone. Gives the file when it was
/// made now.
///
/// A file that is there is never overwritten: it is kept under another name. An empty one is what a
/// start leaves behind that ended between making the file and filling it; its token is replaced.
///
/// # Errors
/// When the ledger or the file cannot be written.
pub async fn first_token(ledger: &Ledger, data_dir: &Path) -> Result<Option<PathBuf>, Error> {
    let path = data_dir.join(FIRST_TOKEN_FILE);
    let failed = |source| Error::TokenFile { path: path.clone(), source };
    let length = match fs::symlink_metadata(&path) {
        Ok(metadata) => Some(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let tokens = ledger.tokens();
    let interrupted = length == Some(0);
    if tokens.iter().any(|token| opens_everything(token, ledger.now())) && !interrupted {
        return Ok(None);
    }
    match length {
        Some(0) => fs::remove_file(&path).map_err(failed)?,
        Some(_) => keep_old(&path).map_err(failed)?,
        None => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    sync_folder(data_dir).map_err(failed)?;
    if tokens.iter().any(|token| token.name == FIRST_TOKEN) {
        ledger.revoke_token(FIRST_TOKEN, OURSELVES).await?;
    }
    let secret = ledger.create_token(NewToken::new(FIRST_TOKEN, Role::Admin), OURSELVES).await?;
    file.write_all(format!("{}\n", secret.expose()).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    Ok(Some(path))
}

/// Who the audit names when nobody asked.
const OURSELVES: &str = "pratique";

/// Gives the file at `path` the first free name of `path.1`, `path.2` and so on.
fn keep_old(path: &Path) -> io::Result<()> {
    for number in 1..=OLD_FILES_MAX {
        let mut old = path.as_os_str().to_owned();
        old.push(format!(".{number}"));
        // A hard link refuses to replace what is there; renaming would not.
        match fs::hard_link(path, &old) {
            Ok(()) => return fs::remove_file(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many old token files"))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
