"""Image layouts with packages of every kind, some with names that are hard to write down.

layouts.py FOLDER DATA: writes FOLDER/NAME for each; DATA may be empty.
"""

import gzip
import hashlib
import io
import json
import pathlib
import subprocess
import sys
import tarfile

DEBIAN = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
STATUS = """Package: openssl
Status: install ok installed
Architecture: amd64
Version: 3.0.11-1~deb12u2

Package: attr
Status: install ok installed
Architecture: amd64
Version: 1:2.5.1-4+b1
Source: attr (1:2.5.1-4)

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 12.2.0-14
Source: gcc-12

"""
DEPS = {"libraries": {"Newtonsoft.Json/13.0.1": {"type": "package", "serviceable": True}}}
COMPOSER = {"packages": [{"name": "Symfony/Console", "version": "v5.4.1", "type": "library"}]}
APKS = """C:Q1abc=
P:musl
V:1.2.5-r0
A:x86_64
o:musl

C:Q1abd=
P:musl-utils
V:1.2.5-r0
A:x86_64
o:musl

"""


def package_json(name, version):
    return json.dumps({"name": name, "version": version})


def metadata(name, version):
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n"


MIXED = {
    "etc/os-release": DEBIAN,
    "var/lib/dpkg/status": STATUS,
    "usr/local/lib/python3.11/site-packages/Ruamel.Yaml-0.17.21.dist-info/METADATA": metadata("Ruamel.Yaml", "0.17.21"),
    "opt/venv/lib/python3.11/site-packages/odd-1.dist-info/METADATA": metadata("odd", "1!2.0+local.1"),
    "opt/app/node_modules/@angular/core/package.json": package_json("@angular/core", "12.3.1"),
    "opt/app/node_modules/JSONStream/package.json": package_json("JSONStream", "1.3.5"),
    "opt/php/vendor/composer/installed.json": json.dumps(COMPOSER),
    "opt/net/app.deps.json": json.dumps({"runtimeTarget": {"name": ".NETCoreApp,Version=v6.0"}, **DEPS}),
    "opt/a place with spaces/node_modules/left-pad/package.json": package_json("left-pad", "1.3.0"),
    "opt/ü/node_modules/left-pad/package.json": package_json("left-pad", "1.3.0"),
}


def tar(files):
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in files.items():
            content = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()


def layout(folder, layers):
    """An image of these layers: pairs of what is stored, and what it inflates to."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(content, kind):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    diff_ids = ["sha256:" + hashlib.sha256(inflated).hexdigest() for _, inflated in layers]
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "config.v1+json"),
        "layers": [put(stored, "layer.v1.tar") for stored, _ in layers],
    }
    listed = put(json.dumps(manifest).encode(), "manifest.v1+json")
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [listed]}))


def same(content):
    return content, content


def unzstd(path):
    return subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout


def main():
    folder, data = pathlib.Path(sys.argv[1]), sys.argv[2]
    layout(folder / "mixed", [same(tar(MIXED))])
    layout(folder / "holed", [same(tar(MIXED)), same(b"no archive at all")])
    layout(folder / "empty", [same(tar({"etc/motd": "x"}))])
    alpine = {"etc/os-release": "ID=alpine\nVERSION_ID=3.20.1\n", "lib/apk/db/installed": APKS}
    layout(folder / "apk", [same(tar(alpine))])
    if not data:
        print("skipped: the real package databases (PRATIQUE_TEST_DATA is not set)")
        return
    scan = pathlib.Path(data) / "scan"
    stored = (scan / "bookworm/bookworm-pkgdb-only.tar.zst").read_bytes()
    layout(folder / "bookworm", [(stored, unzstd(scan / "bookworm/bookworm-pkgdb-only.tar.zst"))])
    mariner = {
        "etc/os-release": "ID=mariner\nVERSION_ID=2.0\n",
        "var/lib/rpm/rpmdb.sqlite": unzstd(scan / "fixtures/cbl-mariner-2.0_rpmdb.sqlite.zst"),
    }
    layout(folder / "mariner", [same(tar(mariner))])
    with tarfile.open(scan / "fixtures/alpine-310.tar.gz") as saved:
        listed = json.load(saved.extractfile("manifest.json"))[0]["Layers"]
        layers = [saved.extractfile(name).read() for name in listed]
    inflated = [gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer for layer in layers]
    layout(folder / "alpine", list(zip(layers, inflated, strict=True)))


main()
