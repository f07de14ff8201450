//! What only shows when the whole document is seen: names, quorums, ties between rules.

use std::collections::HashMap;

use super::super::document::{Located, Rule, Signer, SubjectType, TrustRoot, TrustRootKind, Who};
use super::super::fields::{Problems, extract};
use super::super::pattern::{Pattern, Rank};
use super::super::problem::{FileNumber, Position};
use super::super::scanned::Exception;
use super::attestations::ReadAttestation;
use super::overlays::{OVERLAYS_MAX, ReadOverlay};
use super::parts::{Names, path_of};
use super::rules::{RULES_MAX, ReadRule};
use super::signatures::ReadQuorum;

/// One key or identity under two names would let one person count twice.
pub(super) fn signers(signers: &[Signer], problems: &mut Problems) {
    let mut seen: HashMap<String, &Signer> = HashMap::new();
    for signer in signers {
        let (identity, what, part) = match signer.who() {
            // The same key in another form shows when keys are made of the texts.
            Who::Key { text, .. } => (format!("{text:?}"), "key", text.part()),
            Who::Keyless { root, issuer, subject, subject_type } => {
                let looks = if subject.as_str().contains("://") {
                    SubjectType::Uri
                } else {
                    SubjectType::Email
                };
                let kind = subject_type.unwrap_or(looks);
                (format!("{root} {issuer:?} {subject:?} {kind:?}"), "identity", "subject")
            }
            Who::Notation { root, identity, .. } => {
                (format!("{root} {identity:?}"), "identity", "identity")
            }
        };
        if let Some(first) = seen.insert(identity, signer) {
            let text = format!(
                "is the same {what} as that of signer {}; one {what} is one signer",
                first.name()
            );
            problems.add(signer.position(), &signer.path_of(part), text);
        }
    }
}

/// Every trust root that a signer names exists, and is of the kind that it needs.
pub(super) fn roots(signers: &[Signer], roots: &[TrustRoot], problems: &mut Problems) {
    for signer in signers {
        let (name, path, notation) = match signer.who() {
            Who::Key { log: None, .. } => continue,
            Who::Key { log: Some(name), .. } => {
                (name, format!("signers.{}.transparencyLog", signer.name()), false)
            }
            Who::Keyless { root, .. } => (root, signer.path_of("root"), false),
            Who::Notation { root, .. } => (root, signer.path_of("root"), true),
        };
        let found = roots.iter().find(|it| it.name() == name);
        let text = match found.map(TrustRoot::kind) {
            Some(TrustRootKind::Sigstore { .. }) if notation => "is a trust root of sigstore",
            Some(TrustRootKind::Notation(_)) if !notation => "is a trust root of notation",
            Some(_) => continue,
            None if name == TrustRoot::PUBLIC_GOOD && !notation => continue,
            None => "is not among the trustRoots",
        };
        let reported = format!("trustRoots.{name}");
        if problems.0.iter().all(|problem| !problem.key.starts_with(&reported)) {
            problems.add(signer.position(), &path, format!("\"{}\" {text}", extract(name)));
        }
    }
}

/// Every quorum is of signers that exist, each once, and can be reached.
pub(super) fn quorums(
    quorums: &[ReadQuorum],
    attestations: &[ReadAttestation],
    signers: &[Signer],
    problems: &mut Problems,
) {
    for quorum in quorums {
        known(&quorum.of, signers, problems);
        if let Some(at_least) = quorum.at_least {
            let path = format!("{}.atLeast", quorum.path);
            let none = "to ask for no signature write {none: \"reason\"}";
            reachable(at_least, quorum.of.len(), &path, none, problems);
        }
    }
    for attestation in attestations {
        known(&attestation.of, signers, problems);
        let path = attestation.rule.path_of("atLeast");
        let none = "to ask for none remove the entry";
        reachable(attestation.at_least, attestation.of.len(), &path, none, problems);
    }
}

/// Every one of `of` is a signer, and is listed once.
pub(super) fn known(
    of: &[(String, Position, String)],
    signers: &[Signer],
    problems: &mut Problems,
) {
    let mut seen = Vec::new();
    for (name, position, path) in of {
        if seen.contains(&name) {
            problems.add(*position, path, format!("\"{name}\" is listed twice; keep one"));
        } else if signers.iter().all(|signer| signer.name() != name)
            && !is_reported("signers", name, problems)
        {
            let text = format!("\"{}\" is not among the signers", extract(name));
            problems.add(*position, path, text);
        }
        seen.push(name);
    }
}

/// That many of `count` are at least one, and not more than there are.
fn reachable(
    (at_least, position): (u64, Position),
    count: usize,
    path: &str,
    none: &str,
    problems: &mut Problems,
) {
    let most = u64::try_from(count).unwrap_or(u64::MAX);
    if at_least < 1 {
        problems.add(position, path, format!("must be at least 1; {none}"));
    } else if at_least > most && most > 0 {
        let text = format!("can never be reached: only {most} signers are listed");
        problems.add(position, path, text);
    }
}

/// Whether the entry `name` of `section` is missing only because something is wrong with it.
pub(super) fn is_reported(section: &str, name: &str, problems: &Problems) -> bool {
    // As it stands in the paths of what is wrong with it, which have the beginning of a long name.
    let path = format!("{section}.{}", extract(name));
    let inner = format!("{path}.");
    problems.0.iter().any(|problem| problem.key == path || problem.key.starts_with(&inner))
}

