//! `pratique demo`: the three answers of the gate, without any network.
//!
//! Everything is real but the world around it: the program runs on loopback ports of its own with a
//! policy, a signing key and a registry made for the occasion, and a client pulls as a node would.

mod client;
mod images;
mod registry;

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use self::client::{Answer, Client};
use self::images::{Image, Signer};
use self::registry::DemoRegistry;
use super::exit::CliError;
use super::output;
use crate::app::{App, SHUTDOWN_GRACE};
use crate::config::Settings;
use crate::oci::{Descriptor, Digest, Manifest};
use crate::tasks::Tasks;
use crate::upstream::RegistrySettings;

/// The registry's name in image references.
const REGISTRY: &str = "demo.test";

/// One step of the show.
#[derive(Debug, Serialize)]
struct Step {
    /// What was done.
    action: String,
    /// What came of it.
    answer: String,
    /// Whether that is what the policy promises.
    as_expected: bool,
}

/// Runs the show; refused (exit 3) when an answer is not what the policy promises.
///
/// # Errors
/// When something on this machine fails: no loopback port, no temporary folder.
pub(crate) async fn run(json: bool) -> Result<(), CliError> {
    let folder = Folder::new()?;
    let signer = Signer::generate()?;
    let tasks = Tasks::new();
    let registry = DemoRegistry::start(&tasks)
        .await
        .map_err(|error| CliError::failed("no loopback port for the demo").caused_by(error))?;
    let images = Images::publish(&registry, &signer)?;
    let policy = policy(&signer.public_pem());
    let app = start(folder.path(), &policy, &registry.url()).await?;
    if !json {
        output::print(&introduction(&policy))?;
    }
    let steps = Show { app: &app, folder: folder.path(), images: &images, json }.play().await;
    app.stop(SHUTDOWN_GRACE).await;
    tasks.shut_down(SHUTDOWN_GRACE).await;
    let steps = steps?;
    if steps.iter().all(|step| step.as_expected) {
        if !json {
            output::print(
                "\nDone: admitted, denied, and pending until approved; nothing else was served.",
            )?;
        }
        return Ok(());
    }
    Err(CliError::refused("an answer was not what the policy promises"))
}

/// A temporary folder, removed at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Result<Self, CliError> {
        let path = std::env::temp_dir().join(format!("pratique-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .map_err(|error| CliError::failed("no temporary folder").caused_by(error))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            output::message(&format!("{} was not removed: {error}", self.0.display()));
        }
    }
}

struct Images {
    signed: Image,
    unsigned: Image,
    asked: Image,
}

impl Images {
    fn publish(registry: &DemoRegistry, signer: &Signer) -> Result<Self, CliError> {
        let trusted = Image::new("greets in every language");
        let unsigned = Image::new("greets, says somebody");
        let asked = Image::new("keeps things in memory");
        registry.publish("signed/hello", "1", &trusted);
        registry.publish("signed/rogue", "1", &unsigned);
        registry.publish("asked/cache", "7", &asked);
        let signature = signer.sign(&format!("{REGISTRY}/signed/hello"), &trusted.digest())?;
        let tag = format!("sha256-{}.sig", trusted.digest().hex());
        registry.publish("signed/hello", &tag, &signature);
        Ok(Self { signed: trusted, unsigned, asked })
    }
}

