//! Signers, clocks and revocation lists of an authority that does whatever it is told to (T12, T28,
//! T29, T30).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::forger::{image, payload, protected};
use crate::signature::notation::revocation::REVOCATION_LIST_BYTES_MAX;
use crate::signature::notation::{
    DistinguishedName, Enforced, NameError, NotationSigner, TrustStore, TrustStoreFiles,
    WhenToTimestamp, verify,
};
use crate::signature::tests::forger::Forger;
use crate::signature::tests::instance::certificate::{
    Authority, CODE_SIGNING, Draft, common_name, name, signed,
};
use crate::signature::tests::instance::clock::{Stamp, TIMESTAMP_INFO};
use crate::signature::tests::instance::der::{
    integer, octets, oid, sequence, set, tagged, tlv, truth, utc_time, utf8,
};
use crate::signature::tests::instance::{DAY, LONG, SIGNED, assert_refused};
use crate::signature::{Form, Proof, Refusal};
use crate::time::Timestamp;

const KEY_USAGE: &str = "2.5.29.15";
const PEOPLE: [(&str, &str); 4] =
    [("2.5.4.6", "US"), ("2.5.4.8", "WA"), ("2.5.4.10", "Acme"), ("2.5.4.3", "builder")];
pub(super) const LISTS_AGE_MAX: Duration = Duration::from_hours(7 * 24);

/// An authority with a signer and a clock.
pub(super) struct Company {
    pub(super) root: Authority,
    clock_root: Authority,
    clock: Authority,
    pub(super) key: Forger,
    pub(super) leaf: Vec<u8>,
}

pub(super) fn builder() -> Draft {
    let serial = 77;
    Draft { serial, subject: name(&PEOPLE), ..Draft::clock(Vec::new(), LONG) }
        .purposes(&[CODE_SIGNING])
}

impl Company {
    pub(super) fn new() -> Self {
        Self::with(&builder())
    }

    pub(super) fn with(leaf: &Draft) -> Self {
        let root = Draft::authority("root", LONG, None).root();
        let clock_root = Draft::authority("clock root", LONG, None).root();
        let clock = Draft { serial: 5, ..Draft::clock(common_name("clock"), LONG) };
        let clock = clock.below(&clock_root);
        let key = Forger::p256();
        let leaf = leaf.issued(&key, &root);
        Self { root, clock_root, clock, key, leaf }
    }

    /// The signature over header and payload, and the envelope around it with that token.
    pub(super) fn envelope(&self, token: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
        let mut header = protected();
        let at = Timestamp::from_milliseconds(SIGNED * 1000).to_string();
        header["io.cncf.notary.signingTime"] = json!(at);
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let payload = URL_SAFE_NO_PAD.encode(payload());
        let signature = fixed(&self.key.sign(format!("{header}.{payload}").as_bytes()));
        let token = token(&signature);
        let chain = [&self.leaf, &self.root.certificate].map(|der| STANDARD.encode(der));
        let mut envelope = json!({
            "payload": payload,
            "protected": header,
            "signature": URL_SAFE_NO_PAD.encode(signature),
            "header": {"x5c": chain},
        });
        if let Some(token) = token {
            envelope["header"]["io.cncf.notary.timestampSignature"] = json!(STANDARD.encode(token));
        }
        envelope.to_string().into_bytes()
    }

    fn stamped<'a>(&'a self, seen: &'a [u8]) -> Stamp<'a> {
        Stamp {
            signer: &self.clock,
            issuer: &self.clock_root.name,
            serial: 5,
            seen,
            at: SIGNED,
            kind: TIMESTAMP_INFO,
            bound: &self.clock.certificate,
            brings: vec![self.clock.certificate.clone()],
        }
    }

    pub(super) fn files(&self) -> TrustStoreFiles {
        TrustStoreFiles {
            ca: vec![self.root.certificate.clone()],
            crl_age_max: LISTS_AGE_MAX,
            ..TrustStoreFiles::default()
        }
    }

