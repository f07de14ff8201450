//! How many logs vouch for a signature, and whether somebody saw when it was made.

use serde_json::{Value, json};

use super::forger::{Forger, bundled, name, statement, subject};
use super::keyless::{GOOD, IMAGE, REPOSITORY, ROOT, identity, simple};
use super::log::{Log, body_of, root_json, root_of};
use crate::signature::{
    Demands, FoundSignature, Refusal, Signer, TRUST_ROOT_BYTES_MAX, TrustRoot, TrustRootError,
};
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_milliseconds(0);
const SEEN: i64 = 1_700_000_000;

fn demanding(root: TrustRoot, logs_min: usize, timestamp: bool) -> TrustRoot {
    root.demanding(Demands { logs_min, timestamp }).unwrap()
}

/// A bundle by a key, its entries, and the root that lists the logs.
struct Logged {
    forger: Forger,
    bundle: Value,
    body: Vec<u8>,
}

impl Logged {
    fn new() -> Self {
        let forger = Forger::p256();
        let bundle = forger.bundle(&statement(&subject()).to_string());
        let body = body_of(&bundle, &forger);
        Self { forger, bundle, body }
    }

    fn outcome(&self, entries: &[Value], root: TrustRoot) -> Result<String, Refusal> {
        let mut bundle = self.bundle.clone();
        bundle["verificationMaterial"]["tlogEntries"] = json!(entries);
        let signer = Signer::logged_key(self.forger.key(), root);
        signer.verify(&bundled(&bundle), &name(), &subject(), NOW).map(|proof| proof.by)
    }
}

fn few(found: usize, wanted: usize) -> Result<String, Refusal> {
    Err(Refusal::TooFewLogs { found, wanted })
}

fn without(entry: &Value, member: &str) -> Value {
    let mut entry = entry.clone();
    entry.as_object_mut().unwrap().remove(member);
    entry
}

#[test]
fn only_distinct_logs_count_and_not_their_entries() {
    let logged = Logged::new();
    let [one, two, other] =
        ["https://one.test", "https://two.test", "https://x.test"].map(Log::new);
    let entry = |log: &Log, at: i64| log.entry(&logged.body, SEEN + at);
    let proof_only = |log: &Log, at: i64| without(&entry(log, at), "inclusionPromise");
    let promise_only = |log: &Log, at: i64| without(&entry(log, at), "inclusionProof");
    let root = || demanding(root_of(&[one.trusted(), two.trusted()]), 2, false);
    let by = Ok(logged.forger.key().id());
    for good in [
        [entry(&one, 0), entry(&two, 0)],
        [entry(&two, 0), entry(&one, 9)],
        [proof_only(&one, 0), proof_only(&two, 0)],
        [entry(&one, 0), promise_only(&two, 0)],
    ] {
        assert_eq!(logged.outcome(&good, root()), by);
    }
    let crowd: Vec<Value> = (0..16).map(|at| entry(&one, at)).collect();
    for entries in [
        vec![entry(&one, 0)],
        vec![entry(&one, 0), entry(&one, 0)],
        vec![entry(&one, 0), entry(&one, 7)],
        vec![proof_only(&one, 0), promise_only(&one, 0)],
        crowd,
    ] {
        assert_eq!(logged.outcome(&entries, root()), few(1, 2));
        assert_eq!(logged.outcome(&entries, root_of(&[one.trusted()])), by);
    }
    // One of a log that the root does not list spoils everything, and adds nothing.
    let foreign = logged.outcome(&[entry(&one, 0), entry(&two, 0), entry(&other, 0)], root());
    assert!(matches!(foreign, Err(Refusal::Proof(_))), "{foreign:?}");
    let foreign = logged.outcome(&[entry(&one, 0), entry(&other, 0)], root());
    assert!(matches!(foreign, Err(Refusal::Proof(_))), "{foreign:?}");
}

