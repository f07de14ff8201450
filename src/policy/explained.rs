//! What a policy says about a repository, in words: which rules match and why one comes first, and what
//! that one asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::Policy;
use super::approval::{
    AllowedFindings, Carries, ExceptionApproval, ReEvaluate, StandingApproval, UnseenFinding,
};
use super::configured::{ConfigGate, UserRule};
use super::demands::Demands;
use super::document::{
    Artifact, ArtifactKind, Rule, Signer, SignerChange, TagMove, Trust, WantedText, Who,
};
use super::fresh::FreshGate;
use super::mode::{Mode, ModeUntil};
use super::on_error::OnError;
use super::overlay::{Alone, Overlay};
use super::pattern::Pattern;
use super::scanned::{NewFinding, Rating, ScanGate};
use super::signed::{Scope, SignatureRule};
use super::tags::TagFilter;
use crate::oci::{Name, Tag};

/// A rule that matches a repository.
#[derive(Debug, Clone)]
pub struct Match<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The most specific of its patterns that cover the repository.
    pub pattern: &'a Pattern,
    /// The line of the policy in which that pattern stands, from one.
    pub line: usize,
    /// Why it comes behind the match before it; `None` for the first.
    pub behind: Option<String>,
}

/// One thing that a rule asks for or says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The key of the policy that says it: `signatures`, `gates.strict`.
    pub key: String,
    /// What it says, in words.
    pub text: String,
}

impl Policy {
    /// The rules that match `name`, most specific first. Which of them applies hangs on what the content
    /// is and is called, too: see [`Rule::misses`].
    pub fn matching(&self, name: &Name) -> Vec<Match<'_>> {
        let text = name.to_string();
        let mut matches: Vec<Match<'_>> = Vec::new();
        for (_, _, rule) in self.ranked(name) {
            let covering = rule.patterns.iter().filter(|pattern| pattern.value.matches(&text));
            let Some(best) = covering.max_by_key(|pattern| pattern.value.rank()) else { continue };
            let (pattern, line) = (&best.value, best.position.line);
            let behind =
                matches.last().map(|last| behind((rule, pattern), (last.rule, last.pattern)));
            matches.push(Match { rule, pattern, line, behind });
        }
        matches
    }
}

/// Why the second of two matches comes before the first, in the order in which that is asked.
fn behind((rule, pattern): (&Rule, &Pattern), (before, first): (&Rule, &Pattern)) -> String {
    let prefix = |pattern: &Pattern| pattern.literal_prefix().chars().count();
    let literals = |pattern: &Pattern| pattern.as_str().chars().filter(|c| *c != '*').count();
    let has_across = |pattern: &Pattern| pattern.as_str().contains("**");
    let (ours, theirs) = (prefix(pattern), prefix(first));
    if ours != theirs {
        return format!("less text before the first *: {ours} characters, not {theirs}");
    }
    let (ours, theirs) = (literals(pattern), literals(first));
    if ours != theirs {
        return format!("less text beside *: {ours} characters, not {theirs}");
    }
    if pattern.rank() != first.rank() {
        let wild =
            if has_across(pattern) { "** comes after *" } else { "* comes after a whole name" };
        return wild.to_owned();
    }
    if rule.tag_rank() != before.tag_rank() {
        let text = match (&rule.tags, &before.tags) {
            (Some(_), _) => "tags by range or pattern come after exact ones",
            (None, _) => "names no tags",
        };
        return text.to_owned();
    }
    "names no artifact".to_owned()
}

impl Rule {
    /// Why the rule does not speak of an `artifact` to which `tags` resolved, in a repository that it
    /// matches; `None` when it does.
    pub fn misses(&self, artifact: Artifact<'_>, tags: &[Tag]) -> Option<String> {
        if !self.artifacts.is_empty() && !self.artifacts.iter().any(|kind| kind.covers(artifact)) {
            return Some(format!("only for {}", kinds(&self.artifacts)));
        }
        let filter = self.tags.as_ref()?;
        let has_tag = tags.iter().any(|tag| filter.matches(tag));
        (!has_tag).then(|| format!("only for {}", tags_text(filter)))
    }

