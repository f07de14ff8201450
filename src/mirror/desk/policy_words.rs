//! The policy in words, for people who read it on a page.

use crate::policy::{
    Alone, Answer, ConfigGate, FileNumber, FindingCondition, FreshGate, Mode, ModeUntil,
    NamedExpression, NewFinding, Overlay, Policy, PolicyFile, Quorum, Rating, Rule, ScanGate,
    Scope, SignatureRule, SignerChange, TagFilter, TagMove, Trust, UserRule, WantedText, Who,
};
use crate::text::{bytes, span};
use std::collections::BTreeSet;

/// The policy in words.
#[derive(Debug)]
pub struct PolicyWords {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: u64,
    /// The first digits of the hash of its content.
    pub short_id: String,
    /// That it only watches, where it does.
    pub mode: Option<String>,
    /// What holds for everything.
    pub floor: Vec<String>,
    /// Its files with a scope: whose each is, and what of.
    pub files: Vec<GateWords>,
    /// Its rules, in the order of the document.
    pub rules: Vec<RuleWords>,
    /// What is asked on top of the rule that applies, in the order of the document.
    pub overlays: Vec<RuleWords>,
    /// What must hold of everything that a rule would admit: each with what is said where it does not.
    pub expressions: Vec<GateWords>,
    /// The gates that rules name, each once.
    pub gates: Vec<GateWords>,
    /// Its signers.
    pub signers: Vec<SignerWords>,
}

/// A rule or an overlay in words.
#[derive(Debug)]
pub struct RuleWords {
    /// Its id.
    pub id: String,
    /// The file that has it, and who answers for that, where the policy is a directory.
    pub from: Option<String>,
    /// Its patterns.
    pub patterns: Vec<String>,
    /// What it asks for, a sentence each.
    pub says: Vec<String>,
}

/// A gate in words.
#[derive(Debug)]
pub struct GateWords {
    /// Its name.
    pub name: String,
    /// What it refuses, a sentence each.
    pub says: Vec<String>,
}

/// A signer in words.
#[derive(Debug)]
pub struct SignerWords {
    /// Its name.
    pub name: String,
    /// What proves that it is them.
    pub who: String,
}

/// `policy` in words.
pub fn of(policy: &Policy) -> PolicyWords {
    PolicyWords {
        name: policy.name().to_owned(),
        revision: policy.revision(),
        short_id: policy.id().short(),
        mode: mode(policy.mode_until()).map(|text| format!("Mode {text}")),
        floor: floor(policy),
        rules: policy.rules().iter().map(|rule| rule_words(rule, policy)).collect(),
        overlays: policy.overlays().iter().map(|it| overlay_words(it, policy)).collect(),
        files: policy.files().iter().filter_map(file_words).collect(),
        expressions: policy.expressions().iter().map(expression_words).collect(),
        gates: gates(policy),
        signers: policy.signers().iter().map(|it| signer(it.name(), it.who())).collect(),
    }
}

fn floor(policy: &Policy) -> Vec<String> {
    let registries = match policy.registries() {
        None => "Every registry that a rule matches may be served from.".to_owned(),
        Some(registries) => {
            let names = registries.iter().map(ToString::to_string).collect::<Vec<_>>();
            format!("Only {} may be served from.", listed(&names))
        }
    };
    let platforms: Vec<String> = policy.platforms().iter().map(ToString::to_string).collect();
    let platforms = match platforms.as_slice() {
        [] => "Images for every platform are served.".to_owned(),
        named => format!("Layers are served for {} only.", listed(named)),
    };
    let limits = policy.limits();
    let mut said = vec![registries, platforms];
    said.push(format!("An image has at most {} layers.", limits.layers));
    said.extend(limits.image_bytes.map(|size| format!("An image has at most {}.", bytes(size))));
    said
}

