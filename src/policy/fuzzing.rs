//! Fuzz targets for policy documents and patterns, and for the policies of other tools.

use std::io;
use std::path::Path;

use super::pattern::Pattern;
use super::{
    Artifact, ConfigGate, Import, ImportFormat, ImportSource, Policy, PolicyFile, PolicySource,
};
use crate::oci::{Digest, Name, Tag};
use crate::time::Timestamp;

/// Longest texts that the slow matcher is asked about, in bytes.
const SLOW_BYTES_MAX: usize = 40;
/// Longest name of a folder, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// With what the line begins that has the path of a file, in an input of several.
const FILE_MARK: &str = "=== ";
const NAMES: [&str; 3] = ["docker.io/library/redis", "ghcr.io/acme/web", "up.test:5000/a/b/c"];
const KEY: &[u8] = include_bytes!("../../tests/fixtures/signatures/p256.pub");

/// A policy of another tool, read as one of each.
pub(crate) fn import(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let store = |kind: &str, name: &str| match name.len() {
        0..=NAME_BYTES_MAX => Ok(vec![format!("/store/{kind}/{name}/a.pem")]),
        _ => Err("there is no folder of that name".to_owned()),
    };
    let sources = [ImportSource { name: "theirs".to_owned(), text: text.to_owned() }];
    for format in
        [ImportFormat::ClusterImagePolicy, ImportFormat::Containers, ImportFormat::TrustPolicy]
    {
        let run = |lossy| Import { format, name: "t", lossy, store: &store }.run(&sources);
        let (exact, lossy) = (run(false), run(true));
        match (&exact, &lossy) {
            (Ok(exact), Ok(lossy)) => {
                assert!(exact.lost.is_empty() && lossy.lost.is_empty(), "{:?}", lossy.lost);
                assert_eq!(exact.policy, lossy.policy, "one text, one policy");
            }
            (Err(problems), Ok(lossy)) => {
                assert!(
                    !problems.is_empty() && !lossy.lost.is_empty(),
                    "nothing is lost in silence"
                );
            }
            (exact, Err(problems)) => {
                assert!(exact.is_err() && !problems.is_empty(), "less is allowed when more is");
            }
        }
        for imported in [exact, lossy].into_iter().flatten() {
            let read_file = |_: &Path| Ok(KEY.to_vec());
            let problems = Policy::parse(&imported.policy, &read_file).err().unwrap_or_default();
            // A key is taken over as it stands there, and told when the policy is checked.
            let others = problems.iter().find(|problem| !problem.key.ends_with(".key.pem"));
            assert!(others.is_none(), "{others:?} in {}", imported.policy);
        }
    }
}

/// A whole document; and its lines as patterns and texts.
pub(crate) fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    document(text);
    patterns(text);
}

