//! Requests: what waits, what was refused, and asking for images before a node does.

use tracing::warn;

use super::show::{STATES, reason_views, standing_view};
use super::target::{image, mirror_error, request_id, tag_of};
use super::view::{AskedView, PrefetchView, PublicRequestView, ReasonView, RequestView, VotesView};
use super::{Desk, Error, IMAGES_MAX, PAGE_MAX};
use crate::gate::{Judgement, Outcome, Reason, Subject, Verdict, refuse_by_name};
use crate::ledger::{Caller, Filing, RequestFilter, RequestId, RequestRow, RequestState};
use crate::mirror;
use crate::oci::{Digest, ImageReference};

impl Desk {
    /// Requests after `after`: those in `state`, those that are open, or with `all` every one.
    ///
    /// # Errors
    /// When `state` is not a state, or the ledger cannot be read.
    pub async fn requests(
        &self,
        state: Option<&str>,
        limit: Option<u32>,
        after: Option<RequestId>,
    ) -> Result<Vec<RequestView>, Error> {
        let states = match state {
            None => STATES.into_iter().filter(|state| state.is_open()).collect(),
            Some("all") => Vec::new(),
            Some(word) => vec![state_of(word)?],
        };
        let limit = limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let filter = RequestFilter { states, name: None, sieve: None, limit, after };
        let rows = self.mirror.ledger().requests(filter).await?;
        let listed = |row| RequestView { client_names: Vec::new(), ..view(row) };
        Ok(rows.iter().map(listed).collect())
    }

    /// One request with everything known about it, and its version for conditional decisions.
    ///
    /// # Errors
    /// When there is no such request, or the ledger cannot be read.
    pub async fn request(&self, text: &str) -> Result<(RequestView, String), Error> {
        let unknown = || Error::RequestUnknown { text: text.to_owned() };
        let row = self.request_row(request_id(text).ok_or_else(unknown)?, text).await?;
        let mut shown = view(&row);
        let mut standing = None;
        if let Some(digest) = row.digest {
            let subject = Subject { name: row.name.clone(), digest };
            let record = self.mirror.ledger().record(&subject).await?;
            standing = record.and_then(|record| record.standing.clone());
        }
        shown.standing = standing.as_ref().map(standing_view);
        let mut votes = 0;
        if let Some(subject) = row.subject() {
            votes = self.mirror.ledger().votes(&subject).await?.cast.len();
            shown.votes = self.votes_on(&row, &subject).await?;
        }
        Ok((shown, super::decide::version(&row, standing.as_ref(), votes)))
    }

    /// How the votes on the request `row` stand, where its rule asks several people; also nothing where
    /// that cannot be found out now, because the image cannot be judged.
    async fn votes_on(
        &self,
        row: &RequestRow,
        subject: &Subject,
    ) -> Result<Option<VotesView>, Error> {
        let Some(rule) = row.rule.as_deref() else { return Ok(None) };
        match Box::pin(self.poll(subject, rule, Some(row))).await {
            Ok(Some(poll)) => self.votes_view(&poll, subject).await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => {
                warn!(%subject, %error, "its votes cannot be counted now");
                Ok(None)
            }
        }
    }

    /// Asks for `images` as a node would, so that requests are filed for those that need one.
    /// Nothing is asked when one of them is not an image.
    ///
    /// # Errors
    /// When one is not an image, there are too many, or the ledger fails.
    pub async fn ask(
        &self,
        images: &[String],
        by: &Caller,
        note: Option<&str>,
    ) -> Result<Vec<AskedView>, Error> {
        let parsed = parsed(images)?;
        let mut asked = Vec::with_capacity(parsed.len());
        for (text, image) in images.iter().zip(&parsed) {
            asked.push(self.ask_one(text, image, by, note).await?);
        }
        Ok(asked)
    }

    async fn ask_one(
        &self,
        text: &str,
        image: &ImageReference,
        by: &Caller,
        note: Option<&str>,
    ) -> Result<AskedView, Error> {
        let mut asked = AskedView {
            image: text.to_owned(),
            digest: image.digest,
            state: "denied".to_owned(),
            request: None,
            reasons: Vec::new(),
        };
        if let Some(judgement) = self.outright(image) {
            asked.reasons = reason_views(judgement.reasons());
            asked.request = self.file(image, None, &judgement, by, note).await?;
            return Ok(asked);
        }
        let subject = match self.subject_of(image).await {
            Ok(subject) => subject,
            Err(error) => return could_not(asked, error),
        };
        asked.digest = Some(subject.digest);
        let judged = match self.judge(&subject).await {
            Ok(judged) => judged,
            Err(error) => return could_not(asked, error),
        };
        match judged.outcome {
            Outcome::Decided(judgement) => {
                asked.reasons = reason_views(judgement.reasons());
                asked.state = asked_state(&judgement.verdict).to_owned();
                if !matches!(judgement.verdict, Verdict::Admit) {
                    let digest = Some(subject.digest);
                    asked.request = self.file(image, digest, &judgement, by, note).await?;
                }
            }
            Outcome::Undecided(reasons) => {
                "undecided".clone_into(&mut asked.state);
                asked.reasons = reason_views(&reasons);
            }
            Outcome::Missing(_) => "undecided".clone_into(&mut asked.state),
        }
        Ok(asked)
    }

