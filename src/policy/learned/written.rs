//! The text of a proposal, with what each rule rests on beside it.

use std::collections::{BTreeMap, BTreeSet};

use super::groups::Draft;
use super::scans::Gate;
use super::signers::{Demand, Whom};
use super::tags::Tags;
use super::{Enough, LearnedRule, LeftOut, Present, count};
use crate::oci::Platform;
use crate::policy::source::{comment, quoted};
use crate::time::Timestamp;

/// What of the floor in force is proposed anew, and not taken over.
const FLOOR_ANEW: [&str; 2] = ["platforms", "registries"];
/// What of the policy in force is not in a proposal.
const NOT_TAKEN: [&str; 6] =
    ["approvalPolicies", "exceptions", "expressions", "overlays", "signerChange", "tagMove"];
/// Most signers that are told of one rule.
const TOLD_MAX: usize = 12;

/// All that a text is made of, beside the rules.
pub(super) struct Proposal<'a> {
    pub(super) present: &'a Present<'a>,
    pub(super) enough: Enough,
    pub(super) platforms: &'a BTreeSet<Platform>,
    pub(super) left_out: &'a [LeftOut],
    pub(super) left_out_more: u64,
}

/// What the rules refer to, by the names that they have in the text.
#[derive(Default)]
struct Names {
    signers: BTreeMap<Whom, String>,
    gates: BTreeMap<Gate, String>,
}

impl Names {
    fn of(drafts: &[Draft<'_>], present: &BTreeMap<String, String>) -> Self {
        let mut names = Self::default();
        let mut taken: BTreeSet<String> = present.keys().cloned().collect();
        for draft in drafts {
            if let Demand::Signed { of, .. } = &draft.demand {
                for whom in of {
                    let name = || match whom {
                        Whom::Named(name) => name.clone(),
                        Whom::Exact(_) | Whom::Versions(_) => free(&whom.name(), &mut taken),
                    };
                    names.signers.entry(whom.clone()).or_insert_with(name);
                }
            }
        }
        let mut taken = BTreeSet::new();
        for gate in drafts.iter().filter_map(|draft| draft.gate.as_ref()) {
            let name = || free(&gate.name(), &mut taken);
            names.gates.entry(gate.clone()).or_insert_with(name);
        }
        names
    }

    fn signer(&self, whom: &Whom) -> String {
        self.signers.get(whom).cloned().unwrap_or_default()
    }
}

/// A name like `wanted` that is not taken, and is from now on.
fn free(wanted: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = wanted.to_owned();
    let mut number = 1_usize;
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{wanted}-{number}");
    }
    name
}

