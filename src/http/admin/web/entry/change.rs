//! Another password, by whoever knows the one of now. Guesses are counted as at the sign-in.

use axum::http::{HeaderMap, StatusCode};

use super::login::{not_compared, throttled};
use super::{From, address_of, failed, origin, wait};
use crate::http::admin::AdminState;
use crate::http::admin::guesses::Factor;
use crate::http::admin::problem::Problem;
use crate::http::admin::web::trouble::Trouble;
use crate::ledger::{self, Caller, PersonId};
use crate::mirror::desk;
use crate::oci::Secret;
use crate::people::{PASSWORD_BYTES_MAX, PasswordProblem, check_password};

/// What somebody wrote; no `Debug`, so that it is in no log.
pub(in crate::http::admin::web) struct NewPassword {
    pub(in crate::http::admin::web) old: String,
    pub(in crate::http::admin::web) password: String,
    pub(in crate::http::admin::web) again: String,
}

/// Why a password stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http::admin::web) enum Unchanged {
    /// The new one is none.
    Bad(PasswordProblem),
    /// It was changed meanwhile, or whoever asks is another by now.
    Meanwhile,
    /// The new one was not written the same twice.
    NotTheSame,
    /// What was said to be the password of now is not.
    Wrong,
}

impl Unchanged {
    pub(in crate::http::admin::web) const fn status(self) -> StatusCode {
        match self {
            Self::Bad(_) | Self::NotTheSame => StatusCode::BAD_REQUEST,
            Self::Meanwhile => StatusCode::CONFLICT,
            Self::Wrong => StatusCode::FORBIDDEN,
        }
    }

    pub(in crate::http::admin::web) fn text(self) -> String {
        match self {
            Self::Bad(problem) => problem.to_string(),
            Self::Meanwhile => "Nothing was changed: it was changed meanwhile.".to_owned(),
            Self::NotTheSame => "The two new passwords are not the same.".to_owned(),
            Self::Wrong => "That is not the password of now.".to_owned(),
        }
    }
}

/// Gives `caller`, who has a session, the password that they wish for. Half-done sign-ins with the one from
/// before are over then.
pub(in crate::http::admin::web) async fn change_password(
    state: &AdminState,
    caller: &Caller,
    (from, headers): (From, &HeaderMap),
    wished: NewPassword,
) -> Result<Result<(), Unchanged>, Trouble> {
    let PersonId::Local { name } = &caller.id else {
        let text = "who signs in with a token or elsewhere has no password here";
        return Err(Problem::forbidden("There is no password to change", text).into());
    };
    let (mirror, entrance) = (state.desk.mirror(), &state.entrance);
    let origin = origin(state, address_of(from), headers);
    if let Some(wait) = wait(state, Factor::Password, name, origin) {
        return Err(throttled(wait));
    }
    let NewPassword { old, password, again } = wished;
    let old = Some(old).filter(|it| it.len() <= PASSWORD_BYTES_MAX).unwrap_or_default();
    let known = mirror.ledger().knowledge(name, "").filter(|known| known.since == caller.since);
    let before = known.and_then(|known| known.password);
    let matches = entrance.hasher.verify(Secret::new(old), before.clone()).await;
    let matches = matches.map_err(not_compared)?;
    // Nor does one count that others overtook on the way.
    if let Some(wait) = wait(state, Factor::Password, name, origin) {
        return Err(throttled(wait));
    }
    let Some(before) = before.filter(|_| matches) else {
        failed(state, origin, name, Factor::Password, Some(&caller.id));
        return Ok(Err(Unchanged::Wrong));
    };
    if let Err(problem) = check_password(&password, name) {
        return Ok(Err(Unchanged::Bad(problem)));
    }
    if password != again {
        return Ok(Err(Unchanged::NotTheSame));
    }
    let password = entrance.hasher.hash(Secret::new(password)).await.map_err(not_compared)?;
    let changed = mirror.ledger().change_password(&caller.id, caller.since, (before, password));
    match changed.await {
        Ok(()) => {}
        Err(ledger::Error::NotLetIn | ledger::Error::NoSuchPerson(_)) => {
            return Ok(Err(Unchanged::Meanwhile));
        }
        Err(error) => return Err(Problem::from(desk::Error::from(error)).into()),
    }
    end_pending(state, &caller.id);
    Ok(Ok(()))
}

/// Ends what `person` has begun of signing in.
pub(in crate::http::admin::web) fn end_pending(state: &AdminState, person: &PersonId) {
    state.entrance.pending.end_all(person);
}
