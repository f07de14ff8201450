//! Requests with a pass: a scanner elsewhere reads the one image that it is to judge.
//!
//! Whoever presents something that looks like a pass is answered here, whatever it is worth: such a
//! request never takes the way of those of nodes, and what it gets depends on no verdict.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use tracing::{Instrument as _, info, info_span};

use super::body::NodeBody;
use super::node::{Node, Peer, is_known_to, refused_by_form, without_body};
use super::respond;
use crate::mirror::{Error, PASS_PREFIX, PASS_USER, ShownPass};
use crate::oci::{self, Digest, Endpoint, Reference, Secret};

/// Logins as any client writes them.
const LOGIN: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a request presents as its pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented {
    /// Something that looks like one and cannot be one.
    Nonsense,
    /// Its token, which may be in force or not.
    Token(Secret),
}

impl Presented {
    /// What `headers` present as a pass; `None` when there is nothing that looks like one: credentials
    /// that clients have for other places are no matter here.
    pub(super) fn in_headers(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::AUTHORIZATION);
        let presented = values.iter().find_map(Self::in_value)?;
        // Of two credentials nobody can say which one is meant.
        Some(if values.iter().count() == 1 { presented } else { Self::Nonsense })
    }

    fn in_value(value: &HeaderValue) -> Option<Self> {
        let text = String::from_utf8_lossy(value.as_bytes());
        let (scheme, credential) = text.trim().split_once(' ')?;
        let credential = credential.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            let looks_like_one = credential.starts_with(PASS_PREFIX);
            return looks_like_one.then(|| Self::Token(Secret::new(credential)));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let login = String::from_utf8(LOGIN.decode(credential).ok()?).ok()?;
        let (user, password) = login.split_once(':')?;
        match (user == PASS_USER, password.starts_with(PASS_PREFIX)) {
            (true, true) => Some(Self::Token(Secret::new(password))),
            (false, false) => None,
            (true, false) | (false, true) => Some(Self::Nonsense),
        }
    }
}

impl Node {
    /// Answers a request that presents a pass.
    pub(super) async fn answer_by_pass(
        &self,
        request: &Request<Incoming>,
        peer: &Peer,
        presented: &Presented,
    ) -> Response<NodeBody> {
        let path = request.uri().path();
        let span = info_span!(
            "pass",
            method = %request.method(),
            path = %path.escape_debug(),
            client = %peer.client,
        );
        let answering = async {
            let response = self.passed(request, peer, presented).await;
            info!(status = response.status().as_u16(), "request with a pass answered");
            if request.method() == Method::HEAD { without_body(response) } else { response }
        };
        answering.instrument(span).await
    }

    async fn passed(
        &self,
        request: &Request<Incoming>,
        peer: &Peer,
        presented: &Presented,
    ) -> Response<NodeBody> {
        if let Some(response) = refused_by_form(request) {
            return response;
        }
        let shown = match presented {
            Presented::Nonsense => None,
            Presented::Token(token) => self.mirror.shown_pass(token.expose()),
        };
        let Some(pass) = shown else { return respond::no_such_pass() };
        let default_registry = &self.settings.default_registry;
        let uri = request.uri();
        let (name, endpoint) = match oci::Request::parse(uri.path(), uri.query(), default_registry)
        {
            Ok(oci::Request::Base) => return respond::base(),
            Ok(oci::Request::Repository { name, endpoint }) => (name, endpoint),
            Ok(oci::Request::Catalog) | Err(_) => return respond::beyond_pass(),
        };
        if !pass.is_for(&name, default_registry) {
            return respond::beyond_pass();
        }
        let unknown = respond::unknown(&endpoint);
        let answered = match endpoint {
            Endpoint::Manifest(Reference::Digest(digest)) => {
                self.passed_manifest(request, &pass, &digest).await
            }
            Endpoint::Blob(digest) => self.passed_blob(request, peer, &pass, &digest).await,
            Endpoint::Manifest(Reference::Tag(_))
            | Endpoint::Referrers { .. }
            | Endpoint::Tags(_) => Ok(None),
        };
        info!(pass = pass.id(), name = %pass.name(), opened = matches!(answered, Ok(Some(_))), "pass shown");
        match answered {
            Ok(Some(response)) => response,
            Ok(None) => respond::beyond_pass(),
            Err(error) => self.refusal(&error, pass.name(), unknown),
        }
    }

    async fn passed_manifest(
        &self,
        request: &Request<Incoming>,
        pass: &ShownPass,
        digest: &Digest,
    ) -> Result<Option<Response<NodeBody>>, Error> {
        let Some(answer) = self.mirror.manifest_by_pass(pass, digest).await? else {
            return Ok(None);
        };
        let unchanged = is_known_to(request.headers(), digest);
        Ok(Some(respond::manifest(&answer, unchanged)))
    }

    async fn passed_blob(
        &self,
        request: &Request<Incoming>,
        peer: &Peer,
        pass: &ShownPass,
        digest: &Digest,
    ) -> Result<Option<Response<NodeBody>>, Error> {
        let with_body = request.method() != Method::HEAD;
        let Some(answer) = self.mirror.blob_by_pass(pass, digest, with_body).await? else {
            return Ok(None);
        };
        self.sent_blob(request, peer, answer).await.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(values: &[&[u8]]) -> Option<Presented> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        Presented::in_headers(&headers)
    }

    fn basic(login: &str) -> String {
        format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(login))
    }

    #[test]
    fn a_pass_is_told_from_what_others_send_by_how_it_begins() {
        let token = Some(Presented::Token(Secret::new("pratique-pass-x")));
        let unpadded = basic("pratique:pratique-pass-x");
        let unpadded = unpadded.trim_end_matches('=');
        for value in [
            "Bearer pratique-pass-x",
            "bearer  pratique-pass-x ",
            &basic("pratique:pratique-pass-x"),
            &basic("pratique:pratique-pass-x").replace("Basic", "BASIC"),
            unpadded,
        ] {
            assert_eq!(presented(&[value.as_bytes()]), token, "{value}");
        }
        for value in [
            "Bearer abc",
            "Bearer",
            "pratique-pass-x",
            "Digest pratique-pass-x",
            "Basic c2VjcmV0OnB3",
            "Basic !!!",
            &basic("pratique"),
            &basic("somebody:secret"),
            "",
        ] {
            assert_eq!(presented(&[value.as_bytes()]), None, "{value}");
        }
        assert_eq!(presented(&[]), None);
        assert_eq!(presented(&[b"Basic a", b"Bearer b"]), None, "of no matter, as before");
    }

    #[test]
    fn what_looks_like_a_pass_and_cannot_be_one_is_never_taken_for_nothing() {
        let nonsense = Some(Presented::Nonsense);
        for value in [
            &basic("pratique:"),
            &basic("pratique:secret"),
            &basic("somebody:pratique-pass-x"),
            &basic(":pratique-pass-x"),
        ] {
            assert_eq!(presented(&[value.as_bytes()]), nonsense, "{value}");
        }
        let (pass, other) =
            (b"Bearer pratique-pass-x".as_slice(), b"Basic c2VjcmV0OnB3".as_slice());
        assert_eq!(presented(&[pass, other]), nonsense);
        assert_eq!(presented(&[other, pass]), nonsense);
        assert_eq!(presented(&[pass, pass]), nonsense);
        let odd = presented(&[b"Bearer pratique-pass-\xff"]).unwrap();
        assert!(matches!(&odd, Presented::Token(token) if token.expose() != "pratique-pass-x"));
        assert!(!format!("{odd:?}").contains("pratique-pass"), "{odd:?}");
    }
}
