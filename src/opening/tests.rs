//! Who may open a node, for how long, and what is left of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::*;
use crate::node::install::STATE;
use crate::node::kit;
use crate::node::openings::What;
use crate::node::verify::verify;
use crate::oci::Digest;
use crate::signature::SigningKey;

const HOUR: Duration = Duration::from_hours(1);

/// Somebody with a key.
struct Person {
    key: SigningKey,
    public: String,
}

impl Person {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let block = |name: &str, der: &[u8]| {
            format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", STANDARD.encode(der))
        };
        let private = pair.to_pkcs8v1().unwrap();
        let public = aws_lc_rs::signature::KeyPair::public_key(&pair).as_der().unwrap();
        assert!(!pair.private_key().as_be_bytes().unwrap().as_ref().is_empty());
        Self {
            key: SigningKey::from_pem(&block("PRIVATE KEY", private.as_ref())).unwrap(),
            public: block("PUBLIC KEY", public.as_ref()),
        }
    }
}

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn permit() -> Permit {
    Permit {
        id: "NP-0123abcd".to_owned(),
        nodes: vec!["worker-*".to_owned(), "db".to_owned()],
        not_before: now(),
        not_after: now().after(HOUR * 24 * 30),
        minutes: 60,
        made_for: "the mirror is lost".to_owned(),
    }
}

/// A node that is closed, and the keys that lie on it.
struct Node {
    root: TempDir,
    people: Vec<Person>,
}

impl Node {
    fn new(people: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let people: Vec<Person> = (0..people).map(|_| Person::new()).collect();
        let folder = root.path().join(OPENERS.trim_start_matches('/'));
        fs::create_dir_all(&folder).unwrap();
        for (number, person) in people.iter().enumerate() {
            fs::write(folder.join(format!("person-{number}.pem")), &person.public).unwrap();
        }
        let node = Self { root, people };
        let config = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  \
                      config_path = \"/etc/containerd/certs.d\"\n";
        fs::create_dir_all(node.path("/etc/containerd")).unwrap();
        fs::write(node.path("/etc/containerd/config.toml"), config).unwrap();
        let plan = Plan::make(node.root.path(), &Node::kit(), true).unwrap();
        install(node.root.path(), &plan).unwrap();
        assert!(verify(node.root.path(), &Node::kit()).closed);
        node
    }

    fn kit() -> Kit {
        let text = "runtime = \"containerd@1.7.24\"\nmirrors = [\"http://127.0.0.1:5000\"]\n\
                    registries = [\"docker.io\"]\n";
        Kit::parse("node.toml", text).unwrap()
    }

