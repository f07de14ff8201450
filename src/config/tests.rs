//! What the settings file promises, text in and text out.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::load::parse;
use super::*;
use crate::http::ClientCertificates;
use crate::store::VerifyReads;
use crate::upstream::{CredentialSource, ProxySettings};

/// The file that documents every key.
const DOCUMENTED: &str = include_str!("../../config/pratique.toml");

#[expect(clippy::unnecessary_wraps, reason = "stands in for a look at the disk")]
fn all_readable(_: &Path) -> io::Result<()> {
    Ok(())
}

fn read(text: &str) -> Result<Settings, String> {
    let nothing = Environment::default();
    parse("pratique.toml", text, &Overrides::default(), nothing, &all_readable)
        .map_err(|problems| problems.to_string())
}

fn effective(settings: &Settings) -> String {
    toml::to_string(&settings.effective()).unwrap()
}

/// `text` with its commented-out examples (`#key = …`, no space) put in force.
fn with_examples(text: &str) -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(example) if example.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
            example.to_owned()
        }
        _ => line.to_owned(),
    };
    text.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

fn keys(value: &toml::Value, path: &str, found: &mut Vec<String>) {
    let nested: Vec<(String, &toml::Value)> = match value {
        toml::Value::Table(table) => {
            table.iter().map(|(key, value)| (format!("{path}.{key}"), value)).collect()
        }
        toml::Value::Array(list) => list.iter().map(|value| (path.to_owned(), value)).collect(),
        _ => Vec::new(),
    };
    if !path.is_empty() {
        found.push(path.to_owned());
    }
    for (path, value) in nested {
        keys(value, &path, found);
    }
    found.sort();
    found.dedup();
}

#[test]
fn the_documented_file_says_the_defaults() {
    let documented = read(DOCUMENTED).unwrap();
    assert_eq!(effective(&documented), effective(&read("").unwrap()));
    assert_eq!(effective(&documented), effective(&Settings::default()));
}

#[test]
fn the_documented_file_has_every_key() {
    let examples = with_examples(DOCUMENTED);
    let settings = read(&examples).unwrap();
    let mut documented = Vec::new();
    keys(&toml::from_str(&examples).unwrap(), "", &mut documented);
    let mut shown = Vec::new();
    keys(&toml::from_str(&effective(&settings)).unwrap(), "", &mut shown);
    assert_eq!(documented, shown);
}

#[test]
fn effective_settings_are_a_settings_file_that_says_the_same() {
    for text in ["", DOCUMENTED, &with_examples(DOCUMENTED)] {
        let shown = effective(&read(text).unwrap());
        let again = effective(&read(&shown).unwrap_or_else(|error| panic!("{error}\n{shown}")));
        assert_eq!(again, shown);
    }
}