/// No two files give one name to two things.
pub(super) fn names<'n>(
    given: impl Iterator<Item = (&'n str, Position)>,
    names: Names<'_>,
    problems: &mut Problems,
) {
    let mut seen: HashMap<&str, FileNumber> = HashMap::new();
    for (name, position) in given {
        let first = *seen.entry(name).or_insert(position.file);
        if first != position.file {
            let other = path_of(names.0, first);
            let text = format!(
                "\"{}\" is a name in {other} too; what several files use belongs into the base file",
                extract(name)
            );
            problems.add(position, "", text);
        }
    }
}

/// No two rules or overlays share an id, whatever file they stand in.
pub(super) fn ids(
    rules: &[ReadRule],
    overlays: &[ReadOverlay],
    names: Names<'_>,
    problems: &mut Problems,
) {
    let of_rules = rules
        .iter()
        .map(|read| (read.rule.id.as_str(), "rules", read.rule.index, read.id_position));
    let of_overlays = overlays
        .iter()
        .map(|read| (read.overlay.id.as_str(), "overlays", read.index, read.id_position));
    let mut seen: HashMap<&str, (&str, usize, FileNumber)> = HashMap::new();
    for (id, key, index, position) in of_rules.chain(of_overlays) {
        let own = (key, index, position.file);
        let first = *seen.entry(id).or_insert(own);
        if !id.is_empty() && first != own {
            let place = names.place(first.0, first.1, position, first.2);
            let text = format!("\"{id}\" is the id of {place} too; give one another id");
            problems.add(position, &format!("{key}[{index}].id"), text);
        }
    }
}

/// No two exceptions of two files share an id; of one file, it was seen when that was read.
pub(super) fn exceptions(read: &[Exception], names: Names<'_>, problems: &mut Problems) {
    let mut seen: HashMap<&str, FileNumber> = HashMap::new();
    for exception in read {
        let file = exception.position.file;
        let first = *seen.entry(&exception.id).or_insert(file);
        if first != file {
            let other = path_of(names.0, first);
            let text = format!("\"{}\" is the id of an exception of {other} too", exception.id);
            problems.add(exception.position, "exceptions", text);
        }
    }
}

/// There are not too many rules and overlays in all files together.
pub(super) fn counts(rules: &[ReadRule], overlays: &[ReadOverlay], problems: &mut Problems) {
    if let Some(read) = rules.get(RULES_MAX) {
        let text = format!("is one of more than {RULES_MAX} in all files");
        problems.add(read.id_position, &format!("rules[{}]", read.rule.index), text);
    }
    if let Some(read) = overlays.get(OVERLAYS_MAX) {
        let text = format!("is one of more than {OVERLAYS_MAX} in all files");
        problems.add(read.id_position, &format!("overlays[{}]", read.index), text);
    }
}

/// A rule and one of its patterns.
type Claim<'a> = (&'a Rule, &'a Located<Pattern>);

/// No two rules are equally specific for anything that both match.
pub(super) fn ties(rules: &[ReadRule], names: Names<'_>, problems: &mut Problems) {
    // Patterns of equal rank have literal prefixes of equal length, so two that overlap have the
    // same one: only within such a group does anything have to be compared.
    let mut groups: HashMap<(Rank, &str), Vec<Claim<'_>>> = HashMap::new();
    for read in rules {
        for pattern in &read.rule.patterns {
            let key = (pattern.value.rank(), pattern.value.literal_prefix());
            groups.entry(key).or_default().push((&read.rule, pattern));
        }
    }
    for group in groups.values() {
        for (index, (rule, pattern)) in group.iter().enumerate() {
            let earlier = group.iter().take(index);
            let rival = earlier.into_iter().find(|(other, theirs)| {
                (other.file, other.index) != (rule.file, rule.index)
                    && is_tie(rule, other)
                    && pattern.value.overlaps(&theirs.value)
            });
            if let Some((other, theirs)) = rival {
                let path = format!("rules[{}].match", rule.index);
                problems.add(
                    pattern.position,
                    &path,
                    tie_text((rule, pattern), (other, theirs), names),
                );
            }
        }
    }
}

fn tie_text((rule, pattern): Claim<'_>, (other, theirs): Claim<'_>, names: Names<'_>) -> String {
    let first = names.place("rules", other.index, pattern.position, other.file);
    let second = names.place("rules", rule.index, pattern.position, rule.file);
    if pattern.value == theirs.value {
        format!(
            "{first}, {second} both match \"{}\" equally; make one more specific",
            pattern.value
        )
    } else {
        format!(
            "{first} with \"{}\" and {second} with \"{}\" can match the same image equally; make one more specific",
            theirs.value, pattern.value
        )
    }
}

/// Whether, for equally specific patterns, neither rule goes before the other.
///
/// A rule that names tags goes before one that does not, exact tags before ranges and patterns of
/// tags, and a rule that names kinds of artifacts before one that does not. Rules for different
/// artifacts never meet. Rules for different tags do: one digest may have had both tags.
fn is_tie(a: &Rule, b: &Rule) -> bool {
    if for_other_kinds(a, b) {
        return false;
    }
    let by_tags = a.tag_rank().cmp(&b.tag_rank());
    let by_artifacts = (!a.artifacts.is_empty()).cmp(&!b.artifacts.is_empty());
    by_tags == by_artifacts.reverse()
}

/// Whether nothing that one rule speaks of is of a kind that the other speaks of.
pub(super) fn for_other_kinds(a: &Rule, b: &Rule) -> bool {
    !a.artifacts.is_empty()
        && !b.artifacts.is_empty()
        && !a.artifacts.iter().any(|kind| b.artifacts.contains(kind))
}