impl Proposal<'_> {
    /// The text, and the rules in it.
    pub(super) fn text(&self, drafts: &[Draft<'_>]) -> (String, Vec<LearnedRule>) {
        let signers = self.present.source.entries("signers");
        let names = Names::of(drafts, &signers);
        let mut ids = BTreeSet::new();
        let rules: Vec<LearnedRule> =
            drafts.iter().map(|draft| rule(draft, free(&draft.name(), &mut ids), &names)).collect();
        let mut lines = self.head();
        lines.extend(self.floor(drafts));
        lines.extend(self.trust_roots(&names, &signers));
        lines.extend(written_signers(&names, &signers));
        if !names.gates.is_empty() {
            lines.push("gates:".to_owned());
            let mut gates: Vec<_> = names.gates.iter().collect();
            gates.sort_by_key(|(_, name)| name.as_str());
            lines.extend(gates.iter().map(|(gate, name)| format!("  {name}: {}", gate.yaml())));
        }
        lines.push("rules:".to_owned());
        for (draft, rule) in drafts.iter().zip(&rules) {
            lines.extend(rule.why.iter().map(|why| comment(why)));
            lines.push(written_rule(draft, rule, &names));
        }
        if rules.is_empty() {
            lines.push(comment("Nothing was pulled often enough for a rule."));
            lines.push("- {id: nothing-yet, match: [\"**\"], trust: deny}".to_owned());
        }
        lines.extend(self.left_out());
        lines.push(String::new());
        (lines.join("\n"), rules)
    }

    fn head(&self) -> Vec<String> {
        let Present { name, revision, source, now } = self.present;
        let Enough { days, pulls } = self.enough;
        let mut lines = vec![
            format!(
                "# Proposed on {} from what was pulled in {days} days; repositories",
                day(*now)
            ),
            format!("# with fewer than {pulls} pulls are listed at the end and have no rule."),
            "# It says what was so, and not what should be: read it, and then".to_owned(),
            "#   pratique policy check FILE".to_owned(),
            "#   pratique policy diff FILE --against-history".to_owned(),
            "# Files that it names are where those of the policy in force are.".to_owned(),
        ];
        let written = source.keys();
        let missing: Vec<&str> =
            NOT_TAKEN.into_iter().filter(|key| written.contains(*key)).collect();
        if !missing.is_empty() {
            let text = format!(
                "NOT IN IT, although the policy in force has them: {}. Take over what still holds.",
                missing.join(", ")
            );
            lines.push(comment(&text));
        }
        lines.push("apiVersion: pratique.dev/v1".to_owned());
        lines.push("kind: Policy".to_owned());
        let revision = revision.saturating_add(1);
        lines.push(format!("metadata: {{name: {}, revision: {revision}}}", quoted(name)));
        lines.push("# mode: warn    # for the first weeks: serves everything, and says what it would refuse".to_owned());
        lines
    }

    fn floor(&self, drafts: &[Draft<'_>]) -> Vec<String> {
        let mut lines = Vec::new();
        let members = drafts.iter().flat_map(|draft| &draft.members);
        let registries: BTreeSet<String> =
            members.map(|it| it.name.registry().to_string()).collect();
        if !registries.is_empty() {
            lines.push(format!("  registries: [{}]", list(registries.iter())));
        }
        if self.platforms.is_empty() {
            lines.push(
                "  # platforms: not known; no node fetched an image out of an index".to_owned(),
            );
        } else {
            let platforms: Vec<String> = self.platforms.iter().map(ToString::to_string).collect();
            lines.push(format!("  platforms: [{}]", list(platforms.iter())));
        }
        let taken_over = self.present.source.entries("floor").into_iter();
        let taken_over = taken_over.filter(|(key, _)| !FLOOR_ANEW.contains(&key.as_str()));
        lines.extend(taken_over.map(|(key, value)| format!("  {key}: {value}")));
        // What is only a comment is no map.
        let is_empty = lines.iter().all(|line| line.trim_start().starts_with('#'));
        if !is_empty {
            lines.insert(0, "floor:".to_owned());
        }
        lines
    }

    /// The trust roots of the policy in force that signers of the proposal name.
    fn trust_roots(&self, names: &Names, signers: &BTreeMap<String, String>) -> Vec<String> {
        let roots = self.present.source.entries("trustRoots");
        let by_identity = |root: &str| {
            names.signers.keys().any(|whom| match whom {
                Whom::Named(_) => false,
                Whom::Exact(it) | Whom::Versions(it) => it.root == root,
            })
        };
        // Who is taken over as written names their root somewhere in there.
        let by_name = |root: &str| {
            let taken = names.signers.keys().filter_map(|whom| match whom {
                Whom::Named(name) => signers.get(name),
                Whom::Exact(_) | Whom::Versions(_) => None,
            });
            let quoted = quoted(root);
            taken.into_iter().any(|text| text.contains(&quoted))
        };
        let used = roots.iter().filter(|(root, _)| by_identity(root) || by_name(root));
        let lines: Vec<String> = used.map(|(root, text)| format!("  {root}: {text}")).collect();
        let head = (!lines.is_empty()).then(|| "trustRoots:".to_owned());
        head.into_iter().chain(lines).collect()
    }

    fn left_out(&self) -> Vec<String> {
        if self.left_out.is_empty() {
            return Vec::new();
        }
        let mut lines = vec!["# Too little history for a rule:".to_owned()];
        lines.extend(self.left_out.iter().map(|it| {
            let (images, pulls) = (counted(it.images, "image"), counted(it.pulls, "pull"));
            comment(&format!("  {}: {images}, {pulls}", it.repository))
        }));
        if self.left_out_more > 0 {
            lines.push(format!("#   and {} more", self.left_out_more));
        }
        lines
    }
}

fn written_signers(names: &Names, present: &BTreeMap<String, String>) -> Vec<String> {
    let mut lines = Vec::new();
    for (whom, name) in &names.signers {
        let written = whom.yaml().or_else(|| present.get(name).cloned());
        lines.extend(written.map(|text| format!("  {name}: {text}")));
    }
    lines.sort();
    if !lines.is_empty() {
        lines.insert(0, "signers:".to_owned());
    }
    lines
}

fn written_rule(draft: &Draft<'_>, rule: &LearnedRule, names: &Names) -> String {
    let mut parts =
        vec![format!("id: {}", rule.id), format!("match: [{}]", list(rule.images.iter()))];
    parts.extend(draft.tags.yaml().map(|tags| format!("tags: {tags}")));
    parts.push(format!("trust: {}", rule.trust));
    match &draft.demand {
        Demand::Nothing => {}
        Demand::Nobody => {
            let images = counted(rule.pulled_images, "image");
            let text = format!("none of {images} that were pulled by {} was", day(rule.last));
            parts.push(format!("signatures: {{none: {}}}", quoted(&text)));
        }
        Demand::Signed { at_least, .. } => {
            let of = rule.signers.join(", ");
            parts.push(format!("signatures: {{atLeast: {at_least}, of: [{of}]}}"));
        }
    }
    if let Some(gate) = draft.gate.as_ref().and_then(|gate| names.gates.get(gate)) {
        parts.push(format!("gates: [{gate}]"));
    }
    format!("- {{{}}}", parts.join(", "))
}

fn rule(draft: &Draft<'_>, id: String, names: &Names) -> LearnedRule {
    let (first, last) = draft.time();
    let (images, pulls, nodes) = (draft.images(), draft.pulls(), draft.nodes());
    let mut why = vec![format!(
        "{}: {}, {}, {} to {}, {}.",
        if draft.members.len() == 1 {
            id.clone()
        } else {
            format!("{id} ({} repositories)", draft.members.len())
        },
        counted(images, "image"),
        counted(pulls, "pull"),
        day(first),
        day(last),
        counted(nodes, "node"),
    )];
    why.extend(signed(draft, images));
    why.extend(scanned(draft, images));
    if let Tags::All(text) = &draft.tags {
        why.push(format!("All tags: {text}."));
    }
    let signers = match &draft.demand {
        Demand::Signed { of, .. } => of.iter().map(|whom| names.signer(whom)).collect(),
        Demand::Nobody | Demand::Nothing => Vec::new(),
    };
    LearnedRule {
        id,
        images: draft.patterns.clone(),
        repositories: draft.members.iter().map(|it| it.name.to_string()).collect(),
        trust: if draft.is_trusted { "allow" } else { "approve" }.to_owned(),
        tags: draft.tags.yaml(),
        signers,
        pulled_images: images,
        pulls,
        nodes,
        first,
        last,
        why,
    }
}

/// Who signed how many of how many.
fn signed(draft: &Draft<'_>, images: u64) -> Vec<String> {
    let mut seen: BTreeMap<&Whom, u64> = BTreeMap::new();
    for (whom, number) in draft.signatures.iter().flat_map(|it| &it.seen) {
        *seen.entry(whom).or_default() += count(*number);
    }
    let mut why: Vec<String> = seen
        .iter()
        .take(TOLD_MAX)
        .map(|(whom, number)| format!("Signed by {}: {number} of {images}.", whom.told()))
        .collect();
    if seen.len() > TOLD_MAX {
        why.push(format!("And by {} more.", seen.len() - TOLD_MAX));
    }
    let sum = |of: fn(&super::signers::Signatures) -> usize| {
        draft.signatures.iter().fold(0, |sum, it| sum + count(of(it)))
    };
    let (unsigned, unknown, unnamed) =
        (sum(|it| it.unsigned), sum(|it| it.unknown), sum(|it| it.unnamed));
    if unsigned > 0 {
        why.push(format!("Signed by nobody: {unsigned} of {images}."));
    }
    if unnamed > 0 {
        why.push(format!(
            "Signed by somebody whom neither the policy nor a trust root names: {unnamed} of {images}."
        ));
    }
    if unknown > 0 {
        let reason = draft.signatures.iter().find_map(|it| it.why_unknown.as_deref());
        let reason = reason.unwrap_or_default();
        why.push(format!("Signatures not known of {unknown} of {images}: {reason}."));
    }
    let is_several = seen.len() > 1;
    match (&draft.demand, draft.is_trusted) {
        (Demand::Nothing, _) if !seen.is_empty() => {
            why.push("Not all of one kind, so signatures are not asked for.".to_owned());
        }
        (Demand::Signed { .. }, false) if is_several => {
            why.push(
                "Several signers: people are asked until it is clear which of them it is."
                    .to_owned(),
            );
        }
        (Demand::Signed { .. }, false) => {
            why.push("A single image is no history: people are asked.".to_owned());
        }
        (Demand::Signed { .. }, true) | (Demand::Nobody | Demand::Nothing, _) => {}
    }
    why
}

/// What is known against them.
fn scanned(draft: &Draft<'_>, images: u64) -> Vec<String> {
    let mut why = Vec::new();
    let worst = draft.scans.iter().filter_map(|it| it.worst.as_ref()).max_by_key(|it| it.0);
    if let Some((_, worst)) = worst {
        why.push(format!("Worst finding: {worst}."));
    }
    if let Some(malware) = draft.scans.iter().find_map(|it| it.malware.as_deref()) {
        why.push(format!("HAS MALWARE: {malware}. No gate lets that pass."));
    }
    let not_scanned = draft.scans.iter().fold(0, |sum, it| sum + count(it.not_scanned));
    if not_scanned > 0 {
        let reason = draft.scans.iter().find_map(|it| it.why.as_deref()).unwrap_or_default();
        why.push(format!("Not scanned: {not_scanned} of {images}: {reason}."));
    }
    why
}

fn list<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    texts.map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn day(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('T').map_or_else(|| text.clone(), |(day, _)| day.to_owned())
}
