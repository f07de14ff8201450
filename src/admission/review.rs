//! `AdmissionReview` of `admission.k8s.io/v1`: what the API server asks, and what it is answered.
//!
//! Spec: <https://kubernetes.io/docs/reference/config-api/apiserver-admission.v1/>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pod::Pod;
use super::{Error, IMAGES_MAX, NAME_LENGTH_MAX, PATCHES_MAX, fits, printable};
use crate::kubernetes;
use crate::oci::from_strict_slice;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";
/// Longest warning, in characters: the API server cuts longer ones.
pub const WARNING_LENGTH_MAX: usize = 256;
/// Most warnings of one answer: the API server has room for 4,096 characters.
pub const WARNINGS_MAX: usize = 16;
/// Longest message of a refusal, in characters.
pub const MESSAGE_LENGTH_MAX: usize = 2_000;
/// Longest value of an annotation of the audit, in characters.
const ANNOTATION_LENGTH_MAX: usize = 1_000;

/// What somebody wants to do to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// To run something by it, or to reach it.
    Connect,
    /// To make it.
    Create,
    /// To remove it.
    Delete,
    /// To change it.
    Update,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// By what the answer is known again.
    pub uid: String,
    /// What is to be done.
    pub operation: Operation,
    /// Whether nothing may be done because of it.
    pub dry_run: bool,
    /// Where, if the object is in a namespace.
    pub namespace: Option<String>,
    /// Who wants it.
    pub user: String,
    /// The object.
    pub object: Object,
}

/// The object of a review.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// Something that runs no image, or that is going away.
    Other,
    /// A pod as it is to be, and as it was.
    Pod {
        /// As it is to be.
        new: Box<Pod>,
        /// As it was.
        old: Option<Box<Pod>>,
    },
    /// A pod that cannot be read, and why.
    Unreadable(String),
    /// Something that makes pods: its kind, and the images that it names.
    Workload {
        /// Its kind.
        kind: String,
        /// The images, each once.
        images: Vec<String>,
    },
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    kind: Kind,
    operation: String,
    sub_resource: Option<String>,
    namespace: Option<String>,
    user_info: Option<UserInfo>,
    dry_run: Option<bool>,
    object: Option<Value>,
    old_object: Option<Value>,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
struct Kind {
    #[serde(default)]
    group: String,
    version: String,
    kind: String,
}

#[derive(Deserialize)]
struct UserInfo {
    #[serde(default)]
    username: String,
}

impl Review {
    /// The review in `bytes`; how many these are, the caller has bounded.
    ///
    /// # Errors
    /// When it is no review of this version, or says nothing that could be answered.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let read: Document = from_strict_slice(bytes).map_err(|error| Error::json(&error))?;
        if read.api_version != API_VERSION || read.kind != KIND {
            let (given, wanted) = ((read.api_version, read.kind), (API_VERSION, KIND));
            return Err(Error::kind(&given, wanted));
        }
        let request = read.request;
        let is_plain = request.uid.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
        if request.uid.is_empty() || request.uid.len() > NAME_LENGTH_MAX || !is_plain {
            return Err(Error::Field { field: "request.uid", why: "is no identifier" });
        }
        let operation = match request.operation.as_str() {
            "CONNECT" => Operation::Connect,
            "CREATE" => Operation::Create,
            "DELETE" => Operation::Delete,
            "UPDATE" => Operation::Update,
            _ => {
                return Err(Error::Field {
                    field: "request.operation",
                    why: "is none that is known",
                });
            }
        };
        let object = object(operation, &request);
        let user = request.user_info.map(|it| it.username).unwrap_or_default();
        Ok(Self {
            uid: request.uid,
            operation,
            dry_run: request.dry_run.unwrap_or(false),
            namespace: request.namespace.filter(|it| !it.is_empty()),
            user: printable(&user, NAME_LENGTH_MAX),
            object,
        })
    }
}

