//! A finished database in a registry: an artifact of one layer, which is judged as whatever a mirror
//! serves is, by a policy that asks for one signature.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::app::Bench;
use crate::cli::db::place::{Candidate, not_written};
use crate::cli::{CliError, output};
use crate::config::Settings;
use crate::gate::ReadyPolicy;
use crate::mirror::desk::Desk;
use crate::mirror::{DATABASE_BYTES_MAX, Mirror, Pull};
use crate::oci::{ByteRange, ImageReference, Manifest, Name, Reference};
use crate::policy::Policy;
use crate::store::{Keeping, ReadMode};

/// How long what is under way may take to end.
const GRACE: Duration = Duration::from_secs(2);
/// Longest time for all of it.
const TIME_MAX: Duration = Duration::from_mins(30);
/// The name under which the policy has the key.
const KEY_FILE: &str = "database.pub";

/// Fetches the database out of the artifact `text` into `candidate`, signed by the key in `pem`.
///
/// # Errors
/// When it cannot be had, is not signed by that key, or is more than one file.
pub(super) async fn fetch(
    mut settings: Settings,
    text: &str,
    pem: String,
    candidate: &mut Candidate,
) -> Result<(), CliError> {
    let image: ImageReference = text.parse().map_err(|error| {
        let hint = "neither an address (https://...) nor an artifact (registry/repository:tag)";
        CliError::misused(format!("--from {text:?} is {hint}")).caused_by(error)
    })?;
    let policy = policy(&image.name, pem)?;
    let folder = tempfile::Builder::new()
        .prefix("pratique-db-")
        .tempdir()
        .map_err(|error| CliError::failed("no temporary folder").caused_by(error))?;
    settings.data_dir = folder.path().to_owned();
    (settings.store.dir, settings.store.keeping) = (folder.path().to_owned(), Keeping::default());
    let bench = Bench::set_up(settings, policy, None)
        .await
        .map_err(|error| CliError::failed("could not be set up").caused_by(error))?;
    let work = Box::pin(taken(bench.mirror(), text, &image, candidate));
    let bounded = tokio::time::timeout(TIME_MAX, work);
    let outcome = Box::pin(output::with_progress(text, "fetching", bounded)).await;
    bench.clear(GRACE).await;
    folder.close().map_err(|error| {
        CliError::failed("the temporary folder was not removed").caused_by(error)
    })?;
    let minutes = TIME_MAX.as_secs() / 60;
    let late =
        |_| CliError::unreachable(format!("{text} was not fetched within {minutes} minutes"));
    outcome.map_err(late)?
}

/// A policy by which nothing is served but `name`, and that with a signature by the key in `pem`.
fn policy(name: &Name, pem: String) -> Result<ReadyPolicy, CliError> {
    let text = format!(
        "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {{name: db-update, revision: 1}}\n\
         signers: {{database: {{transparencyLog: none, key: {{pem: \"file:{KEY_FILE}\"}}}}}}\n\
         rules:\n- {{id: database, match: [\"{name}\"], trust: allow, \
         signatures: {{atLeast: 1, of: [database]}}}}\n"
    );
    let read = |path: &Path| {
        let is_it = path.as_os_str() == KEY_FILE;
        if is_it { Ok(pem.clone().into_bytes()) } else { Err(std::io::ErrorKind::NotFound.into()) }
    };
    Policy::parse(&text, &read).and_then(ReadyPolicy::new).map_err(|problems| {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        CliError::misused(format!("{name} with that key cannot be judged: {}", texts.join("; ")))
    })
}

async fn taken(
    mirror: &Mirror,
    text: &str,
    image: &ImageReference,
    candidate: &mut Candidate,
) -> Result<(), CliError> {
    let unreachable = || CliError::unreachable(format!("{text} could not be had"));
    let judged = Desk::new(mirror.clone()).explain(&image.to_string()).await;
    let judged = judged.map_err(|error| unreachable().caused_by(error))?;
    let reasons: Vec<&str> = judged.reasons.iter().map(|reason| reason.text.as_str()).collect();
    let digest = match (judged.verdict.as_str(), judged.digest) {
        ("admit", Some(digest)) => digest,
        ("deny", _) => {
            let text = format!("{text} was not taken: {}", reasons.join("; "));
            return Err(CliError::refused(text));
        }
        _ => return Err(CliError::unreachable(format!("{text}: {}", reasons.join("; ")))),
    };
    let name = image.name.clone();
    let client = Arc::from("db update");
    let pull = Pull { name: name.clone(), reference: Reference::Digest(digest), client };
    let manifest =
        mirror.pull_manifest(&pull).await.map_err(|error| unreachable().caused_by(error))?;
    let not_one = || CliError::refused(format!("{text} is no artifact of one layer"));
    let Ok(Manifest::Image(manifest)) = Manifest::parse(&manifest.bytes, None) else {
        return Err(not_one());
    };
    let [layer] = manifest.layers.as_slice() else { return Err(not_one()) };
    if layer.size > DATABASE_BYTES_MAX {
        let text = format!("{text} has {} bytes, more than {DATABASE_BYTES_MAX}", layer.size);
        return Err(CliError::refused(text));
    }
    let blob = mirror.pull_blob(&name, &layer.digest, true).await;
    let blob = blob.map_err(|error| unreachable().caused_by(error))?;
    let mut reader = blob.body.reader(ByteRange::whole(blob.size), ReadMode::Copy);
    while let Some(piece) = reader.next().await.map_err(|error| unreachable().caused_by(error))? {
        let written = candidate.file().write_all(&piece);
        written.map_err(|error| not_written(candidate.path(), error))?;
    }
    Ok(())
}
