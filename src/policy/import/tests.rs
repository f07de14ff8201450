//! What becomes of the policies of others, and what does not.

use super::*;
use crate::oci::Name;
use crate::policy::{Artifact, Mode, Policy, Scope, SignatureRule, Trust};
use crate::time::Timestamp;

const PEM: &str = include_str!("../../../tests/fixtures/signatures/p256.pub");
const OTHER: &str = include_str!("../../../tests/fixtures/signatures/p384.pub");

fn store(kind: &str, name: &str) -> Result<Vec<String>, String> {
    match name {
        "none" => Ok(Vec::new()),
        "away" => Err("cannot be read".to_owned()),
        _ => Ok(vec![format!("/store/{kind}/{name}/a.pem")]),
    }
}

fn import(format: ImportFormat, lossy: bool, texts: &[&str]) -> Result<Imported, String> {
    let sources: Vec<ImportSource> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| ImportSource { name: format!("{at}.yaml"), text: (*text).to_owned() })
        .collect();
    let imported = Import { format, name: "t", lossy, store: &store }.run(&sources);
    imported.map_err(|lost| lost.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The policy, which has to load.
#[track_caller]
fn policy(imported: Result<Imported, String>) -> Policy {
    let imported = imported.unwrap();
    let read = |path: &std::path::Path| match path.to_str() {
        Some("/etc/pki/a.pub") => Ok(PEM.into()),
        Some("/etc/pki/b.pub") => Ok(OTHER.into()),
        Some(path) if path.starts_with("/store/") => Ok(b"x".to_vec()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    Policy::parse(&imported.policy, &read).unwrap_or_else(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}\n{}", told.join("\n"), imported.policy)
    })
}

/// Whether nothing of `name` could ever be served.
fn is_denied(policy: &Policy, name: &str) -> bool {
    let name: Name = name.parse().unwrap();
    let demands = policy.demands(&name, Artifact::Image, &[]);
    demands.rule().is_none_or(|rule| rule.trust() == Trust::Deny)
        || demands.overlays().iter().any(|overlay| overlay.denies() && overlay.when().is_none())
}

fn indented(pem: &str, by: usize) -> String {
    let margin = " ".repeat(by);
    pem.trim_end().lines().flat_map(|line| [margin.as_str(), line, "\n"]).collect()
}

fn cip(spec: &str) -> String {
    let spec = indented(spec, 2);
    format!(
        "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {{name: example, labels: {{a: b}}}}\nspec:\n{spec}"
    )
}

fn keyed(extra: &str) -> String {
    cip(&format!(
        "images: [{{glob: \"ghcr.io/acme/**\"}}]\nauthorities:\n- name: team\n  key:\n    hashAlgorithm: sha256\n    data: |\n{}{extra}",
        indented(PEM, 6)
    ))
}

const KEYLESS: &str = "images: [{glob: \"ghcr.io/acme/**\"}, {glob: \"index.docker.io/library/*\"}]\nauthorities:\n- keyless:\n    url: https://fulcio.sigstore.dev\n    identities:\n    - {issuer: \"https://i.test\", subject: \"https://s.test/x\"}\n";

#[test]
fn a_cluster_image_policy_is_asked_on_top_and_admits_nothing_else() {
    let first = keyed("  ctlog: {url: https://rekor.sigstore.dev}\n  signatureFormat: bundle\n");
    let second = cip(&format!("mode: warn\n{KEYLESS}")).replace("example", "second");
    let both = format!("# comment\n---\n{first}---  # next\n{second}");
    for texts in [&[first.as_str(), second.as_str()][..], &[both.as_str()]] {
        let policy = policy(import(ImportFormat::ClusterImagePolicy, false, texts));
        let name: Name = "ghcr.io/acme/app".parse().unwrap();
        let demands = policy.demands(&name, Artifact::Image, &[]);
        let ids: Vec<&str> = demands.overlays().iter().map(|it| it.id().as_str()).collect();
        assert_eq!(ids, ["example", "second"]);
        assert_eq!(demands.signatures().len(), 2, "both have to hold");
        let now = Timestamp::from_milliseconds(0);
        let modes: Vec<Mode> = demands.overlays().iter().map(|it| it.mode(now)).collect();
        assert_eq!(modes, [Mode::Enforce, Mode::Warn]);
        assert_eq!(
            policy.signer("example-team").unwrap().described(),
            "a public key, logged by public-good"
        );
        assert!(!is_denied(&policy, "docker.io/library/redis"));
        assert!(is_denied(&policy, "quay.io/other/app"), "no rule lists it");
    }
}

#[test]
fn any_authority_of_one_policy_is_enough() {
    let text = cip(&format!(
        "images: [{{glob: \"**\"}}]\nauthorities:\n- key: {{data: {}}}\n  ctlog: {{}}\n- key: {{data: {}}}\n- keyless:\n    identities:\n    - {{issuerRegExp: \"^https://i\\\\.test$\", subjectRegExp: \"@acme\\\\.test$\"}}\n- static: {{action: fail, message: no}}\n",
        serde_json::Value::from(PEM),
        serde_json::Value::from(OTHER),
    ));
    let policy = policy(import(ImportFormat::ClusterImagePolicy, false, &[&text]));
    let Some(SignatureRule::Signed { by, scope }) = policy.overlays()[0].alone().signatures else {
        panic!("signatures")
    };
    assert_eq!(*scope, Scope::Index);
    let quorum = &by.as_slice()[0];
    assert_eq!((quorum.at_least, quorum.of.len()), (1, 4), "{quorum:?}");
    let who = |name: &str| policy.signer(name).unwrap().described();
    assert_eq!(who("example-0"), "a public key, without a log", "ctlog: {{}} asks for none");
    assert_eq!(
        who("example-1"),
        "a public key, logged by public-good",
        "nothing said is the public one"
    );
    assert_eq!(
        who("example-2"),
        "whatever matches .*@acme\\.test by whatever matches https://i\\.test, root public-good"
    );
}

#[test]
fn what_a_static_authority_says_is_all_that_it_says() {
    let of = |action: &str| {
        cip(&format!(
            "images: [{{glob: \"ghcr.io/acme/*\"}}]\nauthorities: [{{static: {{action: {action}}}}}]\n"
        ))
    };
    let passes = policy(import(ImportFormat::ClusterImagePolicy, false, &[&of("pass")]));
    assert!(passes.overlays().is_empty() && !is_denied(&passes, "ghcr.io/acme/app"));
    assert!(is_denied(&passes, "ghcr.io/other/app"));
    let fails = policy(import(ImportFormat::ClusterImagePolicy, false, &[&of("fail")]));
    assert!(is_denied(&fails, "ghcr.io/acme/app"));
    // One that passes does not make another one pass.
    let signed = keyed("").replace("example", "signed");
    let both = policy(import(ImportFormat::ClusterImagePolicy, false, &[&of("pass"), &signed]));
    assert_eq!(both.overlays().len(), 1);
}

#[test]
fn what_a_cluster_image_policy_says_beyond_ours_is_refused_and_never_passes() {
    let image = "images: [{glob: \"ghcr.io/acme/**\"}]\n";
    let keyless = |more: &str| KEYLESS.replace("    url: https://fulcio.sigstore.dev\n", more);
    let attested = "images: [{glob: \"ghcr.io/acme/**\"}]\nauthorities:\n- keyless: {identities: [{issuer: i, subject: s}]}\n  attestations:\n";
    for (text, expected) in [
        (
            keyed("  source: [{oci: reg.test/sigs}]\n"),
            "source  looks for signatures at another place",
        ),
        (keyed("  rfc3161timestamp: {trustRootRef: x}\n"), "rfc3161timestamp  asks for timestamps"),
        (
            keyed("  ctlog: {url: https://rekor.test}\n"),
            "ctlog.url  https://rekor.test is another log",
        ),
        (keyed("  ctlog: {trustRootRef: x}\n"), "ctlog.trustRootRef  names a trust root"),
        (keyed("  signatureFormat: other\n"), "signatureFormat  \"other\" is not one of"),
        (keyed("  surprise: true\n"), "surprise  unknown key"),
        (keyed("").replace("sha256", "sha512"), "hashAlgorithm  \"sha512\" is not one of"),
        (
            cip(&format!("{image}authorities: [{{key: {{kms: \"awskms:///x\"}}}}]")),
            "kms  is a key in a service",
        ),
        (
            cip(&format!("{image}authorities: [{{key: {{secretRef: {{name: x}}}}}}]")),
            "secretRef  is a key in the cluster",
        ),
        (
            cip(&format!("match: [{{resource: pods}}]\n{KEYLESS}")),
            "spec.match  chooses by Kubernetes",
        ),
        (
            cip(&format!("{KEYLESS}policy: {{type: cue, data: x}}")),
            "spec.policy  is a policy in CUE",
        ),
        (cip(&format!("mode: audit\n{KEYLESS}")), "spec.mode  \"audit\" is not one of"),
        (cip(&keyless("    trustRootRef: x\n")), "keyless.trustRootRef  names a trust root"),
        (
            cip(&keyless("    url: https://fulcio.test\n")),
            "keyless.url  https://fulcio.test is another",
        ),
        (cip(&keyless("    ca-cert: {data: x}\n")), "keyless.ca-cert  is an own authority"),
        (
            cip(&format!("{image}authorities: [{{keyless: {{}}}}]")),
            "keyless.identities  is missing: whoever has a certificate",
        ),
        (
            cip(&format!("{image}authorities: [{{keyless: {{identities: [{{issuer: i}}]}}}}]")),
            "needs one of subject and subjectRegExp",
        ),
        (
            cip(&format!(
                "{image}authorities: [{{keyless: {{identities: [{{issuer: i, subjectRegExp: \"^a|b$\"}}]}}}}]"
            )),
            "is anchored in one of its alternatives only",
        ),
        (
            cip(&format!("{attested}  - {{predicateType: vuln, policy: {{type: rego}}}}\n")),
            "policy  is a policy in CUE",
        ),
        (
            cip(&format!("{attested}  - {{predicateType: custom}}\n")),
            "predicateType  \"custom\" is not known",
        ),
        (
            cip(&format!(
                "{attested}  - {{predicateType: vuln}}\n- keyless: {{identities: [{{issuer: j, subject: s}}]}}\n"
            )),
            "which cannot be said",
        ),
        (cip(&format!("{image}authorities: [{{}}]")), "needs one of key, keyless and static"),
        (
            cip(&format!("{image}authorities: [{{key: {{data: x}}, static: {{action: pass}}}}]")),
            "needs one of key",
        ),
        (cip(image), "spec.authorities  is missing; nobody would be asked"),
        (cip("authorities: [{static: {action: pass}}]"), "spec.images  is missing"),
        (
            cip("images: [{glob: \"nginx*\"}]\nauthorities: [{static: {action: pass}}]"),
            "names no registry",
        ),
        (
            cip("images: [{glob: \"ghcr.io/a:*\"}]\nauthorities: [{static: {action: pass}}]"),
            "name repositories, not tags",
        ),
        ("apiVersion: v1\nkind: ConfigMap\n".to_owned(), "kind  \"ConfigMap\" is not one of"),
        ("a: b\n".to_owned(), "a  unknown key"),
    ] {
        let refused = import(ImportFormat::ClusterImagePolicy, false, &[&text]).unwrap_err();
        assert!(
            refused.contains(expected) && refused.starts_with("0.yaml  line "),
            "{text}: {refused}"
        );
        // With losses allowed it is denied, also where another policy lets it pass.
        let pass = cip(&format!("{image}authorities: [{{static: {{action: pass}}}}]"))
            .replace("example", "pass");
        let lossy = import(ImportFormat::ClusterImagePolicy, true, &[&pass, &text]);
        assert!(!lossy.as_ref().unwrap().lost.is_empty(), "{text}");
        let told = lossy.as_ref().unwrap().policy.clone();
        assert!(told.contains("# What could not be said is denied:"), "{told}");
        let policy = policy(lossy);
        assert!(is_denied(&policy, "ghcr.io/acme/app"), "{text}\n{told}");
    }
}

#[test]
fn what_is_no_clear_yaml_is_refused_whatever_is_allowed() {
    let huge = format!("{}# {}\n", keyed(""), "x".repeat(1 << 20));
    let many = "---\na: b\n".repeat(1_001);
    for (text, expected) in [
        (keyed("").replace("kind:", "kind: X\nkind:"), "duplicate key"),
        (keyed("").replace("metadata: {", "metadata: &m {"), "anchors are not allowed"),
        (keyed("").replace("sha256", "*m"), "aliases are not allowed"),
        (keyed("").replace("sha256", "!!str sha256"), "tags are not allowed"),
        (huge, "larger than 1 MiB"),
        (many, "more than 1000 documents"),
        (String::new(), "says nothing to take over"),
        ("# only a comment\n---\n".to_owned(), "says nothing to take over"),
        ("[".repeat(200), ""),
        ("\u{0}".to_owned(), ""),
    ] {
        for lossy in [false, true] {
            let shown: String = text.chars().take(80).collect();
            let refused =
                import(ImportFormat::ClusterImagePolicy, lossy, &[&text]).expect_err(&shown);
            assert!(refused.contains(expected), "{shown}: {refused}");
        }
    }
}

#[test]
fn one_key_is_one_signer_and_not_two_under_other_terms() {
    let second = keyed("").replace("example", "second");
    let same = import(ImportFormat::ClusterImagePolicy, false, &[&keyed(""), &second]);
    assert_eq!(policy(same).signers().len(), 1);
    let other = keyed("  ctlog: {}\n").replace("example", "second");
    let refused =
        import(ImportFormat::ClusterImagePolicy, false, &[&keyed(""), &other]).unwrap_err();
    assert!(refused.contains("has the key of signer example-team under other terms"), "{refused}");
}

#[test]
fn a_regular_expression_means_as_a_whole_what_it_found_before() {
    for (theirs, ours) in [
        ("acme", Some(".*acme.*")),
        ("^acme", Some("acme.*")),
        ("acme$", Some(".*acme")),
        ("^acme$", Some("acme")),
        ("acme\\$", Some(".*acme\\$.*")),
        ("a|b", Some(".*(?:a|b).*")),
        ("^(a|b)$", Some("(a|b)")),
        ("^[a|b]$", Some("[a|b]")),
        ("^a\\|b$", Some("a\\|b")),
        ("^a|b$", None),
        ("^a|b", None),
        ("a|b$", None),
    ] {
        assert_eq!(cip::anchored(theirs).as_deref(), ours, "{theirs}");
    }
}

fn containers(scopes: &str) -> String {
    format!(
        "{{\"default\": [{{\"type\": \"reject\"}}], \"transports\": {{\"docker\": {{{scopes}}}, \"docker-daemon\": {{\"\": [{{\"type\": \"insecureAcceptAnything\"}}]}}}}}}"
    )
}

#[test]
fn scopes_of_policy_json_become_rules_and_the_most_specific_one_counts() {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(OTHER);
    let text = containers(&format!(
        "\n\t\"docker.io/library/busybox\": [{{\"type\": \"insecureAcceptAnything\"}}],\n\
         \t\"ghcr.io/acme\": [{{\"type\": \"sigstoreSigned\", \"keyPath\": \"/etc/pki/a.pub\", \"signedIdentity\": {{\"type\": \"matchRepository\"}}}}],\n\
         \t\"ghcr.io/acme/two\": [{{\"type\": \"sigstoreSigned\", \"keyPath\": \"/etc/pki/a.pub\"}}, {{\"type\": \"sigstoreSigned\", \"keyData\": \"{data}\"}}],\n\
         \t\"ghcr.io/acme/any\": [{{\"type\": \"sigstoreSigned\", \"keyPaths\": [\"/etc/pki/a.pub\"], \"keyDatas\": [\"{data}\"]}}],\n\
         \t\"*.corp.test\": [{{\"type\": \"insecureAcceptAnything\"}}],\n\
         \t\"quay.io\": [{{\"type\": \"reject\"}}]"
    ));
    let policy = policy(import(ImportFormat::Containers, false, &[&text]));
    for (name, denied) in [
        ("docker.io/library/busybox", false),
        ("docker.io/library/redis", true),
        ("ghcr.io/acme", false),
        ("ghcr.io/acme/app/x", false),
        ("ghcr.io/acmes/app", true),
        ("quay.io/a/b", true),
        ("x.corp.test/a", false),
        ("other.test/a", true),
    ] {
        assert_eq!(is_denied(&policy, name), denied, "{name}");
    }
    let quorums = |name: &str| {
        let demands = policy.demands(&name.parse().unwrap(), Artifact::Image, &[]);
        let signatures = demands.signatures();
        match signatures[0].what {
            SignatureRule::None { .. } => Vec::new(),
            SignatureRule::Signed { by, .. } => {
                by.as_slice().iter().map(|it| (it.at_least, it.of.len())).collect::<Vec<_>>()
            }
        }
    };
    assert_eq!(quorums("docker.io/library/busybox"), []);
    assert_eq!(quorums("ghcr.io/acme/app"), [(1, 1)]);
    assert_eq!(quorums("ghcr.io/acme/two"), [(1, 1), (1, 1)]);
    assert_eq!(quorums("ghcr.io/acme/any/x"), [(1, 2)]);
}

#[test]
fn what_policy_json_says_beyond_ours_is_refused_and_never_passes() {
    let signed = |more: &str| format!("\"ghcr.io/acme\": [{{\"type\": \"sigstoreSigned\"{more}}}]");
    let key = ", \"keyPath\": \"/etc/pki/a.pub\"";
    for (scopes, expected) in [
        (
            "\"ghcr.io/acme\": [{\"type\": \"signedBy\", \"keyType\": \"GPGKeys\"}]".to_owned(),
            "asks for GPG signatures",
        ),
        ("\"ghcr.io/acme\": [{\"type\": \"acceptAll\"}]".to_owned(), "\"acceptAll\" is not known"),
        ("\"ghcr.io/acme\": []".to_owned(), "is an empty list"),
        ("\"ghcr.io/acme\": [{}]".to_owned(), "type  is missing"),
        (signed(""), "names no key"),
        (signed(", \"fulcio\": {\"caPath\": \"x\"}"), "fulcio  names an authority or a log"),
        (signed(", \"pki\": {}"), "pki  names an authority"),
        (
            signed(&format!("{key}, \"rekorPublicKeyPath\": \"/r.pub\"")),
            "rekorPublicKeyPath  names",
        ),
        (
            signed(&format!("{key}, \"signedIdentity\": {{\"type\": \"matchExact\"}}")),
            "\"matchExact\" is not taken over",
        ),
        (
            signed(&format!(
                "{key}, \"signedIdentity\": {{\"type\": \"remapIdentity\", \"prefix\": \"a\", \"signedPrefix\": \"b\"}}"
            )),
            "\"remapIdentity\" is not taken",
        ),
        (signed(", \"keyData\": \"***\""), "is no public key in base64"),
        (signed(&format!("{key}, \"surprise\": 1")), "surprise  unknown key"),
        (
            "\"ghcr.io/acme:1.0\": [{\"type\": \"insecureAcceptAnything\"}]".to_owned(),
            "scope for one tag or digest",
        ),
        (
            format!(
                "\"ghcr.io/acme@sha256:{}\": [{{\"type\": \"insecureAcceptAnything\"}}]",
                "1".repeat(64)
            ),
            "scope for one tag",
        ),
        ("\"ghcr.io/ac*\": [{\"type\": \"insecureAcceptAnything\"}]".to_owned(), ""),
    ] {
        let text = containers(&scopes);
        let refused = import(ImportFormat::Containers, false, &[&text]);
        if expected.is_empty() {
            continue;
        }
        let refused = refused.unwrap_err();
        assert!(refused.contains(expected), "{scopes}: {refused}");
        let policy = policy(import(ImportFormat::Containers, true, &[&text]));
        assert!(
            is_denied(&policy, "ghcr.io/acme") && is_denied(&policy, "ghcr.io/acme/x"),
            "{scopes}"
        );
    }
    // What cannot be said of everything else denies that, and not what has a scope.
    let text = containers("\"ghcr.io/acme\": [{\"type\": \"insecureAcceptAnything\"}]")
        .replace("\"reject\"", "\"signedBy\"");
    let policy = policy(import(ImportFormat::Containers, true, &[&text]));
    assert!(is_denied(&policy, "quay.io/a/b") && !is_denied(&policy, "ghcr.io/acme/app"));
    for text in [
        "{\"default\": [{\"type\": \"reject\"}], \"default\": [{\"type\": \"insecureAcceptAnything\"}]}",
        "{\"transports\": {}}",
        "[]",
        "{\"default\": 1}",
        "{",
    ] {
        assert!(import(ImportFormat::Containers, false, &[text]).is_err(), "{text}");
    }
}

fn trust_policy(rest: &str) -> String {
    format!("{{\"version\": \"1.0\", \"trustPolicies\": [{{\"name\": \"acme\", {rest}}}]}}")
}

const SCOPE: &str = "\"registryScopes\": [\"registry.acme.test/net-monitor\"]";
const STORES: &str = "\"trustStores\": [\"ca:acme\", \"tsa:times\"], \"trustedIdentities\": [\"x509.subject: C=US, O=acme\"]";

#[test]
fn trust_policies_become_rules_with_signers_of_notation() {
    let strict = "\"signatureVerification\": {\"level\": \"strict\", \"override\": {\"expiry\": \"log\", \"revocation\": \"skip\"}, \"verifyTimestamp\": \"afterCertExpiry\"}";
    let rest = "\"registryScopes\": [\"*\"], \"signatureVerification\": {\"level\": \"permissive\"}, \"trustStores\": [\"ca:acme\", \"tsa:times\"], \"trustedIdentities\": [\"*\"]";
    let text = format!(
        "{{\"version\": \"1.0\", \"trustPolicies\": [{{\"name\": \"acme\", {SCOPE}, {strict}, {STORES}}}, {{\"name\": \"rest\", {rest}}}]}}"
    );
    let policy = policy(import(ImportFormat::TrustPolicy, false, &[&text]));
    assert!(!is_denied(&policy, "registry.acme.test/net-monitor"));
    assert!(!is_denied(&policy, "other.test/a"));
    assert_eq!(policy.trust_roots().len(), 2, "one asks for timestamps otherwise");
    let described = policy.signer("acme").unwrap().described();
    assert_eq!(described, "C=US, O=acme by an authority of acme-store");
}

#[test]
fn what_a_trust_policy_says_beyond_ours_is_refused_and_never_passes() {
    let strict = "\"signatureVerification\": {\"level\": \"strict\"}";
    let level = |level: &str| format!("{SCOPE}, \"signatureVerification\": {level}, {STORES}");
    let stores = |stores: &str| {
        format!("{SCOPE}, {strict}, \"trustStores\": [{stores}], \"trustedIdentities\": [\"*\"]")
    };
    for (rest, expected) in [
        (level("{\"level\": \"audit\"}"), "audit takes whatever is signed"),
        (level("{\"level\": \"lax\"}"), "\"lax\" is no level"),
        (
            level("{\"level\": \"strict\", \"override\": {\"authenticity\": \"log\"}}"),
            "is always enforced here",
        ),
        (
            level("{\"level\": \"strict\", \"override\": {\"integrity\": \"skip\"}}"),
            "is always enforced here",
        ),
        (
            level("{\"level\": \"strict\", \"override\": {\"expiry\": \"skip\"}}"),
            "\"skip\" is not one of",
        ),
        (level("{}"), "level  is missing"),
        (stores("\"ca:away\""), "cannot be read"),
        (stores("\"ca:none\""), "has no certificate"),
        (stores("\"cb:acme\""), "is not one of ca:"),
        (format!("{SCOPE}, {strict}, \"trustedIdentities\": [\"*\"]"), "trustStores  is missing"),
        (
            format!("{SCOPE}, {strict}, \"trustStores\": [\"ca:acme\"]"),
            "trustedIdentities  is missing",
        ),
        (
            format!(
                "{SCOPE}, {strict}, \"trustStores\": [\"ca:acme\"], \"trustedIdentities\": [\"did:x\"]"
            ),
            "is no x509.subject",
        ),
        (format!("{SCOPE}, {strict}, {STORES}, \"surprise\": 1"), "surprise  unknown key"),
    ] {
        let text = trust_policy(&rest);
        let refused = import(ImportFormat::TrustPolicy, false, &[&text]).unwrap_err();
        assert!(refused.contains(expected), "{rest}: {refused}");
        let policy = policy(import(ImportFormat::TrustPolicy, true, &[&text]));
        assert!(is_denied(&policy, "registry.acme.test/net-monitor"), "{rest}");
    }
    let skip =
        trust_policy(&format!("{SCOPE}, \"signatureVerification\": {{\"level\": \"skip\"}}"));
    let policy = policy(import(ImportFormat::TrustPolicy, false, &[&skip]));
    let name: Name = "registry.acme.test/net-monitor".parse().unwrap();
    let demands = policy.demands(&name, Artifact::Image, &[]);
    assert!(matches!(demands.signatures()[0].what, SignatureRule::None { .. }));
    assert!(is_denied(&policy, "registry.acme.test/other"), "a scope is one repository");
    let old = "{\"version\": \"0.9\", \"trustPolicies\": []}";
    assert!(
        import(ImportFormat::TrustPolicy, true, &[old])
            .unwrap_err()
            .contains("\"0.9\" is not known")
    );
}

#[test]
fn several_denials_of_the_same_are_one_and_nothing_stands_beside_them() {
    let statement = |name: &str, scopes: &str, more: &str| {
        format!(
            r#"{{"name": "{name}", "registryScopes": [{scopes}], {more}
                "signatureVerification": {{"level": "skip"}}}}"#
        )
    };
    let unread = r#""colour": "blue","#;
    let statements = [
        statement("good", r#""up.test/a", "up.test/b""#, ""),
        statement("lost", r#""up.test/b", "up.test/c""#, unread),
        statement("nowhere", r#""not a scope""#, unread),
        statement("nowhere-else", r#""neither""#, unread),
        statement("late", r#""up.test/c", "up.test/d""#, ""),
    ];
    let text = format!(r#"{{"version": "1.0", "trustPolicies": [{}]}}"#, statements.join(", "));
    assert!(import(ImportFormat::TrustPolicy, false, &[&text]).is_err());
    let policy = policy(import(ImportFormat::TrustPolicy, true, &[&text]));
    let trust = |name: &str| {
        let name: Name = name.parse().unwrap();
        policy.rule_for(&name, Artifact::Image, &[]).map(crate::policy::Rule::trust)
    };
    let names = ["up.test/a", "up.test/b", "up.test/c", "up.test/d", "up.test/e"];
    let expected = [Trust::Allow, Trust::Deny, Trust::Deny, Trust::Allow, Trust::Deny];
    assert_eq!(names.map(trust), expected.map(Some));
}
