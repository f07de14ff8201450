//! `node keep --remove-taint`: the node takes pods once it is closed.

use std::path::PathBuf;

use super::keep::KeepArguments;
use crate::cli::{CliError, output};
use crate::cluster::{self, ApiServer};
use crate::config;
use crate::doctor::NodeName;
use crate::tasks::Tasks;

/// The taint with which nodes join, where nothing else is said.
pub(super) const TAINT: &str = "pratique.dev/unverified";
/// Longest name of a taint, in bytes: a prefix, a slash and a name.
const KEY_LENGTH_MAX: usize = 253 + 1 + 63;

/// What is still to be taken off the node.
pub(super) struct Taint {
    key: String,
    node: NodeName,
    /// The address of the API server, and the account by which it is asked.
    server: (String, String),
    account: PathBuf,
    tasks: Tasks,
    is_gone: bool,
    /// What went wrong last.
    told: Option<String>,
}

impl Taint {
    /// What `arguments` say is to be taken off; nothing where they do not.
    ///
    /// # Errors
    /// When this runs in no pod.
    pub(super) fn of(arguments: &KeepArguments) -> Result<Option<Self>, CliError> {
        let wanted = arguments.remove_taint.clone().zip(arguments.node_name.clone());
        let Some((key, node)) = wanted else { return Ok(None) };
        let server = config::api_server().ok_or_else(|| {
            CliError::misused("--remove-taint asks the API server of the pod that this runs in, and this runs in none")
        })?;
        let account = arguments.account.clone();
        Ok(Some(Self {
            key,
            node,
            server,
            account,
            tasks: Tasks::new(),
            is_gone: false,
            told: None,
        }))
    }

    /// Takes it off, once; what goes wrong is said once, and tried again at the next look.
    ///
    /// # Errors
    /// When it is not known to be gone.
    pub(super) async fn remove(&mut self) -> Result<(), CliError> {
        if self.is_gone {
            return Ok(());
        }
        let removed = self.removed().await.map_err(|error| {
            CliError::unreachable(format!("{} keeps its taint {}", self.node, self.key))
                .caused_by(error)
        });
        match removed {
            Ok(was_there) => {
                self.is_gone = true;
                let (node, key) = (&self.node, &self.key);
                output::message(&if was_there {
                    format!("took the taint {key} off {node}")
                } else {
                    format!("{node} has no taint {key}")
                });
                Ok(())
            }
            Err(error) => {
                let text = error.chain();
                if self.told.as_ref() != Some(&text) {
                    output::message(&text);
                }
                self.told = Some(text);
                Err(error)
            }
        }
    }

    async fn removed(&self) -> Result<bool, cluster::Error> {
        let (host, port) = &self.server;
        let server = ApiServer::open(host, port, &self.account, &self.tasks)?;
        cluster::remove_taint(&server, &self.node, &self.key).await
    }
}

/// The name of a taint.
pub(super) fn key(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if !text.is_empty() && text.len() <= KEY_LENGTH_MAX && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no name of a taint; write {TAINT}"))
}
