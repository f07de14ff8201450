//! What a provider, or somebody who would like to be one, may send.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256,
};
use aws_lc_rs::{hmac, signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::id_token::{TOKEN_BYTES_MAX, TokenProblem, verify};
use super::keys::{self, Key};
use super::metadata::{Metadata, MetadataProblem};
use super::{Identity, Settings};
use crate::time::Timestamp;
use crate::upstream::ProxySettings;

const ISSUER: &str = "https://id.test/realm";
const NOW_SECONDS: i64 = 1_800_000_000;

fn settings() -> Settings {
    Settings {
        issuer: ISSUER.to_owned(),
        client_id: "pratique".to_owned(),
        client_secret_file: None,
        scopes: Vec::new(),
        groups_claim: "groups".to_owned(),
        name_claim: "name".to_owned(),
        redirect_uri: "https://desk.test/login/oidc/callback".to_owned(),
        endpoint_hosts: vec!["keys.test".to_owned()],
        ca_file: None,
        danger_plain_http: false,
        proxy: ProxySettings::default(),
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "u-1", "aud": "pratique", "exp": NOW_SECONDS + 300,
        "iat": NOW_SECONDS, "nonce": "n-1", "name": "Alice", "groups": ["b", "a", "b"],
    })
}

fn with(change: &Value) -> Value {
    let mut claims = claims();
    for (key, value) in change.as_object().unwrap() {
        claims[key] = value.clone();
    }
    claims
}

/// A provider's key for ES256, and what signs with it.
struct Signer {
    pair: EcdsaKeyPair,
    id: String,
}

impl Signer {
    fn new(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { pair, id: id.to_owned() }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (b64(&point[1..33]), b64(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.id, "use": "sig"})
    }

    fn sign_raw(&self, header: &str, body: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(body));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", b64(signature))
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.id, "typ": "JWT"});
        self.sign_raw(&header.to_string(), &claims.to_string())
    }
}

