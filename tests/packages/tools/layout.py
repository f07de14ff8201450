#!/usr/bin/python3
"""An OCI image layout made of tar archives, one layer each: layout.py FOLDER LAYER.tar..."""
import gzip
import hashlib
import json
import os
import shutil
import sys

PIECE = 1 << 20


def digest_of(path):
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            hashed.update(piece)
    return hashed.hexdigest()


class Blobs:
    """The blobs of a layout."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "blobs", "sha256")
        os.makedirs(self.folder)

    def document(self, media_type, value):
        text = json.dumps(value, indent=1).encode()
        digest = hashlib.sha256(text).hexdigest()
        with open(os.path.join(self.folder, digest), "wb") as file:
            file.write(text)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(text)}

    def layer(self, path):
        made = os.path.join(self.folder, "layer")
        # Without a name or time in its head, so that equal trees give equal layers.
        with open(path, "rb") as archive, open(made, "wb") as file, gzip.GzipFile("", "wb", 1, file, 0) as packed:
            shutil.copyfileobj(archive, packed, PIECE)
        digest, size = digest_of(made), os.path.getsize(made)
        os.rename(made, os.path.join(self.folder, digest))
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:{digest}", "size": size}


def main(folder, *archives):
    blobs = Blobs(folder)
    layers = [blobs.layer(path) for path in archives]
    config = blobs.document("application/vnd.oci.image.config.v1+json", {
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest_of(path)}" for path in archives]},
    })
    manifest = blobs.document("application/vnd.oci.image.manifest.v1+json", {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers,
    })
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    for name, value in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", {"schemaVersion": 2, "manifests": [manifest]})):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            json.dump(value, file)


main(*sys.argv[1:])