    /// What the policy says of `image` before anything is asked upstream.
    pub(super) fn outright(&self, image: &ImageReference) -> Option<Judgement> {
        let now = self.mirror.now();
        refuse_by_name(&self.mirror.policy(), &image.name, tag_of(image).as_ref(), now)
    }

    async fn file(
        &self,
        image: &ImageReference,
        digest: Option<Digest>,
        judgement: &Judgement,
        by: &Caller,
        note: Option<&str>,
    ) -> Result<Option<String>, Error> {
        let waits = matches!(judgement.verdict, Verdict::Pending(_));
        if let Some(rule) = &judgement.rule {
            self.check_requester(rule.as_str(), by)?;
        }
        let filing = Filing {
            name: image.name.clone(),
            reference: image.reference(),
            digest,
            tag: tag_of(image),
            state: if waits { RequestState::Pending } else { RequestState::Denied },
            rule: judgement.rule.as_ref().map(ToString::to_string),
            reasons: judgement.reasons().to_vec(),
            client: by.name(),
            note: note.map(str::to_owned),
            requester: Some(by.id.clone()),
        };
        Ok(Some(self.mirror.ledger().file_request(filing).await?.to_string()))
    }

    /// Checks that every one of `images` is an image.
    ///
    /// # Errors
    /// When one is not, or there are too many.
    pub fn check_images(&self, images: &[String]) -> Result<(), Error> {
        parsed(images).map(drop)
    }

    /// Brings `text` into the cache, if it is admitted. Never fails: the answer says how it ended.
    ///
    /// # Cancel safety
    /// What has begun to arrive goes on arriving.
    pub async fn prefetch(&self, text: &str) -> PrefetchView {
        let mut view = PrefetchView {
            image: text.to_owned(),
            digest: None,
            state: "failed".to_owned(),
            blobs: 0,
            bytes: 0,
            why: None,
        };
        if let Err(error) = self.prefetch_into(&mut view, text).await {
            warn!(image = text, %error, "not prefetched");
            view.why = Some(error.to_string());
        }
        view
    }

    async fn prefetch_into(&self, view: &mut PrefetchView, text: &str) -> Result<(), Error> {
        let image = image(text)?;
        if let Some(judgement) = self.outright(&image) {
            refuse(view, judgement.reasons());
            return Ok(());
        }
        let subject = self.subject_of(&image).await?;
        view.digest = Some(subject.digest);
        let judged = self.judge(&subject).await?;
        match &judged.outcome {
            Outcome::Decided(judgement) if !matches!(judgement.verdict, Verdict::Admit) => {
                refuse(view, judgement.reasons());
                return Ok(());
            }
            Outcome::Undecided(reasons) => {
                let reasons = reasons.clone();
                return Err(Error::Undecided { subject: Box::new(subject), reasons });
            }
            Outcome::Decided(_) | Outcome::Missing(_) => {}
        }
        let done = self.mirror.prefetch(&subject).await;
        let done = done.map_err(|error| mirror_error(subject.to_string(), error))?;
        view.blobs = done.fetched.saturating_add(done.present);
        view.bytes = done.bytes;
        "done".clone_into(&mut view.state);
        Ok(())
    }

    /// A request as anybody who has its number may see it: no clients, nobody's name.
    ///
    /// # Errors
    /// When there is no such request, or the ledger cannot be read.
    pub async fn public_request(&self, text: &str) -> Result<PublicRequestView, Error> {
        let unknown = || Error::RequestUnknown { text: text.to_owned() };
        let id = request_id(text).ok_or_else(unknown)?;
        let row = self.mirror.ledger().request(id).await?.ok_or_else(unknown)?;
        Ok(public_view(&row))
    }
}

impl mirror::Mirror {
    /// The request with that id (`R-42` or `42`) as a short text for whoever follows the link of a
    /// refusal; `None` if there is none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn request_text(&self, id: &str) -> Result<Option<String>, mirror::Error> {
        let Some(id) = request_id(id) else { return Ok(None) };
        let row = self.ledger().request(id).await?;
        Ok(row.map(|row| public_view(&row).to_text()))
    }
}

fn public_view(row: &RequestRow) -> PublicRequestView {
    let RequestView { id, state, image, digest, rule, reasons, first_asked, .. } = view(row);
    let next = next_step(row.state, digest.is_some(), &reasons);
    PublicRequestView { id, state, image, digest, rule, reasons, first_asked, next }
}