fn object(operation: Operation, request: &Request) -> Object {
    if matches!(operation, Operation::Connect | Operation::Delete) {
        return Object::Other;
    }
    let Kind { group, version, kind } = &request.kind;
    if group.is_empty() && kind == "Pod" {
        // The image of a pod is changed at the pod itself, and at these of its parts.
        let is_asked =
            matches!(request.sub_resource.as_deref(), None | Some("" | "ephemeralcontainers"));
        return match version.as_str() {
            "v1" if is_asked => pod(request.object.as_ref(), request.old_object.as_ref()),
            "v1" => Object::Other,
            _ => Object::Unreadable(format!(
                "version {} of Pod is not known here",
                printable(version, NAME_LENGTH_MAX)
            )),
        };
    }
    let Some(object) = &request.object else { return Object::Other };
    // What names too much or cannot be read makes pods that are looked at themselves.
    let Ok(found) = kubernetes::images(&object.to_string()) else { return Object::Other };
    let images: Vec<String> =
        found.images.into_iter().filter(|it| !it.is_guess).map(|it| it.image).collect();
    if images.is_empty() {
        return Object::Other;
    }
    Object::Workload { kind: printable(kind, NAME_LENGTH_MAX), images }
}

fn pod(new: Option<&Value>, old: Option<&Value>) -> Object {
    let read = |value: &Value| {
        let is_pod =
            |key: &str, wanted: &str| value.get(key).is_none_or(|it| it.as_str() == Some(wanted));
        if !is_pod("kind", "Pod") || !is_pod("apiVersion", "v1") {
            return Err("the object is no v1 Pod".to_owned());
        }
        Pod::deserialize(value).map_err(|error| printable(&error.to_string(), WARNING_LENGTH_MAX))
    };
    let Some(new) = new else { return Object::Unreadable("there is no object".to_owned()) };
    let new = match read(new) {
        Ok(pod) if pod.images(None).len() > IMAGES_MAX => {
            return Object::Unreadable(format!("it names more than {IMAGES_MAX} images"));
        }
        Ok(pod) => Box::new(pod),
        Err(why) => return Object::Unreadable(why),
    };
    match old.map(read).transpose() {
        Ok(old) => Object::Pod { new, old: old.map(Box::new) },
        // What it was before is not known: all of it is new.
        Err(_) => Object::Pod { new, old: None },
    }
}

/// One change of an image (RFC 6902).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Patch {
    op: &'static str,
    /// The JSON pointer of what is changed.
    pub path: String,
    /// What stands there afterwards.
    pub value: String,
}

impl Patch {
    /// Puts `value` where `path` is.
    pub fn replace(path: String, value: String) -> Self {
        Self { op: "replace", path, value }
    }
}

/// What the API server is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Why not; `None` lets it in.
    pub refused: Option<Refused>,
    /// What is changed.
    pub patches: Vec<Patch>,
    /// What whoever asked the API server is told besides; cut to what it has room for.
    pub warnings: Vec<String>,
    /// What the API server writes into its audit; cut.
    pub annotations: BTreeMap<&'static str, String>,
}

/// A no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The status that the client of the API server gets.
    pub code: u16,
    /// What it reads.
    pub message: String,
}

impl Answer {
    /// The review that answers the one with `uid`.
    pub fn document(&self, uid: &str) -> Value {
        let mut response = serde_json::Map::new();
        let mut put = |key: &str, value: Value| drop(response.insert(key.to_owned(), value));
        put("uid", uid.into());
        put("allowed", self.refused.is_none().into());
        if let Some(Refused { code, message }) = &self.refused {
            let message = fits(message, MESSAGE_LENGTH_MAX);
            put("status", serde_json::json!({"code": code, "message": message}));
        }
        if self.refused.is_none() && !self.patches.is_empty() && self.patches.len() <= PATCHES_MAX {
            let patches = serde_json::to_vec(&self.patches).unwrap_or_default();
            put("patchType", "JSONPatch".into());
            put("patch", BASE64_STANDARD.encode(patches).into());
        }
        if !self.warnings.is_empty() {
            let warnings = self.warnings.iter().take(WARNINGS_MAX);
            put("warnings", warnings.map(|it| fits(it, WARNING_LENGTH_MAX)).collect());
        }
        if !self.annotations.is_empty() {
            let cut = |(key, text): (&&str, &String)| {
                ((*key).to_owned(), Value::String(fits(text, ANNOTATION_LENGTH_MAX)))
            };
            put("auditAnnotations", Value::Object(self.annotations.iter().map(cut).collect()));
        }
        serde_json::json!({"apiVersion": API_VERSION, "kind": KIND, "response": response})
    }
}