    fn configured(&self) -> Kit {
        Kit::read(&self.path(kit::FILE)).unwrap().unwrap()
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// The permit as the people with these numbers sign it.
    fn file(&self, by: &[usize]) -> String {
        let line = |number: &usize| self.people[*number].key_of(&permit());
        by.iter().map(line).collect()
    }

    fn counts(&self, text: &str, node: &str, at: Timestamp) -> Result<Signed, PermitError> {
        PermitFile::parse(text)?.counts(self.root.path(), node, at)
    }

    fn hosts(&self) -> String {
        fs::read_to_string(self.path("/etc/containerd/certs.d/docker.io/hosts.toml")).unwrap()
    }

    fn journal(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.path(JOURNAL)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Person {
    fn key_of(&self, permit: &Permit) -> String {
        format!("{}\n", permit.sign(&self.key).unwrap().text())
    }
}

#[test]
fn two_people_of_this_node_have_to_have_signed() {
    let node = Node::new(3);
    let refused =
        |text: &str, at: &str, now| node.counts(text, at, now).map(|_| ()).unwrap_err().to_string();
    let good = node.file(&[0, 2]);
    let signed = node.counts(&good, "worker-7", now()).unwrap();
    assert_eq!(signed.signers, ["person-0", "person-2"]);
    assert!(node.counts(&good, "db", now()).is_ok());
    for name in ["db-2", "master-1", "worker", ""] {
        assert!(refused(&good, name, now()).contains("is not for node"), "{name}");
    }
    let before = Timestamp::from_milliseconds(now().milliseconds() - 1);
    assert!(refused(&good, "db", before).contains("counts from"));
    assert!(refused(&good, "db", permit().not_after).contains("counts from"));

    let too_few = "needs the signatures of 2";
    assert!(refused(&node.file(&[1]), "db", now()).contains("found person-1"));
    assert!(refused(&node.file(&[1, 1]), "db", now()).contains(too_few), "one person, twice");
    let stranger = Person::new();
    let with_stranger = format!("{}{}", node.file(&[0]), stranger.key_of(&permit()));
    assert!(refused(&with_stranger, "db", now()).contains("found person-0"));
    // The same key under two names is one person.
    let copy = node.path(OPENERS).join("another.pem");
    fs::copy(node.path(OPENERS).join("person-1.pem"), &copy).unwrap();
    assert!(refused(&node.file(&[1]), "db", now()).contains(too_few));
}

#[test]
fn what_is_no_permit_or_says_two_things_is_refused() {
    let node = Node::new(2);
    let longer = Permit { minutes: 120, ..permit() };
    let two_things =
        format!("{}{}", node.people[0].key_of(&permit()), node.people[1].key_of(&longer));
    for (text, reason) in [
        (String::new(), "0 lines"),
        ("x".to_owned(), "line 1"),
        ("{}".to_owned(), "line 1"),
        (node.file(&[0, 1]).repeat(9), "18 lines"),
        (two_things, "different things"),
    ] {
        let error = PermitFile::parse(&text).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    // A signature does not hold for other words.
    let mut lines = node.file(&[0, 1]);
    let payload = STANDARD.encode(serde_json::to_vec(&permit()).unwrap());
    lines = lines.replace(&payload, &STANDARD.encode(serde_json::to_vec(&longer).unwrap()));
    let error = node.counts(&lines, "db", now()).unwrap_err().to_string();
    assert!(error.contains("found none"), "{error}");
    for wrong in [
        Permit { id: "NP-1".to_owned(), ..permit() },
        Permit { nodes: vec![], ..permit() },
        Permit { nodes: vec!["a*b".to_owned()], ..permit() },
        Permit { minutes: 0, ..permit() },
        Permit { minutes: 24 * 60 + 1, ..permit() },
        Permit { not_after: now(), ..permit() },
        Permit { not_after: now().after(HOUR * 24 * 401), ..permit() },
        Permit { made_for: " ".to_owned(), ..permit() },
        Permit { made_for: "a\nb".to_owned(), ..permit() },
    ] {
        assert!(wrong.sign(&node.people[0].key).is_err(), "{wrong:?}");
    }
}

#[test]
fn keys_that_others_could_have_put_there_open_nothing() {
    let node = Node::new(2);
    let good = node.file(&[0, 1]);
    let open_to_all = fs::Permissions::from_mode(0o666);
    let key = node.path(OPENERS).join("person-1.pem");
    fs::set_permissions(&key, open_to_all).unwrap();
    let error = node.counts(&good, "db", now()).unwrap_err().to_string();
    assert!(error.contains("may be written by others"), "{error}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(node.path(OPENERS), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(node.counts(&good, "db", now()).is_err());
    fs::remove_dir_all(node.path(OPENERS)).unwrap();
    assert!(node.counts(&good, "db", now()).is_err());
}

#[test]
fn a_node_is_open_for_a_while_says_so_and_is_closed_as_it_was() {
    let node = Node::new(2);
    let root = node.root.path();
    let before = node.hosts();
    assert!(before.contains("server = \"http://127.0.0.1:5000\""), "{before}");
    let signed = node.counts(&node.file(&[0, 1]), "db", now()).unwrap();
    let wish = Wish { ttl: HOUR, reason: "INC-77", by: "uid 0" };
    let too_long = Wish { ttl: HOUR * 2, ..wish.clone() };
    let error = open(root, &node.configured(), &signed, &too_long, now()).unwrap_err();
    assert!(matches!(error, OpeningError::TooLong { .. }), "{error}");
    assert_eq!(node.hosts(), before);

    let (opened, _) = open(root, &node.configured(), &signed, &wish, now()).unwrap();
    assert_eq!(opened.until, now().after(HOUR));
    assert!(!node.hosts().contains("server = \"http://127.0.0.1:5000\""), "{}", node.hosts());
    let report = verify(root, &node.configured());
    assert!(!report.closed);
    let text = &report.findings[0].text;
    assert!(text.contains("by permit NP-0123abcd (INC-77)"), "{text}");
    let again = open(root, &node.configured(), &signed, &wish, now()).unwrap_err();
    assert!(matches!(again, OpeningError::AlreadyOpen(_)), "{again}");

    let later = now().after(HOUR);
    assert!(close(root, &node.configured(), "uid 0", later).unwrap().is_some());
    assert_eq!(node.hosts(), before);
    assert!(verify(root, &node.configured()).closed);
    assert!(close(root, &node.configured(), "uid 0", later).unwrap().is_none());
    let journal = node.journal();
    let said: Vec<What> = journal.iter().map(|line| line.what).collect();
    assert_eq!(said, [What::Opened, What::Closed]);
    assert_eq!(journal[0].signers, ["person-0", "person-1"]);
    let first = fs::read_to_string(node.path(JOURNAL)).unwrap();
    let first = first.lines().next().unwrap();
    assert_eq!(journal[1].before, Some(Digest::sha256(first.as_bytes())));
}

#[test]
fn what_cannot_be_written_down_is_not_opened_and_what_was_killed_is_closed() {
    let node = Node::new(2);
    let root = node.root.path();
    let before = node.hosts();
    let signed = node.counts(&node.file(&[0, 1]), "db", now()).unwrap();
    let wish = Wish { ttl: HOUR, reason: "INC-77", by: "uid 0" };
    fs::create_dir(node.path(JOURNAL)).unwrap();
    let error = open(root, &node.configured(), &signed, &wish, now()).unwrap_err();
    assert!(matches!(error, OpeningError::Journal { .. }), "{error}");
    assert_eq!(node.hosts(), before);
    assert_eq!(Opened::read(root).unwrap(), None);
    fs::remove_dir(node.path(JOURNAL)).unwrap();

    // Killed after it was said and before anything was opened, and the reverse.
    let opened = Opened { until: now(), permit: "NP-1".to_owned(), reason: "r".to_owned() };
    opened.write(root).unwrap();
    assert!(!verify(root, &node.configured()).closed);
    close(root, &node.configured(), "uid 0", now()).unwrap().unwrap();
    assert_eq!(node.hosts(), before);
    let (_, _) = open(root, &node.configured(), &signed, &wish, now()).unwrap();
    let plan = Plan::make(root, &Kit { open: false, ..node.configured() }, false).unwrap();
    install(root, &plan).unwrap();
    close(root, &node.configured(), "uid 0", now()).unwrap().unwrap();
    assert_eq!((node.hosts(), verify(root, &node.configured()).closed), (before, true));
    // A state that nobody can read is told, and nothing is opened beside it.
    fs::write(Path::new(&node.path(STATE)).join("open.json"), "{").unwrap();
    assert!(!verify(root, &node.configured()).closed);
    assert!(matches!(
        open(root, &node.configured(), &signed, &wish, now()).unwrap_err(),
        OpeningError::State(_)
    ));
}
