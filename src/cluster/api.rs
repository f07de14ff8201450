//! The API server of the cluster that this pod is in: asked by the pod's own account, which is read again for
//! each look, as Kubernetes turns its token over.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use super::object::{Object, Page, Status};
use super::read::Found;
use crate::oci::Secret;
use crate::tasks::Tasks;
use crate::upstream::{self, ProxySettings, Service, ServiceAnswer, ServiceSettings};

/// Where Kubernetes puts the account of a pod.
pub const ACCOUNT_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Longest token that is read, in bytes.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;
/// Objects that are asked for at a time.
const PAGE_ITEMS: usize = 500;
/// Most stretches of one list.
const PAGES_MAX: usize = 1_000;
/// Most bytes of one stretch: 64 kB for each object.
const PAGE_BYTES_MAX: usize = 32 << 20;
/// Longest token by which a list goes on, in bytes.
const NEXT_LENGTH_MAX: usize = 8 * 1024;
/// How long one answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(1);
/// How long a whole list may take.
const LIST_TIME_MAX: Duration = Duration::from_mins(5);
/// How often something is begun anew because others changed it meanwhile.
pub(super) const ATTEMPTS_MAX: usize = 3;
/// Most characters of what an API server says that are told.
const SAID_LENGTH_MAX: usize = 300;

