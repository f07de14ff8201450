//! Asking back: whoever decides asks what a request is for, and whoever asked for it answers.

use super::requests::view;
use super::target::request_id;
use super::view::RequestView;
use super::{Desk, Error, REASON_LENGTH_MAX};
use crate::ledger::{Caller, RemarkKind};

impl Desk {
    /// Puts a question about a request on record, or an answer to the one that was asked last; gives the
    /// request with it.
    ///
    /// # Errors
    /// [`Error::RemarkForm`]; when there is no such request, or none that `by` may see; when it was decided
    /// about, nothing was asked, or too much was said already; when its rule does not let `by` ask; when the
    /// ledger fails.
    pub async fn remark(
        &self,
        text: &str,
        kind: RemarkKind,
        by: &Caller,
        said: &str,
    ) -> Result<RequestView, Error> {
        let length = said.chars().count();
        let said = said.trim();
        if said.is_empty() || length > REASON_LENGTH_MAX || said.chars().any(char::is_control) {
            return Err(Error::RemarkForm);
        }
        let unknown = || Error::RequestUnknown { text: text.to_owned() };
        let id = request_id(text).ok_or_else(unknown)?;
        let row = self.request_row(id, text).await?;
        if !by.scope.covers(&row.name) {
            return Err(unknown());
        }
        if let (RemarkKind::Answer, Some(rule)) = (kind, &row.rule) {
            self.check_requester(rule, by)?;
        }
        let row = self.mirror.ledger().remark(id, kind, by.clone(), said.to_owned()).await?;
        Ok(view(&row))
    }
}
