//! Whether the configurations of the images say what the gates of the rule ask for.
//!
//! What cannot be read, or is no configuration of an image, passes no gate by being silent: nodes run
//! layers whatever their configuration calls itself.

mod ports;
#[cfg(test)]
mod tests;
mod user;

use std::sync::Arc;

use super::against::Against;
use super::checks::{Checked, Finding};
use super::images::Judging;
use super::text::few;
use super::{
    CheckState, ConfigOf, Context, Evidence, EvidenceKind, Gathered, ImageConfigs, ReasonCode,
    Subject,
};
use crate::oci::{EnvEntry, ImageConfig};
use crate::policy::{Answer, ConfigGate, Demands, EnvPattern};

use ports::exposes;
use user::User;

const NAME: &str = "config";
const JUDGING: Judging = Judging {
    check: NAME,
    code: ReasonCode::ConfigNotAllowed,
    most: ImageConfigs::IMAGES_MAX,
    none: "lists no image whose configuration could be judged",
    are_judged: "are judged by their configurations",
};
/// Where what is left out is told.
const REST: &str = "They are told once these are mended.";
/// Longest part of a name from a configuration that is told, in characters.
const SHOWN_LENGTH_MAX: usize = 40;

/// Judges what the configurations of the subject have to say. With `certain`, the verdict is a
/// denial already.
pub(super) fn check(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    demands: &Demands<'_>,
    certain: bool,
) -> Checked {
    let gates = demands.configured();
    let Some(facts) = evidence.manifest.found().filter(|_| !gates.is_empty()) else {
        return Checked::Nothing;
    };
    if certain && facts.artifact_type.is_none() {
        return Checked::Finding(Finding::new(NAME, CheckState::NotLooked, "not looked at"));
    }
    let mut against = Against::default();
    if facts.artifact_type.is_some() {
        for gate in gates {
            no_image("", gate, &mut against);
        }
        return Checked::Finding(finding(against, "not applicable: it is no image"));
    }
    let images = match JUDGING.images(subject, facts, context) {
        Ok(images) => images,
        Err(checked) => return *checked,
    };
    let configs = match &evidence.configs {
        Gathered::Found(configs) if configs.read_by >= ImageConfig::READS_CONTAINER => configs,
        Gathered::Failed(why) => return Checked::Failed(why.clone()),
        Gathered::Absent | Gathered::Found(_) | Gathered::NotGathered => {
            return Checked::Missing(EvidenceKind::Configs);
        }
    };
    let count = images.len();
    for (label, digest) in images {
        // It was not asked for when the others were read: another policy was in force.
        let Some(config) = configs.images.get(&digest) else {
            return Checked::Missing(EvidenceKind::Configs);
        };
        for gate in gates {
            judge(&label, config, gate, &mut against);
        }
    }
    Checked::Finding(finding(against, &passed(count, gates)))
}

fn passed(images: usize, gates: &[Arc<ConfigGate>]) -> String {
    let names: Vec<&str> = gates.iter().map(|gate| gate.name.as_str()).collect();
    let of = if images == 1 { String::new() } else { format!(" of {images} images") };
    format!("configuration{of} as {} asks", few(&names))
}

/// A finding that passes with `passed` where nothing is `against` it.
fn finding(against: Against<'_>, passed: &str) -> Finding {
    let reasons = against.reasons(None, REST);
    if reasons.is_empty() {
        return Finding::new(NAME, CheckState::Pass, passed);
    }
    let texts: Vec<&str> = reasons.iter().map(|reason| reason.text.as_str()).collect();
    let failing = Finding::new(NAME, CheckState::Fail, texts.join("; "));
    Finding { reasons, ..failing }
}

fn judge(label: &str, config: &ConfigOf, gate: &ConfigGate, against: &mut Against<'_>) {
    let by = gate.label();
    let text = match config {
        ConfigOf::Read(config) => return Judged { label, config, gate, against }.all(),
        ConfigOf::NoImage => return no_image(label, gate, against),
        ConfigOf::Absent => format!("{label}{by}its configuration is not there upstream"),
        ConfigOf::Unreadable(why) => format!("{label}{by}its configuration {why}"),
    };
    let remedy = "The image would have to be built with a configuration that can be read.";
    against.add((ReasonCode::ConfigUnreadable, text, remedy.to_owned()), None);
}