fn rule_words(rule: &Rule, policy: &Policy) -> RuleWords {
    let mut says = vec![match rule.trust() {
        Trust::Allow => "Admits what passes the checks, without asking anybody.".to_owned(),
        Trust::Approve => match rule.approval() {
            None => "A person has to approve each digest.".to_owned(),
            Some(approval) => format!("Each digest has to be approved by {approval}."),
        },
        Trust::Deny => "Denies.".to_owned(),
    }];
    let of_approval = |key: &str| rule.asks().into_iter().find(|asked| asked.key == key);
    let again =
        ["approval.onNewFinding", "approval.reEvaluate"].into_iter().filter_map(of_approval);
    says.extend(again.map(|asked| format!("Of what was approved: {}.", asked.text)));
    let standing = rule.asks().into_iter().filter(|asked| asked.key == "approval.standing");
    says.extend(standing.map(|asked| format!("But {}.", asked.text)));
    says.extend(rule.tags().map(|tags| format!("Speaks of tags {} only.", tag_words(tags))));
    if !rule.artifacts().is_empty() {
        says.push("Speaks of some kinds of artifacts only.".to_owned());
    }
    says.extend(alone(&rule.alone()));
    if rule.mode_until() != policy.mode_until() {
        let enforces = || "Enforces: only what is admitted is served.".to_owned();
        let text = mode(rule.mode_until()).map(|text| format!("In mode {text}"));
        says.push(text.unwrap_or_else(enforces));
    }
    says.extend(when_tags_move(rule, policy));
    let patterns = rule.patterns().map(ToString::to_string).collect();
    RuleWords { id: rule.id().to_string(), from: from(policy, rule.file()), patterns, says }
}

/// The file with that number and who answers for it: `teams/shop.yaml of group:shop`.
fn from(policy: &Policy, number: FileNumber) -> Option<String> {
    let file = policy.told_file(number)?;
    Some(match file.owner() {
        Some(owner) => format!("{} of {owner}", file.path()),
        None => file.path().to_owned(),
    })
}

/// A file with a scope.
fn file_words(file: &PolicyFile) -> Option<GateWords> {
    let owner = file.owner()?;
    let scope: Vec<String> = file.scope().iter().map(ToString::to_string).collect();
    let revision = file.revision().map(|revision| format!("Revision {revision}."));
    let says = [
        Some(format!("{owner} answers for it.")),
        Some(format!("Speaks of {} only.", listed(&scope))),
        revision,
    ];
    Some(GateWords { name: file.path().to_owned(), says: says.into_iter().flatten().collect() })
}

fn overlay_words(overlay: &Overlay, policy: &Policy) -> RuleWords {
    let says = if overlay.denies() {
        "Denies, whatever the rule that applies says."
    } else {
        "Adds to what the rule that applies asks for; admits nothing."
    };
    let mut says = vec![says.to_owned()];
    says.extend(overlay.tags().map(|tags| format!("Speaks of tags {} only.", tag_words(tags))));
    says.extend(overlay.when().map(|when| format!("Applies where {} holds.", when.text())));
    says.extend(alone(&overlay.alone()));
    says.extend(mode(overlay.mode_until()).map(|text| format!("In mode {text}")));
    let patterns = overlay.patterns().map(ToString::to_string).collect();
    RuleWords { id: overlay.id().to_string(), from: from(policy, overlay.file()), patterns, says }
}

fn expression_words(expression: &NamedExpression) -> GateWords {
    let says = vec![
        format!("Refuses where {} does not hold.", expression.when().text()),
        format!("Says then: {}", expression.message()),
    ];
    GateWords { name: expression.id().to_string(), says }
}

/// What becomes of what is refused; nothing where it is not served.
fn mode(mode: ModeUntil) -> Option<String> {
    let text = match mode.mode() {
        Mode::Audit => "audit: everything is served, and what would be refused is written down",
        Mode::Warn => "warn: everything is served, what would be refused with a warning",
        Mode::Enforce => return None,
    };
    let until = mode.until().map(|until| format!("; from {until} on it enforces"));
    Some(format!("{text}{}.", until.unwrap_or_default()))
}