    /// What the rule asks for and says, each by its key, in the order in which it is asked. The floor is
    /// not among it.
    pub fn asks(&self) -> Vec<Asked> {
        let mut asked = Vec::new();
        let mut add = |key: &str, text: String| asked.push(Asked { key: key.to_owned(), text });
        add("trust", trust(self.trust).to_owned());
        if let Some(approval) = &self.approval {
            add("approval", format!("{}: {approval}", approval.name()));
            if let Some(action) = approval.on_new_finding {
                add("approval.onNewFinding", unseen_finding(action));
            }
            if let Some(again) = approval.re_evaluate {
                add("approval.reEvaluate", re_evaluate(again));
            }
        }
        for standing in &self.standing_approvals {
            add("approval.standing", standing_approval(standing));
        }
        if let Some(carries) = &self.carries {
            add("approval.carries", carried(carries));
        }
        if let Some(filter) = &self.tags {
            add("tags", tags_text(filter));
        }
        if !self.artifacts.is_empty() {
            add("match.artifact", kinds(&self.artifacts));
        }
        add("signatures", signatures(self.signatures.as_ref()));
        asked.extend(self.alone().asks());
        let mut add = |key: &str, text: String| asked.push(Asked { key: key.to_owned(), text });
        add("mode", mode(self.mode));
        add("tagMove", tag_move(self.tag_move).to_owned());
        add("signerChange", signer_change(self.signer_change).to_owned());
        if self.on_error != OnError::Deny {
            add("onError", self.on_error.to_string());
        }
        if let Some(granting) = &self.exception_approval {
            add("exceptionApproval", exception_approval(granting));
        }
        if self.isolation.is_asked() {
            add("requires", format!("pods that run it need {}", self.isolation));
        }
        asked
    }
}

impl Overlay {
    /// What the overlay asks for on top of the rule, each by its key.
    pub fn asks(&self) -> Vec<Asked> {
        let mut asked = Vec::new();
        let mut add = |key: &str, text: String| asked.push(Asked { key: key.to_owned(), text });
        if let Some(filter) = &self.tags {
            add("tags", tags_text(filter));
        }
        if !self.artifacts.is_empty() {
            add("match.artifact", kinds(&self.artifacts));
        }
        if self.denies {
            add("trust", trust(Trust::Deny).to_owned());
        }
        if let Some(when) = &self.when {
            add("when", when.text().to_owned());
        }
        if self.signatures.is_some() {
            add("signatures", signatures(self.signatures.as_ref()));
        }
        asked.extend(self.alone().asks());
        asked.push(Asked { key: "mode".to_owned(), text: mode(self.mode) });
        if self.closes_on_error {
            let text = OnError::Deny.to_string();
            asked.push(Asked { key: "onError".to_owned(), text });
        }
        asked
    }
}

impl<'a> Alone<'a> {
    /// What is asked for besides signatures of the image itself.
    fn asks(&self) -> Vec<Asked> {
        let attested =
            self.attestations.iter().map(|it| ("attestations".to_owned(), attestation(it)));
        let configured = self.configured.iter().map(|gate| (gate.place(), config_gate(gate)));
        let scans = self.gates.iter().map(|gate| (gate.place(), scan_gate(gate)));
        let fresh = self.fresh.iter().map(|gate| (gate.place(), fresh_gate(gate)));
        let all = attested.chain(configured).chain(scans).chain(fresh);
        all.map(|(key, text)| Asked { key, text }).collect()
    }

    /// The signers of the policy that are named, for signatures, attestations, VEX documents, scans and bills
    /// of materials.
    fn signer_names(self) -> BTreeSet<&'a str> {
        let mut names = BTreeSet::new();
        if let Some(SignatureRule::Signed { by, .. }) = self.signatures {
            names.extend(by.signers());
        }
        let attesters = self.attestations.iter().flat_map(|wanted| &wanted.signers);
        names.extend(attesters.map(String::as_str));
        for gate in self.gates {
            let vex = gate.vex.iter().flat_map(|vex| &vex.from);
            let others = gate.attested_by.iter().chain(&gate.sbom_from);
            names.extend(vex.chain(others).map(String::as_str));
        }
        let tracks = self.fresh.iter().filter_map(|gate| gate.fast_track.as_ref());
        names.extend(tracks.flat_map(|track| &track.signers).map(String::as_str));
        names
    }
}

impl<'a> Demands<'a> {
    /// The signers of the policy that the rule and the overlays name.
    pub fn signer_names(&self) -> BTreeSet<&'a str> {
        let own = self.rule().map(Rule::alone);
        let all = own.into_iter().chain(self.overlays().iter().map(|overlay| overlay.alone()));
        all.flat_map(Alone::signer_names).collect()
    }
}

