//! Warn mode: judged as where verdicts are enforced, and served whatever comes of it, with a warning.

use tracing::info;

use super::{Decision, Error, ManifestAnswer, Mirror, Pull};
use crate::gate::{Emergency, Judgement};
use crate::policy::Policy;

impl Mirror {
    /// Warn mode: what is refused is served with a warning, and so is what could not be decided in time.
    ///
    /// # Errors
    /// What is enforced all the same (the floor's lists), absent upstream, or could not be had.
    pub(super) async fn warned_manifest(
        &self,
        pull: &Pull,
        policy: &Policy,
    ) -> Result<ManifestAnswer, Error> {
        let open = match Box::pin(self.enforced_manifest(pull, policy)).await {
            Err(Error::Refused(refusal)) if refusal.decision == Decision::Checking => {
                "still being checked".to_owned()
            }
            Err(Error::Undecided { reasons, .. }) => {
                let why = reasons.first().map_or("", |reason| reason.text.as_str());
                format!("could not be decided: {why}")
            }
            Err(error @ (Error::Abandoned(_) | Error::Overloaded)) => error.to_string(),
            answer => return answer,
        };
        let answer = self.observed_manifest(pull).await?;
        info!(name = %pull.name, reference = %pull.reference, open, "served in warn mode, not judged");
        self.metrics().warned.increment();
        let warning = Some(format!("served in warn mode, {open}"));
        Ok(ManifestAnswer { warning, is_refused: true, ..answer })
    }
}

impl ManifestAnswer {
    /// The answer with what is to be told besides.
    pub(super) fn beside(mut self, text: Option<String>) -> Self {
        if let Some(text) = text {
            let before = self.warning.take().map(|before| format!("{before}; "));
            self.warning = Some(format!("{}{text}", before.unwrap_or_default()));
        }
        self
    }

    /// The answer as it is by `emergency`, if it is served by one.
    pub(super) fn by(mut self, emergency: Option<Emergency>) -> Self {
        // It comes first: what is longer than a header is cut at its end.
        let after = self.warning.take();
        self.warning = emergency.as_ref().map(super::emergency::warning);
        self.is_refused |= emergency.is_some();
        Self { emergency, ..self }.beside(after)
    }

    /// The answer with what is to be told of the verdict that it is served in spite of, or beside.
    pub(super) fn told(mut self, judgement: Option<&Judgement>) -> Self {
        self.is_refused |= judgement.is_some_and(|judgement| !judgement.admits());
        self.beside(judgement.and_then(warning))
    }
}

/// What whoever pulls is told of a verdict that is served in warn mode.
pub(super) fn warning(judgement: &Judgement) -> Option<String> {
    let reason = judgement.would_refuse_for().first().filter(|_| judgement.warns)?;
    let rule = judgement.rule.as_ref().filter(|_| !judgement.admits());
    let by = rule.map(|rule| format!(" by rule {rule}")).unwrap_or_default();
    Some(format!("served in warn mode, would be refused{by}: {}", reason.text))
}
