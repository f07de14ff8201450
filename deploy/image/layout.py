#!/usr/bin/env python3
"""Writes an OCI image layout with the one static program in an empty root, and nothing that differs between two runs.

    layout.py --binary PROGRAM --output DIRECTORY [--tag TAG] [--architecture amd64] [--epoch SECONDS]
              [--revision COMMIT] [--metadata CARGO_METADATA_JSON]

Needs nothing but python3: no container engine, no base image. The time in everything is SOURCE_DATE_EPOCH (or
--epoch). Beside the image the layout has its bill of materials (CycloneDX 1.5, from Cargo's own metadata) and its
provenance (an in-toto statement, SLSA v1), each attached to it as a referrer and tagged as the referrers tag schema
says, for registries without the referrers API.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import tarfile
import time

USER = 65532
# The root, in the order in which it is written: path, mode, owner; the program is put between.
FOLDERS = [("etc/", 0o755, 0), ("etc/pratique/", 0o755, 0), ("usr/", 0o755, 0), ("usr/bin/", 0o755, 0),
           ("var/", 0o755, 0), ("var/lib/", 0o755, 0), ("var/lib/pratique/", 0o750, USER)]
# Somebody has to be called something.
PASSWD = f"root:x:0:0:root:/:/sbin/nologin\npratique:x:{USER}:{USER}:pratique:/var/lib/pratique:/sbin/nologin\n"
GROUP = f"root:x:0:\npratique:x:{USER}:\n"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
CYCLONEDX = "application/vnd.cyclonedx+json"
IN_TOTO = "application/vnd.in-toto+json"


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def stamp(epoch):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


class Layout:
    def __init__(self, folder):
        self.folder = folder
        os.makedirs(os.path.join(folder, "blobs/sha256"))
        with open(os.path.join(folder, "oci-layout"), "wb") as file:
            file.write(b'{"imageLayoutVersion":"1.0.0"}')
        self.manifests = []

    def blob(self, content, media_type):
        name = digest(content)
        with open(os.path.join(self.folder, "blobs/sha256", name.split(":")[1]), "wb") as file:
            file.write(content)
        return {"mediaType": media_type, "digest": name, "size": len(content)}

    def tagged(self, descriptor, tag):
        self.manifests.append({**descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}})

    def finish(self):
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests}
        with open(os.path.join(self.folder, "index.json"), "wb") as file:
            file.write(canonical(index))


def layer(program, epoch):
    """The tar of the root, owners by number, every time the same."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        def add(name, mode, owner, content=None):
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.mode, entry.uid, entry.gid, entry.mtime = mode, owner, owner, epoch
            entry.size = 0 if content is None else len(content)
            tar.addfile(entry, None if content is None else io.BytesIO(content))
        for name, mode, owner in FOLDERS:
            add(name, mode, owner)
            if name == "etc/":
                add("etc/group", 0o644, 0, GROUP.encode())
                add("etc/passwd", 0o644, 0, PASSWD.encode())
            if name == "usr/bin/":
                add("usr/bin/pratique", 0o755, 0, program)
    return out.getvalue()


def bill(metadata, program, epoch, version):
    """What the program is made of, as CycloneDX: the packages that Cargo resolved for this target."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    seen, waiting, edges = {root}, [root], {}
    while waiting:
        current = waiting.pop()
        # What only builds or tests is not in the program.
        needed = [dep["pkg"] for dep in nodes[current]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        edges[current] = sorted(needed)
        for package in needed:
            if package not in seen:
                seen.add(package)
                waiting.append(package)
    purl = lambda package: f"pkg:cargo/{packages[package]['name']}@{packages[package]['version']}"

    def component(package):
        found = packages[package]
        entry = {"type": "library", "bom-ref": purl(package), "name": found["name"], "version": found["version"],
                 "purl": purl(package)}
        if found.get("license"):
            # Cargo once wrote "A/B" for what SPDX writes "A OR B".
            entry["licenses"] = [{"expression": found["license"].replace("/", " OR ")}]
        return entry
    document = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {
            "timestamp": stamp(epoch),
            "component": {"type": "application", "bom-ref": purl(root), "name": "pratique", "version": version,
                          "purl": purl(root),
                          "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(program).hexdigest()}]},
        },
        "components": [component(package) for package in sorted(seen - {root}, key=purl)],
        "dependencies": [{"ref": purl(package), "dependsOn": [purl(other) for other in edges[package]]}
                         for package in sorted(seen, key=purl)],
    }
    return canonical(document)


def provenance(image, arguments, program, lock, epoch):
    """How it was made, as an in-toto statement with SLSA's provenance v1. Whoever builds signs it, or nobody has."""
    dependencies = [{"name": "Cargo.lock", "digest": {"sha256": hashlib.sha256(lock).hexdigest()}}] if lock else []
    if arguments.revision:
        dependencies.append({"uri": "git+https://pratique.dev/pratique", "digest": {"gitCommit": arguments.revision}})
    return canonical({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "pratique", "digest": {"sha256": image["digest"].split(":")[1]}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://pratique.dev/build/image/v1",
                "externalParameters": {"architecture": arguments.architecture, "sourceDateEpoch": epoch},
                "internalParameters": {"toolchain": arguments.toolchain},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": "https://pratique.dev/deploy/image/build.sh"},
                "metadata": {"startedOn": stamp(epoch)},
                "byproducts": [{"name": "usr/bin/pratique",
                                "digest": {"sha256": hashlib.sha256(program).hexdigest()}}],
            },
        },
    })