    /// A store that wants a timestamp with every signature.
    fn with_clock(&self) -> TrustStoreFiles {
        let tsa = vec![self.clock_root.certificate.clone()];
        TrustStoreFiles { tsa, when: WhenToTimestamp::Always, ..self.files() }
    }
}

/// A signature of P-256 as JWS has it: two numbers of 32 bytes.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut number = || {
        let (content, after) = rest[2..].split_at(usize::from(rest[1]));
        rest = after;
        let digits = content.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
        [vec![0; 32 - digits.len()], digits].concat()
    };
    [number(), number()].concat()
}

/// How things stand so many days after everything was signed.
pub(super) fn judged(
    envelope: &[u8],
    files: &TrustStoreFiles,
    enforced: Enforced,
    days: i64,
) -> Result<Proof, Refusal> {
    let store = Arc::new(TrustStore::new(files).unwrap());
    let signer = NotationSigner { store, identity: None, enforced };
    let now = Timestamp::from_milliseconds((SIGNED + days * DAY) * 1000);
    verify(envelope, Form::NotationJws, &signer, &image(), now)
}

fn strict(envelope: &[u8], files: &TrustStoreFiles) -> Result<Proof, Refusal> {
    judged(envelope, files, Enforced::STRICT, 1)
}

/// T12 (CVE-2026-39984): a countersignature is by an authority of the store, for this signature, with
/// the very certificate that it was made with.
#[test]
fn a_countersignature_of_another_authority_purpose_or_signature_is_refused() {
    let (company, stranger) = (Company::new(), Company::new());
    let judge = |change: &dyn Fn(Stamp<'_>) -> Vec<u8>| {
        let envelope = company.envelope(|signature| Some(change(company.stamped(signature))));
        strict(&envelope, &company.with_clock())
    };
    assert!(judge(&|it| it.token()).is_ok());
    let none = company.envelope(|_| None);
    assert_refused(strict(&none, &company.with_clock()), "nothing proves when it was signed");
    let theirs = vec![stranger.clock.certificate.clone(), stranger.clock_root.certificate.clone()];
    let foreign = |it: Stamp<'_>| {
        let bound = &stranger.clock.certificate;
        Stamp { signer: &stranger.clock, bound, brings: theirs.clone(), ..it }.token()
    };
    assert_refused(judge(&foreign), "timestamp is by no authority of the trust root");
    let forged = |it: Stamp<'_>| Stamp { signer: &stranger.clock, ..it }.token();
    assert_refused(judge(&forged), "timestamp signature does not verify");
    let unbound = |it: Stamp<'_>| Stamp { bound: &stranger.clock.certificate, ..it }.token();
    assert_refused(judge(&unbound), "timestamp was signed for another certificate");
    let alone = |it: Stamp<'_>| Stamp { brings: Vec::new(), ..it }.token();
    assert_refused(judge(&alone), "does not bring the certificate of its signer");
    let other = |it: Stamp<'_>| Stamp { seen: b"another signature", ..it }.token();
    assert_refused(judge(&other), "timestamp is for another signature");
    let data = |it: Stamp<'_>| Stamp { kind: "1.2.840.113549.1.7.1", ..it }.token();
    assert_refused(judge(&data), "timestamp is a signature over something else");
    let late = |it: Stamp<'_>| Stamp { at: LONG.1 + 1, ..it }.token();
    assert_refused(judge(&late), "was expired at");
    let early = |it: Stamp<'_>| Stamp { at: LONG.0 - 1, ..it }.token();
    assert_refused(judge(&early), "was not valid yet at");
    for garbage in [vec![], vec![0x30, 0x80], b"no token".to_vec(), vec![0x30; 70_000]] {
        let refused = judge(&|_| garbage.clone()).unwrap_err().to_string();
        let known = ["timestamp is not well formed", "timestamp is too large"];
        assert!(known.contains(&refused.as_str()), "{refused}");
    }
}