/// Why nothing is known of a cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the pod's account cannot be used.
    #[error("{} {why}", path.display())]
    Account {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
        /// What the operating system says, where it says something.
        #[source]
        source: Option<io::Error>,
    },
    /// There is no answer.
    #[error("the API server did not answer {path}")]
    Unreachable {
        /// What was asked for.
        path: String,
        /// Why not.
        #[source]
        source: Box<upstream::Error>,
    },
    /// It does not end.
    #[error("the API server did not answer {path} in time")]
    Slow {
        /// What was asked for.
        path: String,
    },
    /// It says no.
    #[error("the API server answered {} to {path}{}", status.as_u16(), said(message))]
    Refused {
        /// What was asked for.
        path: String,
        /// The status.
        status: StatusCode,
        /// What it says about it.
        message: String,
    },
    /// It is not what it should be.
    #[error("the answer to {path} is not what Kubernetes has there")]
    Answer {
        /// What was asked for.
        path: String,
        /// What is wrong with it, where JSON is.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// It was another one each time that it was to be changed.
    #[error("{path} was changed by others {ATTEMPTS_MAX} times meanwhile")]
    Changed {
        /// What was to be changed.
        path: String,
    },
    /// The list was another one each time that it was read on.
    #[error("the list at {path} expired {ATTEMPTS_MAX} times while it was read")]
    Moving {
        /// What was asked for.
        path: String,
    },
    /// What was read is no list of objects.
    #[error("it is no list of pods or nodes, as `kubectl get pods -A -o json` prints it")]
    NoList(#[source] serde_json::Error),
    /// What was read is too large.
    #[error("it is larger than {} MiB; split it", super::FILE_BYTES_MAX >> 20)]
    TooLarge,
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// The API server, and the account by which it is asked.
#[derive(Debug)]
pub struct ApiServer {
    service: Service,
    token: Secret,
}

impl ApiServer {
    /// The API server at `host:port`, as the pod's environment names it, by the account in the folder `account`:
    /// `token` and `ca.crt`, of which the latter alone is believed.
    ///
    /// # Errors
    /// When a file of the account, or the address, cannot be used.
    pub fn open(host: &str, port: &str, account: &Path, tasks: &Tasks) -> Result<Self, Error> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let url = format!("https://{host}:{port}");
        let settings = ServiceSettings {
            url: url.clone(),
            ca_file: Some(account.join("ca.crt")),
            danger_plain_http: false,
            proxy: ProxySettings::default(),
        };
        let service = Service::believing_only(&settings, tasks.clone())
            .map_err(|source| Error::Unreachable { path: url, source: Box::new(source) })?;
        Ok(Self { service, token: token(&account.join("token"))? })
    }

    /// Has `add` take every object of the list at `path`; begins anew where the list expired meanwhile.
    ///
    /// # Errors
    /// [`Error`]: nothing of the list counts then.
    pub(super) async fn list(
        &self,
        path: &str,
        add: fn(&mut Found, Object),
    ) -> Result<Found, Error> {
        let reading = async {
            for _ in 0..ATTEMPTS_MAX {
                let mut found = Found::default();
                match self.pages(path, &mut found, add).await {
                    Err(Error::Refused { status: StatusCode::GONE, .. }) => {}
                    Err(error) => return Err(error),
                    Ok(()) => return Ok(found),
                }
            }
            Err(Error::Moving { path: path.to_owned() })
        };
        let read = tokio::time::timeout(LIST_TIME_MAX, reading).await;
        read.map_err(|_| Error::Slow { path: path.to_owned() })?
    }

    async fn pages(
        &self,
        path: &str,
        found: &mut Found,
        add: fn(&mut Found, Object),
    ) -> Result<(), Error> {
        let wrong = |source| Error::Answer { path: path.to_owned(), source };
        let mut next = String::new();
        for _ in 0..PAGES_MAX {
            let all = percent_encoding::NON_ALPHANUMERIC;
            let on = percent_encoding::utf8_percent_encode(&next, all);
            let address = match next.as_str() {
                "" => format!("{path}?limit={PAGE_ITEMS}"),
                _ => format!("{path}?limit={PAGE_ITEMS}&continue={on}"),
            };
            let body = self.get(path, &address).await?.body;
            let page: Page<Object> =
                serde_json::from_slice(&body).map_err(|error| wrong(Some(error)))?;
            for object in page.items.unwrap_or_default() {
                add(found, object);
            }
            let on = page.metadata.and_then(|it| it.next).filter(|it| !it.is_empty());
            let Some(on) = on else { return Ok(()) };
            if found.is_full() {
                return Ok(());
            }
            if on.len() > NEXT_LENGTH_MAX || on == next {
                return Err(wrong(None));
            }
            next = on;
        }
        found.leave_out(format!("the list at {path} goes on after {PAGES_MAX} stretches"));
        Ok(())
    }

    async fn get(&self, path: &str, address: &str) -> Result<ServiceAnswer, Error> {
        let headers = self.headers(path)?;
        answered(path, self.service.get(address, headers, PAGE_BYTES_MAX)).await
    }

    /// The object at `path`.
    pub(super) async fn object(&self, path: &str) -> Result<Value, Error> {
        let body = self.get(path, path).await?.body;
        let wrong = |source| Error::Answer { path: path.to_owned(), source: Some(source) };
        serde_json::from_slice(&body).map_err(wrong)
    }

    /// Changes the object at `path` by a JSON Patch.
    pub(super) async fn patch(&self, path: &str, change: &Value) -> Result<(), Error> {
        let mut headers = self.headers(path)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json-patch+json"));
        let body = Bytes::from(change.to_string());
        let asking = self.service.patch(path, headers, body, PAGE_BYTES_MAX);
        answered(path, asking).await.map(drop)
    }

    fn headers(&self, path: &str) -> Result<HeaderMap, Error> {
        let wrong = |_| Error::Answer { path: path.to_owned(), source: None };
        let bearer = format!("Bearer {}", self.token.expose());
        let mut bearer = HeaderValue::from_str(&bearer).map_err(wrong)?;
        bearer.set_sensitive(true);
        let agent = HeaderValue::from_static(concat!("pratique/", env!("CARGO_PKG_VERSION")));
        Ok(HeaderMap::from_iter([
            (AUTHORIZATION, bearer),
            (ACCEPT, HeaderValue::from_static("application/json")),
            (USER_AGENT, agent),
        ]))
    }
}

/// The answer of `asking` about `path`, if it is a success and comes in time.
async fn answered(
    path: &str,
    asking: impl Future<Output = Result<ServiceAnswer, upstream::Error>>,
) -> Result<ServiceAnswer, Error> {
    let slow = |_| Error::Slow { path: path.to_owned() };
    let answer = tokio::time::timeout(ANSWER_TIME_MAX, asking).await.map_err(slow)?;
    let away = |source| Error::Unreachable { path: path.to_owned(), source: Box::new(source) };
    let answer = answer.map_err(away)?;
    if answer.status.is_success() {
        return Ok(answer);
    }
    let status: Status = serde_json::from_slice(&answer.body).unwrap_or_default();
    let shown = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    let message = status.message.unwrap_or_default();
    let message = message.chars().take(SAID_LENGTH_MAX).map(shown).collect();
    Err(Error::Refused { path: path.to_owned(), status: answer.status, message })
}

fn token(path: &Path) -> Result<Secret, Error> {
    let wrong = |why, source| Error::Account { path: path.to_owned(), why, source };
    let failed = |error| wrong("cannot be read", Some(error));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    let token = text.trim();
    if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(wrong("holds no token", None));
    }
    Ok(Secret::new(token))
}