def attach(layout, image, content, media_type, what, epoch):
    empty = layout.blob(b"{}", EMPTY)
    manifest = layout.blob(canonical({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": media_type, "config": empty,
        "layers": [{**layout.blob(content, media_type), "annotations": {"org.opencontainers.image.title": what}}],
        "subject": image, "annotations": {"org.opencontainers.image.created": stamp(epoch)},
    }), MANIFEST)
    return {**manifest, "artifactType": media_type}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--tag", default="latest")
    parser.add_argument("--architecture", default="amd64")
    parser.add_argument("--epoch", type=int, default=int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
    parser.add_argument("--revision", default="")
    parser.add_argument("--toolchain", default="")
    parser.add_argument("--metadata")
    parser.add_argument("--lock")
    arguments = parser.parse_args()
    with open(arguments.binary, "rb") as file:
        program = file.read()
    layout = Layout(arguments.output)
    tar = layer(program, arguments.epoch)
    packed = gzip.compress(tar, compresslevel=9, mtime=0)
    packed_layer = layout.blob(packed, LAYER)
    labels = {
        "org.opencontainers.image.title": "pratique",
        "org.opencontainers.image.description": "The trusted registry mirror: serves only images whose digests have passed the gates.",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": arguments.version,
        "org.opencontainers.image.created": stamp(arguments.epoch),
    }
    if arguments.revision:
        labels["org.opencontainers.image.revision"] = arguments.revision
    config = layout.blob(canonical({
        "created": stamp(arguments.epoch), "architecture": arguments.architecture, "os": "linux",
        "config": {
            "User": f"{USER}:{USER}", "ExposedPorts": {"5000/tcp": {}, "5001/tcp": {}},
            "Entrypoint": ["/usr/bin/pratique"], "Cmd": ["serve", "--config", "/etc/pratique/pratique.toml"],
            "Volumes": {"/var/lib/pratique": {}}, "WorkingDir": "/var/lib/pratique", "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
        "history": [{"created": stamp(arguments.epoch), "created_by": "deploy/image/build.sh"}],
    }), CONFIG)
    image = layout.blob(canonical({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [packed_layer], "annotations": labels,
    }), MANIFEST)
    layout.tagged(image, arguments.tag)
    lock = b""
    if arguments.lock:
        with open(arguments.lock, "rb") as file:
            lock = file.read()
    referrers = []
    if arguments.metadata:
        with open(arguments.metadata, encoding="utf-8") as file:
            metadata = json.load(file)
        document = bill(metadata, program, arguments.epoch, arguments.version)
        referrers.append(attach(layout, image, document, CYCLONEDX, "pratique.cdx.json", arguments.epoch))
    statement = provenance(image, arguments, program, lock, arguments.epoch)
    referrers.append(attach(layout, image, statement, IN_TOTO, "provenance.json", arguments.epoch))
    listed = layout.blob(canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": referrers}), INDEX)
    for number, referrer in enumerate(referrers):
        layout.tagged({key: referrer[key] for key in ("mediaType", "digest", "size")}, f"{arguments.tag}.attached-{number}")
    layout.tagged(listed, image["digest"].replace(":", "-"))
    layout.finish()
    print(f"{image['digest']} {config['size'] + packed_layer['size'] + image['size']} bytes packed, {len(program)} the program")


main()
