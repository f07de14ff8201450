#!/usr/bin/env python3
"""Reads an image layout as a stranger would: look.py LAYOUT SIZE_MAX PROGRAM ROOT_TO_UNPACK_TO."""
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile

layout, size_max, program, root = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


def blob(descriptor):
    with open(os.path.join(layout, "blobs", *descriptor["digest"].split(":")), "rb") as file:
        content = file.read()
    assert "sha256:" + hashlib.sha256(content).hexdigest() == descriptor["digest"], descriptor
    assert len(content) == descriptor["size"], descriptor
    return content


with open(os.path.join(layout, "index.json"), encoding="utf-8") as file:
    index = json.load(file)
tags = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry for entry in index["manifests"]}
image = tags["latest"]
manifest = json.loads(blob(image))
config = json.loads(blob(manifest["config"]))
assert config["config"]["User"] == "65532:65532", config
for label in ("title", "version", "licenses", "created", "description"):
    assert config["config"]["Labels"]["org.opencontainers.image." + label], label
(layer,) = manifest["layers"]
tar = gzip.decompress(blob(layer))
assert "sha256:" + hashlib.sha256(tar).hexdigest() == config["rootfs"]["diff_ids"][0]
size = image["size"] + manifest["config"]["size"] + layer["size"]
assert size <= size_max, f"it has {size} bytes, more than {size_max}"
os.makedirs(root)
with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
    files = [entry.name for entry in archive if entry.isfile()]
    owners = {entry.name: entry.uid for entry in archive}
    archive.extractall(root)
assert files == ["etc/group", "etc/passwd", "usr/bin/pratique"], files
assert owners["var/lib/pratique"] == 65532, owners
for name, owner in owners.items():
    os.chown(os.path.join(root, name), owner, owner)
with open(program, "rb") as one, open(os.path.join(root, "usr/bin/pratique"), "rb") as other:
    assert one.read() == other.read(), "the program in it is another one"
# What is attached: found by the referrers tag schema, about this image, and what it says it is.
referrers = json.loads(blob(tags[image["digest"].replace(":", "-")]))["manifests"]
kinds = {}
for referrer in referrers:
    attached = json.loads(blob(referrer))
    assert attached["subject"]["digest"] == image["digest"], attached
    kinds[attached["artifactType"]] = json.loads(blob(attached["layers"][0]))
bill = kinds["application/vnd.cyclonedx+json"]
names = {component["name"] for component in bill["components"]}
assert {"rustls", "tokio", "rusqlite", "aws-lc-rs"} <= names and not {"criterion", "proptest"} & names, sorted(names)
references = {component["bom-ref"] for component in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
assert all(set(entry["dependsOn"]) <= references for entry in bill["dependencies"])
statement = kinds["application/vnd.in-toto+json"]
assert statement["subject"][0]["digest"]["sha256"] == image["digest"].split(":")[1]
assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
print(f"{size} bytes packed of {size_max}, {len(names)} crates in its bill of materials, with provenance")
