//! Runtimes that are told by their programs.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::{Kept, Pulled};
use crate::program::{ProgramError, Unconfined};

/// How long everything but a pull may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Most bytes that a program may write.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// The namespace of containerd in which `ctr` pulls: nothing else is in it.
const NAMESPACE: &str = "pratique-doctor";

/// `ctr images pull`, with the files that containerd itself has.
pub(super) async fn ctr(
    program: &Path,
    socket: &Path,
    hosts: &Path,
    image: &str,
    limit: Duration,
) -> Pulled {
    let with = |words: &[&str]| {
        let mut all: Vec<OsString> =
            vec!["--address".into(), socket.into(), "--namespace".into(), NAMESPACE.into()];
        all.extend(words.iter().map(Into::into));
        all
    };
    let mut pulling = with(&["images", "pull", "--hosts-dir"]);
    pulling.extend([hosts.into(), image.into()]);
    let pulled = pulled(program, pulling, limit).await;
    let removed = match &pulled {
        // What a pull that failed has begun is in nobody's list, and is collected with its lease.
        Pulled::No(_) | Pulled::Untried(_) => Ok(()),
        Pulled::Yes(_) => {
            called(program, with(&["images", "remove", "--sync", image]), CALL_TIMEOUT).await
        }
    };
    // A namespace that holds something cannot be removed: then the next run does it.
    let words =
        ["--address".into(), socket.into(), "namespaces".into(), "remove".into(), NAMESPACE.into()];
    drop(called(program, words.to_vec(), CALL_TIMEOUT).await);
    with_removal(pulled, removed)
}

/// `docker pull`.
pub(super) async fn docker(program: &Path, image: &str, limit: Duration) -> Pulled {
    engine(program, image, &["image", "inspect"], &["pull", "--quiet"], limit).await
}

/// `podman pull`.
pub(super) async fn podman(program: &Path, image: &str, plain: bool, limit: Duration) -> Pulled {
    let pull: &[&str] =
        if plain { &["pull", "--quiet", "--tls-verify=false"] } else { &["pull", "--quiet"] };
    engine(program, image, &["image", "exists"], pull, limit).await
}

/// `skopeo copy` into a folder of its own.
pub(super) async fn skopeo(program: &Path, image: &str, plain: bool, limit: Duration) -> Pulled {
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return Pulled::Untried(format!("there is no folder to copy into: {error}")),
    };
    let mut words: Vec<OsString> = vec!["copy".into()];
    words.extend(plain.then(|| "--src-tls-verify=false".into()));
    let mut target = OsString::from("dir:");
    target.push(folder.path());
    words.extend([format!("docker://{image}").into(), target]);
    pulled(program, words, limit).await
}

/// Docker and podman: the same words.
async fn engine(
    program: &Path,
    image: &str,
    exists: &[&str],
    pull: &[&str],
    limit: Duration,
) -> Pulled {
    let with = |words: &[&str]| -> Vec<OsString> {
        words.iter().copied().chain([image]).map(Into::into).collect()
    };
    let was_there = called(program, with(exists), CALL_TIMEOUT).await.is_ok();
    let pulled = pulled(program, with(pull), limit).await;
    if was_there && matches!(pulled, Pulled::Yes(_)) {
        return Pulled::Yes(Kept::WasThere);
    }
    let removed = match &pulled {
        // By its name: an image that has another one loses this one alone.
        Pulled::Yes(_) => called(program, with(&["rmi"]), CALL_TIMEOUT).await,
        Pulled::No(_) | Pulled::Untried(_) => Ok(()),
    };
    with_removal(pulled, removed)
}

fn with_removal(pulled: Pulled, removed: Result<(), ProgramError>) -> Pulled {
    match (pulled, removed) {
        (Pulled::Yes(_), Err(error)) => Pulled::Yes(Kept::NotRemoved(error.to_string())),
        (pulled, _) => pulled,
    }
}

async fn pulled(program: &Path, arguments: Vec<OsString>, limit: Duration) -> Pulled {
    match called(program, arguments, limit).await {
        Ok(()) => Pulled::Yes(Kept::Nothing),
        // Only a program that ended by itself has tried.
        Err(ProgramError::Failed { said, .. }) => Pulled::No(said),
        Err(error) => Pulled::Untried(error.to_string()),
    }
}

async fn called(
    program: &Path,
    arguments: Vec<OsString>,
    time: Duration,
) -> Result<(), ProgramError> {
    let path = program.to_owned();
    Unconfined { path, arguments, time, output: OUTPUT_BYTES_MAX }.run().await.map(drop)
}
