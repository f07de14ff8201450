//! A draft of a policy that came over the API: nothing of this machine is read for it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::SimulateBody;
use crate::gate::ReadyPolicy;
use crate::policy::{Policy, PolicySource, Problem};

/// The policy in `body`. A file that it names is what `body` has under that name, and nothing else: whoever
/// may send a draft may not look into files of the server. Nor may everybody have it compute: conditions
/// are taken from somebody who `may_compute`.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read(body: &SimulateBody, may_compute: bool) -> Result<ReadyPolicy, Vec<Problem>> {
    let read = |path: &Path| file(&body.files, path);
    let alone = PolicySource { path: "", text: &body.policy };
    let several = body.directory.iter().map(|(path, text)| PolicySource { path, text });
    let mut sources: Vec<PolicySource<'_>> = several.collect();
    match (body.policy.is_empty(), sources.is_empty()) {
        (_, true) => sources.push(alone),
        (true, false) => {}
        (false, false) => {
            let text =
                "send policy, where it is one file, or directory, where it is several, not both";
            return Err(vec![Problem::of_file("", text)]);
        }
    }
    let policy = Policy::parse_all(&sources, &read)?;
    let text = "is a program for the server to run; it takes a token with role admin to send one";
    let programs = policy.programs();
    if may_compute || programs.is_empty() {
        return ReadyPolicy::new(policy);
    }
    let problems = programs.into_iter().map(|(at, path)| Problem::new(at, path, text));
    Err(policy.located(problems.collect()))
}

fn file(files: &BTreeMap<String, String>, path: &Path) -> io::Result<Vec<u8>> {
    let sent = path.to_str().and_then(|path| files.get(path)).ok_or_else(|| {
        io::Error::other(
            "a draft names no files of the server; send its content in files, \
                as pratique policy diff --against-history does",
        )
    })?;
    STANDARD.decode(sent).map_err(|_| io::Error::other("what was sent is not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = include_str!("../../../../tests/fixtures/signatures/p256.pub");

    fn body(file: &str, files: &[(&str, &str)]) -> SimulateBody {
        let policy = format!(
            "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {{name: t, revision: 1}}\n\
             signers: {{x: {{key: {{pem: \"file:{file}\"}}, transparencyLog: none}}}}\n\
             rules: [{{id: a, match: [\"**\"], trust: deny}}]\n"
        );
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        SimulateBody {
            policy,
            directory: BTreeMap::new(),
            files: files.collect(),
            days: SimulateBody::DAYS,
        }
    }

    #[test]
    fn a_file_is_only_ever_what_was_sent_for_it() {
        let pem = STANDARD.encode(PEM);
        assert!(read(&body("key.pub", &[("key.pub", &pem)]), false).is_ok());
        // A file that is there for sure, and would be a key.
        let there = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/signatures/p256.pub");
        assert!(std::fs::read(there).is_ok());
        for (file, files) in [
            (there, &[][..]),
            (there, &[("key.pub", pem.as_str())]),
            ("../key.pub", &[("key.pub", pem.as_str())]),
            ("/etc/passwd", &[]),
        ] {
            let problems = read(&body(file, files), true).expect_err(file);
            let text = problems.iter().map(ToString::to_string).collect::<String>();
            assert!(text.contains("a draft names no files of the server"), "{file}: {text}");
        }
        let problems = read(&body("key.pub", &[("key.pub", "*")]), true).expect_err("no base64");
        assert!(problems[0].text.contains("is not base64"), "{problems:?}");
    }

    #[test]
    fn a_draft_may_be_a_directory() {
        let pem = STANDARD.encode(PEM);
        let mut draft = body("key.pub", &[("key.pub", &pem), ("teams/shop.pub", &pem)]);
        let part = "apiVersion: pratique.dev/v1\nkind: Policy\n\
                    metadata: {name: shop, owner: \"group:shop\", scope: [\"up.test/shop/**\"]}\n\
                    rules: [{id: b, match: [\"up.test/shop/*\"], trust: deny}]\n";
        draft.directory.insert("teams/shop.yaml".to_owned(), part.to_owned());
        let problems = read(&draft, false).expect_err("both");
        assert!(problems[0].text.contains("not both"), "{problems:?}");
        let base = std::mem::take(&mut draft.policy).replace("**", "up.test/other/**");
        draft.directory.insert("base.yaml".to_owned(), base);
        let policy = read(&draft, false).expect("a directory");
        assert_eq!((policy.files().len(), policy.rules().len()), (2, 2));
        // A program in a part is one, and named by its file.
        let asked =
            "trust: allow, attestations: [{type: vuln, signers: [x], cel: \"predicate.a == 1\"}]";
        let part = part.replace("trust: deny", asked);
        draft.directory.insert("teams/shop.yaml".to_owned(), part);
        let problems = read(&draft, false).expect_err("a program");
        assert_eq!(problems[0].file, "teams/shop.yaml", "{problems:?}");
    }

    #[test]
    fn who_may_only_look_has_the_server_compute_nothing() {
        let pem = STANDARD.encode(PEM);
        let mut draft = body("key.pub", &[("key.pub", &pem)]);
        let asked = "attestations: [{type: vuln, signers: [x], cel: \"predicate.a == 1\"}]";
        draft.policy = draft.policy.replace("trust: deny", &format!("trust: allow, {asked}"));
        assert!(read(&draft, true).is_ok(), "{:?}", read(&draft, true));
        let problems = read(&draft, false).expect_err("a program");
        assert_eq!(problems[0].key, "rules[0].attestations[0].cel");
        assert!(problems[0].text.contains("role admin"), "{problems:?}");
    }
}