/// What is no image says nothing of what the gate asks for: that passes only where it says so.
fn no_image(label: &str, gate: &ConfigGate, against: &mut Against<'_>) {
    if gate.not_applicable == Answer::Allow {
        return;
    }
    let by = gate.label();
    let text = format!("{label}{by}is no image, so that it has no configuration to judge");
    let remedy = format!("{} would have to say notApplicable: allow.", gate.place());
    against.add((ReasonCode::ConfigNotAllowed, text, remedy), None);
}

/// One configuration under one gate.
struct Judged<'a, 'b, 'c> {
    label: &'a str,
    config: &'a ImageConfig,
    gate: &'a ConfigGate,
    against: &'b mut Against<'c>,
}

impl Judged<'_, '_, '_> {
    fn all(mut self) {
        self.user();
        self.env();
        self.ports();
        let (config, gate) = (self.config, self.gate);
        for label in gate.required_labels.iter().filter(|label| !config.labels.contains(*label)) {
            let text = format!("label {} is missing", shown(label));
            let remedy = "The image would have to have each label that is asked for, with a value";
            self.refuse(&text, remedy, "labels");
        }
        if gate.requires_healthcheck && !config.has_healthcheck {
            let remedy = "The image would have to have a HEALTHCHECK";
            self.refuse("has no health check", remedy, "healthcheck");
        }
    }

    /// Adds what is refused by the part `key` of the gate, which stands after `remedy`.
    fn refuse(&mut self, text: &str, remedy: &str, key: &str) {
        let text = format!("{}{}{text}", self.label, self.gate.label());
        let remedy = format!("{remedy} ({}.{key}).", self.gate.place());
        self.against.add((ReasonCode::ConfigNotAllowed, text, remedy), None);
    }

    fn user(&mut self) {
        let Some(rule) = self.gate.user else { return };
        let user = User::of(&self.config.user);
        if let Some(text) = user.objection(rule, &shown(&self.config.user)) {
            let remedy = "The image would have to set another USER, best a number";
            self.refuse(&text, remedy, "user");
        }
    }

    fn env(&mut self) {
        const REMEDY: &str = "Whoever has the image has it, too: it would have to be changed, and the \
            image be built without it";
        let (config, gate) = (self.config, self.gate);
        for entry @ EnvEntry { name, looks_like } in &config.env {
            let is_denied = |pattern: &EnvPattern| entry.is_withheld() || pattern.covers(name);
            if let Some(form) = looks_like.filter(|_| gate.denies_secret_like) {
                let name = shown(name);
                let text = format!("environment variable {name} looks like a secret ({form})");
                self.refuse(&text, REMEDY, "env");
            } else if gate.denied_env.iter().any(is_denied) {
                let text = format!("environment variable {} is refused by its name", shown(name));
                self.refuse(&text, "The image would have to be built without that variable", "env");
            }
        }
    }

    fn ports(&mut self) {
        let (config, gate) = (self.config, self.gate);
        if gate.denied_ports.is_empty() {
            return;
        }
        for written in &config.ports {
            let text = match exposes(written, &gate.denied_ports) {
                Ok(None) => continue,
                Ok(Some(port)) if written.contains('-') => {
                    format!("port {port} is exposed, by {}", shown(written))
                }
                Ok(Some(_)) => format!("port {} is exposed", shown(written)),
                Err(()) => format!("exposed port \"{}\" cannot be read", shown(written)),
            };
            self.refuse(&text, "The image would have to expose others only", "exposedPorts");
        }
    }
}

/// What a configuration says, as far as it fits into a text.
fn shown(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    super::text::cut_middle(&super::text::printable(text), SHOWN_LENGTH_MAX)
}
