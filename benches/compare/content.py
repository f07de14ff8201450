"""The images of a run, as the files of a registry that nginx can serve."""

import base64
import hashlib
import json
import os
import subprocess

import populate
from client import MANIFEST_TYPE

BLOCK_BYTES = 1024 * 1024
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
# A blob of "1 GB" is 10^9 bytes.
BIG_BYTES = 1_000_000_000
HERD_BYTES = 64 * 1024 * 1024
# What many clients fetch while others ask for manifests, and what comes through a slow upstream.
FLOOD_BYTES = 256 * 1024 * 1024
# Layers of the image whose manifest is asked for by tag: as many as a common application image has.
SMALL_LAYERS = 9


class Image:
    """One image: where its parts are, below /v2/."""

    def __init__(self, name, manifest, config, layers):
        self.name, self.config, self.layers = name, config, layers
        self.digest = sha256(manifest)
        self.manifest_bytes = len(manifest)
        self.by_tag = f"/v2/{name}/manifests/latest"
        self.by_digest = f"/v2/{name}/manifests/{self.digest}"

    def blob(self, digest):
        return f"/v2/{self.name}/blobs/{digest}"


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def make(root, herds, floods):
    """Writes the images below `root`; gives them by name."""
    images = {
        "flood": image(root, "bench/flood", [FLOOD_BYTES] * floods),
        "signed": image(root, "bench/signed", [64 * 1024] * SMALL_LAYERS),
        "big": image(root, "bench/big", [BIG_BYTES]),
        "herd": image(root, "bench/herd", [HERD_BYTES] * herds),
        "small": image(root, "bench/small", [64 * 1024] * SMALL_LAYERS),
    }
    return images


def image(root, name, sizes):
    """Writes one image with layers of these sizes."""
    folder = os.path.join(root, "v2", name)
    os.makedirs(os.path.join(folder, "blobs"))
    os.makedirs(os.path.join(folder, "manifests"))
    layers = [(layer(folder, size), size) for size in sizes]
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest for digest, _ in layers]},
    }).encode()
    write(folder, "blobs", sha256(config), config)
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": sha256(config), "size": len(config)},
        "layers": [
            {"mediaType": LAYER_TYPE, "digest": digest, "size": size} for digest, size in layers
        ],
        "annotations": {"dev.pratique.bench": populate.NUMBER},
    }, indent=2).encode()
    write(folder, "manifests", sha256(manifest), manifest)
    write(folder, "manifests", "latest", manifest)
    return Image(name, manifest, sha256(config), [digest for digest, _ in layers])


def layer(folder, size):
    """A blob of bytes that do not compress, distinct in every block; gives its digest."""
    noise, hasher = os.urandom(BLOCK_BYTES), hashlib.sha256()
    partial = os.path.join(folder, "blobs", "partial")
    with open(partial, "wb") as file:
        written = 0
        while written < size:
            block = (written.to_bytes(8, "big") + noise[8:])[: size - written]
            hasher.update(block)
            file.write(block)
            written += len(block)
    digest = "sha256:" + hasher.hexdigest()
    os.rename(partial, os.path.join(folder, "blobs", digest))
    return digest


def write(folder, kind, file_name, content):
    with open(os.path.join(folder, kind, file_name), "wb") as file:
        file.write(content)


def sign(root, image, registry, key):
    """Signs `image` with the private key in the file `key` as cosign does: a payload as a layer of a
    manifest under a tag made from the digest, the signature as an annotation."""
    folder = os.path.join(root, "v2", image.name)
    payload = json.dumps({"critical": {
        "identity": {"docker-reference": f"{registry}/{image.name}"},
        "image": {"docker-manifest-digest": image.digest},
        "type": "cosign container image signature",
    }, "optional": None}).encode()
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=payload,
                            capture_output=True, check=True, timeout=30).stdout
    config = b"{}"
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": sha256(config), "size": len(config)},
        "layers": [{
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": sha256(payload), "size": len(payload),
            "annotations": {"dev.cosignproject.cosign/signature": base64.b64encode(signed).decode()},
        }],
    }).encode()
    write(folder, "blobs", sha256(config), config)
    write(folder, "blobs", sha256(payload), payload)
    write(folder, "manifests", sha256(manifest), manifest)
    write(folder, "manifests", image.digest.replace(":", "-") + ".sig", manifest)
    return sha256(manifest)