/// What is asked for by a rule or an overlay.
fn alone(alone: &Alone<'_>) -> Vec<String> {
    let mut says = Vec::new();
    match alone.signatures {
        None => {}
        Some(SignatureRule::None { reason }) => {
            says.push(format!("Asks for no signature: {reason}."));
        }
        Some(SignatureRule::Signed { by, scope }) => {
            let quorums: Vec<String> = by.as_slice().iter().map(quorum).collect();
            let what = match scope {
                Scope::Either => ", the index or every image that it lists",
                Scope::EveryPlatform => ", every image of an index",
                Scope::Index => "",
            };
            says.push(format!("Has to be signed by {}{what}.", quorums.join(" and ")));
        }
    }
    for wanted in alone.attestations {
        let by = quorum(&Quorum { at_least: wanted.at_least, of: wanted.signers.clone() });
        let condition = if wanted.condition.is_some() { ", with a condition" } else { "" };
        says.push(format!("Has to have {} attested by {by}{condition}.", wanted.kind));
    }
    let scans = alone.gates.iter().map(|gate| gate.name.clone());
    let configured = alone.configured.iter().map(|gate| gate.name.clone());
    let fresh = alone.fresh.iter().map(|gate| gate.name.clone());
    let mut names: Vec<String> = scans.chain(configured).chain(fresh).collect();
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    if !names.is_empty() {
        says.push(format!("Has to pass {}.", listed(&names)));
    }
    says
}

/// What becomes of a tag that moves; nothing where all of it is denied.
fn when_tags_move(rule: &Rule, policy: &Policy) -> Vec<String> {
    if rule.trust() == Trust::Deny {
        return Vec::new();
    }
    let moved = match rule.tag_move() {
        TagMove::HoldNew => {
            "When a tag moves, what it stood for is served until the new digest is admitted."
        }
        TagMove::Strict => "When a tag moves, it is refused until the new digest is admitted.",
    };
    let held = "When a tag moves away from what a known signer signed, a person has to approve it.";
    let holds = rule.signer_change() == SignerChange::Hold && !policy.signers().is_empty();
    [Some(moved), holds.then_some(held)].into_iter().flatten().map(str::to_owned).collect()
}