fn document(text: &str) {
    let read_file = |path: &Path| {
        if path.as_os_str() == "absent" {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(KEY.to_vec())
    };
    match Policy::parse(text, &read_file) {
        Err(problems) => {
            assert!(!problems.is_empty() && problems.len() <= 101, "{} problems", problems.len());
            let places = problems.iter().map(|problem| (problem.line, problem.column));
            assert!(places.is_sorted(), "{problems:?}");
            for problem in &problems {
                let place =
                    problem.line >= 1 && problem.line <= text.split(['\n', '\r']).count() + 1;
                assert!(place && problem.column >= 1, "{problem} is nowhere");
                assert!(!problem.to_string().contains('\n'), "{problem} is more than a line");
            }
        }
        Ok(policy) => {
            let again = Policy::parse(text, &read_file).map(|again| *again.id());
            assert_eq!(again.as_ref(), Ok(policy.id()), "one text, one identity");
            asked(&policy);
        }
    }
}

/// Several files at once, each after a line `=== PATH`.
pub(crate) fn policies(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mark = format!("\n{FILE_MARK}");
    let files = text.strip_prefix(FILE_MARK).unwrap_or(text).split(&mark);
    let sources: Vec<PolicySource<'_>> = files
        .map(|file| file.split_once('\n').unwrap_or(("", file)))
        .map(|(path, text)| PolicySource { path, text })
        .collect();
    let read_file = |path: &Path| match path.file_name() {
        Some(name) if name == "absent" => Err(io::Error::from(io::ErrorKind::NotFound)),
        _ => Ok(KEY.to_vec()),
    };
    match Policy::parse_all(&sources, &read_file) {
        Err(problems) => {
            assert!(!problems.is_empty() && problems.len() <= 101, "{} problems", problems.len());
            for problem in &problems {
                let is_there = sources.iter().any(|source| source.path == problem.file);
                assert!(is_there || problems.len() == 101, "{problem} is of no file");
                assert!(!problem.to_string().contains('\n'), "{problem} is more than a line");
            }
        }
        Ok(policy) => {
            let again = Policy::parse_all(&sources, &read_file).map(|again| *again.id());
            assert_eq!(again.as_ref(), Ok(policy.id()), "the same files, one identity");
            let owned = policy.files().iter().filter(|file| file.owner().is_some()).count();
            assert_eq!(owned + 1, sources.len(), "one is the base, and every other has an owner");
            asked(&policy);
            within_scopes(&policy, &sources, &read_file);
        }
    }
}

/// No file with a scope decides beyond it, and beyond all scopes it is as if there were the base file alone.
fn within_scopes(
    policy: &Policy,
    sources: &[PolicySource<'_>],
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) {
    let base = policy.files().iter().find(|file| file.owner().is_none()).map(PolicyFile::path);
    let base = sources.iter().find(|source| Some(source.path) == base);
    let alone = base.and_then(|base| Policy::parse_all(&[*base], read_file).ok());
    for name in NAMES.iter().filter_map(|name| name.parse::<Name>().ok()) {
        let rule = policy.rule_for(&name, Artifact::Image, &[]);
        let part = policy.part_for(&name);
        let file = rule.and_then(|rule| policy.file(rule.file()));
        if let Some(file) = file.filter(|file| file.owner().is_some()) {
            assert_eq!(part.map(PolicyFile::path), Some(file.path()), "{name} is not in its scope");
        }
        if let (None, Some(alone)) = (part, &alone) {
            let by_base = alone.rule_for(&name, Artifact::Image, &[]).map(super::Rule::id);
            assert_eq!(rule.map(super::Rule::id), by_base, "{name} is in no scope");
        }
    }
}

fn asked(policy: &Policy) {
    for name in NAMES.iter().filter_map(|name| name.parse::<Name>().ok()) {
        let now = Timestamp::from_milliseconds(0);
        let outright = policy.refuses_outright(&name, now);
        let tags: Vec<Tag> =
            ["latest", "1.2.3"].iter().filter_map(|tag| tag.parse().ok()).collect();
        let rule = policy.rule_for(&name, Artifact::Image, &tags);
        let candidates = policy.candidates(&name);
        assert!(rule.is_none_or(|rule| candidates.iter().any(|it| it.id() == rule.id())));
        assert!(!candidates.is_empty() || outright.is_some(), "{name} is nobody's");
        let demands = policy.demands(&name, Artifact::Image, &tags);
        assert_eq!(demands.rule().map(super::Rule::id), rule.map(super::Rule::id), "{name}");
        let possible = policy.possible_demands(&name);
        let overlays = demands.overlays().iter().all(|overlay| {
            possible.iter().all(|it| it.overlays().iter().any(|one| one.id() == overlay.id()))
        });
        assert!(overlays, "an overlay that applies was not to be expected");
        if let Some(outright) = outright {
            assert!(outright.text.is_ascii() && !outright.text.contains('\n'), "{outright:?}");
        }
    }
    let rules = policy.rules().iter().map(super::Rule::alone);
    let all = rules.chain(policy.overlays().iter().map(super::Overlay::alone));
    for gate in all.clone().flat_map(|alone| alone.configured) {
        configured(gate);
    }
    for gate in all.flat_map(|alone| alone.fresh) {
        let refuses = gate.observed_age_min.is_some() || gate.image_age_max.is_some();
        assert!(refuses, "{} refuses nothing", gate.place());
        let track = gate.fast_track.as_ref();
        assert!(track.is_none_or(|track| !track.signers.is_empty()), "nobody may shorten it");
    }
    assert!(policy.denied_image(&Digest::sha256(b"")).is_none_or(|reason| !reason.is_empty()));
}

/// A gate about configurations refuses something, and names whatever letter case they have.
fn configured(gate: &ConfigGate) {
    let refuses = gate.user.is_some()
        || gate.denies_secret_like
        || gate.requires_healthcheck
        || !gate.denied_env.is_empty()
        || !gate.denied_ports.is_empty()
        || !gate.required_labels.is_empty();
    assert!(refuses, "{} refuses nothing", gate.place());
    assert!(!gate.denied_ports.contains(&0), "0 is no port");
    for pattern in &gate.denied_env {
        let own = pattern.to_string().replace('*', "x/Y");
        let cases = [own.clone(), own.to_ascii_lowercase(), own.to_ascii_uppercase()];
        assert!(cases.iter().all(|name| pattern.covers(name)), "{pattern} and {own}");
    }
}

/// Two patterns and texts: matching is what the definition says, and what both cover, overlaps.
fn patterns(text: &str) {
    let mut lines = text.lines().filter(|line| line.len() <= SLOW_BYTES_MAX);
    let (Some(one), Some(other)) = (lines.next(), lines.next()) else { return };
    let (Ok(one), Ok(other)) = (Pattern::parse(one), Pattern::parse(other)) else { return };
    let texts = [one.as_str(), other.as_str()];
    for text in lines.take(8).chain(texts) {
        let mut both = true;
        for pattern in [&one, &other] {
            let matches = pattern.matches(text);
            both &= matches;
            assert_eq!(matches, slow(pattern.as_str(), text), "{pattern} and {text:?}");
        }
        assert!(!both || one.overlaps(&other), "{one} and {other} share {text:?}");
    }
    assert_eq!(one.overlaps(&other), other.overlaps(&one), "{one} and {other}");
    for pattern in [one.as_str(), other.as_str()] {
        if let Ok(of_names) = Pattern::of_names(pattern) {
            let again = Pattern::of_names(of_names.as_str());
            assert_eq!(again.as_ref(), Ok(&of_names), "{pattern} is not canonical after all");
        }
    }
}

/// What a pattern means, by the definition; a table, so that it ends. Texts are bytes, as for the
/// real one.
fn slow(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let width = text.len() + 1;
    // From the back: whether the rest of the pattern covers the rest of the text.
    let mut after: Vec<bool> = (0..width).map(|at| at == text.len()).collect();
    let mut rest = pattern;
    while let Some((last, before)) = rest.split_last() {
        let across = *last == b'*' && before.last() == Some(&b'*');
        let mut now = vec![false; width];
        for at in (0..width).rev() {
            let byte = text.get(at);
            let here = after.get(at).copied().unwrap_or(false);
            let eaten = |table: &[bool]| table.get(at + 1).copied().unwrap_or(false);
            let covers = match byte {
                _ if *last == b'*' => {
                    here || (byte.is_some_and(|byte| across || *byte != b'/') && eaten(&now))
                }
                Some(byte) => byte == last && eaten(&after),
                None => false,
            };
            if let Some(slot) = now.get_mut(at) {
                *slot = covers;
            }
        }
        after = now;
        rest = if across { before.split_last().map_or(before, |(_, rest)| rest) } else { before };
    }
    after.first().copied().unwrap_or(false)
}
