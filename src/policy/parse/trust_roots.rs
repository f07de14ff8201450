//! The trust roots: names for files that say whose certificates and logs count.

use super::super::document::TrustRoot;
use super::super::fields::{self, Fields, Problems, Words};
use super::super::yaml::Node;
use super::{Files, checked_name};

const ROOT: Words =
    Words { known: &["sigstore"], later: &["minLogs", "notation", "requireTSA", "tuf"] };
const SIGSTORE: Words = Words { known: &["trustedRoot"], later: &["tuf"] };

pub(super) fn read(node: Node, files: &mut Files<'_>, problems: &mut Problems) -> Vec<TrustRoot> {
    let mut roots = Vec::new();
    for entry in Fields::free(node, "trustRoots", problems) {
        let path = format!("trustRoots.{}", fields::extract(&entry.key));
        let name = checked_name(entry.key, entry.position, &path, problems);
        let Some(mut root) = Fields::of(entry.value, &path, ROOT, problems) else { continue };
        let hint = "write sigstore: {trustedRoot: file:/path/of/trusted_root.json}";
        let Some(sigstore) = root.require("sigstore", hint, problems) else { continue };
        let path = root.path_of("sigstore");
        let Some(mut sigstore) = Fields::of(sigstore, &path, SIGSTORE, problems) else { continue };
        let hint = "write file:/path/of/trusted_root.json";
        let Some((file, position)) = sigstore.require_text("trustedRoot", hint, problems) else {
            continue;
        };
        let path = sigstore.path_of("trustedRoot");
        let Some(file) = file.strip_prefix("file:").map(str::trim) else {
            problems.add(position, &path, format!("must be the path of a file; {hint}"));
            continue;
        };
        let json = match files.read(file).map(String::from_utf8) {
            Ok(Ok(json)) => json,
            Ok(Err(_)) => {
                problems.add(position, &path, "is not text");
                continue;
            }
            Err(error) => {
                let file = fields::extract(file);
                problems.add(position, &path, format!("cannot read {file}: {error}"));
                continue;
            }
        };
        roots.extend(name.map(|name| TrustRoot { name, json, position }));
    }
    roots
}