#[test]
fn scanners_beside_the_one_inside_are_named_once_and_are_whole() {
    for (block, expected) in [
        ("kind = \"trivy\"\nprogram = \"/bin/sh\"", "scan.adapter.name"),
        ("name = \"a b\"\nkind = \"trivy\"\nprogram = \"/bin/sh\"", "is not a plain name"),
        ("name = \"pratique\"\nkind = \"grype\"\nprogram = \"/bin/sh\"", "is taken"),
        ("name = \"t\"", "scan.adapter.kind"),
        ("name = \"t\"\nkind = \"clair\"", "is not one of \"trivy\", \"grype\", \"harbor\""),
        ("name = \"t\"\nkind = \"trivy\"", "is missing; write where Trivy is"),
        ("name = \"t\"\nkind = \"trivy\"\nprogram = \"trivy\"", "is not an absolute path"),
        (
            "name = \"t\"\nkind = \"trivy\"\nprogram = \"/bin/sh\"\nserver = \"http://t.corp\"",
            "is plain http",
        ),
        (
            "name = \"t\"\nkind = \"grype\"\nprogram = \"/bin/sh\"\nserver = \"https://t.corp\"",
            "unknown key",
        ),
        ("name = \"t\"\nkind = \"harbor\"\nurl = \"https://t.corp\"", "scan.adapter.registry"),
        (
            "name = \"t\"\nkind = \"harbor\"\nurl = \"http://t.corp\"\nregistry = \"https://m.corp\"",
            "is plain http",
        ),
        (
            "name = \"t\"\nkind = \"harbor\"\nurl = \"https://u:hunter2@t.corp\"\nregistry = \"https://m\"",
            "has credentials",
        ),
    ] {
        let problems = read(&format!("[[scan.adapter]]\n{block}\n")).unwrap_err();
        assert!(problems.contains(expected), "{block}: {problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
    let one = "[[scan.adapter]]\nname = \"t\"\nkind = \"grype\"\nprogram = \"/bin/sh\"\n";
    assert!(read(&format!("{one}{one}")).unwrap_err().contains("has a block already"));
    let local = "[[scan.adapter]]\nname = \"t\"\nkind = \"harbor\"\n\
                 url = \"http://127.0.0.1:8080\"\nregistry = \"http://127.0.0.1:5000\"\n";
    assert_eq!(read(local).unwrap().adapters.len(), 1);
}

#[test]
fn a_provider_is_named_whole_and_reached_in_private() {
    let role = "[[admin.oidc.role]]\ngroup = \"g\"\nrole = \"viewer\"\n";
    let read_with = |admin: &str, oidc: &str, roles: &str| {
        read(&format!("[admin]\n{admin}\n[admin.oidc]\n{oidc}\n{roles}"))
    };
    let public = "public_url = \"https://desk.test\"";
    let whole = "issuer = \"https://id.test/a/\"\nclient_id = \"c\"";
    for (admin, oidc, roles, expected) in [
        ("", whole, role, "needs admin.public_url"),
        (public, "client_id = \"c\"", role, "admin.oidc.issuer"),
        (public, "issuer = \"https://id.test\"", role, "admin.oidc.client_id"),
        (public, "issuer = \"http://id.test\"\nclient_id = \"c\"", role, "is plain http"),
        (
            public,
            "issuer = \"https://a:hunter2@id.test\"\nclient_id = \"c\"",
            role,
            "has credentials",
        ),
        (public, whole, "", "nobody may sign in"),
        (public, whole, "[[admin.oidc.role]]\ngroup = \"g\"\nrole = \"king\"\n", "a role is"),
        (public, whole, "[[admin.oidc.role]]\ngroup = \"g\"\nrole = \"discover\"\n", "for tokens"),
        (public, whole, "[[admin.oidc.role]]\nrole = \"viewer\"\n", "admin.oidc.role.group"),
        (public, &format!("{whole}\nclient_secret = \"x\""), role, "unknown key"),
        (public, &format!("{whole}\nendpoint_hosts = [\"https://x\"]"), role, "is not host"),
    ] {
        let problems = read_with(admin, oidc, roles).unwrap_err();
        assert!(problems.contains(expected), "{oidc}: {problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
    let oidc = read_with(public, whole, role).unwrap().admin.oidc.unwrap();
    assert_eq!(oidc.provider.issuer, "https://id.test/a/", "to the letter");
    assert_eq!(oidc.provider.redirect_uri, "https://desk.test/login/oidc/callback");
    assert!(read("").unwrap().admin.oidc.is_none());
}

#[test]
fn every_problem_is_reported_at_once_with_line_key_and_remedy() {
    let text = r#"data_dir = 5
polcy = "policy.yaml"

[node]
listen = "0.0.0.0:5000"
hold_timeout = "30"
refuse_at = "post"
max_connections = 0

[node.tls2]

[admin]
listen = "127.0.0.1:5001"
public_url = "https://mirror.example/?x"

[store]
verify_reads = "sometimes"
index_cache = "16"

[log]
level = "loud"

[[upstream]]
registry = "up.test"
url = "https://user:hunter2@up.test"
tagttl = "60s"
token_hosts = ["https://auth.test"]

[[upstream]]
registry = "up.test"
url = "http://127.0.0.1:25001"
username_file = "name"
password = "hunter2"

[[upstream.credential]]
match = "other.test/**"

[[upstream]]
url = "https://x.test"
helper = "aws-login"

[limits]
idle_timeout = "0s"
manifest_size = "5MiB"
"#;
    let expected = r#"pratique.toml: 24 problems
  line 1   data_dir                   is an integer, where text in quotes belongs
  line 2   polcy                      unknown key; did you mean policy?
  line 5   node.listen                "0.0.0.0:5000" without tls: nodes would be served in clear; add [node.tls] or set danger_plain_http = true
  line 6   node.hold_timeout          "30" is not a duration; write one such as "500ms", "30s" or "1h30m"
  line 7   node.refuse_at             "post" is not one of "head", "get"
  line 8   node.max_connections       0 is outside of what is possible, 8 to 1000000
  line 10  node.tls2                  unknown key; did you mean tls?
  line 14  admin.public_url           "https://mirror.example/?x" has a query; remove it
  line 17  store.verify_reads         "sometimes" is not one of "changed", "always", "never"
  line 18  store.index_cache          "16" is not a size; write one such as "64KiB" or "20GiB"
  line 21  log.level                  "loud" is not a level; write error, warn, info, debug or trace, or one for a module: "info,pratique::upstream=debug"
  line 25  upstream.url               "https://[redacted]@up.test" has credentials; put them in username_file and password_file
  line 26  upstream.tagttl            unknown key; did you mean tag_ttl?
  line 27  upstream.token_hosts       "https://auth.test" is not host or host:port (no scheme, no path, no wildcard)
  line 29  upstream.password_file     is missing; username_file needs it
  line 30  upstream.registry          has a block already; keep one of them
  line 31  upstream.url               is plain http: what is sent can be read and changed on the way; use https or set danger_plain_http = true
  line 33  upstream.password          does not belong in this file; put it in a file and name that as password_file
  line 35  upstream.credential        has no login; name username_file and password_file, or a helper
  line 36  upstream.credential.match  "other.test/**" is not a pattern of this registry; begin it with "up.test/"
  line 38  upstream.registry          is missing; name the registry as image references do
  line 40  upstream.helper            "aws-login" is not a credential helper; write docker-credential-NAME or an absolute path to one
  line 43  limits.idle_timeout        0s is outside of what is possible, 1s to 1h
  line 44  limits.manifest_size       5MiB is outside of what is possible, 1KiB to 4MiB
"#;
    let found = read(text).unwrap_err();
    assert_eq!(found, expected.trim_end());
    assert!(!found.contains("hunter2"));
}

#[test]
fn a_text_that_is_not_toml_is_reported_by_line() {
    let found = read("data_dir = \n[node]\nlisten = 5 5\n").unwrap_err();
    assert!(found.starts_with("pratique.toml: "), "{found}");
    assert!(found.contains("line 1  is not TOML: "), "{found}");
    assert!(found.contains("line 3  is not TOML: "), "{found}");
}

#[test]
fn files_that_the_settings_name_must_be_readable() {
    let text = "policy = \"no.yaml\"\n[node.tls]\ncert = \"no.crt\"\n[[upstream]]\nregistry = \"up.test\"\nca_file = \"no.ca\"\n";
    let missing = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let problems =
        parse("pratique.toml", text, &Overrides::default(), Environment::default(), &missing)
            .unwrap_err();
    let expected = "pratique.toml: 4 problems
  line 1  policy            \"no.yaml\" cannot be read: entity not found
  line 2  node.tls.key      is missing; name a PEM file
  line 3  node.tls.cert     \"no.crt\" cannot be read: entity not found
  line 6  upstream.ca_file  \"no.ca\" cannot be read: entity not found";
    assert_eq!(problems.to_string(), expected);
    assert_eq!(problems.policy, Some("no.yaml".into()));
}

#[test]
fn a_listener_in_clear_needs_the_dangerous_word_in_its_own_block() {
    let exposed = "[node]\nlisten = \"0.0.0.0:5000\"\n";
    assert!(read(exposed).is_err());
    assert!(read(&format!("{exposed}[admin]\ndanger_plain_http = true\n")).is_err());
    assert!(read("[admin]\nlisten = \"10.0.0.1:5001\"\n").is_err());
    let allowed = read(&format!("{exposed}danger_plain_http = true\n")).unwrap();
    assert_eq!(allowed.dangers, ["node.danger_plain_http"]);
    let tls = "[node.tls]\ncert = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n";
    let protected = read(&format!("{exposed}{tls}")).unwrap();
    let (_, needed) = protected.node.tls.unwrap().client_ca.unwrap();
    assert_eq!(needed, ClientCertificates::Required);
    assert!(protected.dangers.is_empty());
    assert!(read(&format!("{exposed}danger_plain_http = true\n{tls}")).is_err());
}

#[test]
fn a_flag_wins_over_the_file_and_is_checked_like_it() {
    let overrides = |listen: &str| Overrides {
        data_dir: Some("flag".into()),
        listen: Some(listen.parse().unwrap()),
        ..Overrides::default()
    };
    let text = "data_dir = \"file\"\n[node]\nlisten = \"127.0.0.1:1\"\n";
    let with = |listen: &str| {
        parse("pratique.toml", text, &overrides(listen), Environment::default(), &all_readable)
    };
    let settings = with("127.0.0.1:2").unwrap();
    assert_eq!(settings.node.listen.port(), 2);
    assert_eq!(settings.data_dir, Path::new("flag"));
    assert_eq!(settings.store.dir, Path::new("flag"));
    assert_eq!(settings.admin.data_dir, Path::new("flag"));
    assert_eq!(settings.token_file(), Path::new("flag/admin.token"));
    let refused = with("0.0.0.0:2").unwrap_err().to_string();
    assert!(refused.contains("--listen  \"0.0.0.0:2\" without tls"), "{refused}");
}

#[test]
fn the_two_listeners_cannot_share_an_address() {
    let refused = read("[admin]\nlisten = \"127.0.0.1:5000\"\n").unwrap_err();
    assert!(refused.contains("line 2  admin.listen"), "{refused}");
    assert!(read("[node]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n").is_ok());
}

#[test]
fn a_block_replaces_the_built_in_registry_of_the_same_name() {
    let text = "[[upstream]]\nregistry = \"index.docker.io\"\nurl = \"https://hub.internal\"\n\
                [[upstream]]\nregistry = \"up.test:5000\"\ntag_ttl = \"0s\"\n";
    let settings = read(text).unwrap();
    let registries = settings.upstream.registries;
    assert_eq!(registries.len(), 6);
    let hub: Vec<_> =
        registries.iter().filter(|known| known.registry.as_str() == "docker.io").collect();
    let [hub] = hub.as_slice() else { panic!("docker.io {} times", hub.len()) };
    assert_eq!(hub.url, "https://hub.internal");
    assert!(hub.token_hosts.is_empty(), "a login for another place must not go to Docker Hub");
    let other = registries.last().unwrap();
    assert_eq!(other.url, "https://up.test:5000");
    assert_eq!(settings.mirror.tag_ttl.get(&other.registry), Some(&Duration::ZERO));
    assert_eq!(settings.mirror.tag_ttl.len(), 1);
}

#[test]
fn a_block_without_an_address_keeps_what_is_known_of_the_registry() {
    let settings = read(
        "[[upstream]]\nregistry = \"docker.io\"\nusername_file = \"u\"\npassword_file = \"p\"\n",
    )
    .unwrap();
    let hub = settings.upstream.registries.last().unwrap();
    assert_eq!(hub.url, "https://registry-1.docker.io");
    assert_eq!(hub.token_hosts, ["auth.docker.io"]);
    let source = &hub.credentials.first().unwrap().source;
    let expected = CredentialSource::Files { username: "u".into(), password: "p".into() };
    assert_eq!(source, &expected);
}

#[test]
fn a_login_is_two_files_or_a_helper_and_never_in_this_file() {
    let upstream = "[[upstream]]\nregistry = \"ghcr.io\"\n";
    for (lines, expected) in [
        ("username_file = \"u\"", "password_file  is missing"),
        ("password_file = \"p\"", "username_file  is missing"),
        (
            "username_file = \"u\"\npassword_file = \"p\"\nhelper = \"docker-credential-x\"",
            "helper  stands beside files",
        ),
        ("password = \"hunter2\"", "password  does not belong in this file"),
        ("helper = \"./docker-credential-x\"", "is not a credential helper"),
        ("helper = \"docker-credential-\"", "is not a credential helper"),
        ("[[upstream.credential]]\nhelper = \"docker-credential-x\"", "match  is missing"),
        ("[[upstream.credential]]\nmatch = \"ghcr.io/a\"", "has no login"),
        (
            "[[upstream.credential]]\nmatch = \"quay.io/a\"\nhelper = \"docker-credential-x\"",
            "is not a pattern of this registry",
        ),
        (
            "[[upstream.credential]]\nmatch = \"ghcr.io/a//b\"\nhelper = \"docker-credential-x\"",
            "is not a pattern",
        ),
    ] {
        let found = read(&format!("{upstream}{lines}\n")).unwrap_err();
        assert!(found.contains(expected) && found.contains(": 1 problem\n"), "{lines}\n{found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
    let good = "[[upstream.credential]]\nmatch = \"ghcr.io/team-a/**\"\nhelper = \"/opt/docker-credential-x\"\n";
    let settings = read(&format!("{upstream}{good}")).unwrap();
    let registry = settings.upstream.registries.last().unwrap();
    let login = registry.credentials.first().unwrap();
    assert_eq!(login.pattern.as_deref(), Some("team-a/**"));
    assert_eq!(login.source, CredentialSource::Helper("/opt/docker-credential-x".into()));
}

#[test]
fn the_environment_names_proxies_unless_the_file_does() {
    let environment = Environment {
        proxy: ProxySettings {
            http: Some("http://user:hunter2@env.test:1".into()),
            https: Some("http://env.test:2".into()),
            no_proxy: vec!["direct.test".into()],
        },
    };
    let text = "[proxy]\nhttps = \"\"\nno_proxy = [\".corp.test\"]\n";
    let settings =
        parse("pratique.toml", text, &Overrides::default(), environment, &all_readable).unwrap();
    let proxy = &settings.upstream.proxy;
    assert_eq!(proxy.http.as_deref(), Some("http://user:hunter2@env.test:1"));
    assert_eq!(proxy.https, None);
    assert_eq!(proxy.no_proxy, [".corp.test"]);
    let shown = effective(&settings);
    assert!(shown.contains("http://[redacted]@env.test:1"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn settings_reach_the_module_that_they_are_for() {
    let settings = read(
        "[node]\nhold_timeout = \"5s\"\nrefuse_at = \"get\"\ndefault_registry = \"quay.io\"\n\
         [admin]\npublic_url = \"https://mirror.example/\"\n\
         [store]\nverify_reads = \"always\"\nindex_cache = \"1MiB\"\n\
         [log]\nformat = \"json\"\nlevel = \"info,pratique::upstream=debug\"\n\
         [limits]\nmax_redirects = 3\nidle_timeout = \"20s\"\n[evidence]\nmax_referrers = 7\n",
    )
    .unwrap();
    assert_eq!(settings.mirror.hold_timeout, Duration::from_secs(5));
    assert_eq!(settings.node.refuse_at, crate::http::RefuseAt::Get);
    assert_eq!(settings.node.default_registry.as_str(), "quay.io");
    assert_eq!(settings.node.public_url.as_deref(), Some("https://mirror.example"));
    assert_eq!(settings.store.verify_reads, VerifyReads::Always);
    assert_eq!(settings.store.index_cache_bytes, 1 << 20);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.evidence.referrers, 7);
    assert_eq!(settings.upstream.limits.redirects, 3);
    assert_eq!(settings.upstream.limits.idle_timeout, Duration::from_secs(20));
}

#[test]
fn clients_on_this_machine_are_led_to_the_listeners() {
    let settings = read(
        "[node]\nlisten = \"0.0.0.0:5000\"\ndanger_plain_http = true\n\
         [admin]\nlisten = \"0.0.0.0:5001\"\ndanger_plain_http = true\n",
    )
    .unwrap();
    assert_eq!(settings.admin_url(), "http://127.0.0.1:5001");
    assert_eq!(settings.node_url(), None);
    assert_eq!(Settings::default().node_url().as_deref(), Some("http://127.0.0.1:5000"));
}

#[test]
fn the_watermarks_leave_room_between_them() {
    let settings =
        read("[cache]\nquota = \"1000MB\"\nhigh_watermark = 90\nlow_watermark = 50\n").unwrap();
    let keeping = &settings.store.keeping;
    assert_eq!((keeping.high_bytes(), keeping.low_bytes()), (Some(900_000_000), Some(500_000_000)));
    for wrong in ["low_watermark = 95", "high_watermark = 85", "high_watermark = 101"] {
        let refused = read(&format!("[cache]\n{wrong}\n")).unwrap_err();
        assert!(refused.contains("cache.") && refused.contains("watermark"), "{refused}");
    }
    let settings = read("[cache]\nscrub_every = \"0s\"\n").unwrap();
    assert_eq!(settings.store.keeping.scrub_every, None);
    assert!(read("[cache]\nscrub_every = \"5ms\"\n").unwrap_err().contains("scrub_every"));
}

#[test]
fn lines_of_images_have_a_pattern_a_line_and_a_day() {
    let block = |text: &str| format!("[[lifecycle]]\n{text}\n");
    let good = "match = \"docker.io/library/redis\"\nline = \"6.2\"\nends = \"2027-02-28\"";
    let settings = read(&block(good)).unwrap();
    let [line] = settings.mirror.lifecycle.as_slice() else { panic!("one line") };
    assert_eq!(
        (line.line.as_str(), line.ends.to_string().as_str()),
        ("6.2", "2027-02-28T00:00:00Z")
    );
    assert!(effective(&settings).contains("ends = \"2027-02-28\""), "{}", effective(&settings));
    for (text, told) in [
        ("line = \"6.2\"\nends = \"2027-02-28\"", "lifecycle.match"),
        ("match = \"a.b/c\"\nends = \"2027-02-28\"", "lifecycle.line"),
        ("match = \"a.b/c\"\nline = \"6.2\"", "lifecycle.ends"),
        ("match = \"a.b/c\"\nline = \"latest\"\nends = \"2027-02-28\"", "beginning of a version"),
        ("match = \"a.b/c\"\nline = \"6\"\nends = \"soon\"", "is no day"),
        ("match = \"a.b/c\"\nline = \"6\"\nends = \"2027-02-30\"", "is no day"),
        ("match = \"a.b/c\"\nline = \"6\"\nends = \"2027-02-28\"\nend = 1", "unknown key"),
    ] {
        let problems = read(&block(text)).unwrap_err();
        assert!(problems.contains(told), "{told}: {problems}");
    }
}
