//! Requests: what waits, what was refused, and asking for images before a node does.

use tracing::warn;

use super::queue::{NEEDS_INFO, Wanted};
use super::show::{STATES, reason_views, standing_view};
use super::target::{image, mirror_error, request_id, tag_of};
use super::view::{
    AskedView, PrefetchView, PublicRequestView, ReasonView, RemarkView, RequestView, VotesView,
};
use super::voting::Poll;
use super::{Desk, Error, GROUP_LENGTH_MAX, IMAGES_MAX, PAGE_MAX, TICKET_LENGTH_MAX};
use crate::gate::{Judgement, Outcome, Reason, Subject, Verdict, refuse_by_name};
use crate::ledger::{Caller, Filing, Remark, RequestFilter, RequestId, RequestRow, RequestState};
use crate::mirror;
use crate::oci::{Digest, ImageReference};

/// Questions and answers of each request that lists have.
const REMARKS_LISTED: usize = 2;
/// Longest name for show that names a group, in characters.
const DISPLAY_LENGTH_MAX: usize = 60;

/// What requests belong to that are asked for together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belonging {
    /// A release, a chart.
    pub group: Option<String>,
    /// Where else it is spoken of.
    pub ticket: Option<String>,
}

impl Belonging {
    /// The same, checked and trimmed.
    fn checked(&self) -> Result<Self, Error> {
        let group = label(self.group.as_deref(), "group", GROUP_LENGTH_MAX)?;
        let ticket = label(self.ticket.as_deref(), "ticket", TICKET_LENGTH_MAX)?;
        Ok(Self { group, ticket })
    }
}

fn label(text: Option<&str>, what: &'static str, most: usize) -> Result<Option<String>, Error> {
    let Some(text) = text else { return Ok(None) };
    let length = text.chars().count();
    let text = text.trim();
    if text.is_empty() || length > most || text.chars().any(char::is_control) {
        return Err(Error::LabelForm { what, most });
    }
    Ok(Some(text.to_owned()))
}

/// Which requests a list has.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Those in this state, those that are open where nothing is said, or with `all` every one.
    pub state: Option<String>,
    /// Only those that wait for a yes of this person.
    pub mine: Option<Caller>,
    /// Only those of this group; those without one are of that of their repository.
    pub group: Option<String>,
    /// How many are looked at, at most [`PAGE_MAX`].
    pub limit: Option<u32>,
    /// Those after this one.
    pub after: Option<RequestId>,
}

/// Who asks for images, why, and what they belong to.
struct Asking<'a> {
    by: &'a Caller,
    note: Option<&'a str>,
    belonging: &'a Belonging,
}

impl Desk {
    /// A stretch of the requests that `listing` wants, oldest first, and after which one the list goes on
    /// when it does.
    ///
    /// # Errors
    /// When its state is not a state, or the ledger cannot be read.
    pub async fn requests(
        &self,
        listing: &Listing,
    ) -> Result<(Vec<RequestView>, Option<RequestId>), Error> {
        let wanted = Wanted {
            mine: listing.mine.clone(),
            group: listing.group.clone(),
            ..Wanted::of(listing.state.as_deref())?
        };
        let limit = listing.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let (states, after) = (wanted.states.clone(), listing.after);
        let filter = RequestFilter { states, name: None, sieve: None, limit, after };
        let rows = self.mirror.ledger().requests(filter).await?;
        let is_full = u32::try_from(rows.len()).is_ok_and(|number| number == limit);
        let next = rows.last().map(|row| row.id).filter(|_| is_full);
        let rows = self.of_those(rows, &wanted).await?;
        Ok((self.listed(&rows).await?, next))
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
        let (mut votes, mut poll) = (0, None);
        if let Some(subject) = row.subject() {
            votes = self.mirror.ledger().votes(&subject).await?.cast.len();
            poll = self.poll_on(&row, &subject).await;
            if let Some(poll) = &poll {
                shown.votes = Some(self.votes_view(poll, &subject).await?);
            }
        }
        shown.waits_for = self.waits_for(&row, shown.votes.as_ref());
        if row.state != RequestState::Approved {
            let (tag, digest) = (row.tag.as_ref(), row.digest.as_ref());
            shown.alternatives = self.alternatives(&row.name, tag, digest).await?;
        }
        let version = super::decide::version(&row, standing.as_ref(), votes);
        Ok((shown, super::decide::full_version(&version, poll.as_ref())))
    }

