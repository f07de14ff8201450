//! What is to be said of the images of a subject, all together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::NAME;
use super::bills::{self, Bills};
use super::exceptions::Exceptions;
use super::findings::{self, Denied, Scales, Weighed};
use super::seen::Seen;
use super::testimony::Testimonies;
use super::vex::{Voices, Words};
use crate::gate::against::Against;
use crate::gate::checks::Finding;
use crate::gate::text::few;
use crate::gate::{CheckState, Context, Excepted, Passed, ReasonCode, Silenced};
use crate::oci::Digest;
use crate::policy::{Answer, NewFinding, Rating, ScanGate};
use crate::time::Timestamp;

/// Findings of one subject whose grace is counted; the rest has none.
const FOUND_SINCE_MAX: usize = 2_000;
/// Findings of one subject that are kept because they did not count for a while. With more, nothing is
/// kept of what passed, and all of it is asked about anew.
const KNOWN_MAX: usize = 5_000;

/// Where what is left out is told.
const REST: &str = "pratique explain lists them all.";

/// What was said so far.
pub(super) struct Told<'a> {
    /// Whether others than the scanner inside are asked, so that it is told who said what.
    names_scanners: bool,
    now: Timestamp,
    /// What VEX documents had taken away when it was last judged.
    silenced_before: &'a [Silenced],
    /// What they take away now, and what they say and does not count.
    silenced: Vec<Silenced>,
    /// What exceptions take out.
    excepted: BTreeSet<Excepted>,
    unheard: Vec<String>,
    /// What the same gates let pass before, if they did.
    before: Option<&'a Passed>,
    /// What they let pass now.
    images: BTreeMap<Digest, Option<Digest>>,
    known: BTreeSet<String>,
    found_since: BTreeMap<String, Timestamp>,
    /// The image that is being spoken of: what stands in front of what is said of it, and whether it is
    /// among those that passed before, with the same contents.
    label: String,
    image: Option<Digest>,
    is_covered: bool,
    /// What speaks against it: of malware, of vulnerabilities, and of what is not known.
    malware: Against<'a>,
    vulnerable: Against<'a>,
    open: Against<'a>,
    texts: Vec<String>,
    until: Option<Timestamp>,
    excepted_until: Option<Timestamp>,
}

impl<'a> Told<'a> {
    pub(super) fn new(
        gates: &'a [Arc<ScanGate>],
        before: Option<&'a Passed>,
        context: &Context<'a>,
    ) -> Self {
        Self {
            names_scanners: gates.iter().any(|gate| gate.scanners.others().next().is_some()),
            now: context.now,
            silenced_before: context.silenced,
            silenced: Vec::new(),
            excepted: BTreeSet::new(),
            unheard: Vec::new(),
            before,
            images: BTreeMap::new(),
            known: BTreeSet::new(),
            found_since: BTreeMap::new(),
            label: String::new(),
            image: None,
            is_covered: false,
            malware: Against::default(),
            vulnerable: Against::default(),
            open: Against::default(),
            texts: Vec::new(),
            until: None,
            excepted_until: None,
        }
    }

    /// Which bills of materials count, that of those by `signers`.
    pub(super) fn bills(&mut self, bills: &Bills, signers: &BTreeSet<&str>) {
        self.until = bills.until();
        self.texts.push(bills.text(signers));
    }

    /// What follows is about the image `digest`.
    pub(super) fn begin(&mut self, label: &str, digest: Digest, inventory: Option<Digest>) {
        label.clone_into(&mut self.label);
        let passed = self.before.and_then(|before| before.images.get(&digest));
        self.is_covered = passed == Some(&inventory);
        self.image = Some(digest);
        self.images.insert(digest, inventory);
    }

