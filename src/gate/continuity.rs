//! Whether those who signed what a tag stood for before also signed what it stands for now.
//!
//! A rule may ask for no signature, or take those of several signers; a line of images that was signed
//! by one of them and now is not is worth a look by a person all the same.

use std::collections::BTreeSet;

use super::checks::{Finding, reason};
use super::signatures::{names_of, signed_by};
use super::text::{cut_middle, few};
use super::{
    CheckState, Context, Evidence, Gathered, ReasonCode, SignatureSearch, Standing, Subject,
};
use crate::oci::{Digest, Tag};
use crate::policy::{Policy, Rule, SignatureRule, SignerChange, Trust};
use crate::time::Timestamp;

const NAME: &str = "continuity";
/// Longest part of a tag that is shown, in characters.
const TAG_LENGTH_MAX: usize = 24;

/// What a tag was last admitted as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predecessor {
    /// The tag.
    pub tag: Tag,
    /// The manifest that it stood for.
    pub digest: Digest,
    /// What was found to sign that.
    pub signatures: SignatureSearch,
    /// When it was judged: what has run out since counted then.
    pub at: Timestamp,
}

/// What the check came to.
pub(super) enum Checked {
    Failed(String),
    Finding(Finding),
    /// Signatures are needed.
    Missing,
    /// There is nothing to compare.
    Nothing,
}

/// Judges whether the signers go on. With `certain`, the verdict is a denial already.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    rule: Option<&Rule>,
    certain: bool,
) -> Checked {
    let watched = rule.map(|rule| (rule, watched(rule, context.policy)));
    let Some((rule, names)) = watched.filter(|(_, names)| !names.is_empty() && !certain) else {
        return Checked::Nothing;
    };
    let signed_before: Vec<(&Predecessor, BTreeSet<&str>)> = context
        .before
        .iter()
        .map(|before| (before, signers_before(subject, before, &names, context)))
        .filter(|(_, signers)| !signers.is_empty())
        .collect();
    let none = SignatureSearch::default();
    let search = match &evidence.signatures {
        Gathered::Absent => &none,
        Gathered::Found(search) => search,
        // Also where there is nothing to compare with: what comes next is compared with this.
        Gathered::NotGathered => return Checked::Missing,
        Gathered::Failed(_) if signed_before.is_empty() => return Checked::Nothing,
        Gathered::Failed(why) => return Checked::Failed(why.clone()),
    };
    if signed_before.is_empty() {
        return Checked::Nothing;
    }
    let now = signers(&names_of(subject, context), search, &names, context, context.now);
    match (signed_before.iter().find(|(_, before)| before.is_disjoint(&now)), &search.incomplete) {
        (None, _) => {
            let signers: Vec<&str> = now.into_iter().collect();
            let text = format!("signed by {}, as before", few(&signers));
            Checked::Finding(Finding::new(NAME, CheckState::Pass, text))
        }
        (Some(_), Some(why)) => Checked::Failed(why.clone()),
        (Some((line, before)), None) => {
            Checked::Finding(broken(&line.tag, before, &now, rule, context))
        }
    }
}

/// The signers whose going away would be noticed under `rule`; none where nothing is compared.
pub(super) fn watched<'a>(rule: &'a Rule, policy: &'a Policy) -> Vec<&'a str> {
    if rule.trust() == Trust::Deny || rule.signer_change() == SignerChange::Allow {
        return Vec::new();
    }
    match rule.signatures() {
        None => policy.signers().iter().map(crate::policy::Signer::name).collect(),
        // That nobody signs is said, and so nobody is looked for.
        Some(SignatureRule::None { .. }) => Vec::new(),
        Some(SignatureRule::Signed { by, .. }) => by.signers().into_iter().collect(),
    }
}

fn signers_before<'a>(
    subject: &Subject,
    before: &Predecessor,
    names: &[&'a str],
    context: &Context<'_>,
) -> BTreeSet<&'a str> {
    let was = Subject { name: subject.name.clone(), digest: before.digest };
    signers(&names_of(&was, context), &before.signatures, names, context, before.at)
}

/// Those of `names` who signed, as things stood `at` that time.
fn signers<'a>(
    subject: &[Subject],
    search: &SignatureSearch,
    names: &[&'a str],
    context: &Context<'_>,
    at: Timestamp,
) -> BTreeSet<&'a str> {
    let signed = |name: &&&str| {
        let verifier = context.policy.verifier(name);
        verifier.is_some_and(|verifier| !signed_by(subject, search, verifier, at).people.is_empty())
    };
    if search.found.is_empty() {
        return BTreeSet::new();
    }
    names.iter().filter(signed).copied().collect()
}

fn broken(
    tag: &Tag,
    before: &BTreeSet<&str>,
    now: &BTreeSet<&str>,
    rule: &Rule,
    context: &Context<'_>,
) -> Finding {
    let (before, now): (Vec<&str>, Vec<&str>) =
        (before.iter().copied().collect(), now.iter().copied().collect());
    let (tag, before) = (cut_middle(tag.as_str(), TAG_LENGTH_MAX), few(&before));
    let text = if now.is_empty() {
        format!("not signed by {before}, as {tag} was before")
    } else {
        format!("signed by {}, not by {before}, as {tag} was before", few(&now))
    };
    match context.standing {
        Some(Standing::Approved { by, expires, .. })
            if expires.is_none_or(|expires| expires > context.now) =>
        {
            let finding = Finding::new(NAME, CheckState::Pass, format!("{text}; approved by {by}"));
            Finding { until: *expires, ..finding }
        }
        Some(Standing::Approved { .. } | Standing::Rejected { .. } | Standing::Revoked { .. })
        | None => {
            let remedy = format!(
                "Someone would have to approve this digest, or {before} would have to sign it (rule {}).",
                rule.id()
            );
            let mut finding = Finding::new(NAME, CheckState::Waiting, text.clone());
            finding.reasons.push(reason(ReasonCode::SignerChanged, &text, remedy));
            finding
        }
    }
}
