//! What is served before it has been known for long enough, because somebody signs for it.

use std::collections::BTreeSet;

use super::super::checks::Checked;
use super::super::scan::{findings_from, name_of};
use super::super::signatures::{names_of, signed_by};
use super::super::text::few;
use super::super::{Context, Evidence, EvidenceKind, Gathered, SignatureSearch, Subject};
use crate::oci::Digest;
use crate::policy::{Demands, FastTrack, FastTrackWhen, Rating};
use crate::scan::Report;

/// The signers who may shorten a wait.
pub(in crate::gate) fn signers<'a>(demands: &'a Demands<'_>) -> impl Iterator<Item = &'a str> {
    demands.fast_tracks().flat_map(|track| &track.signers).map(String::as_str)
}

/// Whether it is asked what something new fixes of what its tag stood for before.
pub fn tracks_fixes(demands: &Demands<'_>) -> bool {
    demands.fast_tracks().any(|track| matches!(track.when, FastTrackWhen::Fixes(_)))
}

/// The claim of one subject to one fast track.
pub(super) struct Claim<'a> {
    pub(super) subject: &'a Subject,
    pub(super) evidence: &'a Evidence,
    pub(super) context: &'a Context<'a>,
    pub(super) asked: &'a FastTrack,
}

impl Claim<'_> {
    /// Why it holds, or what would have to be for that, both in words.
    ///
    /// # Errors
    /// The evidence that it takes to say so.
    pub(super) fn holds(&self) -> Result<Result<String, String>, Box<Checked>> {
        let none = SignatureSearch::default();
        let search = match &self.evidence.signatures {
            Gathered::Found(search) => search,
            Gathered::Absent => &none,
            // It is served later all the same: nothing else has to be known for that.
            Gathered::Failed(why) => {
                let whom = self.signed_by_whom();
                return Ok(Err(format!("{whom}, which could not be looked for ({why})")));
            }
            Gathered::NotGathered => {
                return Err(Box::new(Checked::Missing(EvidenceKind::Signatures)));
            }
        };
        let names = names_of(self.subject, self.context);
        let signed = |name: &&String| {
            let verifier = self.context.policy.verifier(name);
            let by = verifier.map(|it| signed_by(&names, search, it, self.context.now));
            by.is_some_and(|by| !by.people.is_empty())
        };
        let Some(by) = self.asked.signers.iter().find(signed) else {
            return Ok(Err(self.signed_by_whom()));
        };
        Ok(match self.asked.when {
            FastTrackWhen::Signed => Ok(format!("on the fast track, signed by {by}")),
            FastTrackWhen::Fixes(least) => self.fixes(least).map(|fixed| {
                let fixed: Vec<&str> = fixed.iter().map(String::as_str).collect();
                format!("on the fast track, signed by {by}: ends {}", few(&fixed))
            }),
        })
    }

    fn signed_by_whom(&self) -> String {
        let names: Vec<&str> = self.asked.signers.iter().map(String::as_str).collect();
        format!("signed by {}", few(&names))
    }

    /// What it ends of what is known against what its tag was last admitted as, or what it would have to.
    fn fixes(&self, least: Rating) -> Result<BTreeSet<String>, String> {
        let wanted = || format!("it ended a {least} finding of what its tag stood for before");
        let scans = self.context.scans;
        let known = |inventory: &Digest| scans.known.get(inventory).map(|scan| &*scan.report);
        let now = worst(self.evidence, known, least).ok_or_else(wanted)?;
        let known = |inventory: &Digest| scans.before.get(inventory).map(|report| &**report);
        let before = self.context.before.iter();
        let before: Vec<_> =
            before.filter_map(|before| worst(before.evidence, known, least)).collect();
        // Whatever of its tags it is compared by, it must be no worse.
        if let Some(new) = before.iter().find_map(|then| now.difference(then).next()) {
            return Err(format!("it brought no {least} finding of its own, as {new}"));
        }
        let fixed = before.iter().flat_map(|then| then.difference(&now));
        let fixed: BTreeSet<String> = fixed.cloned().collect();
        if fixed.is_empty() { Err(wanted()) } else { Ok(fixed) }
    }
}

/// The names of what is `known` against the images and is that bad; `None` where not all of them were read,
/// or something about one is not known.
pub(in crate::gate) fn worst<'a>(
    evidence: &Evidence,
    known: impl Fn(&Digest) -> Option<&'a Report>,
    least: Rating,
) -> Option<BTreeSet<String>> {
    let images = &evidence.scan.found()?.images;
    let mut names = BTreeSet::new();
    for image in images.values() {
        let report = known(&image.inventory?).filter(|_| image.is_complete)?;
        names.extend(findings_from(report, least).map(name_of));
    }
    (!images.is_empty()).then_some(names)
}
