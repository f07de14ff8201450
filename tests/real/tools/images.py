#!/usr/bin/python3
"""Makes the suite's images and pushes them to an open registry, over the plain distribution API.

    images.py REGISTRY_PORT DIRECTORY [--big-bytes N]

Nothing is downloaded: the root file system is the static busybox of the host. The same run always gives the
same digests. DIRECTORY receives `digests.tsv` (name:tag, digest, media type) and `blobs/sha256/<hex>` with
every blob that a test compares byte by byte.
"""
import argparse
import gzip
import hashlib
import http.client
import io
import json
import os
import random
import subprocess
import tarfile

OCI = "application/vnd.oci.image."
GZIP, ZSTD, PLAIN = OCI + "layer.v1.tar+gzip", OCI + "layer.v1.tar+zstd", OCI + "layer.v1.tar"
CHUNK_BYTES = 1 << 20
KILL_IMAGES, KILL_IMAGES_WITH_NOISE = 200, 50
LAYER_BYTES = 2_000_000
CUT_LAYER_BYTES = 96_000_000

arguments = argparse.ArgumentParser()
arguments.add_argument("port", type=int)
arguments.add_argument("directory")
arguments.add_argument("--big-bytes", type=int, default=1_000_000_000)
arguments = arguments.parse_args()
blob_directory = os.path.join(arguments.directory, "blobs", "sha256")
os.makedirs(blob_directory, exist_ok=True)
digests = []


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


# --- layers -------------------------------------------------------------------------------------------


def tar_of(entries):
    """A tar of (path, mode, bytes) files and (path, target) links, with fixed times and owners."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry[0])
            if len(entry) == 2:
                info.type, info.linkname = tarfile.SYMTYPE, entry[1]
                archive.addfile(info)
            else:
                info.mode, info.size = entry[1], len(entry[2])
                archive.addfile(info, io.BytesIO(entry[2]))
    return out.getvalue()


def rootfs():
    with open("/bin/busybox", "rb") as file:
        busybox = file.read()
    links = [(f"bin/{name}", "busybox") for name in ("sh", "ls", "cat", "sleep", "true")]
    release = b'ID=pratique-test\nVERSION_ID=3.23\n'
    return tar_of([("bin/busybox", 0o755, busybox), *links, ("etc/os-release", 0o644, release)])


def noise(name, size):
    """Bytes that no compression makes smaller, the same for the same name."""
    return random.Random(name).randbytes(size)


class Layer:
    """One layer: its descriptor, its uncompressed digest, and the path of its bytes."""

    def __init__(self, plain, media_type):
        self.diff_id = sha256(plain)
        if media_type == GZIP:
            data = gzip.compress(plain, compresslevel=1, mtime=0)
        elif media_type == ZSTD:
            data = subprocess.run(["zstd", "-q", "-3", "-c"], input=plain, capture_output=True, check=True, timeout=60).stdout
        else:
            data = plain
        digest = sha256(data)
        self.path = os.path.join(blob_directory, digest[7:])
        with open(self.path, "wb") as file:
            file.write(data)
        self.descriptor = {"mediaType": media_type, "digest": digest, "size": len(data)}


class BigLayer:
    """The layer of about a gigabyte: one file of noise in a plain tar, made and hashed as a stream."""

    def __init__(self, size):
        info = tarfile.TarInfo("big")
        info.size = size
        self.path = os.path.join(arguments.directory, "big.tar")
        digest = hashlib.sha256()
        block = noise("big", CHUNK_BYTES)
        with open(self.path, "wb") as file:

            def write(data):
                digest.update(data)
                file.write(data)

            write(info.tobuf())
            left, count = size, 0
            while left:
                # The counter makes every block another one, so that a block in the wrong place is seen.
                data = (count.to_bytes(8, "big") + block[8:])[:left]
                write(data)
                left, count = left - len(data), count + 1
            total = 512 + size
            write(b"\0" * (-total % 512 + 1024))
        self.diff_id = "sha256:" + digest.hexdigest()
        final = os.path.join(blob_directory, digest.hexdigest())
        os.replace(self.path, final)
        self.path = final
        self.descriptor = {"mediaType": PLAIN, "digest": self.diff_id, "size": os.path.getsize(final)}


# --- pushing ------------------------------------------------------------------------------------------


class Registry:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body=body, headers=headers or {})
        answer = self.connection.getresponse()
        text = answer.read()
        return answer, text

    def push_blob(self, repository, digest, path):
        if self.ask("HEAD", f"/v2/{repository}/blobs/{digest}")[0].status == 200:
            return
        opened, text = self.ask("POST", f"/v2/{repository}/blobs/uploads/", headers={"Content-Length": "0"})
        if opened.status != 202:
            raise SystemExit(f"upload to {repository} was not opened: {opened.status} {text!r}")
        location = opened.headers["Location"]
        location = location[location.index("/v2/"):]
        with open(path, "rb") as file:
            headers = {"Content-Length": str(os.path.getsize(path)), "Content-Type": "application/octet-stream"}
            done, text = self.ask("PUT", f"{location}&digest={digest}", file, headers)
        if done.status != 201:
            raise SystemExit(f"{repository} {digest} was not stored: {done.status} {text!r}")

    def push_manifest(self, repository, reference, media_type, data):
        done, text = self.ask("PUT", f"/v2/{repository}/manifests/{reference}", data, {"Content-Type": media_type})
        if done.status != 201:
            raise SystemExit(f"{repository}:{reference} was not stored: {done.status} {text!r}")


registry = Registry(arguments.port)


def push_bytes(repository, data):
    digest = sha256(data)
    path = os.path.join(blob_directory, digest[7:])
    with open(path, "wb") as file:
        file.write(data)
    registry.push_blob(repository, digest, path)
    return digest


def image(name, layers, architecture="amd64"):
    """Pushes an image of these layers under `repository:tag`; gives its descriptor for an index."""
    repository, tag = name.split(":")
    config = {
        "architecture": architecture, "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "Labels": {"test.name": name}},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created_by": "tests/real/tools/images.py"} for _ in layers],
    }
    data = json.dumps(config).encode()
    for layer in layers:
        registry.push_blob(repository, layer.descriptor["digest"], layer.path)
    config_digest = push_bytes(repository, data)
    manifest = {
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
        "config": {"mediaType": OCI + "config.v1+json", "digest": config_digest, "size": len(data)},
        "layers": [layer.descriptor for layer in layers],
    }
    body = json.dumps(manifest).encode()
    registry.push_manifest(repository, tag, manifest["mediaType"], body)
    digests.append((name, sha256(body), manifest["mediaType"]))
    return {
        "mediaType": manifest["mediaType"], "digest": sha256(body), "size": len(body),
        "platform": {"os": "linux", "architecture": architecture},
    }


def index(name, children):
    repository, tag = name.split(":")
    document = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": children}
    body = json.dumps(document).encode()
    registry.push_manifest(repository, tag, document["mediaType"], body)
    digests.append((name, sha256(body), document["mediaType"]))


# --- what the cases pull ------------------------------------------------------------------------------

base = Layer(rootfs(), GZIP)


def small(name):
    """The root file system and one file of the image's own, so that every image has a digest of its own."""
    image(name, [base, Layer(tar_of([("etc/image", 0o644, name.encode())]), GZIP)])