/// T12: certificates of the right authority that are for something else, or signed by nobody above.
#[test]
fn a_clock_must_be_for_timestamps_only() {
    let with = |draft: Draft| {
        let mut company = Company::new();
        company.clock = Draft { serial: 5, ..draft }.below(&company.clock_root);
        let envelope = company.envelope(|signature| Some(company.stamped(signature).token()));
        strict(&envelope, &company.with_clock())
    };
    let clock = || Draft::clock(common_name("clock"), LONG);
    assert!(with(clock()).is_ok());
    let purpose = "is not for timestamps only";
    assert_refused(with(clock().purposes(&[CODE_SIGNING])), purpose);
    assert_refused(with(clock().purposes(&["1.3.6.1.5.5.7.3.8", CODE_SIGNING])), purpose);
    assert_refused(with(clock().without("2.5.29.37")), purpose);
    let loose = sequence(&[oid("1.3.6.1.5.5.7.3.8")]);
    assert_refused(with(clock().with("2.5.29.37", false, &loose)), purpose);
    assert_refused(with(clock().without(KEY_USAGE)), "is not for signatures only");
    let authority = clock().with("2.5.29.19", true, &sequence(&[truth()]));
    assert_refused(with(authority), "is an authority, not a signer");
    let ended = (SIGNED - 100 * DAY, SIGNED - DAY);
    assert_refused(with(Draft::clock(common_name("clock"), ended)), "was expired at");
    // The store's roots are those for clocks: an authority for signers is none.
    let company = Company::new();
    let clock = Draft { serial: 5, ..clock() }.below(&company.root);
    let envelope = company.envelope(|signature| {
        let stamp = company.stamped(signature);
        let (issuer, bound) = (&company.root.name[..], &clock.certificate);
        let brings = vec![bound.clone()];
        Some(Stamp { signer: &clock, issuer, bound, brings, ..stamp }.token())
    });
    let refused = strict(&envelope, &company.with_clock());
    assert_refused(refused, "timestamp is by no authority of the trust root");
}

/// T12: no byte of a token that says anything can change.
#[test]
fn no_byte_of_a_countersignature_can_change() {
    let company = Company::new();
    let files = company.with_clock();
    let mut good = Vec::new();
    let envelope = company.envelope(|signature| {
        good = company.stamped(signature).token();
        Some(good.clone())
    });
    assert!(strict(&envelope, &files).is_ok());
    let text = String::from_utf8(envelope).unwrap();
    let old = STANDARD.encode(&good);
    let mut harmless = 0;
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= [0x01, 0x20, 0x80][at % 3];
        let changed = text.replace(&old, &STANDARD.encode(&bytes));
        let outcome = strict(changed.as_bytes(), &files);
        assert_ne!(outcome, Err(Refusal::LibraryPanicked), "byte {at}");
        harmless += usize::from(outcome.is_ok());
    }
    // The list of hashes in front, which the signer repeats, and the number of a version.
    assert!(harmless <= 12, "{harmless} of {}", good.len());
}

/// What goes into a revocation list.
pub(super) struct List<'a> {
    pub(super) by: &'a Authority,
    pub(super) issuer: &'a [u8],
    pub(super) revoked: &'a [u32],
    pub(super) issued: i64,
    pub(super) extensions: Vec<Vec<u8>>,
}

pub(super) fn list<'a>(by: &'a Authority, revoked: &'a [u32]) -> List<'a> {
    List { by, issuer: &by.name, revoked, issued: SIGNED, extensions: Vec::new() }
}

impl List<'_> {
    pub(super) fn der(&self) -> Vec<u8> {
        let entry = |serial: &u32| sequence(&[integer(*serial), utc_time(self.issued)]);
        let revoked: Vec<_> = self.revoked.iter().map(entry).collect();
        let revoked = if revoked.is_empty() { Vec::new() } else { sequence(&revoked) };
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            tagged(0, &sequence(&self.extensions))
        };
        let content = sequence(&[
            integer(1),
            sequence(&[oid("1.2.840.10045.4.3.2")]),
            self.issuer.to_vec(),
            utc_time(self.issued),
            utc_time(self.issued + 30 * DAY),
            revoked,
            extensions,
        ]);
        signed(&content, &self.by.key)
    }
}

