//! What is known of a subject, as expressions of the policy speak of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fresh;
use super::images::Images;
use super::signatures::{names_of, signed_by};
use super::{
    ConfigOf, Context, Evidence, EvidenceKind, Gathered, ImageConfigs, ManifestFacts,
    ScannedImages, SignatureSearch, Subject,
};
use crate::expression::{Expression, Facts};
use crate::oci::{Digest, ImageConfig};
use crate::policy::{Artifact, FactKinds, Signer};
use crate::scan::{Finding, Fix, Severity};
use crate::time::Timestamp;

/// Most signatures or attestations of one subject, times signers, that are verified for expressions.
const VERIFICATIONS_MAX: usize = 4_096;
/// Bytes of all predicates together that expressions are asked about.
const PREDICATE_BYTES_MAX: usize = 1024 * 1024;
/// Most tags, times images, about which one expression is asked.
const ASKED_MAX: usize = 256;

/// What came of looking what is known.
pub(super) enum Looked {
    /// It could not be had; why.
    Failed(String),
    Known(Box<Known>),
    /// This is needed.
    Missing(EvidenceKind),
    /// There is too much of it, or it cannot be read: nothing can be said of it.
    Unanswerable(String),
}

/// What is known of one subject.
pub(super) struct Known {
    facts: Facts,
    image: serde_json::Map<String, Value>,
    tags: Vec<String>,
    /// What each of its images says of itself, as far as that was asked for.
    images: Vec<Vec<(&'static str, Value)>>,
    /// Until when all of it is so.
    pub(super) until: Option<Timestamp>,
}

impl Known {
    /// Whether `expression` holds: for every tag where it speaks of `image.tag`, and for every image of an
    /// index where it speaks of what images say.
    ///
    /// # Errors
    /// Why that cannot be answered.
    pub(super) fn holds(&self, expression: &Expression) -> Result<bool, String> {
        for facts in self.each(expression)? {
            if !expression.holds(&facts)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether `expression` holds for any tag and image, or it cannot be told that it does not.
    pub(super) fn may_hold(&self, expression: &Expression) -> bool {
        let Ok(each) = self.each(expression) else { return true };
        each.iter().any(|facts| expression.holds(facts).unwrap_or(true))
    }

    fn each(&self, expression: &Expression) -> Result<Vec<Facts>, String> {
        let none = String::new();
        let tags: Vec<&String> = match self.tags.as_slice() {
            tags if expression.uses("image.tag") && !tags.is_empty() => tags.iter().collect(),
            _ => vec![&none],
        };
        let asks_images = expression.uses("image.config") || expression.uses("image.created");
        let images: &[Vec<(&str, Value)>] = if asks_images { &self.images } else { &[Vec::new()] };
        if tags.len().saturating_mul(images.len()) > ASKED_MAX {
            return Err(format!("it has {} tags and {} images", tags.len(), images.len()));
        }
        let mut each = Vec::new();
        for tag in tags {
            for says in images {
                let mut image = self.image.clone();
                image.insert("tag".to_owned(), tag.as_str().into());
                image.extend(says.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
                let mut facts = self.facts.clone();
                facts.set_ours("image", Value::Object(image));
                each.push(facts);
            }
        }
        Ok(each)
    }
}

/// What is not known, as one of the outcomes.
type Open = Box<Looked>;

fn missing(kind: EvidenceKind) -> Looked {
    Looked::Missing(kind)
}

fn failed(why: &str) -> Looked {
    Looked::Failed(why.to_owned())
}

fn unanswerable(why: impl Into<String>) -> Looked {
    Looked::Unanswerable(why.into())
}

/// Looks what is known of the subject, as far as `kinds` ask for it.
pub(super) fn look(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    kinds: FactKinds,
) -> Looked {
    match known(subject, evidence, context, kinds) {
        Ok(known) => Looked::Known(Box::new(known)),
        Err(open) => *open,
    }
}

fn known(
    subject: &Subject,
    evidence: &Evidence,
    context: &Context<'_>,
    kinds: FactKinds,
) -> Result<Known, Open> {
    let Some(manifest) = evidence.manifest.found() else {
        return Err(missing(EvidenceKind::Manifest).into());
    };
    let (mut facts, mut until) = (Facts::default(), None);
    facts.set_ours("now", seconds(context.now));
    let mut images = vec![Vec::new()];
    if kinds.configs && manifest.artifact() == Artifact::Image {
        images = configs(subject, manifest, evidence, context)?;
    }
    if kinds.are_attached() {
        let none = SignatureSearch::default();
        let search = match &evidence.signatures {
            Gathered::Absent => &none,
            Gathered::Failed(why) => return Err(failed(why).into()),
            Gathered::Found(search) => search,
            Gathered::NotGathered => return Err(missing(EvidenceKind::Signatures).into()),
        };
        // Whatever is asked of what there is, it may be about what could not be fetched.
        if let Some(why) = &search.incomplete {
            return Err(failed(why).into());
        }
        if kinds.signatures {
            facts.set_ours("signatures", signatures(subject, search, context, &mut until)?);
        }
        if kinds.attestations {
            let said = attestations(subject, search, evidence, context, &mut until)?;
            facts.set_ours("attestations", said);
        }
    }
    if kinds.scan && manifest.artifact() == Artifact::Image {
        facts.set_ours("scan", scan(subject, manifest, evidence, context)?);
    }
    let tags: Vec<String> = context.tags.iter().map(ToString::to_string).collect();
    let image = image(subject, manifest, &tags);
    Ok(Known { facts, image, tags, images, until })
}

fn image(
    subject: &Subject,
    manifest: &ManifestFacts,
    tags: &[String],
) -> serde_json::Map<String, Value> {
    let platforms: Vec<String> = manifest.platforms.iter().map(ToString::to_string).collect();
    let artifact_type = match manifest.artifact() {
        Artifact::Image => "",
        Artifact::Other(artifact_type) => artifact_type,
    };
    let image = json!({
        "registry": subject.name.registry().as_str(),
        "repository": subject.name.repository().to_string(),
        "digest": subject.digest.to_string(),
        "tags": tags,
        "platforms": platforms,
        "artifactType": artifact_type,
        "isIndex": manifest.is_index,
        "size": manifest.image_bytes,
        "layers": manifest.layers,
    });
    if let Value::Object(image) = image { image } else { serde_json::Map::new() }
}

/// The images whose layers are served.
fn served(
    subject: &Subject,
    manifest: &ManifestFacts,
    context: &Context<'_>,
    most: usize,
) -> Result<Vec<Digest>, Open> {
    match Images::of(subject, manifest, context.policy.platforms()) {
        Images::These(images) if images.len() <= most => {
            Ok(images.into_iter().map(|(_, digest)| digest).collect())
        }
        Images::These(images) => {
            Err(unanswerable(format!("it lists {} images", images.len())).into())
        }
        Images::None => Err(unanswerable("it lists no image that is served").into()),
        Images::Unknown => Err(missing(EvidenceKind::Manifest).into()),
    }
}

/// What each image says of itself; nothing where its configuration cannot be read.
fn configs(
    subject: &Subject,
    manifest: &ManifestFacts,
    evidence: &Evidence,
    context: &Context<'_>,
) -> Result<Vec<Vec<(&'static str, Value)>>, Open> {
    let images = served(subject, manifest, context, ImageConfigs::IMAGES_MAX)?;
    let configs = match &evidence.configs {
        Gathered::Found(configs) if configs.read_by >= ImageConfig::READS_CREATED => configs,
        Gathered::Failed(why) => return Err(failed(why).into()),
        Gathered::Absent | Gathered::Found(_) | Gathered::NotGathered => {
            return Err(missing(EvidenceKind::Configs).into());
        }
    };
    let mut all = Vec::new();
    for digest in images {
        // It was not asked for when the others were read: another policy was in force.
        let config = configs.images.get(&digest).ok_or_else(|| missing(EvidenceKind::Configs))?;
        let mut says = Vec::new();
        if let ConfigOf::Read(config) = config {
            let created = config.created.map(|created| json!(created.div_euclid(1000)));
            says.extend(created.map(|created| ("created", created)));
            says.push(("config", config_of(config)));
        }
        all.push(says);
    }
    Ok(all)
}

fn config_of(config: &ImageConfig) -> Value {
    let env: Vec<&str> = config.env.iter().map(|entry| entry.name.as_str()).collect();
    json!({
        "user": config.user,
        "env": env,
        "exposedPorts": config.ports,
        "labels": config.labels,
        "healthcheck": config.has_healthcheck,
    })
}

/// Who signed, of the signers that the base file of the policy has: what it asks of everybody, nobody answers
/// with signers of their own.
fn signatures(
    subject: &Subject,
    search: &SignatureSearch,
    context: &Context<'_>,
    until: &mut Option<Timestamp>,
) -> Result<Value, Open> {
    let most = usize::try_from(context.policy.limits().signatures_per_image).unwrap_or(0);
    let signers: Vec<&Signer> = context.policy.common_signers().collect();
    let count = search.found.len();
    if count > most || count.saturating_mul(signers.len()) > VERIFICATIONS_MAX {
        return Err(unanswerable(format!("it has {count} signatures")).into());
    }
    let names = names_of(subject, context);
    let mut signed = Vec::new();
    for name in signers.iter().map(|signer| signer.name()) {
        let Some(verifier) = context.policy.verifier(name) else { continue };
        let by = signed_by(&names, search, verifier, context.now);
        *until = until.iter().copied().chain(by.until).min();
        for one in &by.people {
            let mut entry = json!({"signer": name, "by": one});
            put_time(&mut entry, "time", by.existed_at);
            signed.push(entry);
        }
    }
    Ok(Value::Array(signed))
}

/// What is attested by signers of the base file of the policy.
fn attestations(
    subject: &Subject,
    search: &SignatureSearch,
    evidence: &Evidence,
    context: &Context<'_>,
    until: &mut Option<Timestamp>,
) -> Result<Value, Open> {
    let none = BTreeMap::new();
    let unavailable = match &evidence.attestations {
        _ if search.attestations.is_empty() => &none,
        Gathered::Failed(why) => return Err(failed(why).into()),
        Gathered::Found(contents) => &contents.unavailable,
        Gathered::Absent | Gathered::NotGathered => {
            return Err(missing(EvidenceKind::Attestations).into());
        }
    };
    let signers: Vec<&Signer> = context.policy.common_signers().collect();
    let count = search.attestations.len();
    if count.saturating_mul(signers.len()) > VERIFICATIONS_MAX {
        return Err(unanswerable(format!("it has {count} attestations")).into());
    }
    let (mut said, mut size) = (Vec::new(), 0_usize);
    for found in &search.attestations {
        if let Some(why) = unavailable.get(&found.content) {
            return Err(unanswerable(format!("an attestation could not be read: {why}")).into());
        }
        // It was here, and has been evicted since.
        let bytes = context.contents.get(&found.content);
        let bytes = bytes.ok_or_else(|| missing(EvidenceKind::Attestations))?;
        for name in signers.iter().map(|signer| signer.name()) {
            let Some(verifier) = context.policy.verifier(name) else { continue };
            let (digest, now) = (&subject.digest, context.now);
            let Ok((proof, statement)) =
                verifier.verify_attestation(bytes, &found.form, digest, now)
            else {
                continue;
            };
            let predicate = statement.predicate.get();
            size = size.saturating_add(predicate.len());
            if size > PREDICATE_BYTES_MAX {
                return Err(unanswerable("what is attested is larger than 1 MiB").into());
            }
            let predicate: Value = serde_json::from_str(predicate)
                .map_err(|_| unanswerable("what is attested is not readable"))?;
            *until = until.iter().copied().chain(proof.until).min();
            let kind = &statement.predicate_type;
            said.push(json!({"signer": name, "type": kind, "predicate": predicate}));
        }
    }
    Ok(Value::Array(said))
}

/// What the scanner inside finds in all of its images.
fn scan(
    subject: &Subject,
    manifest: &ManifestFacts,
    evidence: &Evidence,
    context: &Context<'_>,
) -> Result<Value, Open> {
    let images = served(subject, manifest, context, ScannedImages::IMAGES_MAX)?;
    let scanned = match &evidence.scan {
        Gathered::Found(scanned) => scanned,
        Gathered::Failed(why) => return Err(failed(why).into()),
        Gathered::Absent | Gathered::NotGathered => return Err(missing(EvidenceKind::Scan).into()),
    };
    let scans = context.scans;
    if let Some(why) = &scans.no_database {
        return Err(failed(why).into());
    }
    let (mut findings, mut complete, mut as_of) = (Vec::new(), true, None);
    for digest in images {
        let image = scanned.images.get(&digest);
        let image = image.filter(|it| it.is_complete || Some(it.read_by) == scans.reading);
        let image = image.ok_or_else(|| missing(EvidenceKind::Scan))?;
        let Some(inventory) = &image.inventory else {
            complete = false;
            continue;
        };
        let scan = scans.known.get(inventory).ok_or_else(|| missing(EvidenceKind::Scan))?;
        let report = &scan.report;
        let is_whole = scan.inventory.gaps.is_empty() && report.gaps.is_empty();
        complete &= is_whole && report.unmatched.is_empty() && scan.attested.unknown.is_empty();
        as_of = as_of.into_iter().chain([report.database.as_of]).min();
        findings.extend(report.findings.iter().map(finding_of));
    }
    let mut said = json!({"findings": findings, "complete": complete});
    put_time(&mut said, "asOf", as_of);
    Ok(said)
}

fn finding_of(finding: &Finding) -> Value {
    let severity = match finding.severity {
        None => "unrated",
        Some(Severity::None) => "none",
        Some(Severity::Low) => "low",
        Some(Severity::Medium) => "medium",
        Some(Severity::High) => "high",
        Some(Severity::Critical) => "critical",
    };
    let fixed = match &finding.fix {
        Fix::In(version) => version.as_str(),
        Fix::None | Fix::WillNot => "",
    };
    let mut said = json!({
        "id": finding.id,
        "package": finding.package.name,
        "version": finding.package.version,
        "severity": severity,
        "fixed": fixed,
        "exploited": finding.exploited,
        "malware": finding.malware,
    });
    put_time(&mut said, "published", finding.published);
    said
}

fn put_time(entry: &mut Value, key: &str, time: Option<Timestamp>) {
    if let (Some(members), Some(time)) = (entry.as_object_mut(), time) {
        members.insert(key.to_owned(), seconds(time));
    }
}

fn seconds(time: Timestamp) -> Value {
    json!(time.milliseconds().div_euclid(1000))
}

/// Whether what expressions are asked with ends within an hour: what they say of the time would not stay
/// true, and what signs may begin or cease to count.
pub(super) fn hangs_on_time(expression: &Expression) -> bool {
    ["now", "signatures", "attestations"].iter().any(|path| expression.uses(path))
}

/// The end of what was asked at `now` and hangs on it.
pub(super) fn hour_from(now: Timestamp) -> Timestamp {
    now.after(fresh::HOUR)
}