    /// What a scanner saw of the image, which `gates` go by.
    pub(super) fn seen(
        &mut self,
        seen: &Seen<'a>,
        gates: &[&'a ScanGate],
        exceptions: &Exceptions<'a>,
        words: Option<&Words<'_>>,
    ) {
        self.until = self.until.into_iter().chain(seen.until).min();
        if let Some(why) = &seen.lacks {
            self.lacks(why, gates);
        }
        if !seen.gaps.is_empty() {
            self.incomplete(seen, gates);
        }
        if !seen.unknown.is_empty() {
            self.unknown(seen, gates);
        }
        let (Some(report), Some(image)) = (seen.report, self.image) else { return };
        let scales = Scales { image, gates, exceptions, words, now: self.now };
        let mut weighed = Weighed::of(report, scales);
        self.until = self.until.into_iter().chain(weighed.until).min();
        let ends = self.excepted_until.into_iter().chain(weighed.excepted_until);
        self.excepted_until = ends.min();
        self.remember(&weighed);
        let mut since = 0_usize;
        for denied in &weighed.denied {
            if self.counts(denied) {
                self.refuse(denied, seen);
            } else {
                since += 1;
            }
        }
        let summary = self.summary(&weighed, seen, since, gates);
        self.texts.push(summary);
        self.silenced.extend(std::mem::take(&mut weighed.silenced));
        self.excepted.append(&mut weighed.excepted);
        self.unheard.extend(std::mem::take(&mut weighed.unheard));
    }

    /// What is said of one scanner in front of what it saw.
    fn front(&self, seen: &Seen<'a>) -> String {
        let label = &self.label;
        match seen.version {
            Some(version) => format!("{label}{version}: "),
            None if self.names_scanners => format!("{label}{}: ", seen.scanner),
            None => label.clone(),
        }
    }

    /// Nobody attests a scan: that passes under no gate that needs one, and neither does an image that was
    /// admitted by one that was taken back.
    fn lacks(&mut self, why: &str, gates: &[&'a ScanGate]) {
        let by = gates.first().map(|gate| gate.label()).unwrap_or_default();
        let text = format!("{}{by}{why}", self.label);
        self.texts.push(text.clone());
        let remedy = "A signer of the policy would have to attest a scan of it.".to_owned();
        self.open.add((ReasonCode::NotAttested, text, remedy), None);
    }

    /// What was attested and does not count.
    pub(super) fn unused_testimonies(&mut self, testimonies: Option<&Testimonies<'_>>) {
        self.texts.extend(testimonies.and_then(Testimonies::unused));
    }

    fn incomplete(&mut self, seen: &Seen<'a>, gates: &[&'a ScanGate]) {
        let gaps: Vec<&str> = seen.gaps.iter().map(String::as_str).collect();
        let said = format!("could not be read completely: {}", few(&gaps));
        if let Some(gate) = self.refuses("incomplete", gates, |gate| gate.incomplete) {
            let remedy = format!("{} would have to say incomplete: allow.", gate.place());
            let text = format!("{}{}{said}", self.label, gate.label());
            let said = (ReasonCode::ScanIncomplete, text, remedy);
            self.open.add(said, Some(seen.scanner));
        }
        self.texts.push(format!("{}{said}", self.front(seen)));
    }

    fn unknown(&mut self, seen: &Seen<'a>, gates: &[&'a ScanGate]) {
        let Some(gate) = self.refuses("unknown", gates, |gate| gate.unknown) else { return };
        let (label, by) = (&self.label, gate.label());
        let text = format!("{label}{by}nothing is known about {}", few(&seen.unknown));
        let remedy = format!("{} would have to say unknown: allow.", gate.place());
        self.open.add((ReasonCode::ScanUnknown, text, remedy), Some(seen.scanner));
    }

    fn refuse(&mut self, denied: &Denied<'a>, seen: &Seen<'a>) {
        let Denied { finding, by } = denied;
        let Some(gate) = by.first() else { return };
        let (code, group) = if finding.malware {
            (ReasonCode::Malware, &mut self.malware)
        } else {
            (ReasonCode::Vulnerable, &mut self.vulnerable)
        };
        let listed_by = seen.attested.and_then(|attested| attested.by.get(&finding.package));
        let listed_by = listed_by.map(|signer| format!(", listed by {signer}")).unwrap_or_default();
        let (label, by) = (&self.label, gate.label());
        let text = format!("{label}{by}{}{listed_by}", findings::described(finding));
        group.add((code, text, findings::remedy(finding, gate)), Some(seen.scanner));
    }

    /// What was seen and what came of it, in one line.
    fn summary(
        &self,
        weighed: &Weighed<'_>,
        seen: &Seen<'a>,
        since: usize,
        gates: &[&ScanGate],
    ) -> String {
        let Some(report) = seen.report else { return String::new() };
        let packages = seen.packages.map(|packages| format!("{packages} packages, "));
        let added = seen.attested.map(bills::added).unwrap_or_default();
        let summary = weighed.summary(report);
        let mut text =
            format!("{}{}{summary}{added}", self.front(seen), packages.unwrap_or_default());
        if since > 0 {
            text = format!("{text}; served on with {since} found since it was admitted");
        }
        if !seen.unknown.is_empty() {
            text = format!("{text}; nothing known about {}", few(&seen.unknown));
        }
        if let Some(warning) = findings::warning(report, gates, self.now) {
            text = format!("{text}; {warning}");
        }
        text
    }

