"""The image that is scanned: one layer of a real root file system, packed by tar and gzip."""

import hashlib
import json
import os
import subprocess

import content
from client import MANIFEST_TYPE

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
NAME = "bench/debian"
PIECE_BYTES = 1 << 20
# How much of this machine's /usr is taken where there is no other tree.
OWN_BYTES = 310_000_000
LEFT_OUT = ["./proc/*", "./sys/*", "./dev/*", "./run/*", "./tmp/*", "./var/cache/apt/*", "./var/lib/apt/lists/*"]


def image(options, root):
    """Writes the image below `root`, as files that nginx can serve; gives it with what it is made of."""
    folder = os.path.join(root, "v2", NAME)
    os.makedirs(os.path.join(folder, "blobs"))
    os.makedirs(os.path.join(folder, "manifests"))
    source, command = archive(options)
    partial = os.path.join(folder, "blobs", "partial")
    diff_id, inflated = pack(command, partial)
    digest, size = digest_of(partial), os.path.getsize(partial)
    os.rename(partial, os.path.join(folder, "blobs", digest))
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]},
                         "rootfs": {"type": "layers", "diff_ids": [diff_id]}}).encode()
    content.write(folder, "blobs", content.sha256(config), config)
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": content.CONFIG_TYPE, "digest": content.sha256(config), "size": len(config)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": digest, "size": size}],
    }).encode()
    content.write(folder, "manifests", content.sha256(manifest), manifest)
    content.write(folder, "manifests", "latest", manifest)
    made = content.Image(NAME, manifest, content.sha256(config), [digest])
    made.source, made.size, made.inflated, made.manifest = source, size, inflated, manifest
    made.files = folder
    made.status = os.path.join(source if os.path.isdir(source) else "/", "var/lib/dpkg/status")
    return made


def archive(options):
    """Where the tree is from, and the command that writes it as a tar archive."""
    kept = os.path.join(options.kept, "tree")
    source = options.tree or (kept if os.path.isdir(kept) else None)
    # As images are built: the same bytes each time, whoever owned the files.
    tar = ["tar", "--numeric-owner", "--sort=name", "--mtime=@0"]
    if source:
        return source, [*tar, "-C", source, *(f"--exclude={path}" for path in LEFT_OUT), "-cf", "-", "."]
    names = os.path.join(options.kept, "names")
    with open(names, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write("\n".join(own_files()) + "\n")
    return "the files of this machine", [*tar, "-C", "/", "--no-recursion", "-cf", "-", "-T", names]


def own_files():
    """Of this machine: what is installed, and as much of /usr as an image has."""
    yield from ("etc/os-release", "usr/lib/os-release", "var/lib/dpkg/status")
    for name in sorted(os.listdir("/var/lib/dpkg/info")):
        yield f"var/lib/dpkg/info/{name}"
    left = OWN_BYTES
    for folder in ("usr/bin", "usr/lib/python3", "usr/lib/x86_64-linux-gnu", "usr/share"):
        for parent, folders, names in os.walk(f"/{folder}"):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(parent, name)
                if not os.path.isfile(path) or os.path.islink(path) or not os.access(path, os.R_OK):
                    continue
                left -= os.path.getsize(path)
                if left < 0:
                    return
                yield path.lstrip("/")


def pack(command, path):
    """Runs `command` into gzip as build tools do; gives digest and length of what is packed."""
    hashed, length = hashlib.sha256(), 0
    with open(path, "wb") as file:
        taring = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        packing = subprocess.Popen(["gzip", "-n", "-6"], stdin=subprocess.PIPE, stdout=file)
        while piece := taring.stdout.read(PIECE_BYTES):
            hashed.update(piece)
            length += len(piece)
            packing.stdin.write(piece)
        packing.stdin.close()
        # A file of the machine that went away while it was read ends tar with 1.
        if taring.wait() not in (0, 1) or packing.wait():
            raise OSError("the image could not be packed")
    return "sha256:" + hashed.hexdigest(), length


def digest_of(path):
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            hashed.update(piece)
    return "sha256:" + hashed.hexdigest()


def layout(image, folder):
    """The same image as an OCI image layout in `folder`."""
    blobs = os.path.join(folder, "blobs", "sha256")
    os.makedirs(blobs)
    for name in os.listdir(os.path.join(image.files, "blobs")):
        os.link(os.path.join(image.files, "blobs", name), os.path.join(blobs, name.split(":")[1]))
    with open(os.path.join(blobs, image.digest.split(":")[1]), "wb") as file:
        file.write(image.manifest)
    listed = {"mediaType": MANIFEST_TYPE, "digest": image.digest, "size": len(image.manifest)}
    for name, value in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", {"schemaVersion": 2, "manifests": [listed]})):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            json.dump(value, file)
    return folder
