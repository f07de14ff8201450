//! One look at a node: every way, one after the other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::ask::MirrorAccess;
use super::decoy::{Bait, Decoy, REPOSITORY};
use super::judged::{self, Mirrored};
use super::runtime::Runtime;
use super::{Finding, State, Way, egress};
use crate::oci::{ImageReference, Reference, Registry};
use crate::tasks::Tasks;
use crate::time::Clock;

/// Where Docker Hub answers, as nobody writes it.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// What to look at, and with what.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// The mirror.
    pub mirror: MirrorAccess,
    /// The mirrors that are asked when it is away.
    pub more_mirrors: Vec<MirrorAccess>,
    /// What pulls on the node.
    pub runtimes: Vec<Runtime>,
    /// Images that upstream has and the mirror refuses; `None`: that way is left out on purpose.
    pub canaries: Option<Vec<ImageReference>>,
    /// Registries to connect to; `None`: that way is left out on purpose.
    pub egress: Option<Vec<String>>,
    /// Registries that the estate wants to be reached past the mirror: declared holes.
    pub direct: Vec<Registry>,
    /// Whether a registry that answers counts as a way that is open.
    pub egress_must_be_closed: bool,
    /// How long a pull may take.
    pub limit: Duration,
}

impl Plan {
    /// A look with `runtimes` at the ways around `mirror`, each pull within `limit`.
    pub fn new(mirror: MirrorAccess, runtimes: Vec<Runtime>, limit: Duration) -> Self {
        Self {
            mirror,
            more_mirrors: Vec::new(),
            runtimes,
            canaries: Some(Vec::new()),
            egress: Some(Vec::new()),
            direct: Vec::new(),
            egress_must_be_closed: false,
            limit,
        }
    }
}

/// Why nothing can be tried.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// There is no decoy.
    #[error("the decoy registry cannot be started")]
    Decoy(#[source] io::Error),
}

/// Looks at a node.
#[derive(Debug, Clone)]
pub struct Doctor {
    plan: Plan,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
}

impl Doctor {
    /// A doctor by `plan`, whose connections are among `tasks`.
    pub fn new(plan: Plan, tasks: Tasks, clock: Arc<dyn Clock>) -> Self {
        Self { plan, tasks, clock }
    }

    /// Tries every way once.
    ///
    /// # Errors
    /// When there is no decoy: nothing is tried then.
    pub async fn look(&self) -> Result<Vec<Finding>, DoctorError> {
        let decoy = Decoy::start(&self.tasks).await.map_err(DoctorError::Decoy)?;
        let mut findings = vec![self.mirror(&self.plan.mirror, &decoy).await];
        for mirror in &self.plan.more_mirrors {
            findings.push(self.mirror(mirror, &decoy).await);
        }
        if self.plan.runtimes.is_empty() {
            findings.push(nothing_pulls());
        }
        for runtime in &self.plan.runtimes {
            for host in ["127.0.0.1", "localhost"] {
                findings.push(self.unlisted(&decoy, runtime, host).await?);
            }
            findings.push(self.layer_urls(&decoy, runtime).await?);
        }
        findings.extend(self.plan.direct.iter().map(|it| judged::declared(it.as_str())));
        findings.extend(self.fallbacks().await);
        findings.extend(self.egress().await);
        Ok(findings)
    }

    async fn mirror(&self, mirror: &MirrorAccess, decoy: &Decoy) -> Finding {
        let host = format!("127.0.0.1:{}", decoy.port());
        let path = format!("/v2/{REPOSITORY}/self/manifests/1?ns={host}");
        let ready = mirror.get("/readyz", &self.tasks).await;
        let (of_decoy, bare) = if ready.is_ok() {
            let bare = mirror.get_bare("/readyz", &self.tasks).await;
            (mirror.get(&path, &self.tasks).await, bare)
        } else {
            (Err(io::ErrorKind::NotConnected.into()), None)
        };
        judged::mirror(&Mirrored {
            url: mirror.url(),
            is_tls: mirror.is_tls(),
            ready,
            of_decoy,
            bare,
            client_ends: mirror.client_ends(),
            now: self.clock.now(),
        })
    }