fn policy(public_pem: &str) -> String {
    let pem: String =
        public_pem.lines().fold(String::new(), |text, line| text + "      " + line + "\n");
    format!(
        "apiVersion: pratique.dev/v1
kind: Policy
metadata: {{name: demo, revision: 1}}
signers:
  team:
    transparencyLog: none
    key:
     pem: |
{pem}floor:
  registries: [{REGISTRY}]
  platforms: [linux/amd64]
rules:
- {{id: signed, match: [\"{REGISTRY}/signed/**\"], trust: allow, signatures: {{atLeast: 1, of: [team]}}}}
- {{id: asked, match: [\"{REGISTRY}/asked/**\"], trust: approve}}
"
    )
}

fn introduction(policy: &str) -> String {
    let rules = policy.split("rules:\n").nth(1).unwrap_or_default();
    format!(
        "Pratique demo: a registry, a policy and a node, all on this machine.\n\nThe policy's rules:\n{rules}"
    )
}

async fn start(folder: &Path, policy: &str, registry_url: &str) -> Result<App, CliError> {
    let failed = |error| CliError::failed("the demo's policy was not written").caused_by(error);
    let policy_path = folder.join("policy.yaml");
    std::fs::write(&policy_path, policy).map_err(failed)?;
    let mut settings = Settings::default();
    let data = folder.join("data");
    settings.store.dir.clone_from(&data);
    settings.admin.data_dir.clone_from(&data);
    settings.data_dir = data;
    settings.policy = Some(policy_path);
    settings.node.listen = ([127, 0, 0, 1], 0).into();
    settings.admin.listen = ([127, 0, 0, 1], 0).into();
    settings.upstream.registries = vec![RegistrySettings {
        registry: REGISTRY
            .parse()
            .map_err(|error| CliError::failed("the demo's registry").caused_by(error))?,
        url: registry_url.to_owned(),
        token_hosts: Vec::new(),
        redirect_hosts: Vec::new(),
        credentials: Vec::new(),
        ca_file: None,
        danger_plain_http: true,
    }];
    App::start(settings)
        .await
        .map_err(|error| CliError::failed("the demo could not start").caused_by(error))
}

struct Show<'a> {
    app: &'a App,
    folder: &'a Path,
    images: &'a Images,
    json: bool,
}

impl Show<'_> {
    async fn play(&self) -> Result<Vec<Step>, CliError> {
        let nodes = Client::new(self.app.node_address);
        let mut steps = Vec::new();
        self.title("1. Signed by the team: admitted")?;
        steps.push(self.pull(&nodes, "signed/hello", "1", &self.images.signed, None).await?);
        steps.push(self.explain(&format!("{REGISTRY}/signed/hello:1")).await?);
        self.title("2. Not signed: denied, not one byte")?;
        let refusal = Some("Denied by rule signed");
        steps.push(self.pull(&nodes, "signed/rogue", "1", &self.images.unsigned, refusal).await?);
        steps.push(self.explain(&format!("{REGISTRY}/signed/rogue:1")).await?);
        self.title("3. A rule that asks people: pending, then approved and pulled")?;
        let refusal = Some("Pending approval");
        steps.push(self.pull(&nodes, "asked/cache", "7", &self.images.asked, refusal).await?);
        steps.push(self.approve(&self.images.asked.digest()).await?);
        steps.push(self.pull(&nodes, "asked/cache", "7", &self.images.asked, None).await?);
        steps.push(self.explain(&format!("{REGISTRY}/asked/cache:7")).await?);
        Ok(steps)
    }

    fn title(&self, title: &str) -> Result<(), CliError> {
        if self.json { Ok(()) } else { output::print(&format!("\n{title}")) }
    }

    fn tell(&self, step: Step) -> Result<Step, CliError> {
        if self.json {
            let line = serde_json::to_string(&step)
                .map_err(|error| CliError::failed("a step is not JSON").caused_by(error))?;
            output::print(&line)?;
        } else {
            let sign = if step.as_expected { "ok" } else { "NOT AS PROMISED" };
            output::print(&format!("  $ {}\n    {}  [{sign}]", step.action, step.answer))?;
        }
        Ok(step)
    }

    /// Pulls as a node does: HEAD by tag, GET by digest, every blob, each hashed.
    async fn pull(
        &self,
        nodes: &Client,
        repository: &str,
        tag: &str,
        image: &Image,
        refusal: Option<&str>,
    ) -> Result<Step, CliError> {
        let action = format!("pull {REGISTRY}/{repository}:{tag}");
        let path = |what: &str| format!("/v2/{repository}/{what}?ns={REGISTRY}");
        let head = nodes.head(&path(&format!("manifests/{tag}"))).await?;
        let manifest = nodes.get(&path(&format!("manifests/{}", image.digest()))).await?;
        let mut served = 0;
        let mut whole = image.digest().matches(&manifest.body);
        for listed in image.listed()? {
            let blob = nodes.get(&path(&format!("blobs/{}", listed.digest))).await?;
            if blob.status == 200 {
                served += 1;
                whole &= listed.digest.matches(&blob.body);
            }
        }
        let (answer, as_expected) = match refusal {
            None => (
                format!(
                    "{} {}, {served} blobs, every hash right",
                    head.status,
                    short(&image.digest())
                ),
                head.status == 200
                    && manifest.status == 200
                    && whole
                    && served == image.listed()?.len(),
            ),
            Some(text) => (
                format!("{} {}; {served} blobs served", head.status, head.phrase),
                head.status == 403
                    && manifest.status == 403
                    && served == 0
                    && head.phrase.starts_with(text),
            ),
        };
        self.tell(Step { action, answer, as_expected })
    }

    async fn explain(&self, image: &str) -> Result<Step, CliError> {
        let path = format!("/api/v1/explain?image={image}");
        let explained = self.admin("GET", &path, None).await?;
        let value: Value = serde_json::from_slice(&explained.body).unwrap_or(Value::Null);
        let as_expected = explained.status == 200 && value.get("checks").is_some();
        let action = format!("explain {image}");
        self.tell(Step { action, answer: summary(&value), as_expected })
    }

    async fn approve(&self, digest: &Digest) -> Result<Step, CliError> {
        let target = format!("{REGISTRY}/asked/cache@{digest}");
        let body = json!({"target": target, "reason": "seen in the demo"});
        let approved = self.admin("POST", "/api/v1/approvals", Some(body)).await?;
        let as_expected = (200..300).contains(&approved.status);
        let answer = format!("{} bound to {}", approved.status, short(digest));
        let action = format!(
            "approve {REGISTRY}/asked/cache@{} --reason \"seen in the demo\"",
            short(digest)
        );
        self.tell(Step { action, answer, as_expected })
    }

    async fn admin(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, CliError> {
        let token = std::fs::read_to_string(self.folder.join("data/admin.token"))
            .map_err(|error| CliError::failed("the demo's token").caused_by(error))?;
        let body = body.map(|body| Bytes::from(body.to_string()));
        Client::new(self.app.admin_address).authorized(method, path, token.trim(), body).await
    }
}

/// One line a check, as `explain` prints it.
fn summary(explained: &Value) -> String {
    let text = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut lines = String::from("verdict ");
    lines.push_str(&text(explained, "verdict"));
    for check in explained.get("checks").and_then(Value::as_array).into_iter().flatten() {
        let line = format!(
            "\n      {:<10} {:<10} {}",
            text(check, "name"),
            text(check, "state"),
            text(check, "text")
        );
        if lines.write_str(&line).is_err() {
            break;
        }
    }
    lines
}

fn short(digest: &Digest) -> String {
    digest.short()
}

impl Image {
    fn listed(&self) -> Result<Vec<Descriptor>, CliError> {
        let manifest = Manifest::parse(&self.manifest, None)
            .map_err(|error| CliError::failed("the demo's image").caused_by(error))?;
        Ok(manifest.listed().cloned().collect())
    }
}