impl Signer {
    /// Who that is, in words: by a key, by an identity, or by a certificate.
    pub fn described(&self) -> String {
        let wanted = |text: &WantedText| match text {
            WantedText::Exact(text) => text.clone(),
            WantedText::Regexp(text) => format!("whatever matches {text}"),
        };
        match &self.who {
            Who::Key { log, window, .. } => {
                let log = match log {
                    Some(log) => format!(", logged by {log}"),
                    None => ", without a log".to_owned(),
                };
                let window = if window.is_always() { String::new() } else { format!(", {window}") };
                format!("a public key{log}{window}")
            }
            Who::Keyless { root, issuer, subject, .. } => {
                format!("{} by {}, root {root}", wanted(subject), wanted(issuer))
            }
            Who::Notation { root, identity, .. } => {
                let identity = identity.as_deref().unwrap_or("anybody");
                format!("{identity} by an authority of {root}")
            }
        }
    }
}

const fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Allow => "allow: nobody has to approve",
        Trust::Approve => "approve: someone has to approve each digest",
        Trust::Deny => "deny: nothing is served",
    }
}

fn mode(mode: ModeUntil) -> String {
    let text = match mode.mode {
        Mode::Audit => "audit: everything is served, what would be refused is written down",
        Mode::Warn => "warn: everything is served, what would be refused with a warning",
        Mode::Enforce => "enforce: only what is admitted is served",
    };
    match mode.until {
        Some(until) => format!("{text}; from {until} on it enforces"),
        None => text.to_owned(),
    }
}

const fn tag_move(tag_move: TagMove) -> &'static str {
    match tag_move {
        TagMove::HoldNew => "hold-new: the last admitted digest goes on being served",
        TagMove::Strict => "strict: the tag is refused until its new digest is admitted",
    }
}

fn exception_approval(granting: &ExceptionApproval) -> String {
    let approval = granting.approval();
    let text = format!("{}: {approval} may except a finding for a while", approval.name());
    match granting.longest {
        Some(longest) => format!("{text}, for {} h at most", longest.as_secs() / 3600),
        None => text,
    }
}

/// What becomes of what is approved, in words.
fn unseen_finding(action: UnseenFinding) -> String {
    let (what, grace) = match action {
        UnseenFinding::Serve => ("serve: it is served on, and that is told", None),
        UnseenFinding::Hold(grace) => ("hold: people are asked again", Some(grace)),
        UnseenFinding::Revoke(grace) => ("revoke: it is refused", Some(grace)),
    };
    let text = format!("{what}, when a finding comes up that nobody was shown who approved it");
    let after = |rating: Rating| {
        let hours = grace.unwrap_or_default().of(rating).as_secs() / 3600;
        if hours == 0 { "at once".to_owned() } else { format!("after {hours} h") }
    };
    if grace.is_none() {
        return text;
    }
    let (critical, high) = (after(Rating::Critical), after(Rating::High));
    format!("{text}: critical {critical}, high {high}, exploited at once; malware is refused")
}

fn re_evaluate(again: ReEvaluate) -> String {
    let all: Vec<&str> = ReEvaluate::CAUSES.iter().map(|(word, _)| *word).collect();
    let others = if again.named < all.len() { ", also where on leaves one out" } else { "" };
    let causes = format!("{} always have it judged again{others}", all.join(", "));
    match again.every {
        Some(every) => {
            let hours = every.as_secs() / 3600;
            format!("what is attached to it upstream is looked for again after {hours} h; {causes}")
        }
        None => causes,
    }
}

const fn signer_change(change: SignerChange) -> &'static str {
    match change {
        SignerChange::Allow => "allow: nothing happens when a known signer goes away",
        SignerChange::Hold => "hold: a person has to approve when a known signer goes away",
    }
}