fn tag_words(tags: &TagFilter) -> String {
    match tags {
        TagFilter::Exact(tags) => listed(&tags.iter().map(ToString::to_string).collect::<Vec<_>>()),
        TagFilter::Glob(patterns) => {
            listed(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
        TagFilter::Semver(range) => format!("in the range {range}"),
    }
}

fn quorum(quorum: &Quorum) -> String {
    match quorum.of.as_slice() {
        [one] => one.clone(),
        of if quorum.at_least == of.len() => listed(of),
        of => format!("{} of {}", quorum.at_least, of.join(", ")),
    }
}

/// Every gate once, by its name; what one asks of scans and of configurations is told together.
fn gates(policy: &Policy) -> Vec<GateWords> {
    let mut words: Vec<GateWords> = Vec::new();
    let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut put = |name: &str, says: Vec<String>| match words.iter_mut().find(|it| it.name == name)
    {
        Some(known) => known.says.extend(says),
        None => words.push(GateWords { name: name.to_owned(), says }),
    };
    let rules = policy.rules().iter().map(Rule::alone);
    for alone in rules.chain(policy.overlays().iter().map(Overlay::alone)) {
        for gate in alone.gates.iter().filter(|gate| told.insert(("scan", &gate.name))) {
            put(&gate.name, scan_words(gate));
        }
        for gate in alone.configured.iter().filter(|gate| told.insert(("config", &gate.name))) {
            put(&gate.name, config_words(gate));
        }
        for gate in alone.fresh.iter().filter(|gate| told.insert(("fresh", &gate.name))) {
            put(&gate.name, fresh_words(gate));
        }
    }
    words
}

fn scan_words(gate: &ScanGate) -> Vec<String> {
    let mut says: Vec<String> = gate.deny.iter().map(condition).collect();
    if gate.deny.is_empty() {
        says.push("Refuses malware only.".to_owned());
    }
    let unless = |answer: Answer, what: &str| match answer {
        Answer::Allow => format!("Lets {what} pass."),
        Answer::Deny => format!("Refuses {what}."),
    };
    says.push(unless(gate.incomplete, "images that could not be read completely"));
    says.push(unless(gate.unknown, "packages about which nothing is known"));
    says.push(
        match gate.on_new_finding {
            NewFinding::Serve => {
                "What passed is served on when something is found later, malware excepted."
            }
            NewFinding::Revoke(_) => {
                "What passed is refused when something is found later, after a grace."
            }
        }
        .to_owned(),
    );
    if let Some(vex) = &gate.vex {
        says.push(format!("Hears VEX documents of {}.", listed(&vex.from)));
    }
    if gate.scanners.others().next().is_some() {
        let names: Vec<String> = gate.scanners.names().map(str::to_owned).collect();
        says.push(format!("Asks {} ({}).", listed(&names), gate.scanners.combined));
    }
    says.push(format!("The vulnerability database may be {} old.", span(gate.database_age_max)));
    says
}

fn condition(condition: &FindingCondition) -> String {
    let mut parts = Vec::new();
    parts.extend(condition.severity.map(|severity| match severity {
        Rating::Critical => severity.to_string(),
        Rating::None | Rating::Low | Rating::Medium | Rating::High => {
            format!("{severity} or worse")
        }
    }));
    parts.extend(
        condition
            .fixable
            .map(|fixable| if fixable { "with a fix" } else { "without a fix" }.to_owned()),
    );
    parts.extend(condition.older_than.map(|time| format!("known for more than {}", span(time))));
    parts.extend(condition.exploited.map(|exploited| {
        if exploited { "known to be exploited" } else { "not known to be exploited" }.to_owned()
    }));
    parts.extend(condition.likelihood.map(|share| {
        format!("at least {}.{:02} % likely to be exploited", share / 100, share % 100)
    }));
    format!("Refuses findings that are {}.", parts.join(", "))
}

fn config_words(gate: &ConfigGate) -> Vec<String> {
    let mut says = Vec::new();
    says.extend(gate.user.map(|user| match user {
        UserRule::NonRoot => "Refuses images that run as root.".to_owned(),
        UserRule::Numeric => "Refuses images whose user is no number, or 0.".to_owned(),
    }));
    if !gate.denied_env.is_empty() {
        let names: Vec<String> = gate.denied_env.iter().map(ToString::to_string).collect();
        says.push(format!("Refuses the environment variables {}.", listed(&names)));
    }
    if gate.denies_secret_like {
        says.push("Refuses what looks like a credential in the environment.".to_owned());
    }
    if !gate.denied_ports.is_empty() {
        let ports: Vec<String> = gate.denied_ports.iter().map(ToString::to_string).collect();
        says.push(format!("Refuses the ports {}.", listed(&ports)));
    }
    if !gate.required_labels.is_empty() {
        says.push(format!("Asks for the labels {}.", listed(&gate.required_labels)));
    }
    if gate.requires_healthcheck {
        says.push("Asks for a health check.".to_owned());
    }
    says
}

fn fresh_words(gate: &FreshGate) -> Vec<String> {
    let mut says = Vec::new();
    says.extend(
        gate.observed_age_min
            .map(|age| format!("A digest waits until it has been known here for {}.", span(age))),
    );
    if let Some(track) = &gate.fast_track {
        let (signers, when) = (listed(&track.signers), &track.when);
        says.push(format!("A signature of {signers} ends the wait ({when})."));
    }
    says.extend(
        gate.image_age_max.map(|age| format!("Refuses images built more than {} ago.", span(age))),
    );
    says
}

fn signer(name: &str, who: &Who) -> SignerWords {
    let who = match who {
        Who::Key { log, window, .. } => {
            let log = match log {
                Some(root) => format!("in a log of the trust root {root}"),
                None => "without a transparency log".to_owned(),
            };
            let window =
                if window.is_always() { String::new() } else { format!(", counts {window}") };
            format!("a public key, {log}{window}")
        }
        Who::Notation { root, identity, .. } => {
            let identity = identity.as_deref().unwrap_or("anybody");
            format!("a certificate of the trust store {root} for {identity}")
        }
        Who::Keyless { root, issuer, subject, .. } => {
            let (subject, issuer) = (wanted(subject), wanted(issuer));
            format!("a short-lived certificate by {root} for {subject}, as {issuer} says")
        }
    };
    SignerWords { name: name.to_owned(), who }
}

fn wanted(text: &WantedText) -> String {
    match text {
        WantedText::Exact(text) => text.clone(),
        WantedText::Regexp(text) => format!("whatever matches {text}"),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
