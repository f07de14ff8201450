//! What is no node with files: Docker Engine, Bottlerocket, `OpenShift`, and builders.
//!
//! Sources:
//! - Docker Engine: <https://docs.docker.com/docker-hub/image-library/mirror/>, `registry-mirrors`.
//! - Bottlerocket: <https://bottlerocket.dev/en/os/1.20.x/api/settings/container-registry/>: "The runtime
//!   will still try the default registry URL if the mirrors fail."
//! - `OpenShift`: `ImageDigestMirrorSet` and `ImageTagMirrorSet` of `config.openshift.io/v1`,
//!   <https://docs.okd.io/latest/rest_api/config_apis/imagedigestmirrorset-config-openshift-io-v1.html>;
//!   `NeverContactSource` blocks the source.
//! - `BuildKit`: <https://github.com/moby/buildkit/blob/v0.27.1/util/resolver/config/config.go> and
//!   `docs/buildkitd.toml.md`.
//! - kaniko: `--registry-map` (GoogleContainerTools/kaniko#2935) and `--skip-default-registry-fallback`
//!   (1.13.0).

use serde_json::json;

use super::{RenderError, Rendered, line, quoted_path, yaml};
use crate::node::{Endpoint, Kit, quoted};
use crate::oci::Registry;

/// The name under which kaniko knows Docker Hub.
const KANIKO_HUB: &str = "index.docker.io";

/// `daemon.json`, for Docker Hub alone.
pub(super) fn docker(kit: &Kit) -> Result<Vec<Rendered>, RenderError> {
    if let Some(other) = kit.registries.iter().find(|registry| **registry != Registry::docker_hub())
    {
        let text = format!(
            "Docker Engine knows mirrors of docker.io only, not of {other}; name docker.io alone by --registry"
        );
        return Err(RenderError::Unsayable(text));
    }
    let urls: Vec<_> = kit.mirrors.iter().map(Endpoint::url).collect();
    let plain: Vec<_> =
        kit.mirrors.iter().filter(|mirror| mirror.is_plain()).map(Endpoint::authority).collect();
    let mut daemon = serde_json::Map::from_iter([("registry-mirrors".to_owned(), json!(urls))]);
    if !plain.is_empty() {
        daemon.insert("insecure-registries".to_owned(), json!(plain));
    }
    let daemon = serde_json::Value::Object(daemon);
    Ok(vec![Rendered::at("/etc/docker/daemon.json", format!("{daemon:#}\n"))])
}

/// User data; always open.
pub(super) fn bottlerocket(kit: &Kit, default: bool) -> Rendered {
    let mut text = String::from(
        "# Open: on any refusal Bottlerocket goes to the registry itself. NOT A GATE.\n",
    );
    let urls: Vec<_> = kit.mirrors.iter().map(|mirror| quoted(mirror.url())).collect();
    let names = kit.registries.iter().map(Registry::as_str).chain(default.then_some("*"));
    for name in names {
        line(&mut text, "\n[[settings.container-registry.mirrors]]");
        line(&mut text, &format!("registry = {}\nendpoint = [{}]", quoted(name), urls.join(", ")));
    }
    Rendered::at("user-data.toml", text)
}

/// Two mirror sets, for digests and for tags.
pub(super) fn openshift(kit: &Kit) -> Vec<Rendered> {
    let set = |kind: &str, list: &str| {
        let mut text = String::from(if kit.open {
            "# Open: on any refusal CRI-O goes to the registry itself. NOT A GATE.\n"
        } else {
            "# Closed: these sources are never contacted. Block the others by spec.registrySources.allowedRegistries\n\
             # of image.config.openshift.io/cluster; the mirror's authority goes into its spec.additionalTrustedCA.\n"
        });
        line(&mut text, "apiVersion: config.openshift.io/v1");
        line(&mut text, &format!("kind: {kind}\nmetadata:\n  name: pratique\nspec:\n  {list}:"));
        for registry in &kit.registries {
            line(&mut text, &format!("    - source: {}\n      mirrors:", yaml(registry.as_str())));
            for mirror in &kit.mirrors {
                let place = format!("{}/{registry}", mirror.authority());
                line(&mut text, &format!("        - {}", yaml(&place)));
            }
            let policy = if kit.open { "AllowContactingSource" } else { "NeverContactSource" };
            line(&mut text, &format!("      mirrorSourcePolicy: {policy}"));
        }
        text
    };
    vec![
        Rendered::at(
            "image-digest-mirror-set.yaml",
            set("ImageDigestMirrorSet", "imageDigestMirrors"),
        ),
        Rendered::at("image-tag-mirror-set.yaml", set("ImageTagMirrorSet", "imageTagMirrors")),
    ]
}

/// `buildkitd.toml`; always open.
pub(super) fn buildkit(kit: &Kit) -> Rendered {
    let mut text =
        String::from("# Open: on any refusal BuildKit goes to the registry itself. NOT A GATE.\n");
    let mirrors: Vec<_> = kit.mirrors.iter().map(|mirror| quoted(mirror.authority())).collect();
    for registry in &kit.registries {
        line(&mut text, &format!("\n[registry.{}]", quoted(registry.as_str())));
        line(&mut text, &format!("  mirrors = [{}]", mirrors.join(", ")));
    }
    for mirror in &kit.mirrors {
        let mut settings = String::new();
        let name = quoted(mirror.authority());
        if mirror.is_plain() {
            line(&mut settings, "  http = true");
        } else {
            if let Some(ca) = &kit.ca {
                line(&mut settings, &format!("  ca = [{}]", quoted_path(ca)));
            }
            if let Some(client) = &kit.client {
                line(&mut settings, &format!("  [[registry.{name}.keypair]]"));
                line(&mut settings, &format!("    key = {}", quoted_path(&client.key)));
                line(&mut settings, &format!("    cert = {}", quoted_path(&client.cert)));
            }
        }
        if !settings.is_empty() {
            line(&mut text, &format!("\n[registry.{name}]"));
            text.push_str(&settings);
        }
    }
    Rendered::at("/etc/buildkit/buildkitd.toml", text)
}

/// The arguments of kaniko's executor, one a line.
pub(super) fn kaniko(kit: &Kit) -> Rendered {
    let name = |registry: &Registry| {
        let hub = *registry == Registry::docker_hub();
        if hub { KANIKO_HUB.to_owned() } else { registry.to_string() }
    };
    let map: Vec<_> = kit
        .registries
        .iter()
        .flat_map(|registry| {
            kit.mirrors
                .iter()
                .map(move |mirror| format!("{}={}/{registry}", name(registry), mirror.authority()))
        })
        .collect();
    let mut text = format!("--registry-map={}\n", map.join(";"));
    if !kit.open {
        line(&mut text, "--skip-default-registry-fallback");
    }
    for mirror in &kit.mirrors {
        let authority = mirror.authority();
        if mirror.is_plain() {
            line(&mut text, &format!("--insecure-registry={authority}"));
            continue;
        }
        if let Some(ca) = &kit.ca {
            line(&mut text, &format!("--registry-certificate={authority}={}", ca.display()));
        }
        if let Some(client) = &kit.client {
            let (cert, key) = (client.cert.display(), client.key.display());
            line(&mut text, &format!("--registry-client-cert={authority}={cert},{key}"));
        }
    }
    Rendered::at("kaniko.arguments", text)
}
