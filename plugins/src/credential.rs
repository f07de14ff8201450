//! The credential provider: which pod pulls, told to the mirror by the token that the cluster gives it.
//!
//! kubelet runs this for each image that its configuration names, with the pod's token for our audience,
//! and hands on what it says to the container runtime, which shows it to whoever asks with 401. Nothing
//! is asked of anybody here, and the token is for the mirror alone: it goes with the name of a user by
//! which the mirror tells it from secrets for other places.
//!
//! Source: <https://kubernetes.io/docs/tasks/administer-cluster/kubelet-credential-provider/>,
//! <https://github.com/kubernetes/enhancements/tree/master/keps/sig-auth/4412-projected-service-account-tokens-for-kubelet-image-credential-providers>

use std::io::Read;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The name of the user that stands before a pod's token; the mirror knows it.
pub const POD_USER: &str = "pratique-pod";
/// The version of the interface that is spoken.
const API_VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";
/// Largest request in bytes.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Longest name of an image in bytes.
const IMAGE_BYTES_MAX: usize = 1_024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    api_version: String,
    kind: String,
    image: String,
    #[serde(default)]
    service_account_token: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoAnswer {
    /// Standard input cannot be read, or is too long.
    #[error("standard input cannot be read, or is longer than {REQUEST_BYTES_MAX} bytes")]
    Unreadable,
    /// It is no request.
    #[error("standard input is no CredentialProviderRequest of {API_VERSION}")]
    NoRequest,
    /// The image has no name that a credential can be for.
    #[error("the request names no image")]
    NoImage,
}

/// The answer to the request in `stdin`: the pod's token, for the image's registry.
///
/// Without a token the answer has no credentials: kubelet then has what it always has.
///
/// # Errors
/// See [`NoAnswer`].
pub fn respond(stdin: impl Read) -> Result<Value, NoAnswer> {
    let mut text = Vec::new();
    let limit = u64::try_from(REQUEST_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let read = stdin.take(limit).read_to_end(&mut text);
    if read.is_err() || text.len() > REQUEST_BYTES_MAX {
        return Err(NoAnswer::Unreadable);
    }
    let request: Request = serde_json::from_slice(&text).map_err(|_| NoAnswer::NoRequest)?;
    if request.api_version != API_VERSION || request.kind != "CredentialProviderRequest" {
        return Err(NoAnswer::NoRequest);
    }
    let registry = registry(&request.image).ok_or(NoAnswer::NoImage)?;
    let mut auth = Map::new();
    if !request.service_account_token.is_empty() {
        let login = json!({"username": POD_USER, "password": request.service_account_token});
        auth.insert(registry.to_owned(), login);
    }
    Ok(json!({
        "apiVersion": API_VERSION,
        "kind": "CredentialProviderResponse",
        // kubelet keeps it by the token's own cache, which its configuration must say: a token is one
        // pod's, and an answer without one is not to be kept for another.
        "cacheKeyType": "Registry",
        "cacheDuration": "0s",
        "auth": auth,
    }))
}

/// The registry of an image's name, as kubelet matches credentials by it.
fn registry(image: &str) -> Option<&str> {
    let is_plain = |it: u8| it.is_ascii_graphic() && !matches!(it, b'*' | b'?' | b'\\' | b'"');
    if image.is_empty() || image.len() > IMAGE_BYTES_MAX || !image.bytes().all(is_plain) {
        return None;
    }
    match image.split_once('/') {
        Some((first, _)) if first == "localhost" || first.contains(['.', ':']) => Some(first),
        _ => Some("docker.io"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(image: &str, more: &str) -> String {
        format!(
            r#"{{"apiVersion":"{API_VERSION}","kind":"CredentialProviderRequest","image":"{image}"{more}}}"#
        )
    }

    #[test]
    fn a_pods_token_goes_to_the_registry_of_its_image() {
        for (image, registry) in [
            ("ghcr.io/acme/shop/web:1", "ghcr.io"),
            ("registry.corp:5000/a/b@sha256:11", "registry.corp:5000"),
            ("localhost/a", "localhost"),
            ("redis:7", "docker.io"),
            ("acme/web", "docker.io"),
        ] {
            let token = r#","serviceAccountToken":"abc.def.ghi","serviceAccountAnnotations":{}"#;
            let answer = respond(request(image, token).as_bytes()).unwrap();
            assert_eq!(answer["auth"][registry]["username"], "pratique-pod", "{answer}");
            assert_eq!(answer["auth"][registry]["password"], "abc.def.ghi");
            assert_eq!(answer["kind"], "CredentialProviderResponse");
            assert_eq!(answer["apiVersion"], API_VERSION);
        }
    }

    #[test]
    fn without_a_token_there_are_no_credentials() {
        let answer = respond(request("ghcr.io/a/b", "").as_bytes()).unwrap();
        assert_eq!(answer["auth"], json!({}));
    }

    #[test]
    fn what_is_no_request_has_no_answer_and_no_token_in_the_error() {
        let v1beta1 = request("a.b/c", "").replace("k8s.io/v1", "k8s.io/v1beta1");
        let response = request("a.b/c", "").replace("ProviderRequest", "ProviderResponse");
        for (text, why) in [
            (String::new(), NoAnswer::NoRequest),
            ("[]".to_owned(), NoAnswer::NoRequest),
            (v1beta1, NoAnswer::NoRequest),
            (response, NoAnswer::NoRequest),
            (request("", ""), NoAnswer::NoImage),
            (request("*.io/x", ""), NoAnswer::NoImage),
            (request("a.b/c d", ""), NoAnswer::NoImage),
            ("x".repeat(2_000_000), NoAnswer::Unreadable),
        ] {
            assert_eq!(respond(text.as_bytes()).unwrap_err(), why);
        }
        let broken = request("a.b/c", r#","serviceAccountToken":"s3cret","serviceAccountToken":1"#);
        assert!(!respond(broken.as_bytes()).unwrap_err().to_string().contains("s3cret"));
    }
}