fn next_step(state: RequestState, has_digest: bool, reasons: &[ReasonView]) -> String {
    match state {
        RequestState::Approved => "Approved: the next try to pull it succeeds.".to_owned(),
        RequestState::Pending => "Someone has to approve it; pods that wait for it start by \
                                  themselves after that."
            .to_owned(),
        RequestState::Lapsed => {
            "It waits no more: a rule admits it now, another request took its place, or nobody \
             asked any more."
                .to_owned()
        }
        RequestState::Rejected => "It was rejected; only a later approval changes that.".to_owned(),
        RequestState::Revoked => "It was revoked; only a later decision changes that.".to_owned(),
        RequestState::Denied => {
            let remedies: Vec<&str> =
                reasons.iter().map(|r| r.remedy.as_str()).filter(|r| !r.is_empty()).collect();
            match (remedies.is_empty(), has_digest) {
                (false, _) => format!("To pass: {}", remedies.join(" ")),
                (true, true) => {
                    "The policy denies it; an approval does not change that.".to_owned()
                }
                (true, false) => "The policy does not speak of it.".to_owned(),
            }
        }
    }
}

impl PublicRequestView {
    /// The request as a short text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}  {}\n\nimage   {}\n", self.id, self.state, self.image);
        let mut line = |label: &str, value: &str| {
            text.extend([label, &" ".repeat(8_usize.saturating_sub(label.len())), value, "\n"]);
        };
        if let Some(digest) = &self.digest {
            line("digest", &digest.to_string());
        }
        line("rule", self.rule.as_deref().unwrap_or("none matches"));
        for reason in &self.reasons {
            line("why", &reason.text);
        }
        line("next", &self.next);
        text
    }
}

fn refuse(view: &mut PrefetchView, reasons: &[Reason]) {
    "refused".clone_into(&mut view.state);
    let texts: Vec<&str> = reasons.iter().map(|reason| reason.text.as_str()).collect();
    view.why = Some(texts.join("; "));
}

fn parsed(images: &[String]) -> Result<Vec<ImageReference>, Error> {
    if images.is_empty() || images.len() > IMAGES_MAX {
        return Err(Error::TooManyImages { limit: IMAGES_MAX });
    }
    images.iter().map(|text| image(text)).collect()
}

/// One image's failure is its own state, so that the others are still told; the ledger's is all's.
fn could_not(mut asked: AskedView, error: Error) -> Result<AskedView, Error> {
    if matches!(error, Error::Ledger(_)) {
        return Err(error);
    }
    let absent = matches!(error, Error::Absent { .. });
    if absent { "absent" } else { "undecided" }.clone_into(&mut asked.state);
    let code = if absent { "not-found" } else { "evidence-unavailable" };
    let remedy = if absent { "" } else { "try again" };
    asked.reasons = vec![ReasonView {
        code: code.to_owned(),
        text: error.to_string(),
        remedy: remedy.to_owned(),
    }];
    Ok(asked)
}

const fn asked_state(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Admit => "admitted",
        Verdict::Deny(_) => "denied",
        Verdict::Pending(_) => "pending",
    }
}

pub(super) fn state_of(word: &str) -> Result<RequestState, Error> {
    STATES.into_iter().find(|state| state.as_str() == word).ok_or_else(|| {
        let known: Vec<&str> = STATES.iter().map(|state| state.as_str()).collect();
        Error::State { text: word.to_owned(), known: format!("all, {}", known.join(", ")) }
    })
}

/// How many clients asked.
pub(super) fn client_count(row: &RequestRow) -> u64 {
    u64::try_from(row.clients.len()).unwrap_or(u64::MAX)
}

/// The request with all that its row holds.
pub(super) fn view(row: &RequestRow) -> RequestView {
    let image = ImageReference { name: row.name.clone(), tag: row.tag.clone(), digest: None };
    let image = if row.tag.is_some() { image.to_string() } else { by_reference(row) };
    RequestView {
        id: row.id.to_string(),
        state: row.state.as_str().to_owned(),
        image,
        name: row.name.clone(),
        tag: row.tag.clone(),
        digest: row.digest,
        rule: row.rule.clone(),
        reasons: reason_views(&row.reasons),
        clients: client_count(row),
        client_names: row.clients.iter().map(|client| client.client.clone()).collect(),
        pulls: row.pulls,
        first_asked: row.first_asked,
        last_asked: row.last_asked,
        note: row.note.clone(),
        standing: None,
        requesters: row.requesters.iter().map(ToString::to_string).collect(),
        votes: None,
    }
}

fn by_reference(row: &RequestRow) -> String {
    let separator = if row.digest.is_some() { '@' } else { ':' };
    format!("{}{separator}{}", row.name, row.reference)
}
