use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::forger::{Forger, pem};
use crate::oci::Digest;
use crate::signature::{Key, KeyError};

/// Curve P-521, from `openssl ecparam -name secp521r1 -genkey | openssl ec -pubout`.
const P521: &str = "-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBivID4sZSHwKICvaxdtOJrJNSrpdI
7o2Rm1I0H5hJZkZ8oIZeQ7pqhuMsgb6Ns8gkNpJBQGxFuUyZ1zT9oE/nWg4BRAjO
PKR2yjEGjdarbEMlQHfohpTo5tWNLxXHUlj8ngn5eKQN6pbuwckaUDp51I0I35sG
2ddzcddpGerdr0sLepI=
-----END PUBLIC KEY-----";

#[test]
fn a_key_is_known_by_the_hash_of_its_spki() {
    for forger in [Forger::p256(), Forger::p384(), Forger::ed25519(), Forger::rsa()] {
        let key = forger.key();
        assert_eq!(key.id(), Digest::sha256(&forger.spki()).hex());
        assert_eq!(Key::from_pem(&pem("PUBLIC KEY", &forger.spki())).unwrap(), key);
    }
    assert_ne!(Forger::p256().key(), Forger::p256().key());
}

#[test]
fn only_one_public_key_block_is_a_key() {
    let good = pem("PUBLIC KEY", &Forger::p256().spki());
    assert!(Key::from_pem(&format!("\n\n{good}\n")).is_ok());
    let der = Forger::p256().spki();
    for (text, error) in [
        (String::new(), KeyError::NotPem),
        ("not a key".into(), KeyError::NotPem),
        (format!("comment\n{good}"), KeyError::NotPem),
        (format!("{good}{good}"), KeyError::NotPem),
        (format!("{good}trailing"), KeyError::NotPem),
        (good.replace("-----END PUBLIC KEY-----", ""), KeyError::NotPem),
        (
            format!("{good}{}", " ".repeat(20_000)).replace("KEY-----\nM", "KEY-----\n!M"),
            KeyError::NotPem,
        ),
        (pem("CERTIFICATE", &der), KeyError::OtherBlock),
        (pem("RSA PUBLIC KEY", &der), KeyError::OtherBlock),
        (pem("PRIVATE KEY", &der), KeyError::Private),
        (pem("EC PRIVATE KEY", &der), KeyError::Private),
        (pem("ENCRYPTED SIGSTORE PRIVATE KEY", &der), KeyError::Private),
        (pem("PUBLIC KEY", b""), KeyError::Unsupported),
        (pem("PUBLIC KEY", &[0x30; 9_000]), KeyError::NotPem),
    ] {
        assert_eq!(Key::from_pem(&text), Err(error), "{text}");
    }
}

#[test]
fn keys_of_other_kinds_and_sizes_are_refused() {
    assert_eq!(Key::from_pem(P521), Err(KeyError::P521));
    assert!(KeyError::P521.to_string().starts_with("ECDSA P-521 keys are not supported"));
    for short in [1024_usize, 2040] {
        assert_eq!(
            Key::from_pem(&pem("PUBLIC KEY", &rsa_spki(short / 8, RSA_NULL))),
            Err(KeyError::Unsupported),
            "{short}"
        );
    }
    assert_eq!(
        Key::from_pem(&pem("PUBLIC KEY", &rsa_spki(9_000 / 8, RSA_NULL))),
        Err(KeyError::Unsupported)
    );
}

#[test]
fn a_key_has_only_one_spelling() {
    let spki = rsa_spki(256, RSA_NULL);
    assert!(Key::from_pem(&pem("PUBLIC KEY", &spki)).is_ok());
    let without_null = rsa_spki(256, RSA_BARE);
    assert!(Key::from_pem(&pem("PUBLIC KEY", &without_null)).is_err());
    let mut trailing = spki;
    trailing.push(0);
    assert!(Key::from_pem(&pem("PUBLIC KEY", &trailing)).is_err());
}

#[test]
fn a_point_that_is_not_on_the_curve_is_refused() {
    let mut spki = Forger::p256().spki();
    *spki.last_mut().unwrap() ^= 1;
    assert_eq!(Key::from_pem(&pem("PUBLIC KEY", &spki)), Err(KeyError::Damaged));
    let mut compressed = Forger::p256().spki();
    compressed[26] = 2;
    assert_eq!(Key::from_pem(&pem("PUBLIC KEY", &compressed)), Err(KeyError::Damaged));
}

proptest! {
    #[test]
    fn reading_a_key_never_panics(der in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(Key::from_pem(&pem("PUBLIC KEY", &der)));
    }

    #[test]
    fn reading_a_damaged_key_never_panics(at in 0_usize..91, with in any::<u8>()) {
        let mut spki = Forger::p256().spki();
        spki[at] = with;
        drop(Key::from_pem(&pem("PUBLIC KEY", &spki)));
    }
}

const RSA_NULL: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
const RSA_BARE: &[u8] =
    &[0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// An RSA key with an odd modulus of so many bytes: well formed, and nobody's.
fn rsa_spki(modulus_bytes: usize, algorithm: &[u8]) -> Vec<u8> {
    let mut modulus = vec![0xff; modulus_bytes];
    modulus.insert(0, 0);
    let integers = [tlv(0x02, &modulus), tlv(0x02, &[1, 0, 1])].concat();
    let key = [vec![0], tlv(0x30, &integers)].concat();
    tlv(0x30, &[algorithm.to_vec(), tlv(0x03, &key)].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = match content.len() {
        0..128 => vec![tag, length[1]],
        128..256 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [&header, content].concat()
}

/// However large a key is written, up to a bound.
#[test]
fn a_key_takes_eight_kibibytes_at_most() {
    const MOST: usize = 8 * 1024;
    let good = pem("PUBLIC KEY", &Forger::p256().spki());
    let good = good.trim();
    let padded = |length: usize| {
        let (head, rest) = good.split_at(good.find("KEY-----\n").unwrap() + 9);
        format!("{head}{}{rest}", "\n".repeat(length - good.len()))
    };
    assert_eq!(padded(MOST).len(), MOST);
    assert!(Key::from_pem(&padded(MOST)).is_ok());
    assert_eq!(Key::from_pem(&padded(MOST + 1)), Err(KeyError::NotPem));
    let spki = Forger::ed25519().spki();
    let x = URL_SAFE_NO_PAD.encode(&spki[spki.len() - 32..]);
    let jwk = format!("{{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"{x}\"}}");
    let padded = |length: usize| format!("{}{jwk}", " ".repeat(length - jwk.len()));
    assert!(Key::from_jwk(&padded(MOST)).is_ok());
    let error = Key::from_jwk(&padded(MOST + 1)).unwrap_err().to_string();
    assert!(error.ends_with("is larger than 8 KiB, which no public key is"), "{error}");
}

#[test]
fn a_key_shows_what_it_is_and_not_what_it_is_made_of() {
    for (forger, kind) in [
        (Forger::p256(), "ECDSA P-256"),
        (Forger::p384(), "ECDSA P-384"),
        (Forger::ed25519(), "Ed25519"),
        (Forger::rsa(), "RSA"),
    ] {
        let key = forger.key();
        assert_eq!(format!("{key:?}"), format!("{kind} {}", key.id()));
    }
}

#[test]
fn a_key_of_a_kind_that_nobody_signs_with_is_not_taken_for_another() {
    let x25519 = [&hex::decode("302a300506032b656e032100").unwrap()[..], &[7; 32]].concat();
    assert_eq!(Key::from_pem(&pem("PUBLIC KEY", &x25519)), Err(KeyError::Unsupported));
}
