//! Whether those who signed what a tag stood for before also signed what it stands for now.
//!
//! A rule may ask for no signature, or take those of several signers; a line of images that was signed
//! by one of them and now is not is worth a look by a person all the same.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::checks::{Checked, Finding, reason};
use super::signatures::{names_of, signed_by};
use super::text::{cut_middle, few};
use super::{
    CheckState, Context, Evidence, EvidenceKind, Gathered, ReasonCode, SignatureSearch, Standing,
    Subject,
};
use crate::oci::{Digest, Tag};
use crate::policy::{Demands, Policy, Rule, Scope, SignatureRule, SignerChange, Trust};
use crate::time::Timestamp;

const NAME: &str = "continuity";
/// Longest part of a tag that is shown, in characters.
const TAG_LENGTH_MAX: usize = 24;

/// What a tag was last admitted as.
#[derive(Debug, Clone, Copy)]
pub struct Predecessor<'a> {
    /// The tag.
    pub tag: &'a Tag,
    /// The manifest that it stood for.
    pub digest: Digest,
    /// What is known of that.
    pub evidence: &'a Evidence,
    /// When it was first heard of, and when it was judged last: what has run out since, or came in
    /// between, counted then.
    pub at: [Timestamp; 2],
}

/// Judges whether the signers go on. With `certain`, the verdict is a denial already.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    demands: &Demands<'_>,
    certain: bool,
) -> Checked {
    let watched = demands.rule().map(|rule| (rule, watched(rule, context.policy)));
    let Some((rule, names)) = watched.filter(|(_, names)| !names.is_empty() && !certain) else {
        return Checked::Nothing;
    };
    let watch = Watch { subject, names, scope: scope_of(rule), context };
    let before = context.before.iter();
    let before = before.map(|it| (it, watch.signers_before(it)));
    let lines: Vec<_> = before.filter(|(_, signers)| !signers.is_empty()).collect();
    if lines.is_empty() {
        return Checked::Nothing;
    }
    match &evidence.signatures {
        Gathered::NotGathered => return Checked::Missing(EvidenceKind::Signatures),
        Gathered::Failed(why) => return Checked::Failed(why.clone()),
        Gathered::Absent | Gathered::Found(_) => {}
    }
    let now = watch.signers(&subject.digest, evidence, context.now);
    let Some((line, before)) = lines.iter().find(|(_, before)| before.is_disjoint(&now)) else {
        let signers: Vec<&str> = now.into_iter().collect();
        let text = format!("signed by {}, as before", few(&signers));
        return Checked::Finding(Finding::new(NAME, CheckState::Pass, text));
    };
    match watch.open(evidence) {
        Some(open) => open,
        None => Checked::Finding(broken(line.tag, before, &now, rule, context)),
    }
}

fn scope_of(rule: &Rule) -> Scope {
    match rule.alone().signatures {
        Some(SignatureRule::Signed { scope, .. }) => *scope,
        Some(SignatureRule::None { .. }) | None => Scope::Index,
    }
}

/// The signers whose going away would be noticed under `rule`; none where nothing is compared. Overlays have
/// no word in it: what they ask for is asked each time.
pub(super) fn watched<'a>(rule: &'a Rule, policy: &'a Policy) -> Vec<&'a str> {
    if rule.trust() == Trust::Deny || rule.signer_change() == SignerChange::Allow {
        return Vec::new();
    }
    let own = rule.alone();
    match own.signatures {
        // Whoever shortens a wait once is not asked for again.
        None => {
            let names = policy.signers_in(rule.file()).map(crate::policy::Signer::name);
            let tracks = own.fresh.iter().filter_map(|gate| gate.fast_track.as_ref());
            let tracked = tracks.flat_map(|track| &track.signers);
            let tracked: BTreeSet<&str> = tracked.map(String::as_str).collect();
            names.filter(|name| !tracked.contains(name)).collect()
        }
        // That nobody signs is said, and so nobody is looked for.
        Some(SignatureRule::None { .. }) => Vec::new(),
        Some(SignatureRule::Signed { by, .. }) => by.signers().into_iter().collect(),
    }
}

/// Whose signatures are compared, and over what.
struct Watch<'a> {
    subject: &'a Subject,
    names: Vec<&'a str>,
    scope: Scope,
    context: &'a Context<'a>,
}

impl<'a> Watch<'a> {
    /// Who signed `digest`, as things stood `at` that time: it, or every image that it lists where the
    /// rule is content with that.
    fn signers(&self, digest: &Digest, evidence: &Evidence, at: Timestamp) -> BTreeSet<&'a str> {
        let own = evidence.signatures.found();
        let own = own.map(|search| self.signed(&self.names, digest, search, at));
        own.unwrap_or_default().into_iter().chain(self.of_images(evidence, at)).collect()
    }

    fn signers_before(&self, before: &Predecessor<'_>) -> BTreeSet<&'a str> {
        let at = |at: &Timestamp| self.signers(&before.digest, before.evidence, *at);
        before.at.iter().flat_map(at).collect()
    }

    fn of_images(&self, evidence: &Evidence, at: Timestamp) -> Vec<&'a str> {
        let images = self.images(evidence);
        let searches = evidence.child_signatures.found();
        let (Some(images), Some(found)) = (images, searches) else { return Vec::new() };
        let mut signers = if images.is_empty() { Vec::new() } else { self.names.clone() };
        for digest in images {
            let search = found.searches.get(&digest);
            let signed = search.map(|search| self.signed(&signers, &digest, search, at));
            signers = signed.unwrap_or_default();
        }
        signers
    }

    /// The images of an index, where the rule looks at them and they are known.
    fn images(&self, evidence: &Evidence) -> Option<Vec<Digest>> {
        let facts = evidence.manifest.found().filter(|facts| facts.is_index)?;
        let images = facts.images_for(self.context.policy.platforms())?;
        (self.scope != Scope::Index).then(|| images.iter().map(|image| image.digest).collect())
    }

    /// Those of `names` who signed `digest`.
    fn signed(
        &self,
        names: &[&'a str],
        digest: &Digest,
        search: &SignatureSearch,
        at: Timestamp,
    ) -> Vec<&'a str> {
        if search.found.is_empty() {
            return Vec::new();
        }
        let subject = Subject { name: self.subject.name.clone(), digest: *digest };
        let called = names_of(&subject, self.context);
        let verifier = |name: &str| self.context.policy.verifier(name);
        let signed = |name: &&&'a str| {
            let by = verifier(name).map(|verifier| signed_by(&called, search, verifier, at));
            by.is_some_and(|by| !by.people.is_empty())
        };
        names.iter().filter(signed).copied().collect()
    }

    /// What has to be known before somebody is said not to have signed.
    fn open(&self, evidence: &Evidence) -> Option<Checked> {
        let own = evidence.signatures.found().and_then(|search| search.incomplete.as_ref());
        if let Some(why) = own {
            return Some(Checked::Failed(why.clone()));
        }
        let is_index = evidence.manifest.found().is_some_and(|facts| facts.is_index);
        if self.scope == Scope::Index || !is_index {
            return None;
        }
        match &evidence.child_signatures {
            _ if self.images(evidence).is_none() => Some(Checked::Missing(EvidenceKind::Manifest)),
            Gathered::NotGathered => Some(Checked::Missing(EvidenceKind::ChildSignatures)),
            Gathered::Failed(why) => Some(Checked::Failed(why.clone())),
            Gathered::Absent => None,
            Gathered::Found(found) => {
                let why = found.searches.values().find_map(|search| search.incomplete.as_ref());
                why.map(|why| Checked::Failed(why.clone()))
            }
        }
    }
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
