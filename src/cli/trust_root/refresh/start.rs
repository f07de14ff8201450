//! Where to go, and the root that trust begins with.

use super::RefreshArguments;
use crate::cli::CliError;
use crate::cli::trust_root::bytes_of;
use crate::cli::trust_root::place::check_name;
use crate::policy;

/// A repository that is known without being told.
struct Instance {
    name: &'static str,
    url: &'static str,
    root: &'static str,
}

const INSTANCES: [Instance; 2] = [
    Instance {
        name: policy::TrustRoot::PUBLIC_GOOD,
        url: "https://tuf-repo-cdn.sigstore.dev",
        root: include_str!("shipped/public_good_root.json"),
    },
    Instance {
        name: "staging",
        url: "https://tuf-repo-cdn.sigstage.dev",
        root: include_str!("shipped/staging_root.json"),
    },
];

/// Where to go, and where trust begins.
pub(super) struct Start {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) root: Vec<u8>,
    /// What `root` is called.
    pub(super) source: String,
}

/// Where `arguments` say to begin.
///
/// # Errors
/// When they name no repository that is known, or a file that cannot be read.
pub(super) fn start(arguments: &RefreshArguments) -> Result<Start, CliError> {
    let RefreshArguments { instance, name, url, root, .. } = arguments;
    let start = if let (Some(root), Some(url)) = (root, url) {
        Start {
            name: name.clone().unwrap_or_default(),
            url: url.clone(),
            root: bytes_of(root)?,
            source: root.display().to_string(),
        }
    } else {
        let which = instance.as_deref().unwrap_or(policy::TrustRoot::PUBLIC_GOOD);
        let Some(known) = INSTANCES.iter().find(|it| it.name == which) else {
            let hint = "give public-good or staging, or --name, --url and --root";
            return Err(CliError::misused(format!("no instance {which:?} is known; {hint}")));
        };
        Start {
            name: name.clone().unwrap_or_else(|| which.to_owned()),
            url: url.clone().unwrap_or_else(|| known.url.to_owned()),
            root: known.root.into(),
            source: format!("the root of {which} that is shipped"),
        }
    };
    check_name(&start.name)?;
    Ok(start)
}

#[cfg(test)]
mod tests {
    use sigstore_tuf::TrustedMetadataSet;

    use super::super::scrutiny;
    use super::*;
    use crate::oci::Digest;

    /// Whoever takes newer ones sees to the list here, too.
    #[test]
    fn the_shipped_roots_are_signed_as_they_say_and_are_those_of_this_version() {
        let shipped = INSTANCES.map(|Instance { name, root, .. }| {
            scrutiny::look_over(root.as_bytes()).unwrap();
            let trusted = TrustedMetadataSet::from_root(root.as_bytes()).unwrap();
            (name, trusted.root().version, Digest::sha256(root.as_bytes()).short())
        });
        let [(_, public_good, _), (_, staging, _)] = &shipped;
        assert_eq!((*public_good, *staging), (16, 15));
        let expected = [("public-good", "27aea7e372aa"), ("staging", "3cfd68601164")];
        assert_eq!(
            shipped.map(|(name, _, digest)| (name, digest)),
            expected.map(|(name, digest)| (name, digest.into()))
        );
    }
}
