//! What becomes of a pod: its images, what their rules ask of it, and what is asked of every pod.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::{Checks, Strictness};
use super::isolation;
use super::known::{Known, Said, Unknown};
use super::pod::{Pod, PodImage};
use super::review::{Answer, Object, Patch, Refused, Review};
use super::{IMAGE_LENGTH_MAX, NAME_LENGTH_MAX, printable};
use crate::oci::Digest;
use crate::policy::Mode;

/// Most reasons that one refusal tells.
const REASONS_MAX: usize = 8;
/// The status of a refusal, of what cannot be read, and of what cannot be told.
const FORBIDDEN: u16 = 403;
const MALFORMED: u16 = 400;
const UNAVAILABLE: u16 = 503;
/// The tag of an image that names none.
const TAG_DEFAULT: &str = "latest";

/// By what reviews are answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// What becomes of images that are not known, or wait for people.
    pub unknown: Unknown,
    /// What pods are asked besides.
    pub checks: Checks,
    /// The namespaces in which nothing is asked.
    pub exempt: BTreeSet<String>,
}

impl Rules {
    fn exempts(&self, review: &Review) -> bool {
        review.namespace.as_ref().is_some_and(|namespace| self.exempt.contains(namespace))
    }

    /// The images about which the mirror has to be asked before `review` is answered, each once.
    pub fn images(&self, review: &Review) -> BTreeSet<String> {
        if self.exempts(review) {
            return BTreeSet::new();
        }
        match &review.object {
            Object::Other | Object::Unreadable(_) => BTreeSet::new(),
            Object::Pod { new, old } => {
                let all = gives_up_isolation(new, old.as_deref());
                let images = new.images(old.as_deref()).into_iter();
                images.filter(|image| all || image.is_new).map(|image| image.image).collect()
            }
            Object::Workload { images, .. } => images.iter().cloned().collect(),
        }
    }
}

/// Whether the pod said that nothing may leave it, and does not any more.
fn gives_up_isolation(new: &Pod, old: Option<&Pod>) -> bool {
    old.is_some_and(isolation::denies_egress) && !isolation::denies_egress(new)
}

/// Whether the object of `review` may be, by what is `known` of its images and the policy of `revision`.
pub fn validate(
    review: &Review,
    rules: &Rules,
    known: &BTreeMap<String, Known>,
    revision: u64,
) -> Answer {
    let mut verdict = Verdict::new(rules, known);
    if rules.exempts(review) {
        return verdict.answer(Some("exempt"), revision);
    }
    let mut decision = None;
    match &review.object {
        Object::Other => decision = Some("not-asked"),
        Object::Unreadable(why) => {
            verdict.refuse(MALFORMED, format!("the pod cannot be read: {why}"));
        }
        Object::Workload { kind, images } => verdict.workload(kind, images),
        Object::Pod { new, old } => verdict.pod(new, old.as_deref()),
    }
    verdict.answer(decision, revision)
}

/// What of the object of `review` is changed: each image of a pod that is served now is pinned to its digest.
/// Nothing is refused here, but what cannot be read: what comes after may put other images in.
pub fn mutate(
    review: &Review,
    rules: &Rules,
    known: &BTreeMap<String, Known>,
    revision: u64,
) -> Answer {
    let mut verdict = Verdict::new(rules, known);
    let Object::Pod { new, old } = &review.object else {
        if let Object::Unreadable(why) = &review.object {
            verdict.refuse(MALFORMED, format!("the pod cannot be read: {why}"));
        }
        return verdict.answer(Some("not-asked"), revision);
    };
    if rules.exempts(review) {
        return verdict.answer(Some("exempt"), revision);
    }
    let mut patches = Vec::new();
    for image in new.images(old.as_deref()).iter().filter(|image| image.is_new) {
        let Some(known) = known.get(&image.image) else { continue };
        let (Said::Served(_), Some(digest)) = (&known.said, &known.digest) else { continue };
        if let Some(value) = pinned(&image.image, digest) {
            verdict.note(&image.image, known);
            patches.push(Patch::replace(image.pointer(), value));
        }
    }
    let decision = if patches.is_empty() { "unchanged" } else { "pinned" };
    Answer { patches, ..verdict.answer(Some(decision), revision) }
}

/// `image` with `digest` behind it: as it is written, so that people go on seeing the tag. `None`: it names a
/// digest already.
pub fn pinned(image: &str, digest: &Digest) -> Option<String> {
    if image.contains('@') {
        return None;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') {
        return Some(format!("{image}@{digest}"));
    }
    Some(format!("{image}:{TAG_DEFAULT}@{digest}"))
}

/// An answer as it comes to be.
struct Verdict<'a> {
    rules: &'a Rules,
    known: &'a BTreeMap<String, Known>,
    /// The status, with the first reason.
    code: Option<u16>,
    reasons: Vec<String>,
    warnings: Vec<String>,
    /// How often each word was said of an image.
    said: BTreeSet<&'static str>,
    rule_names: BTreeSet<String>,
    digests: BTreeSet<String>,
    approvals: BTreeSet<String>,
}