fn parsed(jwks: &[Value]) -> Vec<Key> {
    keys::parse(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
}

fn check(token: &str, keys: &[Key]) -> Result<Identity, TokenProblem> {
    let now = Timestamp::from_milliseconds(NOW_SECONDS * 1_000);
    verify(token, keys, &settings(), ("n-1", None), now)
}

#[test]
fn a_token_of_the_provider_for_this_sign_in_counts() {
    let signer = Signer::new("k");
    let keys = parsed(&[signer.jwk()]);
    let identity = check(&signer.sign(&claims()), &keys).unwrap();
    let expected = Identity {
        issuer: ISSUER.to_owned(),
        subject: "u-1".to_owned(),
        name: Some("Alice".to_owned()),
        groups: vec!["a".to_owned(), "b".to_owned()],
    };
    assert_eq!(identity, expected);
    let several = with(&json!({"aud": ["pratique"], "azp": "pratique", "groups": "one"}));
    assert_eq!(check(&signer.sign(&several), &keys).unwrap().groups, ["one"]);
    let nobody = with(&json!({"name": 1, "groups": null}));
    let identity = check(&signer.sign(&nobody), &keys).unwrap();
    assert_eq!((identity.name, identity.groups.len()), (None, 0));
}

#[test]
fn claims_that_are_not_for_this_sign_in_do_not_count() {
    let signer = Signer::new("k");
    let keys = parsed(&[signer.jwk()]);
    let at = |seconds: i64| NOW_SECONDS + seconds;
    for (change, problem) in [
        (json!({"iss": "https://id.test/realm/"}), TokenProblem::Issuer),
        (json!({"iss": "https://evil.test"}), TokenProblem::Issuer),
        (json!({"aud": "other"}), TokenProblem::Audience),
        (json!({"aud": ["pratique", "other"]}), TokenProblem::Audience),
        (json!({"aud": []}), TokenProblem::Audience),
        (json!({"azp": "other"}), TokenProblem::Audience),
        (json!({"nonce": "n-2"}), TokenProblem::Nonce),
        (json!({"nonce": null}), TokenProblem::Nonce),
        (json!({"exp": at(-61)}), TokenProblem::Expired),
        (json!({"exp": 0}), TokenProblem::Expired),
        (json!({"iat": at(61)}), TokenProblem::Future),
        (json!({"nbf": at(120)}), TokenProblem::Future),
        (json!({"iat": at(-1_000), "exp": at(100_000)}), TokenProblem::Old),
        (json!({"sub": ""}), TokenProblem::Subject),
        (json!({"sub": "a\nb"}), TokenProblem::Subject),
        (json!({"sub": "x".repeat(256)}), TokenProblem::Subject),
        (json!({"groups": [1]}), TokenProblem::Groups),
        (json!({"groups": {"a": 1}}), TokenProblem::Groups),
        (json!({"groups": vec!["g"; 501]}), TokenProblem::Groups),
        (json!({"groups": [""]}), TokenProblem::Groups),
        (json!({"exp": 1e300}), TokenProblem::Malformed),
        (json!({"exp": -1}), TokenProblem::Malformed),
        (json!({"exp": "1"}), TokenProblem::Malformed),
        (json!({"sub": 1}), TokenProblem::Malformed),
    ] {
        assert_eq!(check(&signer.sign(&with(&change)), &keys), Err(problem), "{change}");
    }
}

#[test]
fn only_a_key_of_the_provider_by_its_own_algorithm_speaks_for_a_token() {
    let (signer, other) = (Signer::new("k"), Signer::new("k"));
    let keys = parsed(&[signer.jwk()]);
    let body = claims().to_string();
    assert_eq!(check(&other.sign(&claims()), &keys), Err(TokenProblem::Signature));
    let unsigned = |alg: &str| format!("{}.{}.", b64(json!({"alg": alg}).to_string()), b64(&body));
    for alg in ["none", "None", "NONE", "nOnE", "HS256", "HS512", "RS1", "", "dir"] {
        assert_eq!(check(&unsigned(alg), &keys), Err(TokenProblem::Algorithm), "{alg}");
    }
    // A MAC whose key is what everybody knows: the public key, in any form.
    let jwk = signer.jwk().to_string();
    let message = format!("{}.{}", b64(r#"{"alg":"HS256","kid":"k"}"#), b64(&body));
    for key in [jwk.as_bytes(), signer.pair.public_key().as_ref()] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
        let token = format!("{message}.{}", b64(tag));
        assert_eq!(check(&token, &keys), Err(TokenProblem::Algorithm));
    }
    // Keys that a token brings along.
    for header in [
        json!({"alg": "ES256", "kid": "k", "jwk": other.jwk()}),
        json!({"alg": "ES256", "jwk": other.jwk()}),
        json!({"alg": "ES256", "kid": "k", "jku": "https://evil.test/keys"}),
        json!({"alg": "ES256", "kid": "k", "x5c": ["AA=="]}),
    ] {
        let token = other.sign_raw(&header.to_string(), &body);
        assert_eq!(check(&token, &keys), Err(TokenProblem::Signature), "{header}");
    }
    for id in ["../../etc/passwd", "/dev/null", "' OR 1=1 --", "K", "k\0", ""] {
        let header = json!({"alg": "ES256", "kid": id}).to_string();
        let token = signer.sign_raw(&header, &body);
        assert_eq!(check(&token, &keys), Err(TokenProblem::KeyUnknown), "{id:?}");
    }
}

#[test]
fn a_token_that_is_not_exactly_one_is_none() {
    let signer = Signer::new("k");
    let keys = parsed(&[signer.jwk()]);
    let (good, body) = (signer.sign(&claims()), claims().to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let header = |text: &str| signer.sign_raw(text, &body);
    let doubled = body.replacen('{', r#"{"sub":"u-2","#, 1);
    for token in [
        String::new(),
        "a.b.c".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{}", parts[2]),
        format!("{good}="),
        format!("{} .{}.{}", parts[0], parts[1], parts[2]),
        header(r#"{"alg":"ES256","alg":"none","kid":"k"}"#),
        header(r#"{"alg":"ES256","kid":"k","crit":["exp"],"exp":1}"#),
        header(r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#),
        header(r#"["ES256"]"#),
        signer.sign_raw(r#"{"alg":"ES256","kid":"k"}"#, &doubled),
        signer.sign_raw(r#"{"alg":"ES256","kid":"k"}"#, "[]"),
        "a".repeat(TOKEN_BYTES_MAX + 1),
    ] {
        let short: String = token.chars().take(80).collect();
        assert_eq!(check(&token, &keys), Err(TokenProblem::Malformed), "{short}");
    }
    let empty = format!("{}.{}.", parts[0], parts[1]);
    assert_eq!(check(&empty, &keys), Err(TokenProblem::Signature));
}

#[test]
fn keys_of_one_name_and_keys_for_something_else_speak_for_nobody() {
    let (signer, twin) = (Signer::new("k"), Signer::new("k"));
    let token = signer.sign(&claims());
    let keys = parsed(&[signer.jwk(), twin.jwk()]);
    assert_eq!(check(&token, &keys), Err(TokenProblem::KeyAmbiguous));
    let nameless = signer.sign_raw(r#"{"alg":"ES256"}"#, &claims().to_string());
    assert!(check(&nameless, &parsed(&[signer.jwk()])).is_ok(), "there is one, it is meant");
    let keys = parsed(&[signer.jwk(), Signer::new("l").jwk()]);
    assert_eq!(check(&nameless, &keys), Err(TokenProblem::KeyAmbiguous));
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("alg", json!("ES384")),
        ("alg", json!("none")),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("kty", json!("oct")),
        ("x", json!("AA")),
        ("x", json!(1)),
    ] {
        let mut jwk = signer.jwk();
        jwk[name] = value.clone();
        let problem = check(&token, &parsed(&[jwk]));
        assert_eq!(problem, Err(TokenProblem::KeyUnknown), "{name} {value}");
    }
}

#[test]
fn documents_of_keys_are_bounded_and_what_is_of_no_use_is_left_out() {
    let signer = Signer::new("k");
    let odd = json!({"kty": "oct", "k": "AAAA", "kid": "k"});
    let keys = parsed(&[odd, json!("x"), json!({}), signer.jwk()]);
    assert_eq!(keys.len(), 1);
    assert!(check(&signer.sign(&claims()), &keys).is_ok());
    let many = json!({"keys": vec![json!({}); 101]}).to_string();
    for bad in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, &many] {
        assert!(keys::parse(bad.as_bytes()).is_none(), "{}", &bad[..bad.len().min(40)]);
    }
    assert!(keys::parse(br#"{"keys":[]}"#).unwrap().is_empty());
}

#[test]
fn every_algorithm_that_counts_is_verified() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = pair.public_key();
    let (n, e) = (public.modulus(), public.exponent());
    let (n, e) =
        (b64(n.big_endian_without_leading_zero()), b64(e.big_endian_without_leading_zero()));
    let rsa = json!({"kty": "RSA", "n": n, "e": e, "kid": "r"});
    let ed = Ed25519KeyPair::generate().unwrap();
    let x = b64(ed.public_key());
    let keys = parsed(&[rsa, json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "e"})]);
    let message = |alg: &str, id: &str| {
        format!("{}.{}", b64(json!({"alg": alg, "kid": id}).to_string()), b64(claims().to_string()))
    };
    let schemes: [(&str, &'static dyn signature::RsaEncoding); 2] =
        [("RS256", &RSA_PKCS1_SHA256), ("PS256", &RSA_PSS_SHA256)];
    for (alg, scheme) in schemes {
        let message = message(alg, "r");
        let mut signed = vec![0; pair.public_modulus_len()];
        pair.sign(scheme, &SystemRandom::new(), message.as_bytes(), &mut signed).unwrap();
        assert!(check(&format!("{message}.{}", b64(&signed)), &keys).is_ok(), "{alg}");
        signed[0] ^= 1;
        let broken = check(&format!("{message}.{}", b64(&signed)), &keys);
        assert_eq!(broken, Err(TokenProblem::Signature));
    }
    let message = message("EdDSA", "e");
    let signed = ed.sign(message.as_bytes());
    assert!(check(&format!("{message}.{}", b64(signed)), &keys).is_ok());
}

#[test]
fn a_description_leads_only_to_where_the_settings_allow() {
    let document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://id.test/auth",
        "token_endpoint": "https://id.test:443/token",
        "jwks_uri": "https://keys.test/keys?p=1",
        "authorization_response_iss_parameter_supported": true,
        "code_challenge_methods_supported": ["plain", "S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    });
    let parse = |document: &Value| Metadata::parse(document.to_string().as_bytes(), &settings());
    let metadata = parse(&document).unwrap();
    assert!(metadata.names_itself && metadata.secret_in_form);
    let endpoint = |name| MetadataProblem::Endpoint(name);
    for (name, value, problem) in [
        ("issuer", json!("https://evil.test"), MetadataProblem::Issuer),
        ("issuer", json!("https://id.test/realm/"), MetadataProblem::Issuer),
        ("token_endpoint", json!("https://evil.test/token"), endpoint("token_endpoint")),
        ("token_endpoint", json!("http://id.test/token"), endpoint("token_endpoint")),
        ("token_endpoint", json!("https://id.test:444/token"), endpoint("token_endpoint")),
        ("token_endpoint", json!("https://id.test@evil.test/"), endpoint("token_endpoint")),
        ("token_endpoint", json!("file:///etc/passwd"), endpoint("token_endpoint")),
        ("jwks_uri", json!("https://169.254.169.254/keys"), endpoint("jwks_uri")),
        ("jwks_uri", json!("http://keys.test/keys"), endpoint("jwks_uri")),
        ("jwks_uri", json!("https://keys.test.evil.test/"), endpoint("jwks_uri")),
        (
            "authorization_endpoint",
            json!("javascript:alert(1)"),
            endpoint("authorization_endpoint"),
        ),
        ("authorization_endpoint", json!("https://id.test/#x"), endpoint("authorization_endpoint")),
        ("code_challenge_methods_supported", json!(["plain"]), MetadataProblem::NoPkce),
        ("jwks_uri", json!(null), MetadataProblem::Malformed),
    ] {
        let mut changed = document.clone();
        changed[name] = value.clone();
        assert_eq!(parse(&changed), Err(problem), "{name} {value}");
    }
    for bad in ["", "[]", "{}", "{\"issuer\":1}"] {
        let parsed = Metadata::parse(bad.as_bytes(), &settings());
        assert_eq!(parsed, Err(MetadataProblem::Malformed), "{bad}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_sent_makes_it_panic_or_lets_somebody_in(
        header in ".{0,40}", body in ".{0,80}", signature: Vec<u8>, document: Vec<u8>, text in ".{0,200}",
    ) {
        let signer = Signer::new("k");
        let keys = parsed(&[signer.jwk()]);
        prop_assert!(check(&text, &keys).is_err());
        let token = format!("{}.{}.{}", b64(&header), b64(&body), b64(&signature));
        prop_assert!(check(&token, &keys).is_err());
        prop_assert!(check(&signer.sign_raw(&header, &body), &keys).is_err());
        prop_assert!(keys::parse(&document).is_none_or(|keys| keys.is_empty()));
        prop_assert!(Metadata::parse(&document, &settings()).is_err());
    }
}

#[test]
fn whoever_has_to_be_asked_anew_was_asked_anew() {
    let key = Signer::new("k1");
    let keys = parsed(&[key.jwk()]);
    let iat = claims()["iat"].as_i64().unwrap();
    let since = Timestamp::from_milliseconds(iat * 1_000);
    let verified = |auth_time: Value| {
        let token = key.sign(&with(&json!({"auth_time": auth_time})));
        verify(&token, &keys, &settings(), ("n-1", Some(since)), since).map(drop)
    };
    assert_eq!(verified(json!(iat)), Ok(()));
    assert_eq!(verified(json!(iat - 59)), Ok(()), "clocks may be apart");
    for wrong in [json!(null), json!(iat - 61), json!("now"), json!(0), json!(true)] {
        assert_eq!(verified(wrong.clone()), Err(TokenProblem::NotAgain), "{wrong}");
    }
    assert_eq!(verified(json!(-1)), Err(TokenProblem::Malformed));
}