pub(super) fn with_lists(
    files: TrustStoreFiles,
    crls: Vec<Vec<u8>>,
    unknown_fails: bool,
) -> TrustStoreFiles {
    TrustStoreFiles { crls, unknown_fails, ..files }
}

/// T29: what is not known is the policy's to judge, and who says it must be the issuer.
#[test]
fn a_revocation_list_counts_for_its_issuer_and_in_its_time() {
    let (company, stranger) = (Company::new(), Company::new());
    let envelope = company.envelope(|_| None);
    let judge = |crl: Vec<u8>, hard: bool, days: i64| {
        let files = with_lists(company.files(), vec![crl], hard);
        judged(&envelope, &files, Enforced::STRICT, days)
    };
    let good = || list(&company.root, &[1, 2, 3]).der();
    let revoked = list(&company.root, &[3, 77]).der();
    let (uncovered, ended) = ("no revocation list in force covers", "O=Acme,ST=WA,C=US is revoked");
    for hard in [true, false] {
        assert!(judge(good(), hard, 1).is_ok());
        assert_refused(judge(revoked.clone(), hard, 1), ended);
        assert_refused(judge(revoked.clone(), hard, 900), ended);
    }
    let unsigned =
        |by: &Authority| List { by, issuer: &company.root.name, ..list(by, &[77]) }.der();
    let names = Draft::authority("root", LONG, None).root();
    for foreign in [unsigned(&stranger.root), unsigned(&names), list(&stranger.root, &[77]).der()] {
        assert_refused(judge(foreign.clone(), true, 1), uncovered);
        assert!(judge(foreign, false, 1).is_ok(), "it is not by who issued the certificate");
    }
    assert_refused(judge(good(), true, 8), uncovered);
    assert!(judge(good(), false, 8).is_ok(), "too old, and softly");
    let tomorrow = List { issued: SIGNED + 2 * DAY, ..list(&company.root, &[]) }.der();
    assert_refused(judge(tomorrow, true, 1), uncovered);
    let files = TrustStoreFiles { unknown_fails: true, ..company.files() };
    assert_refused(judged(&envelope, &files, Enforced::STRICT, 1), uncovered);
    // An authority that may not sign lists has signed none.
    let mute = Draft::authority("root", LONG, None).with(KEY_USAGE, true, &tlv(0x03, &[2, 0x04]));
    let mut company = Company::new();
    company.root = mute.root();
    company.leaf = builder().issued(&company.key, &company.root);
    let envelope = company.envelope(|_| None);
    let files = with_lists(company.files(), vec![list(&company.root, &[]).der()], true);
    assert_refused(judged(&envelope, &files, Enforced::STRICT, 1), uncovered);
}

/// T29 (CVE-2024-56138): the chain of a clock is looked up, too.
#[test]
fn a_clock_that_was_revoked_or_is_covered_by_no_list_proves_nothing() {
    let company = Company::new();
    let envelope = company.envelope(|signature| Some(company.stamped(signature).token()));
    let own = || list(&company.root, &[]).der();
    let judge = |clock: Option<Vec<u8>>, hard: bool| {
        let lists = [own()].into_iter().chain(clock).collect();
        strict(&envelope, &with_lists(company.with_clock(), lists, hard))
    };
    let (good, revoked) =
        (list(&company.clock_root, &[]).der(), list(&company.clock_root, &[5]).der());
    for hard in [true, false] {
        assert!(judge(Some(good.clone()), hard).is_ok());
        assert_refused(judge(Some(revoked.clone()), hard), "certificate of CN=clock is revoked");
    }
    assert_refused(judge(None, true), "no revocation list in force covers CN=clock");
    assert!(judge(None, false).is_ok());
}