    /// A gate by whose answer to `what` the image is refused.
    fn refuses(
        &mut self,
        what: &str,
        gates: &[&'a ScanGate],
        answer: fn(&ScanGate) -> Answer,
    ) -> Option<&'a ScanGate> {
        let mut denying = gates.iter().copied().filter(|gate| answer(gate) == Answer::Deny);
        denying.find(|gate| !self.is_covered || self.takes_back(gate, what, gate.unrated))
    }

    /// Keeps what does not count for a while: if it does later, that is nothing new. What was found
    /// later is not among it.
    fn remember(&mut self, weighed: &Weighed<'_>) {
        match self.before.filter(|_| self.is_covered) {
            Some(before) => {
                let still = weighed.found.iter().filter(|name| before.known.contains(*name));
                self.known.extend(still.cloned());
            }
            None => self.known.extend(weighed.passing.iter().cloned()),
        }
    }

    /// Whether what is denied is refused, or served on because it was found later.
    fn counts(&mut self, denied: &Denied<'_>) -> bool {
        let Denied { finding, by } = denied;
        if finding.malware || !self.is_covered {
            return true;
        }
        // What was known when it passed, and did not count then, is nothing new.
        let is_known = |before: &Passed| before.known.contains(&findings::name(finding));
        if self.before.is_some_and(is_known) || self.was_silenced(finding) {
            return true;
        }
        let mut counts = false;
        for gate in by {
            counts |= self.takes_back(gate, &finding.id, findings::rating_by(gate, finding));
        }
        counts
    }

    /// Whether `finding` had been taken away when the subject was last judged. Where more had been than is
    /// kept, it may have been any.
    fn was_silenced(&self, finding: &crate::scan::Finding) -> bool {
        let before = self.silenced_before;
        let is_it = |it: &Silenced| self.image.is_some_and(|image| it.is(&image, finding));
        before.len() >= Silenced::MAX || before.iter().any(is_it)
    }

    /// Whether `gate` takes back what it let pass, because of what was found later and is known as
    /// `what`: if it says so, and the grace for it is over.
    fn takes_back(&mut self, gate: &ScanGate, what: &str, rating: Rating) -> bool {
        let NewFinding::Revoke(grace) = gate.on_new_finding else { return false };
        let grace = grace.of(rating);
        if grace.is_zero() {
            return true;
        }
        let since = self.before.and_then(|before| before.found_since.get(what)).copied();
        let is_full = self.found_since.len() >= FOUND_SINCE_MAX;
        if is_full && !self.found_since.contains_key(what) {
            return true;
        }
        let since = since.unwrap_or(self.now);
        self.found_since.insert(what.to_owned(), since);
        let end = since.after(grace);
        if end <= self.now {
            return true;
        }
        self.until = self.until.into_iter().chain([end]).min();
        false
    }

    /// What of VEX documents was not used.
    fn unused(&self, voices: Option<&Voices<'_>>) -> Option<String> {
        let documents = voices.map(Voices::told).unwrap_or_default();
        let statements: Vec<&str> = self.unheard.iter().map(String::as_str).collect();
        let of = |what: &str, told: &[&str]| {
            (!told.is_empty()).then(|| format!("a VEX {what} was not used: {}", few(told)))
        };
        let told = [of("document", &documents), of("statement", &statements)];
        let told: Vec<String> = told.into_iter().flatten().collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// All of it. `gates` is what they ask for, in short.
    pub(super) fn finding(mut self, gates: Digest, voices: Option<&Voices<'_>>) -> Finding {
        let unused = self.unused(voices);
        let word = |word: &'static str| self.names_scanners.then_some(word);
        let (found, says) = (word("found by"), word("says"));
        let [malware, vulnerable, open] =
            [&mut self.malware, &mut self.vulnerable, &mut self.open].map(std::mem::take);
        let groups = [
            malware.reasons(found, REST),
            vulnerable.reasons(found, REST),
            open.reasons(says, REST),
        ];
        let reasons: Vec<_> = groups.into_iter().flatten().collect();
        let Self { texts, silenced, excepted, images, known, found_since, until, .. } = self;
        let excepted = excepted.into_iter().collect();
        let rests_until = self.excepted_until;
        let text = texts.into_iter().chain(unused).collect::<Vec<_>>().join("; ");
        if !reasons.is_empty() {
            return Finding {
                reasons,
                silenced,
                excepted,
                ..Finding::new(NAME, CheckState::Fail, text)
            };
        }
        let is_kept = known.len() <= KNOWN_MAX;
        let passed = is_kept.then(|| Box::new(Passed { gates, images, known, found_since }));
        Finding {
            until,
            rests_until,
            silenced,
            excepted,
            passed,
            ..Finding::new(NAME, CheckState::Pass, text)
        }
    }
}