fn kinds(artifacts: &[ArtifactKind]) -> String {
    let name = |kind: &ArtifactKind| match kind {
        ArtifactKind::Image => "images".to_owned(),
        ArtifactKind::Type(text) => format!("artifacts of type {text}"),
    };
    artifacts.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn tags_text(filter: &TagFilter) -> String {
    match filter {
        TagFilter::Exact(tags) => {
            let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
            format!("tags {}", tags.join(", "))
        }
        TagFilter::Glob(patterns) => {
            let patterns: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
            format!("tags like {}", patterns.join(", "))
        }
        TagFilter::Semver(range) => format!("versions {range}"),
    }
}

fn signatures(rule: Option<&SignatureRule>) -> String {
    match rule {
        None => "none asked for".to_owned(),
        Some(SignatureRule::None { reason }) => format!("none asked for: {reason}"),
        Some(SignatureRule::Signed { by, scope }) => {
            let quorum = |it: &super::Quorum| format!("{} of [{}]", it.at_least, it.of.join(", "));
            let quorums: Vec<String> = by.as_slice().iter().map(quorum).collect();
            let over = match scope {
                Scope::Either => "over the index, or over every image that it lists",
                Scope::EveryPlatform => "over every image that an index lists",
                Scope::Index => "over what is asked for",
            };
            format!("{}, {over}", quorums.join(" and "))
        }
    }
}

fn attestation(wanted: &super::AttestationRule) -> String {
    let mut text =
        format!("{} by {} of [{}]", wanted.kind, wanted.at_least, wanted.signers.join(", "));
    if let Some(builder) = &wanted.builder {
        text = format!("{text}, built by {}", builder.as_str());
    }
    if let Some(condition) = &wanted.condition {
        text = format!("{text}, where {condition}");
    }
    text
}

fn scan_gate(gate: &ScanGate) -> String {
    let condition = |it: &super::FindingCondition| {
        let said = [
            it.severity.map(|least| match least {
                Rating::None => "any severity".to_owned(),
                Rating::Critical => "critical".to_owned(),
                Rating::Low | Rating::Medium | Rating::High => format!("{least} or worse"),
            }),
            it.fixable.map(|is| (if is { "fixable" } else { "not fixable" }).to_owned()),
            it.older_than.map(|age| format!("known for {} h", age.as_secs() / 3600)),
            it.exploited.map(|is| (if is { "exploited" } else { "not exploited" }).to_owned()),
            it.likelihood.map(|share| format!("likely by {}.{:02}%", share / 100, share % 100)),
        ];
        said.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    };
    let conditions: Vec<String> = gate.deny.iter().map(condition).collect();
    let mut text = match conditions.as_slice() {
        [] => "a scan that refuses malware".to_owned(),
        _ => format!("a scan that refuses {}", conditions.join("; ")),
    };
    let names: Vec<&str> = gate.scanners.names().collect();
    if names != [super::Scanners::EMBEDDED] {
        text = format!("{text}, by {} of {}", gate.scanners.combined, names.join(", "));
    }
    if let NewFinding::Revoke(_) = gate.on_new_finding {
        text.push_str(", also when something is found later");
    }
    text
}

/// What needs nobody's yes, in words.
fn carried(carries: &Carries) -> String {
    let from: Vec<&str> = carries.from.iter().map(Pattern::as_str).collect();
    let policies = match carries.policies.as_slice() {
        [] => String::new(),
        policies => format!(", also by {}", policies.join(", ")),
    };
    format!("an approval of the same digest in {} counts here{policies}", from.join(", "))
}

fn standing_approval(standing: &StandingApproval) -> String {
    let findings = match standing.findings {
        AllowedFindings::Any => "",
        AllowedFindings::NoWorse => {
            ", with no critical or high finding that what is admitted has not"
        }
    };
    let (tags, signers) = (tags_text(&standing.tags), standing.signers.join(", "));
    format!("nobody is asked for {tags} signed by one of {signers}{findings}")
}

fn fresh_gate(gate: &FreshGate) -> String {
    let hours = |time: Duration| format!("{} h", time.as_secs() / 3600);
    let mut said = Vec::new();
    if let Some(time) = gate.observed_age_min {
        said.push(format!("known here for {}", hours(time)));
    }
    if let Some(track) = &gate.fast_track {
        said.push(format!("or at once by [{}] ({})", track.signers.join(", "), track.when));
    }
    if let Some(time) = gate.image_age_max {
        said.push(format!("built within {}", hours(time)));
    }
    said.join("; ")
}

fn config_gate(gate: &ConfigGate) -> String {
    let mut said = Vec::new();
    match gate.user {
        Some(UserRule::NonRoot) => said.push("a user that is not root".to_owned()),
        Some(UserRule::Numeric) => said.push("a user by number that is not 0".to_owned()),
        None => {}
    }
    if !gate.denied_env.is_empty() {
        let names: Vec<String> = gate.denied_env.iter().map(ToString::to_string).collect();
        said.push(format!("no environment variable like {}", names.join(", ")));
    }
    if gate.denies_secret_like {
        said.push("nothing like a credential in the environment".to_owned());
    }
    if !gate.denied_ports.is_empty() {
        let ports: Vec<String> = gate.denied_ports.iter().map(ToString::to_string).collect();
        said.push(format!("no exposed port {}", ports.join(", ")));
    }
    if !gate.required_labels.is_empty() {
        said.push(format!("the labels {}", gate.required_labels.join(", ")));
    }
    if gate.requires_healthcheck {
        said.push("a health check".to_owned());
    }
    format!("a configuration with {}", said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rest: &str) -> Policy {
        let head = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: t, revision: 1}\n";
        let no_files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        Policy::parse(&format!("{head}{rest}"), &no_files).unwrap()
    }

    #[test]
    fn the_order_of_rules_is_told_with_what_makes_it() {
        let policy = policy(
            r#"
rules:
- {id: all, match: ["**"], trust: deny}
- {id: wide, match: ["up.test/**"], trust: allow}
- {id: narrow, match: ["up.test/*"], trust: allow}
- {id: end, match: ["up.test/*pp"], trust: allow}
- {id: app, match: ["up.test/app"], trust: approve}
- {id: range, match: ["up.test/app"], tags: {semver: ">=1.5"}, trust: allow}
- {id: exact, match: ["up.test/app"], tags: {exact: ["1.0"]}, trust: allow}
- {id: charts, match: ["up.test/charts"], trust: allow}
- {id: chart, match: {images: ["up.test/charts"], artifact: [chart]}, trust: allow}
"#,
        );
        let told = |name: &str| -> Vec<(String, String)> {
            let matching = policy.matching(&name.parse().unwrap()).into_iter();
            matching.map(|it| (it.rule.id().to_string(), it.behind.unwrap_or_default())).collect()
        };
        let charts = told("up.test/charts");
        assert_eq!((charts[0].0.as_str(), charts[1].1.as_str()), ("chart", "names no artifact"));
        let told = told("up.test/app");
        let expected = [
            ("exact", ""),
            ("range", "tags by range or pattern come after exact ones"),
            ("app", "names no tags"),
            ("end", "less text before the first *: 8 characters, not 11"),
            ("narrow", "less text beside *: 8 characters, not 10"),
            ("wide", "** comes after *"),
            ("all", "less text before the first *: 0 characters, not 8"),
        ];
        let told: Vec<(&str, &str)> =
            told.iter().map(|(id, why)| (id.as_str(), why.as_str())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn what_applies_is_the_first_match_that_misses_nothing() {
        let policy = policy(
            r#"
rules:
- {id: range, match: ["up.test/app"], tags: {semver: ">=1.5"}, trust: allow}
- {id: chart, match: {images: ["up.test/*"], artifact: [chart]}, trust: allow}
- {id: rest, match: ["up.test/**"], trust: deny}
"#,
        );
        let name = "up.test/app".parse().unwrap();
        let chart = Artifact::Other("application/vnd.cncf.helm.config.v1+json");
        for (artifact, tags) in [
            (Artifact::Image, &[][..]),
            (Artifact::Image, &["1.6.0"]),
            (Artifact::Image, &["1.0.0"]),
            (chart, &[]),
            (chart, &["1.6.0"]),
        ] {
            let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
            let applies = policy.rule_for(&name, artifact, &tags).map(Rule::id);
            let matching = policy.matching(&name);
            let first = matching.iter().find(|it| it.rule.misses(artifact, &tags).is_none());
            assert_eq!(first.map(|it| it.rule.id()), applies, "{artifact:?} {tags:?}");
        }
    }

    #[test]
    fn what_a_rule_asks_for_is_told_key_by_key() {
        let policy = policy(
            r#"
signers: {ci: {keyless: {issuer: "https://i", subject: "s@x"}}}
gates:
  strict: {deny: [{severity: high, fixable: true}], user: {nonRoot: true}}
rules:
- id: a
  match: ["up.test/**"]
  trust: approve
  signatures: {atLeast: 1, of: [ci]}
  attestations: [{type: slsaprovenance1, signers: [ci], builder: "https://b"}]
  gates: [strict]
"#,
        );
        let asks = policy.rules[0].asks();
        let told: Vec<(&str, &str)> =
            asks.iter().map(|it| (it.key.as_str(), it.text.as_str())).collect();
        assert_eq!(
            told,
            [
                ("trust", "approve: someone has to approve each digest"),
                ("signatures", "1 of [ci], over what is asked for"),
                ("attestations", "slsaprovenance1 by 1 of [ci], built by https://b"),
                ("gates.strict", "a configuration with a user that is not root"),
                ("gates.strict", "a scan that refuses high or worse and fixable"),
                ("mode", "enforce: only what is admitted is served"),
                ("tagMove", "hold-new: the last admitted digest goes on being served"),
                ("signerChange", "hold: a person has to approve when a known signer goes away"),
            ]
        );
        assert_eq!(policy.signers[0].described(), "s@x by https://i, root public-good");
    }
}