for name in ("lib/alpine:3.23", "lib/alpine:bundle", "lib/alpine:unsigned", "lib/alpine:wrongkey",
             "lib/alpine:wrongkey-bundle", "lib/alpine:borrowed", "lib/other:1", "open/alpine:3.23",
             "private/alpine:3.23", "denied/alpine:3.23", "nobody/alpine:3.23",
             "library/alpine:3.23", "library/denied:3.23"):
    small(name)
# The same digest as lib/alpine:3.23 in a repository that no rule lists.
image_of_another_name = [base, Layer(tar_of([("etc/image", 0o644, b"lib/alpine:3.23")]), GZIP)]
repository_digest = next(digest for name, digest, _ in digests if name == "lib/alpine:3.23")
for layer in image_of_another_name:
    registry.push_blob("lib/copy", layer.descriptor["digest"], layer.path)
_, original = registry.ask("GET", "/v2/lib/alpine/manifests/3.23", headers={"Accept": OCI + "manifest.v1+json"})
registry.push_blob("lib/copy", json.loads(original)["config"]["digest"],
                   os.path.join(blob_directory, json.loads(original)["config"]["digest"][7:]))
registry.push_manifest("lib/copy", "3.23", OCI + "manifest.v1+json", original)
digests.append(("lib/copy:3.23", repository_digest, OCI + "manifest.v1+json"))

for client in ("ctr-1.6", "ctr-1.7", "ctr-2", "cri-1.6", "cri-1.7", "cri-2", "skopeo", "podman", "crane", "oras",
               "docker", "curl", "registries-conf", "open"):
    small(f"asked/{client}:1")

index("open/multi:1", [
    image(f"open/multi:{arch}", [Layer(tar_of([("etc/arch", 0o644, arch.encode())]), GZIP), base], arch)
    for arch in ("amd64", "arm64", "s390x")
])
image("open/zstd:1", [Layer(rootfs(), ZSTD), Layer(tar_of([("noise", 0o644, noise("zstd", LAYER_BYTES))]), ZSTD)])
image("open/many:60", [
    base, *(Layer(tar_of([(f"l/{n}", 0o644, noise(f"many {n}", LAYER_BYTES // 10))]), GZIP) for n in range(59))
])
image("open/cut:1", [Layer(tar_of([("noise", 0o644, noise("cut", CUT_LAYER_BYTES))]), PLAIN)])
image("open/big:1g", [BigLayer(arguments.big_bytes)])
for n in range(KILL_IMAGES):
    size = LAYER_BYTES if n % (KILL_IMAGES // KILL_IMAGES_WITH_NOISE) == 0 else 1000
    image(f"kill/image:{n}", [base, Layer(tar_of([("noise", 0o644, noise(f"kill {n}", size))]), PLAIN)])

with open(os.path.join(arguments.directory, "digests.tsv"), "w", encoding="utf-8") as file:
    for row in digests:
        print(*row, sep="\t", file=file)
