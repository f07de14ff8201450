//! `pratique verify-bundle`: one Sigstore bundle over one artifact, without a mirror and without a
//! network.
//!
//! The arguments are those of the Sigstore conformance suite, so that it can be run against the
//! program as it is.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{CliError, output};
use crate::oci::{Algorithm, Digest};
use crate::signature::{
    Artifact, BUNDLE_BYTES_MAX, Identity, Key, Signer, SubjectKind, TRUST_ROOT_BYTES_MAX,
    TrustRoot, Wanted, verify_bundle,
};

/// Largest artifact that is read into memory; of larger ones the digest has to be given.
const ARTIFACT_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Largest key file in bytes.
pub(in crate::cli) const KEY_BYTES_MAX: usize = 16 * 1024;

pub(super) const EXAMPLES: &str = "\
Examples:
  pratique verify-bundle --bundle app.sigstore.json --key team.pub app.tar
  pratique verify-bundle --bundle app.sigstore.json \\
    --certificate-identity https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1 \\
    --certificate-oidc-issuer https://token.actions.githubusercontent.com sha256:<hex of app.tar>

Nothing is fetched: what is trusted is the file of --trusted-root, or the root of the public-good
instance that comes with the program.

Exit codes: 0 verified, 3 not verified, 2 a file could not be read, 64 wrong use.";

/// What is verified, and with what.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("who").required(true).args(["key", "certificate_identity"])))]
pub(crate) struct VerifyBundleArguments {
    /// Trust the staging instance of Sigstore instead of the public-good one
    #[arg(long, conflicts_with = "trusted_root")]
    staging: bool,
    /// The Sigstore bundle
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Whom the certificate must be for: an e-mail address or a URI, exactly
    #[arg(long, value_name = "IDENTITY", requires = "certificate_oidc_issuer")]
    certificate_identity: Option<String>,
    /// Which identity provider must say so, exactly
    #[arg(long, value_name = "URL", requires = "certificate_identity")]
    certificate_oidc_issuer: Option<String>,
    /// The public key in PEM that must have signed, instead of an identity
    #[arg(long, value_name = "FILE", conflicts_with = "certificate_identity")]
    key: Option<PathBuf>,
    /// What to trust: a `trusted_root.json`
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// The artifact, or sha256: and the digest of it
    #[arg(value_name = "FILE_OR_DIGEST")]
    artifact: String,
}

/// A bundle that verified.
#[derive(Debug, Serialize)]
struct Verified<'a> {
    verified: bool,
    by: &'a str,
}

/// Runs the command.
///
/// # Errors
/// When the bundle does not verify, or something cannot be read.
pub(crate) fn run(arguments: &VerifyBundleArguments, json: bool) -> Result<(), CliError> {
    let signer = signer(arguments)?;
    let bundle = text(&arguments.bundle, BUNDLE_BYTES_MAX)?;
    let content;
    let artifact = if let Some(digest) = digest(&arguments.artifact) {
        Artifact::Digest(digest)
    } else {
        content = bytes(Path::new(&arguments.artifact), ARTIFACT_BYTES_MAX)?;
        Artifact::Bytes(&content)
    };
    let proof = verify_bundle(&bundle, &signer, artifact)
        .map_err(|refusal| CliError::refused(format!("not verified: {refusal}")))?;
    if json {
        return output::print_json(&Verified { verified: true, by: &proof.by });
    }
    output::print(&format!("verified: signed by {}", proof.by))
}

fn signer(arguments: &VerifyBundleArguments) -> Result<Signer, CliError> {
    let root = match (&arguments.trusted_root, arguments.staging) {
        (Some(file), _) => TrustRoot::from_json(&text(file, TRUST_ROOT_BYTES_MAX)?)
            .map_err(|error| CliError::misused(format!("{}: {error}", file.display())))?,
        (None, true) => TrustRoot::staging(),
        (None, false) => TrustRoot::public_good(),
    };
    if let Some(file) = &arguments.key {
        let key = Key::from_pem(&text(file, KEY_BYTES_MAX)?)
            .map_err(|error| CliError::misused(format!("{}: {error}", file.display())))?;
        return Ok(Signer::logged_key(key, root));
    }
    let exact = |text: &Option<String>| Wanted::Exact(text.clone().unwrap_or_default());
    let subject = arguments.certificate_identity.as_deref().unwrap_or_default();
    let identity = Identity {
        issuer: exact(&arguments.certificate_oidc_issuer),
        subject: exact(&arguments.certificate_identity),
        kind: SubjectKind::of(subject),
    };
    Ok(Signer::keyless(root, identity))
}

/// The digest that `text` is, unless there is a file of that name.
fn digest(text: &str) -> Option<Digest> {
    let digest: Digest = text.parse().ok()?;
    (digest.algorithm() == Algorithm::Sha256 && !Path::new(text).exists()).then_some(digest)
}

/// The text of `file`, which may have `limit` bytes at most.
pub(in crate::cli) fn text(file: &Path, limit: usize) -> Result<String, CliError> {
    String::from_utf8(bytes(file, limit)?)
        .map_err(|_| CliError::misused(format!("{} is not text", file.display())))
}

fn bytes(file: &Path, limit: usize) -> Result<Vec<u8>, CliError> {
    let mut content = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::open(file).and_then(|opened| opened.take(most).read_to_end(&mut content)).map_err(
        |error| CliError::unreachable(format!("cannot read {}", file.display())).caused_by(error),
    )?;
    if content.len() > limit {
        let text = format!("{} is larger than {limit} bytes", file.display());
        return Err(CliError::misused(text));
    }
    Ok(content)
}