/// T29 (CVE-2024-51491, RUSTSEC-2026-0104): what is no list, or one of a kind that says less than it
/// seems to, is a mistake when the policy is read, and never a panic.
#[test]
fn lists_that_are_damaged_partial_or_huge_are_refused_when_they_are_read() {
    let company = Company::new();
    let good = list(&company.root, &[77]).der();
    let read = |crl: &[u8]| {
        let files = with_lists(company.files(), vec![crl.to_vec()], true);
        TrustStore::new(&files).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(read(&good), Ok(()));
    for cut in 0..good.len() {
        assert!(read(&good[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= [0x01, 0x20, 0x80][at % 3];
        let Ok(()) = read(&damaged) else { continue };
        let envelope = company.envelope(|_| None);
        let files = with_lists(company.files(), vec![damaged], true);
        let outcome = strict(&envelope, &files);
        assert!(outcome.is_err(), "byte {at}: a damaged list clears nobody");
        assert_ne!(outcome, Err(Refusal::LibraryPanicked), "byte {at}");
    }
    let extended = |number: &str, value: &[u8]| {
        let extension = sequence(&[oid(number), truth(), octets(value)]);
        List { extensions: vec![extension], ..list(&company.root, &[]) }.der()
    };
    for (number, value) in [("2.5.29.27", integer(4)), ("2.5.29.28", sequence(&[]))] {
        let error = read(&extended(number, &value)).unwrap_err();
        assert!(error.contains("is a partial or indirect revocation list"), "{error}");
    }
    let error = read(&[&[0x30, 0x84], &vec![0; REVOCATION_LIST_BYTES_MAX][..]].concat());
    assert_eq!(error, Err("crls: file 1 is larger than 8 MiB".to_owned()));
    for text in ["", "no list", "-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----\n"] {
        assert!(read(text.as_bytes()).is_err(), "{text}");
    }
}

/// T28 (CVE-2024-23332): an old signature that comes back is what it has become, whatever it was.
#[test]
fn a_signature_that_comes_back_after_its_end_is_judged_as_things_stand() {
    let company = Company::new();
    let stamped = company.envelope(|signature| Some(company.stamped(signature).token()));
    let lists = vec![list(&company.root, &[77]).der(), list(&company.clock_root, &[]).der()];
    let revoked = with_lists(company.with_clock(), lists, false);
    assert!(strict(&stamped, &company.with_clock()).is_ok());
    for enforced in [
        Enforced::STRICT,
        Enforced { authentic_timestamp: false, ..Enforced::STRICT },
        Enforced { expiry: false, ..Enforced::STRICT },
        Enforced { revocation: true, ..Enforced::PERMISSIVE },
    ] {
        let refused = judged(&stamped, &revoked, enforced, 1);
        assert_refused(refused, "is revoked");
    }
    // Only who says so lets it pass: that is what the level means.
    assert!(judged(&stamped, &revoked, Enforced::PERMISSIVE, 1).is_ok());
    let bare = company.envelope(|_| None);
    assert_refused(judged(&bare, &company.files(), Enforced::STRICT, 2_000), "was expired at");
    assert!(judged(&bare, &company.files(), Enforced::PERMISSIVE, 2_000).is_ok());
}

fn named(subject: Vec<u8>, identity: &str) -> Result<Proof, Refusal> {
    let company = Company::with(&Draft { subject, ..builder() });
    let store = Arc::new(TrustStore::new(&company.files()).unwrap());
    let identity = Some(DistinguishedName::parse(identity).unwrap());
    let signer = NotationSigner { store, identity, enforced: Enforced::STRICT };
    let now = Timestamp::from_milliseconds((SIGNED + DAY) * 1000);
    verify(&company.envelope(|_| None), Form::NotationJws, &signer, &image(), now)
}

/// T30 (CVE-2023-25656): names are compared by their attributes, in whatever order, and never by text.
#[test]
fn a_name_that_only_reads_like_the_wanted_one_is_somebody_elses() {
    let wanted = "C=US, ST=WA, O=Acme, CN=builder";
    let with = |at: usize, attribute: (&'static str, &'static str)| {
        let mut people = PEOPLE;
        people[at] = attribute;
        name(&people)
    };
    assert!(named(name(&PEOPLE), wanted).is_ok());
    let mut reversed = PEOPLE;
    reversed.reverse();
    assert!(named(name(&reversed), wanted).is_ok());
    let more = [&PEOPLE[..], &[("2.5.4.11", "Builds")]].concat();
    assert!(named(name(&more), wanted).is_ok());
    assert!(named(name(&more), "C=US, ST=WA, O=Acme, OU=Other").is_err());
    for subject in [
        with(3, ("2.5.4.3", "builder2")),
        with(3, ("2.5.4.3", "Builder")),
        with(3, ("2.5.4.3", "builder ")),
        with(3, ("2.5.4.3", "builder\0")),
        with(3, ("2.5.4.3", "")),
        with(3, ("2.5.4.11", "builder")),
        with(3, ("2.5.4.11", "CN=builder")),
        with(2, ("2.5.4.10", "Acme, CN=builder")),
        with(2, ("2.5.4.10", "Not Acme")),
        with(0, ("2.5.4.6", "GB")),
    ] {
        assert_refused(named(subject, wanted), "signed by ");
    }
    let attribute = |(kind, text): (&str, &str)| sequence(&[oid(kind), utf8(text)]);
    let twice = [&PEOPLE[..], &[("2.5.4.3", "other")]].concat();
    assert_refused(named(name(&twice), wanted), "has CN twice");
    let merged = sequence(&[
        set(PEOPLE[..2].iter().map(|it| attribute(*it)).collect()),
        set(vec![attribute(PEOPLE[2])]),
        set(vec![attribute(PEOPLE[3])]),
    ]);
    assert_refused(named(merged, wanted), "several attributes in one part");
    // The same letters in an encoding that is not compared are nobody's name.
    let wide: Vec<u8> = "builder".bytes().flat_map(|byte| [0, byte]).collect();
    let strange = sequence(&[
        set(vec![attribute(PEOPLE[0])]),
        set(vec![attribute(PEOPLE[1])]),
        set(vec![attribute(PEOPLE[2])]),
        set(vec![sequence(&[oid("2.5.4.3"), tlv(0x1e, &wide)])]),
    ]);
    assert_refused(named(strange, wanted), "signed by ");
    let many: Vec<_> = PEOPLE.into_iter().chain([("1.2.3", "x"); 40]).collect();
    assert!(named(name(&many), wanted).is_err());
    // Values in hexadecimal are what made others allocate without end.
    for text in [
        "C=US, ST=WA, O=#0484ffffffff00",
        "C=US, ST=WA, O=Acme, CN=#",
        "C=US, ST=WA, O=Acme+CN=builder",
    ] {
        let error = DistinguishedName::parse(text).unwrap_err();
        assert!(matches!(error, NameError::Malformed | NameError::MultiValued), "{text}: {error}");
    }
}

/// T30, T06: whom a quorum counts, by a text that is a different one for each of two names.
#[test]
fn no_two_names_read_alike_to_whoever_counts_them() {
    let by = |subject: &[(&str, &str)]| {
        let proof = named(name(subject), "C=US, ST=WA, O=Acme").unwrap();
        proof.by.split(" by ").next().unwrap().to_owned()
    };
    let (country, state, acme) = (PEOPLE[0], PEOPLE[1], PEOPLE[2]);
    let one = by(&[country, state, acme, ("2.5.4.3", "a"), ("2.5.4.7", "b")]);
    let other = by(&[country, state, acme, ("2.5.4.3", "a, C=US, L=b")]);
    let third = by(&[country, state, acme, ("2.5.4.3", "a\u{1b}[2J\n")]);
    assert_eq!(one, "x509 CN=a, C=US, L=b, ST=WA, O=Acme");
    assert_eq!(other, "x509 CN=a\\, C\\=US\\, L\\=b, C=US, ST=WA, O=Acme");
    assert_eq!(third, "x509 CN=a\\1b[2J\\0a, C=US, ST=WA, O=Acme");
    let again = other.strip_prefix("x509 ").unwrap();
    assert!(DistinguishedName::parse(again).is_ok(), "and it can be written into a policy");
}