    /// How the votes on the request `row` stand, where its rule asks several people; also nothing where
    /// that cannot be found out now, because the image cannot be judged.
    pub(super) async fn votes_on(
        &self,
        row: &RequestRow,
        subject: &Subject,
    ) -> Result<Option<VotesView>, Error> {
        match self.poll_on(row, subject).await {
            Some(poll) => self.votes_view(&poll, subject).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whom the rule of the request `row` asks, as [`Desk::votes_on`].
    async fn poll_on(&self, row: &RequestRow, subject: &Subject) -> Option<Poll> {
        let rule = row.rule.as_deref()?;
        match Box::pin(self.poll(subject, rule, Some(row))).await {
            Ok(poll) => poll,
            Err(error) => {
                warn!(%subject, %error, "its votes cannot be counted now");
                None
            }
        }
    }

    /// Asks for `images` as a node would, so that requests are filed for those that need one. Several that
    /// belong to nothing are a group of their own. Nothing is asked when one of them is not an image.
    ///
    /// # Errors
    /// When one is not an image, there are too many, the group or the ticket is no text, or the ledger
    /// fails.
    pub async fn ask(
        &self,
        images: &[String],
        by: &Caller,
        note: Option<&str>,
        belonging: &Belonging,
    ) -> Result<Vec<AskedView>, Error> {
        let parsed = parsed(images)?;
        let mut belonging = belonging.checked()?;
        if belonging.group.is_none() && parsed.len() > 1 {
            let display: String = by.display.chars().take(DISPLAY_LENGTH_MAX).collect();
            let at = crate::text::absolute(self.mirror.clock().now());
            belonging.group = Some(format!("{display} {at}"));
        }
        let wish = Asking { by, note, belonging: &belonging };
        let mut asked = Vec::with_capacity(parsed.len());
        for (text, image) in images.iter().zip(&parsed) {
            asked.push(self.ask_one(text, image, &wish).await?);
        }
        Ok(asked)
    }

    async fn ask_one(
        &self,
        text: &str,
        image: &ImageReference,
        wish: &Asking<'_>,
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
            asked.request = self.file(image, None, &judgement, wish).await?;
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
                    asked.request = self.file(image, digest, &judgement, wish).await?;
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
        wish: &Asking<'_>,
    ) -> Result<Option<String>, Error> {
        let Asking { by, note, belonging } = wish;
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
            group: belonging.group.clone(),
            ticket: belonging.ticket.clone(),
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
    let mut next = next_step(row.state, digest.is_some(), &reasons);
    if row.needs_info {
        next.push_str(" Whoever decides has a question first; it is answered at the desk.");
    }
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
        Error::State {
            text: word.to_owned(),
            known: format!("all, {NEEDS_INFO}, {}", known.join(", ")),
        }
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
        waits_for: None,
        group: row.group.clone(),
        ticket: row.ticket.clone(),
        needs_info: row.needs_info,
        remarks: row.remarks.iter().map(remark_view).collect(),
        alternatives: Vec::new(),
    }
}

/// The request as lists have it: without the names of clients, with the last that was said.
pub(super) fn view_in_list(row: &RequestRow) -> RequestView {
    let mut view = RequestView { client_names: Vec::new(), ..view(row) };
    view.remarks.drain(..view.remarks.len().saturating_sub(REMARKS_LISTED));
    view
}

fn remark_view(remark: &Remark) -> RemarkView {
    let Remark { kind, by, display, at, text } = remark.clone();
    RemarkView { kind: kind.as_str().to_owned(), by, display, at, text }
}

fn by_reference(row: &RequestRow) -> String {
    let separator = if row.digest.is_some() { '@' } else { ':' };
    format!("{}{separator}{}", row.name, row.reference)
}
