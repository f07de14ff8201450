//! Decisions that come in time, or are none.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinError;

use super::{Abandoned, Error};
use crate::gate::{Outcome, Reason, ReasonCode};

/// What `deciding` comes to. One that takes longer than `limit` has decided nothing, and a panic has
/// decided nothing either.
///
/// # Errors
/// [`Error::Abandoned`] after a panic.
pub(super) async fn in_time(
    limit: Duration,
    deciding: impl Future<Output = Result<Outcome, JoinError>>,
) -> Result<Outcome, Error> {
    match tokio::time::timeout(limit, deciding).await {
        Ok(decided) => decided.map_err(|_panicked| Error::Abandoned(Abandoned)),
        Err(_elapsed) => Ok(Outcome::Undecided(vec![Reason {
            code: ReasonCode::EvidenceUnavailable,
            text: "verifying took too long".to_owned(),
            remedy: "Nothing has to change: it is tried again by itself.".to_owned(),
        }])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_or_breaks_down_has_decided_nothing() {
        let outcome = in_time(LIMIT, std::future::pending()).await.unwrap();
        let Outcome::Undecided(reasons) = outcome else { panic!("{outcome:?}") };
        assert_eq!(reasons[0].text, "verifying took too long");
        let slow = async {
            tokio::time::sleep(Duration::from_secs(29)).await;
            Ok(Outcome::Missing(Vec::new()))
        };
        assert_eq!(in_time(LIMIT, slow).await.unwrap(), Outcome::Missing(Vec::new()));
        let tasks = crate::tasks::Tasks::new();
        let broken = tasks.spawn_blocking(|| -> Outcome { panic!("a verifier") });
        assert!(matches!(in_time(LIMIT, broken).await, Err(Error::Abandoned(_))));
    }
}
