//! `pratique db update`: the vulnerability database, made of feeds that are fetched, or fetched as a whole
//! from where somebody made it and signed it.
//!
//! What comes over the network takes the place of the database only when all of it has come: a feed that
//! fails leaves everything as it was. A finished database is taken only with a signature by the key that
//! is named; feeds rest on the certificates of the hosts that they come from.

mod artifact;
mod feeds;
mod file;

use std::path::{Path, PathBuf};

use super::place::Candidate;
use crate::cli::{CliError, Connection, verify_bundle};
use crate::config::{self, Settings, UpdateSettings};
use crate::scan::Database;
use crate::signature::Key;
use crate::tasks::Tasks;
use crate::upstream::{Files, FilesSettings};

/// Where a database comes from.
#[derive(Debug, clap::Args)]
pub(crate) struct UpdateArguments {
    /// Make it of this feed, and the others that are named so [default: those of the settings]
    #[arg(long = "feed", value_name = "URL", conflicts_with = "from")]
    feeds: Vec<String>,
    /// Fetch a finished one: the address of a file, whose signature is at the same address with .sig, or
    /// an artifact of one layer in a registry, signed with cosign [default: that of the settings]
    #[arg(long, value_name = "URL|ARTIFACT")]
    from: Option<String>,
    /// The public key, in PEM, that must have signed the finished one [default: that of the settings]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where to put it [default: where the settings say; a running mirror takes it from there]
    #[arg(long, value_name = "FILE")]
    pub(super) to: Option<PathBuf>,
    /// Replace a database that is newer, or knows of more ecosystems
    #[arg(long)]
    force: bool,
    /// Let addresses be http:// to another machine: whoever is in between decides what is known
    #[arg(long)]
    danger_plain_http: bool,
}

/// What is fetched.
enum Source {
    Feeds(Vec<String>),
    File { url: String, key: Key },
    Artifact { image: String, pem: String },
}

/// Runs the command; the database goes to `to`.
///
/// # Errors
/// When something cannot be fetched or read, is not signed as it has to be, or is not taken.
pub(super) async fn run(
    arguments: &UpdateArguments,
    connection: &Connection,
    to: &Path,
) -> Result<(), CliError> {
    let settings = config::load_for_client(connection.config.as_deref())
        .map_err(|failure| CliError::misused(failure.to_string()))?;
    let way = Way { arguments, connection, settings: &settings };
    let database: Database = match way.source()? {
        Source::Feeds(urls) => feeds::update(&way, &urls, to).await?,
        Source::File { url, key } => {
            let mut candidate = Candidate::for_place(to)?;
            file::fetch(&way, &url, &key, &mut candidate).await?;
            candidate.put(arguments.force)?
        }
        Source::Artifact { image, pem } => {
            let mut candidate = Candidate::for_place(to)?;
            artifact::fetch(settings.clone(), &image, &pem, &mut candidate).await?;
            candidate.put(arguments.force)?
        }
    };
    super::show(to, &database, connection.json)
}

/// How things are fetched.
struct Way<'a> {
    arguments: &'a UpdateArguments,
    connection: &'a Connection,
    settings: &'a Settings,
}

impl Way<'_> {
    fn source(&self) -> Result<Source, CliError> {
        let UpdateSettings { feeds, from, key } = &self.settings.update;
        let arguments = self.arguments;
        if !arguments.feeds.is_empty() {
            return Ok(Source::Feeds(arguments.feeds.clone()));
        }
        if let Some(from) = arguments.from.as_ref().or(from.as_ref()) {
            let Some(file) = arguments.key.as_ref().or(key.as_ref()) else {
                let text =
                    "a finished database is taken only with a signature; name its key by --key";
                return Err(CliError::misused(text));
            };
            let pem = verify_bundle::text(file, verify_bundle::KEY_BYTES_MAX)?;
            let key = Key::from_pem(&pem)
                .map_err(|error| CliError::misused(format!("{}: {error}", file.display())))?;
            return Ok(if from.starts_with("https://") || from.starts_with("http://") {
                Source::File { url: from.clone(), key }
            } else {
                Source::Artifact { image: from.clone(), pem }
            });
        }
        if feeds.is_empty() {
            let text = "where from? name feeds by --feed URL, or a finished database by --from, or set \
                        them under [scan.update] in the settings";
            return Err(CliError::misused(text));
        }
        Ok(Source::Feeds(feeds.clone()))
    }

    /// The place of the file at `url`, and its name there.
    fn files<'u>(&self, url: &'u str) -> Result<(Files, &'u str), CliError> {
        let hint = "https://host[:port]/path, or http:// on this machine";
        let wrong = || CliError::misused(format!("{url:?} cannot be asked ({hint})"));
        let (folder, name) = url.rsplit_once('/').ok_or_else(wrong)?;
        if name.is_empty() || name.contains('?') || folder.ends_with('/') {
            return Err(wrong());
        }
        let settings = FilesSettings {
            url: folder.to_owned(),
            ca_file: self.connection.ca_file.clone(),
            danger_plain_http: self.arguments.danger_plain_http,
            proxy: self.settings.upstream.proxy.clone(),
        };
        let files =
            Files::new(&settings, Tasks::new()).map_err(|error| wrong().caused_by(error))?;
        Ok((files, name))
    }
}
