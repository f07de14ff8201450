//! Who pulls: the pod, by the token that kubelet's credential provider sends along.
//!
//! Where the policy says for whom a repository is (`clients`), a request that shows nothing is asked with
//! 401, and what comes then is looked at only if it is a pod's token by the name of its user: the
//! challenge draws whatever secrets a pod has for other places, and those are nobody's business here.
//! They are not read, not kept and not logged, and neither is a token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, Response};
use tracing::info;

use super::body::NodeBody;
use super::node::Node;
use super::respond;
use crate::oci::{Endpoint, Name, Reference, Secret};
use crate::policy::{ClientRule, Mode};

/// The name of the user that stands before a pod's token.
const POD_USER: &str = "pratique-pod";
/// Whoever asks what would be answered, and wants no content, says so: the image verifier, which knows no
/// pod. Only HEAD by digest is answered so.
const QUESTION: &str = "pratique-question";

/// What a request shows of who it is.
enum Shown {
    /// Nothing.
    Nothing,
    /// Credentials for another place.
    Foreign,
    /// What should be a pod's token.
    Token(Secret),
}

impl Shown {
    fn in_headers(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (first, more) = (values.next(), values.next());
        let Some(value) = first else { return Self::Nothing };
        let token = || {
            let (scheme, credential) = value.to_str().ok()?.trim().split_once(' ')?;
            if !scheme.eq_ignore_ascii_case("basic") {
                return None;
            }
            let login =
                Secret::new(String::from_utf8(STANDARD.decode(credential.trim()).ok()?).ok()?);
            let (user, token) = login.expose().split_once(':')?;
            (user == POD_USER).then(|| Secret::new(token))
        };
        // Of two credentials nobody can say which one is meant.
        token().filter(|_| more.is_none()).map_or(Self::Foreign, Self::Token)
    }
}

impl Node {
    /// The answer to whom `name` is not for; `None` when they may go on to the verdict.
    ///
    /// Lists of tags are for everybody: they have no content.
    pub(super) fn not_for(
        &self,
        request: &Request<Incoming>,
        name: &Name,
        endpoint: &Endpoint,
    ) -> Option<Response<NodeBody>> {
        let policy = self.mirror.policy();
        let rule = policy.clients_of(name)?;
        if matches!(endpoint, Endpoint::Tags(_)) || is_question(request, endpoint) {
            return None;
        }
        let why = match self.why_not(request, name, rule) {
            Ok(()) => return None,
            Err(why) => why,
        };
        let metrics = self.metrics();
        match policy.mode_for(name, self.mirror.clock().now()) {
            Mode::Audit | Mode::Warn => {
                info!(%name, reason = ?why, "served, although it is not for this client");
                metrics.clients_not_refused.increment();
                None
            }
            Mode::Enforce => Some(match why {
                WhyNot::Unasked => {
                    metrics.clients_asked.increment();
                    respond::who_is_it(name)
                }
                WhyNot::Not(text) => {
                    info!(%name, reason = text, "not for this client");
                    metrics.clients_refused.increment();
                    respond::not_for(&text)
                }
            }),
        }
    }

    fn why_not(
        &self,
        request: &Request<Incoming>,
        name: &Name,
        rule: &ClientRule,
    ) -> Result<(), WhyNot> {
        let not = |text: String| Err(WhyNot::Not(format!("Denied: {name} is for {rule}{text}")));
        let Some(pods) = &self.pods else {
            return not(", and the mirror knows no cluster ([node.pods])".to_owned());
        };
        match Shown::in_headers(request.headers()) {
            Shown::Nothing => Err(WhyNot::Unasked),
            Shown::Foreign => not("; this pull brings no pod's token".to_owned()),
            Shown::Token(token) => match pods.workload(token.expose()) {
                Err(problem) => not(format!("; the pod's token does not count: {problem}")),
                Ok(pod) if rule.is_for(&pod) => Ok(()),
                Ok(pod) => Err(WhyNot::Not(rule.refusal(name, pod))),
            },
        }
    }
}

/// Why somebody gets nothing.
#[derive(Debug)]
enum WhyNot {
    /// They were not asked who they are yet.
    Unasked,
    /// It is not for them, in words.
    Not(String),
}

fn is_question(request: &Request<Incoming>, endpoint: &Endpoint) -> bool {
    request.method() == Method::HEAD
        && matches!(endpoint, Endpoint::Manifest(Reference::Digest(_)))
        && request.headers().contains_key(QUESTION)
}