impl<'a> Verdict<'a> {
    fn new(rules: &'a Rules, known: &'a BTreeMap<String, Known>) -> Self {
        Self {
            rules,
            known,
            code: None,
            reasons: Vec::new(),
            warnings: Vec::new(),
            said: BTreeSet::new(),
            rule_names: BTreeSet::new(),
            digests: BTreeSet::new(),
            approvals: BTreeSet::new(),
        }
    }

    fn refuse(&mut self, code: u16, text: String) {
        self.code.get_or_insert(code);
        self.reasons.push(text);
    }

    fn warn(&mut self, text: String) {
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// Notes for the audit what is known of `image`.
    fn note(&mut self, image: &str, known: &Known) {
        self.said.insert(known.said.as_str());
        self.rule_names.extend(known.rule.clone());
        self.approvals.extend(known.approval.clone());
        if let Some(digest) = &known.digest {
            self.digests.insert(format!("{}={digest}", printable(image, IMAGE_LENGTH_MAX)));
        }
    }

    fn pod(&mut self, new: &Pod, old: Option<&Pod>) {
        let isolates = gives_up_isolation(new, old);
        for image in new.images(old) {
            if !image.is_new && !isolates {
                continue;
            }
            let Some(known) = self.known.get(&image.image) else {
                let text = format!("{}: it was not looked at", shown(&image));
                self.refuse(UNAVAILABLE, text);
                continue;
            };
            if image.is_new {
                self.note(&image.image, known);
                self.image(&image, known);
            }
            self.isolated(new, &image, known);
        }
        for (_, strictness, text) in self.rules.checks.ask(new, old) {
            match strictness {
                Strictness::Deny => self.refuse(FORBIDDEN, text),
                Strictness::Warn => self.warn(text),
                Strictness::Off => {}
            }
        }
    }

    fn image(&mut self, image: &PodImage, known: &Known) {
        if let Some(text) = known.said.refusal(self.rules.unknown) {
            let failed = matches!(known.said, Said::Failed(_));
            let code = if failed { UNAVAILABLE } else { FORBIDDEN };
            self.refuse(code, format!("{}: {text}", shown(image)));
        } else if let Some(text) = known.said.warning(self.rules.unknown) {
            self.warn(format!("{}: {text}", shown(image)));
        }
    }

    fn isolated(&mut self, pod: &Pod, image: &PodImage, known: &Known) {
        for (rule, wanted, mode) in &known.isolation {
            let unmet = isolation::unmet(pod, image, wanted);
            if unmet.is_empty() {
                continue;
            }
            let text = format!(
                "{}: rule {rule} requires of the pod {}",
                shown(image),
                unmet.join(", and ")
            );
            match mode {
                Mode::Enforce => self.refuse(FORBIDDEN, text),
                Mode::Warn => self.warn(text),
                Mode::Audit => {}
            }
        }
    }

    /// What makes pods is never refused: its pods are. Who applies it is told in time.
    fn workload(&mut self, kind: &str, images: &[String]) {
        for image in images {
            let Some(known) = self.known.get(image) else { continue };
            self.note(image, known);
            let shown = printable(image, NAME_LENGTH_MAX);
            if let Some(text) = known.said.refusal(Unknown::Deny) {
                let will = match known.said.refusal(self.rules.unknown) {
                    Some(_) => "pods of this",
                    None => "pods of this wait,",
                };
                self.warn(format!("{will} {kind}: {shown}: {text}"));
            }
        }
    }

    fn answer(self, decision: Option<&'static str>, revision: u64) -> Answer {
        let refused = self.code.map(|code| {
            let more = self.reasons.len().saturating_sub(REASONS_MAX);
            let mut message =
                self.reasons.iter().take(REASONS_MAX).cloned().collect::<Vec<_>>().join("; ");
            if more > 0 {
                message = format!("{message}; and {more} more");
            }
            Refused { code, message }
        });
        let worst = ["failed", "denied", "unknown", "pending", "observed", "admitted"];
        let of_images = worst.into_iter().find(|word| self.said.contains(word));
        let decision = match (&refused, decision) {
            (Some(_), _) => "denied",
            (None, Some(decision)) => decision,
            (None, None) => of_images.unwrap_or("not-asked"),
        };
        let mut annotations = BTreeMap::from([
            ("decision", decision.to_owned()),
            ("policyRevision", revision.to_string()),
        ]);
        let lists =
            [("rule", self.rule_names), ("digest", self.digests), ("approval", self.approvals)];
        for (key, list) in lists {
            if !list.is_empty() {
                annotations.insert(key, list.into_iter().collect::<Vec<_>>().join(", "));
            }
        }
        Answer { refused, patches: Vec::new(), warnings: self.warnings, annotations }
    }
}

/// The image and what has it.
fn shown(image: &PodImage) -> String {
    let what = match image.list {
        super::pod::List::Volumes => "volume",
        super::pod::List::Containers
        | super::pod::List::EphemeralContainers
        | super::pod::List::InitContainers => "container",
    };
    let (text, name) = (printable(&image.image, NAME_LENGTH_MAX), printable(&image.name, 63));
    format!("{text} ({what} {name})")
}