    async fn unlisted(
        &self,
        decoy: &Decoy,
        runtime: &Runtime,
        host: &str,
    ) -> Result<Finding, DoctorError> {
        let bait = decoy.plain().map_err(DoctorError::Decoy)?;
        let image = called(host, decoy, &bait);
        drop(decoy.visits());
        let pulled = runtime.pull(&image, true, self.plan.limit, &self.tasks).await;
        let visits = decoy.visits();
        let host = format!("{host}:{}", decoy.port());
        Ok(judged::unlisted(runtime.word(), &host, &visits, &pulled))
    }

    async fn layer_urls(&self, decoy: &Decoy, runtime: &Runtime) -> Result<Finding, DoctorError> {
        let bait = decoy.with_url().map_err(DoctorError::Decoy)?;
        let image = called("127.0.0.1", decoy, &bait);
        drop(decoy.visits());
        let pulled = runtime.pull(&image, true, self.plan.limit, &self.tasks).await;
        let visits = decoy.visits();
        let host = format!("127.0.0.1:{}", decoy.port());
        Ok(judged::layer_urls(runtime.word(), &host, &visits, &pulled))
    }

    async fn fallbacks(&self) -> Vec<Finding> {
        let Some(canaries) = &self.plan.canaries else { return Vec::new() };
        if canaries.is_empty() {
            return vec![judged::no_canary_named()];
        }
        let mut findings = Vec::new();
        for canary in canaries {
            // What is declared open is told once, and not tried.
            if self.plan.direct.contains(canary.name.registry()) {
                continue;
            }
            let (image, path) = (written(canary), asked(canary));
            let said = self.plan.mirror.get(&path, &self.tasks).await;
            let said = match (judged::no_canary(&image, &said), said) {
                (None, Ok(said)) => said,
                (finding, _) => {
                    findings.extend(finding);
                    continue;
                }
            };
            for runtime in &self.plan.runtimes {
                let pulled = runtime.pull(&image, false, self.plan.limit, &self.tasks).await;
                findings.push(judged::fallback(runtime.word(), &image, &said, &pulled));
            }
        }
        findings
    }

    async fn egress(&self) -> Vec<Finding> {
        let Some(named) = &self.plan.egress else { return Vec::new() };
        let canaries = self.plan.canaries.iter().flatten();
        let of_canaries = canaries.map(|canary| canary.name.registry().as_str().to_owned());
        let mut hosts: Vec<String> = named.iter().cloned().chain(of_canaries).collect();
        hosts.sort();
        hosts.dedup();
        hosts.retain(|host| !self.plan.direct.iter().any(|it| it.as_str() == host));
        let mut findings = Vec::new();
        for host in hosts {
            let address = if host == HUB.0 { HUB.1 } else { host.as_str() };
            let reached = egress::reach(address).await;
            findings.push(judged::egress(&host, &reached, self.plan.egress_must_be_closed));
        }
        findings
    }
}

/// An image of the decoy as a runtime is told of it.
fn called(host: &str, decoy: &Decoy, bait: &Bait) -> String {
    format!("{host}:{}/{}:{}", decoy.port(), bait.repository, bait.tag)
}

/// `canary` with everything that runtimes want to be written out.
fn written(canary: &ImageReference) -> String {
    match canary.reference() {
        Reference::Tag(tag) => format!("{}:{tag}", canary.name),
        Reference::Digest(digest) => format!("{}@{digest}", canary.name),
    }
}

/// How a runtime asks the mirror for `canary`.
fn asked(canary: &ImageReference) -> String {
    let (name, reference) = (&canary.name, canary.reference());
    format!("/v2/{}/manifests/{reference}?ns={}", name.repository(), name.registry())
}

fn nothing_pulls() -> Finding {
    let saw = "nothing that pulls was found on this machine";
    let remedy = Some("name it: --runtime cri=SOCKET, ctr, docker, podman or skopeo");
    Finding::new(Way::Unlisted, "self", "this node", State::Untried, saw, remedy)
}
