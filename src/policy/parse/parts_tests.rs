//! Policies of several files.

use std::io;
use std::path::Path;

use super::super::Policy;
use super::super::document::RuleId;
use super::super::files::PolicySource;
use crate::oci::{Digest, Name};

const KEY: &str = include_str!("../../../tests/fixtures/signatures/p256.pub");
const OTHER_KEY: &str = include_str!("../../../tests/fixtures/signatures/p384.pub");
const HEAD: &str = "apiVersion: pratique.dev/v1\nkind: Policy\n";

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("other.pub" | "teams/other.pub") => Ok(OTHER_KEY.into()),
        Some(
            "key.pub" | "teams/key.pub" | "/secret/key.pub" | "../key.pub" | "teams/../key.pub",
        ) => Ok(KEY.into()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn base(rest: &str) -> String {
    format!("{HEAD}metadata: {{name: site, revision: 3}}\n{rest}")
}

/// The file `name` of group `name`, for `up.test/NAME/**`.
fn part(name: &str, rest: &str) -> String {
    format!(
        "{HEAD}metadata: {{name: {name}, owner: \"group:{name}\", scope: [\"up.test/{name}/**\"]}}\n{rest}"
    )
}

fn parsed(files: &[(&str, String)]) -> Result<Policy, Vec<String>> {
    let sources: Vec<_> =
        files.iter().map(|(path, text)| PolicySource { path, text: text.as_str() }).collect();
    let policy = Policy::parse_all(&sources, &read_file);
    policy.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// What is wrong with a base file that says `base` and one file `shop` that says `shop`.
fn wrong(in_base: &str, shop: &str) -> String {
    let files = [("base.yaml", base(in_base)), ("teams/shop.yaml", part("shop", shop))];
    parsed(&files).err().unwrap_or_default().join("\n")
}

fn rule(id: &str, pattern: &str, more: &str) -> String {
    format!("- {{id: {id}, match: [\"{pattern}\"], trust: deny{more}}}\n")
}

const SHOP: &str = "rules: [{id: shop-apps, match: [\"up.test/shop/*\"], trust: allow, signatures: {none: ours}}]\n";

#[test]
fn several_files_are_one_policy_in_which_everybody_knows_whose_each_rule_is() {
    let files = [
        (
            "base.yaml",
            base("overlays: [{id: all, match: [\"**\"], tags: {exact: [x]}, trust: deny}]\n"),
        ),
        ("teams/shop.yaml", part("shop", SHOP)),
        ("teams/pay.yaml", part("pay", &SHOP.replace("shop", "pay"))),
    ];
    let policy = parsed(&files).unwrap();
    assert_eq!((policy.name(), policy.revision(), policy.rules().len()), ("site", 3, 2));
    let name: Name = "up.test/shop/web".parse().unwrap();
    let candidates = policy.candidates(&name);
    assert_eq!(candidates.len(), 1);
    assert_eq!(policy.owner_of(candidates[0]).unwrap().to_string(), "group:shop");
    let id: RuleId = candidates[0].id().clone();
    assert_eq!(policy.file_of(&id).unwrap().path(), "teams/shop.yaml");
    let overlay = policy.overlays()[0].id();
    assert_eq!(policy.file_of(overlay).unwrap().owner(), None);
    assert!(
        policy
            .refuses_outright(
                &"up.test/else/x".parse().unwrap(),
                crate::time::Timestamp::from_milliseconds(0)
            )
            .is_some()
    );
}

#[test]
fn the_identity_covers_every_file_and_no_order_and_no_file_name() {
    let files = |shop: &str| {
        vec![
            ("base.yaml", base("")),
            ("teams/shop.yaml", part("shop", shop)),
            ("teams/pay.yaml", part("pay", &SHOP.replace("shop", "pay"))),
        ]
    };
    let id = |files: &[(&str, String)]| *parsed(files).unwrap().id();
    let first = files(SHOP);
    let mut turned = first.clone();
    turned.reverse();
    assert_eq!(id(&first), id(&turned));
    let mut renamed = first.clone();
    (renamed[1].0, renamed[2].0) = ("teams/pay.yaml", "teams/shop.yaml");
    assert_eq!(id(&first), id(&renamed));
    assert_ne!(id(&first), id(&files(&format!("{SHOP}# another byte\n"))));
    assert_ne!(id(&first), id(&first[..2]));
    // What a file refers to is part of it.
    let signer = |key: &str| {
        format!("{SHOP}signers: {{ci: {{key: {{pem: \"file:{key}\"}}, transparencyLog: none}}}}\n")
    };
    assert_ne!(id(&files(&signer("key.pub"))), id(&files(&signer("other.pub"))));
    // A policy that is one file is what it always was.
    let text = base(&format!("rules:\n{}", rule("a", "**", "")));
    let expected = {
        let mut bytes = text.len().to_be_bytes().to_vec();
        bytes.extend(text.as_bytes());
        Digest::sha256(&bytes).to_string()
    };
    assert_eq!(Policy::parse(&text, &read_file).unwrap().id().to_string(), expected);
    assert_eq!(id(&[("base.yaml", text)]).to_string(), expected);
}

#[test]
fn exactly_one_file_is_the_base() {
    let deny = format!("rules:\n{}", rule("a", "up.test/x", ""));
    let two = parsed(&[("a.yaml", base(&deny)), ("b.yaml", base(&deny))]).unwrap_err();
    assert_eq!(two.len(), 1, "{two:?}");
    assert!(two[0].starts_with("b.yaml line 1:1"), "{two:?}");
    assert!(two[0].contains("a.yaml has none either"), "{two:?}");
    let none = parsed(&[("shop.yaml", part("shop", SHOP))]).unwrap_err();
    assert!(
        none[0].starts_with("shop.yaml line 3:") && none[0].contains("one file without"),
        "{none:?}"
    );
    // A policy that is one file has no scope.
    let alone = Policy::parse(&part("shop", SHOP), &read_file).unwrap_err();
    assert!(alone[0].to_string().starts_with("line 3:"), "{alone:?}");
    assert!(alone[0].text.contains("takes a directory"), "{alone:?}");
    let owned = base(&deny).replace("revision: 3", "revision: 3, owner: \"group:a\"");
    assert!(parsed(&[("a.yaml", owned)]).unwrap_err()[0].contains("metadata.owner"));
    let empty = parsed(&[
        ("a.yaml", base("")),
        (
            "b.yaml",
            part(
                "shop",
                "exceptions: [{id: e, match: \"up.test/shop/a\", reason: r, expires: 2030-01-01T00:00:00Z, check: {vulnerability: CVE-1}}]\n",
            ),
        ),
    ]);
    assert!(empty.unwrap_err()[0].contains("is missing in every file"));
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_column() {
    let found = wrong("", "rules: [{id: a, match: [\"up.test/shop/*\"], trust: perhaps}]\n");
    assert!(found.starts_with("teams/shop.yaml line 4:"), "{found}");
    let found = wrong("", "rules: [\n");
    assert!(found.starts_with("teams/shop.yaml line "), "{found}");
    let found = wrong("nonsense: 1\n", SHOP);
    assert!(found.starts_with("base.yaml line 4:1"), "{found}");
    // All files are read, and each tells its own.
    let found = wrong("nonsense: 1\n", "nonsense: 2\n");
    assert_eq!(found.lines().count(), 2, "{found}");
}

#[test]
fn a_file_with_a_scope_holds_nothing_that_is_everybodys() {
    for key in [
        "floor: {registries: [up.test]}",
        "defaults: {mode: audit}",
        "mode: audit",
        "modeUntil: 2030-01-01",
        "tagMove: hold-new",
        "signerChange: allow",
        "trustRoots: {a: {sigstore: {trustedRoot: file:key.pub}}}",
        "approvalPolicies: {a: {approvers: [\"user:a\"]}}",
        "maxException: 300d",
        "breakGlass: {who: [\"user:a\"]}",
        "expressions: [{id: a, when: \"image.layers > 1\", message: no}]",
    ] {
        let found = wrong("", &format!("{SHOP}{key}\n"));
        let word = key.split(':').next().unwrap();
        let expected = format!("{word}  is for the base file to say");
        assert!(
            found.contains(&expected) && found.starts_with("teams/shop.yaml line 5:1"),
            "{key}: {found}"
        );
    }
    let scopes =
        part("shop", SHOP).replace("name: shop", "name: shop, scopes: {a: [\"up.test/**\"]}");
    let found = parsed(&[("base.yaml", base("")), ("shop.yaml", scopes)]).unwrap_err().join("\n");
    assert!(found.contains("metadata.scopes  is for the base file"), "{found}");
    for owner in ["", "owner: shop, ", "owner: \"user:\", "] {
        let text = part("shop", SHOP).replace("owner: \"group:shop\", ", owner);
        assert!(parsed(&[("base.yaml", base("")), ("shop.yaml", text)]).is_err(), "{owner}");
    }
}

#[test]
fn every_match_lies_in_the_scope_or_the_policy_is_refused() {
    assert_eq!(wrong("", SHOP), "");
    for pattern in [
        "up.test/**",
        "**",
        "up.test/*/web",
        "up.test/shop",
        "up.test/shop*/x",
        "up.test/shopping/x",
        "*.test/shop/x",
        "other.test/shop/x",
        "**/shop/x",
    ] {
        let rules = format!("rules:\n{}", rule("a", pattern, ""));
        let found = wrong("", &rules);
        let told = format!(
            "\"{pattern}\" does not plainly lie in the scope of teams/shop.yaml (\"up.test/shop/**\")"
        );
        assert!(found.contains(&told) && found.contains("rules[0].match"), "{pattern}: {found}");
        let overlays = format!("{SHOP}overlays:\n{}", rule("o", pattern, ""));
        assert!(wrong("", &overlays).contains(&told), "{pattern}");
        let exceptions = format!(
            "{SHOP}exceptions: [{{id: e, match: \"{pattern}\", reason: r, expires: 2030-01-01T00:00:00Z, check: {{vulnerability: CVE-1}}}}]\n"
        );
        assert!(wrong("", &exceptions).contains(&told), "{pattern}");
    }
    // One digest of elsewhere is elsewhere.
    let digest = format!("up.test/pay/a@{}", Digest::sha256(b"x"));
    let exceptions = format!(
        "{SHOP}exceptions: [{{id: e, match: \"{digest}\", reason: r, expires: 2030-01-01T00:00:00Z, check: {{vulnerability: CVE-1}}}}]\n"
    );
    assert!(wrong("", &exceptions).contains("does not plainly lie"), "{}", wrong("", &exceptions));
}

#[test]
fn every_repository_has_one_owner() {
    for (other, meets) in [
        ("up.test/shop/**", true),
        ("up.test/shop/web/**", true),
        ("up.test/**", true),
        ("up.test/*/web", true),
        ("**/web", true),
        ("up.test/pay/**", false),
        ("up.test/shop", false),
    ] {
        let pay = part("pay", "").replace("up.test/pay/**", other);
        let files = [("base.yaml", base("")), ("a.yaml", part("shop", SHOP)), ("b.yaml", pay)];
        let found = parsed(&files).err().unwrap_or_default().join("\n");
        let told = format!("\"{other}\" meets \"up.test/shop/**\" of a.yaml");
        assert_eq!(found.contains(&told), meets, "{other}: {found}");
        assert_eq!(found.is_empty(), !meets, "{other}: {found}");
    }
    let everything = part("shop", SHOP).replace("up.test/shop/**", "**");
    let found = parsed(&[("base.yaml", base("")), ("a.yaml", everything)]).unwrap_err().join("\n");
    assert!(found.contains("\"**\" is everything"), "{found}");
    let twice =
        [("base.yaml", base("")), ("a.yaml", part("shop", SHOP)), ("b.yaml", part("site", ""))];
    let found = parsed(&twice).unwrap_err().join("\n");
    assert!(found.contains("\"site\" is the name of base.yaml too"), "{found}");
}

#[test]
fn no_rule_goes_before_one_of_the_base_file_that_did_not_give_the_scope() {
    let general = format!("rules:\n{}", rule("general", "up.test/**", ""));
    let specific = format!("rules:\n{}", rule("never", "up.test/shop/secret/**", ""));
    let found = wrong(&general, SHOP);
    assert!(
        found.contains(
            "rule shop-apps with \"up.test/shop/*\" of teams/shop.yaml would go before rule general"
        ),
        "{found}"
    );
    let given = |rules: &str, scopes: &str| {
        let base = base(rules).replace("revision: 3", &format!("revision: 3, scopes: {scopes}"));
        move |shop: &str| {
            let files = [("base.yaml", base.clone()), ("teams/shop.yaml", part("shop", shop))];
            parsed(&files).err().unwrap_or_default().join("\n")
        }
    };
    let found = given(&general, "{shop: [\"up.test/shop/**\"]}")(SHOP);
    assert_eq!(found, "", "what was given is given");
    let found = given(&general, "{shop: [\"up.test/shop/web/**\"]}")(SHOP);
    assert!(found.contains("\"up.test/shop/**\" is not given to shop"), "{found}");
    let found = given(&general, "{pay: [\"up.test/shop/**\"]}")(SHOP);
    assert!(found.contains("says nothing of it"), "{found}");
    // What the base file says within the scope stands, whether that was given or not.
    let into = "rules: [{id: in, match: [\"up.test/shop/secret/a\"], trust: allow, signatures: {none: ours}}]\n";
    let found = given(&specific, "{shop: [\"up.test/shop/**\"]}")(into);
    assert!(found.contains("would go before rule never"), "{found}");
    assert_eq!(given(&specific, "{shop: [\"up.test/shop/**\"]}")(SHOP), "");
    assert_eq!(wrong(&specific, SHOP), "", "a rule that comes behind takes nothing away");
    // By tags and kinds of artifacts rules go before others, too.
    let same = format!("rules:\n{}", rule("never", "up.test/shop/*", ""));
    let tagged = SHOP.replace("trust:", "tags: {exact: [\"1\"]}, trust:");
    assert!(
        wrong(&same, &tagged).contains("would go before rule never"),
        "{}",
        wrong(&same, &tagged)
    );
    let chart = SHOP.replace(
        "match: [\"up.test/shop/*\"]",
        "match: {images: [\"up.test/shop/*\"], artifact: [chart]}",
    );
    assert!(
        wrong(&same, &chart).contains("would go before rule never"),
        "{}",
        wrong(&same, &chart)
    );
    let found = wrong(&same, SHOP);
    assert!(found.contains("rules[0] of base.yaml") && found.contains("equally"), "{found}");
}

#[test]
fn nothing_is_weaker_than_what_the_base_file_says_of_all() {
    for (in_base, rule, key) in [
        ("", "mode: audit", "mode"),
        ("", "mode: warn", "mode"),
        ("mode: warn\n", "mode: audit", "mode"),
        ("mode: warn\nmodeUntil: 2030-01-01\n", "modeUntil: 2030-02-01", "mode"),
        ("tagMove: strict\n", "tagMove: hold-new", "tagMove"),
        ("", "signerChange: allow", "signerChange"),
        ("", "onError: stale", "onError"),
        ("defaults: {onError: \"stale(<=2h)\"}\n", "onError: \"stale(<=3h)\"", "onError"),
    ] {
        let found = wrong(in_base, &SHOP.replace("trust: allow", &format!("trust: allow, {rule}")));
        assert!(found.contains(&format!("rules[0].{key}  ")), "{in_base} {rule}: {found}");
        assert!(
            found.contains("is weaker than what the base file says"),
            "{in_base} {rule}: {found}"
        );
    }
    for (in_base, rule) in [
        ("", "mode: enforce"),
        ("mode: audit\n", "mode: warn"),
        ("mode: audit\n", "mode: enforce"),
        ("mode: warn\nmodeUntil: 2030-01-01\n", "modeUntil: 2029-01-01"),
        ("", "tagMove: strict"),
        ("signerChange: allow\n", "signerChange: hold"),
        ("defaults: {onError: \"stale(<=2h)\"}\n", "onError: \"stale(<=1h)\""),
        ("defaults: {onError: stale}\n", "onError: deny"),
    ] {
        let found = wrong(in_base, &SHOP.replace("trust: allow", &format!("trust: allow, {rule}")));
        assert_eq!(found, "", "{in_base} {rule}");
    }
    let asks = format!(
        "{SHOP}overlays: [{{id: o, match: [\"up.test/shop/*\"], when: \"signatures.size() > 0\", trust: deny}}]\n"
    );
    assert!(wrong("", &asks).contains("asks who signed or attested"), "{}", wrong("", &asks));
}

const SIGNER: &str = "{key: {pem: \"file:key.pub\"}, transparencyLog: none}";
const SIGNED: &str = "rules: [{id: shop-apps, match: [\"up.test/shop/*\"], trust: allow, signatures: {atLeast: 1, of: [ci]}}]\n";

#[test]
fn names_are_those_of_the_base_file_and_of_the_file_itself() {
    let ci = format!("signers: {{ci: {SIGNER}}}\n");
    assert_eq!(wrong(&ci, SIGNED), "", "of the base file");
    assert_eq!(wrong("", &format!("{SIGNED}{ci}")), "", "its own");
    assert!(wrong("", SIGNED).contains("\"ci\" is not among the signers"));
    // Not those of another file, and not the other way round.
    let files = [
        ("base.yaml", base("")),
        ("teams/pay.yaml", part("pay", &ci)),
        ("teams/shop.yaml", part("shop", SIGNED)),
    ];
    let found = parsed(&files).unwrap_err().join("\n");
    assert!(
        found.starts_with("teams/shop.yaml") && found.contains("is not among the signers"),
        "{found}"
    );
    let in_base = SIGNED.replace("up.test/shop/*", "up.test/other/*");
    assert!(wrong(&in_base, &format!("{SHOP}{ci}")).contains("is not among the signers"));
    // One name is one signer, and one key.
    let found = wrong(&ci, &format!("{SHOP}{}", ci.replace("key.pub", "other.pub")));
    assert!(found.contains("\"ci\" is a name in base.yaml too"), "{found}");
    let found = wrong(&ci, &format!("{SHOP}{}", ci.replace("ci:", "me:")));
    assert!(found.contains("is the same key as that of signer"), "{found}");
    let gate = "gates: {strict: {deny: [{severity: high}]}}\n";
    let found = wrong(gate, &format!("{SHOP}{gate}"));
    assert!(found.contains("\"strict\" is a name in base.yaml too"), "{found}");
    let gated = SHOP.replace("signatures", "gates: [strict], signatures");
    assert_eq!(wrong(gate, &gated), "");
    let approved = SHOP.replace("trust: allow", "trust: approve, approval: {policy: two}");
    assert_eq!(wrong("approvalPolicies: {two: {approvers: [\"user:a\"]}}\n", &approved), "");
}

#[test]
fn ids_are_those_of_one_thing_in_all_files() {
    let in_base = format!("rules:\n{}", rule("shop-apps", "up.test/x", ""));
    let found = wrong(&in_base, SHOP);
    assert!(found.contains("\"shop-apps\" is the id of rules[0]"), "{found}");
    assert!(found.contains("base.yaml"), "{found}");
    let overlay = "overlays: [{id: shop-apps, match: [\"**\"], trust: deny}]\n";
    let found = wrong(overlay, SHOP);
    assert!(
        found.contains("\"shop-apps\" is the id of rules[0] of teams/shop.yaml too"),
        "{found}"
    );
    let exception = |pattern: &str| {
        format!(
            "exceptions: [{{id: e, match: \"{pattern}\", reason: r, expires: 2030-01-01T00:00:00Z, check: {{vulnerability: CVE-1}}}}]\n"
        )
    };
    let found = wrong(&exception("up.test/x"), &format!("{SHOP}{}", exception("up.test/shop/x")));
    assert!(found.contains("\"e\" is the id of an exception of base.yaml too"), "{found}");
}

#[test]
fn a_file_with_a_scope_reads_beside_and_below_itself_only() {
    let signer = |path: &str| {
        format!(
            "{SIGNED}signers: {{ci: {{key: {{pem: \"file:{path}\"}}, transparencyLog: none}}}}\n"
        )
    };
    assert_eq!(wrong("", &signer("key.pub")), "");
    for path in ["/secret/key.pub", "../key.pub", "./../key.pub"] {
        let found = wrong("", &signer(path));
        assert!(found.contains("names files beside and below itself only"), "{path}: {found}");
    }
    let ci = "signers: {ci: {key: {pem: \"file:/secret/key.pub\"}, transparencyLog: none}}\n";
    assert_eq!(wrong(ci, SIGNED), "", "the base file may");
}
