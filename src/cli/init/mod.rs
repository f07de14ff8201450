//! `pratique init`: five questions, and everything that a mirror starts from.
//!
//! Nothing that is there is overwritten: what was answered is made beside the folder and put in its place
//! in one step, so that there is all of it or nothing.

mod answers;
mod certificates;
mod files;
mod questions;

use std::io::{self, BufRead, IsTerminal as _};
use std::path::{Path, PathBuf};

use super::{CliError, output};
use answers::{Answers, Question, Trust};
use files::Written;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique init
      Asks five questions, each with a default, and writes ./pratique.
  pratique init --yes --node-url https://mirror.example:5000 --output /etc/pratique --data-dir /var/lib/pratique
      Asks nothing.
  pratique init --trust watch
      The first days on a running cluster: everything is served, what would be refused is written down.
  pratique init --trust signed:cosign.pub --registry docker.io --registry registry.corp
  pratique init --registry corp=https://registry.internal:5443
      A registry that is not where its name says.

An answer that is given as a flag is not asked for. Then:  pratique serve --config pratique/pratique.toml";

/// What is known already.
#[derive(Debug, clap::Args)]
pub(super) struct InitArguments {
    /// The folder that is written; it must not be there yet, or be empty
    #[arg(long, short, value_name = "DIR", default_value = "pratique")]
    output: PathBuf,
    /// Where nodes reach the mirror [default: https:// and the name of this machine, port 5000]
    #[arg(long, value_name = "URL")]
    node_url: Option<String>,
    /// A registry that may be pulled from; or NAME=URL, where it is elsewhere; may be repeated
    /// [default: the five built in]
    #[arg(long, value_name = "REGISTRY")]
    registry: Vec<String>,
    /// What must be true of an image: watch (nothing yet), approve (a person said yes), or signed:FILE (by
    /// the public key in FILE) [default: approve]
    #[arg(long, value_name = "WHAT")]
    trust: Option<String>,
    /// Where blobs and the ledger are kept [default: data in the folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where admins reach the mirror [default: <http://127.0.0.1:5001>, this machine only]
    #[arg(long, value_name = "URL")]
    admin_url: Option<String>,
    /// Listen for nodes here, where that is not what --node-url says
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<std::net::SocketAddr>,
    /// Listen for admins here, where that is not what --admin-url says
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<std::net::SocketAddr>,
    /// Where the folder will lie for who serves it, as in a container
    #[arg(long, value_name = "DIR")]
    installed_at: Option<PathBuf>,
    /// Ask nothing: what is not given has its default
    #[arg(long, short)]
    yes: bool,
}

/// Asks, writes, and says what comes next.
///
/// # Errors
/// When an answer cannot be used, the folder is not empty, or it cannot be written.
pub(super) fn run(arguments: &InitArguments) -> Result<(), CliError> {
    refuse_to_overwrite(&arguments.output)?;
    let answers = ask(arguments)?;
    let written = files::write(&answers)?;
    output::print(&next(&answers, &written))
}

/// # Errors
/// When something lies there.
fn refuse_to_overwrite(folder: &Path) -> Result<(), CliError> {
    let is_free = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_free {
        return Ok(());
    }
    let text = format!(
        "{} is there already and is not overwritten; name another folder with --output, or remove it",
        folder.display()
    );
    Err(CliError::misused(text))
}

/// Everything that has to be known: from a flag, from whoever is asked, or by default.
fn ask(arguments: &InitArguments) -> Result<Answers, CliError> {
    let stdin = io::stdin();
    let mut lines = stdin.lock().lines();
    let is_terminal = stdin.is_terminal();
    let mut number = 0;
    let mut answer = |question: Question, given: Option<String>| -> Result<String, CliError> {
        number += 1;
        if let Some(given) = given {
            return Ok(given);
        }
        let default = question.default_for(arguments);
        if arguments.yes {
            return Ok(default);
        }
        questions::ask(question, number, &default, is_terminal, &mut lines)
    };
    let registries = (!arguments.registry.is_empty()).then(|| arguments.registry.join(","));
    let node = answer(Question::Node, arguments.node_url.clone())?;
    let registries = answer(Question::Registries, registries)?;
    let trust = answer(Question::Trust, arguments.trust.clone())?;
    let data = answer(Question::Data, arguments.data_dir.clone())?;
    let admin = answer(Question::Admin, arguments.admin_url.clone())?;
    Answers::read(arguments, &[node, registries, trust, data, admin])
}

/// The commands that come next.
fn next(answers: &Answers, written: &Written) -> String {
    let config = written.folder.join("pratique.toml");
    let config = config.display();
    let what = match &answers.trust {
        Trust::Watch => {
            "Everything is served for now; `pratique observed` lists what would be refused.\n"
        }
        Trust::Approve => {
            "Each image waits for a yes: `pratique requests`, `pratique approve R-1 --reason ...`.\n"
        }
        Trust::Signed(_) => "An image is served when it is signed by that key.\n",
    };
    let mut install = format!("pratique node install --mirror {}", answers.node.url);
    let mut authority = String::new();
    if !answers.node.is_plain() {
        let (here, there) = (written.folder.join("ca.crt"), files::AUTHORITY_ON_NODES);
        install.extend([" --ca ", there]);
        authority =
            format!("cp {} {there}      on each node, once the mirror runs\n  ", here.display());
    }
    if answers.trust == Trust::Watch {
        install.push_str(" --open");
    }
    format!(
        "Wrote {}: pratique.toml, policy.yaml, certificates, and what nodes need.\n\
         {what}\n\
         Next:\n  \
         pratique serve --config {config}\n  \
         pratique requests --config {config}\n  \
         {authority}{install}      on each node, with its --runtime, as containerd@1.7.24\n\
         The files for nodes are in {} as well, for whatever sets them up.\n",
        written.folder.display(),
        written.folder.join("nodes").display(),
    )
}