#[test]
fn the_log_that_an_entry_names_is_only_a_claim() {
    let logged = Logged::new();
    let [one, two] = ["https://one.test", "https://two.test"].map(Log::new);
    let root = || demanding(root_of(&[one.trusted(), two.trusted()]), 2, false);
    let good = one.entry(&logged.body, SEEN);
    let named = two.entry(&logged.body, SEEN)["logId"].clone();
    // Proven by the one, and said to be of the other.
    let mut renamed = without(&good, "inclusionPromise");
    renamed["logId"] = named.clone();
    let not_theirs = "checkpoint is not by the log that the entry names";
    let refused = |why: &str| Err(Refusal::Proof(why.to_owned()));
    for entries in [[good.clone(), renamed.clone()], [renamed.clone(), renamed]] {
        assert_eq!(logged.outcome(&entries, root()), refused(not_theirs));
    }
    // A promise is by whom it says, or does not verify.
    let mut renamed = good.clone();
    renamed["logId"] = named.clone();
    let outcome = logged.outcome(&[good.clone(), renamed], root());
    assert!(matches!(outcome, Err(Refusal::Proof(_))), "{outcome:?}");
    // The proof of the one under the checkpoint of the other.
    let mut crossed = without(&good, "inclusionPromise");
    let theirs = two.entry(b"{\"kind\": \"dsse\", \"apiVersion\": \"0.0.1\"}", SEEN);
    crossed["inclusionProof"]["checkpoint"] = theirs["inclusionProof"]["checkpoint"].clone();
    let outcome = logged.outcome(&[good.clone(), crossed], root());
    assert!(outcome.is_err(), "{outcome:?}");
    // An entry that nobody vouches for is the word of nobody.
    let bare = without(&without(&good, "inclusionPromise"), "inclusionProof");
    let mut theirs = bare.clone();
    theirs["logId"] = named;
    let nobody = "log entry has neither promise nor proof";
    assert_eq!(logged.outcome(&[good, theirs, bare], root()), refused(nobody));
}

#[test]
fn a_log_under_several_names_is_one_log() {
    let logged = Logged::new();
    let [one, again, two] =
        ["https://one.test", "https://ONE.test/", "https://two.test"].map(Log::new);
    // The same key under two ids, and two keys at one address.
    let alias = one.trusted_as(&[7; 32]);
    let mut moved = one.trusted_as(&[8; 32]);
    moved["baseUrl"] = json!("https://two.test");
    for (listed, count) in [
        (vec![one.trusted()], 1),
        (vec![one.trusted(), two.trusted()], 2),
        (vec![one.trusted(), alias.clone()], 1),
        (vec![one.trusted(), again.trusted(), alias.clone()], 1),
        (vec![one.trusted(), two.trusted(), moved], 1),
    ] {
        let root = root_of(&listed);
        assert_eq!(root.log_count(), count, "{listed:?}");
        assert!(root.clone().demanding(Demands { logs_min: count, timestamp: false }).is_ok());
        for asked in [0, count + 1, usize::MAX] {
            let refused = root.clone().demanding(Demands { logs_min: asked, timestamp: false });
            let error = TrustRootError::Logs { asked, listed: count };
            assert_eq!(refused.err(), Some(error), "{asked}");
        }
    }
    let root = root_of(&[one.trusted(), again.trusted(), two.trusted()]);
    let entries = [&one, &again].map(|log| log.entry(&logged.body, SEEN));
    assert_eq!(logged.outcome(&entries, demanding(root, 2, false)), few(1, 2));
}

#[test]
fn certificates_count_by_logs_too() {
    let good: Value = serde_json::from_str(GOOD[0]).unwrap();
    let entry = &good["verificationMaterial"]["tlogEntries"][0];
    let body = {
        use base64::Engine as _;
        let body = entry["canonicalizedBody"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD.decode(body).unwrap()
    };
    let at: i64 = entry["integratedTime"].as_str().unwrap().parse().unwrap();
    let ours = Log::new("https://second.test");
    let mut root: Value = serde_json::from_str(ROOT).unwrap();
    root["tlogs"].as_array_mut().unwrap().push(ours.trusted());
    let root = TrustRoot::from_json(&root.to_string()).unwrap();
    let outcome = |entries: Value, logs_min: usize| {
        let mut bundle = good.clone();
        bundle["verificationMaterial"]["tlogEntries"] = entries;
        let signer = Signer::keyless(demanding(root.clone(), logs_min, false), identity());
        verify(&signer, &bundled(&bundle))
    };
    let second = ours.entry(&body, at);
    assert!(outcome(json!([entry, second]), 2).is_ok());
    assert_eq!(outcome(json!([entry, entry]), 2), few(1, 2));
    assert_eq!(outcome(json!([entry, second]), 3), few(2, 3));
    assert_eq!(outcome(json!([second, ours.entry(&body, at + 1)]), 2), few(1, 2));
}

fn verify(signer: &Signer, found: &FoundSignature) -> Result<String, Refusal> {
    let (name, image) = (REPOSITORY.parse().unwrap(), IMAGE.parse().unwrap());
    signer.verify(found, &name, &image, NOW).map(|proof| proof.by)
}

#[test]
fn a_timestamp_that_is_asked_for_is_of_an_authority_and_over_this_signature() {
    let root = || TrustRoot::from_json(ROOT).unwrap();
    let signer = |root: TrustRoot| Signer::keyless(root, identity());
    let asking = || signer(demanding(root(), 1, true));
    let [plain, stamped, second, intoto] = GOOD.map(|json| bundled(&parse(json)));
    for found in [&plain, &intoto] {
        assert_eq!(verify(&asking(), found), Err(Refusal::NoTimestamp));
        assert!(verify(&signer(root()), found).is_ok());
    }
    for found in [&stamped, &second, &simple()] {
        assert!(verify(&asking(), found).is_ok());
    }
    // The timestamp of another signature, by the right authority.
    let stamps =
        |json: &str| parse(json)["verificationMaterial"]["timestampVerificationData"].clone();
    for stolen in [stamps(GOOD[1]), stamps(GOOD[2])] {
        let mut bundle = parse(GOOD[0]);
        bundle["verificationMaterial"]["timestampVerificationData"] = stolen;
        let outcome = verify(&asking(), &bundled(&bundle));
        assert!(matches!(outcome, Err(Refusal::Proof(_))), "{outcome:?}");
    }
    // The right timestamp, and an authority that this root does not list.
    let mut other: Value = parse(ROOT);
    other["timestampAuthorities"] =
        parse(super::keyless::OTHER_ROOT)["timestampAuthorities"].clone();
    let other = TrustRoot::from_json(&other.to_string()).unwrap();
    let outcome = verify(&signer(demanding(other, 1, true)), &stamped);
    assert!(matches!(outcome, Err(Refusal::Proof(_))), "{outcome:?}");
    // Without authorities nothing could ever have one.
    other_without_authorities();
}

fn other_without_authorities() {
    let root = root_of(&[Log::new("https://log.test").trusted()]);
    let refused = root.demanding(Demands { logs_min: 1, timestamp: true });
    assert_eq!(refused.err(), Some(TrustRootError::Lacking("timestamp authority")));
    assert!(TrustRoot::from_json(&root_json(&[])).is_err());
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_trust_root_takes_256_kibibytes_at_most() {
    let padded = |length: usize| {
        let text = TrustRoot::PUBLIC_GOOD;
        format!("{}{text}", " ".repeat(length - text.len()))
    };
    assert!(TrustRoot::from_json(&padded(TRUST_ROOT_BYTES_MAX)).is_ok());
    let error = TrustRoot::from_json(&padded(TRUST_ROOT_BYTES_MAX + 1)).err();
    assert_eq!(error, Some(TrustRootError::TooLarge));
    let text = "is larger than 256 KiB, which no trusted root is";
    assert_eq!(error.unwrap().to_string(), text);
}

#[test]
fn an_authority_that_never_counts_is_none() {
    let never = |list: &str| {
        let mut root: Value = serde_json::from_str(ROOT).unwrap();
        for authority in root[list].as_array_mut().unwrap() {
            authority["validFor"] = json!({"start": "2999-01-01T00:00:00Z"});
        }
        TrustRoot::from_json(&root.to_string()).unwrap()
    };
    let demands = Demands { logs_min: 1, timestamp: true };
    let good = TrustRoot::from_json(ROOT).unwrap();
    assert!(good.is_for_certificates());
    assert!(good.demanding(demands).is_ok());
    assert!(!never("certificateAuthorities").is_for_certificates());
    let error = never("timestampAuthorities").demanding(demands).err();
    assert_eq!(error, Some(TrustRootError::Lacking("timestamp authority")));
}
