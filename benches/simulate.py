#!/usr/bin/env python3
"""How long a mirror takes to say what a draft of a policy would change about all that it has on record.

    cargo build --release && benches/simulate.py [--program PROGRAM] [--images N] [--pulls N] [--repeat N]

One image is pulled through the program from a registry that this script is; its record is repeated for made-up
digests in 500 repositories, and counts of pulls are written for them, spread over 30 days and 200 clients. Then
the program is started on that, and `pratique policy diff --against-history` is timed, start of the command to
end: with a draft that refuses what is in one repository of ten, and with one that refuses everything. The first
call of each repetition finds nothing in memory. Everything on loopback.
"""

import argparse
import hashlib
import http.server
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "compare"))
import populate  # noqa: E402

REGISTRY = "up.test"
NAME = "bench/image"
DAYS = 30
CLIENTS = 200
HEAD = "apiVersion: pratique.dev/v1\nkind: Policy\nmetadata: {name: bench, revision: %d}\n"
ALLOW = '- {id: all, match: ["up.test/**"], trust: allow}\n'
TENTH = "".join(f'- {{id: r{number}, match: ["up.test/{NAME}-{number:03}"], trust: deny}}\n'
                for number in range(0, populate.REPOSITORIES, 10))
DENY = ALLOW.replace("allow", "deny")


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def image():
    """Manifest and blobs of a small image."""
    layer = b"layer"
    config = json.dumps({"os": "linux", "architecture": "amd64", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]}}).encode()
    oci = "application/vnd.oci.image"
    described = [{"mediaType": f"{oci}.{kind}", "digest": digest_of(content), "size": len(content)}
                 for kind, content in (("config.v1+json", config), ("layer.v1.tar", layer))]
    manifest = {"schemaVersion": 2, "mediaType": f"{oci}.manifest.v1+json", "config": described[0],
                "layers": described[1:], "annotations": {"number": populate.NUMBER}}
    return json.dumps(manifest).encode(), [config, layer]


def registry():
    """Serves the image on a port of its own; gives the port."""
    manifest, blobs = image()
    content = {f"/v2/{NAME}/manifests/{digest_of(manifest)}": manifest}
    content |= {f"/v2/{NAME}/blobs/{digest_of(blob)}": blob for blob in blobs}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = content.get(self.path.split("?")[0])
            self.send_response(404 if body is None else 200)
            if body is manifest:
                self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
                self.send_header("Docker-Content-Digest", digest_of(manifest))
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


class Mirror:
    """The program on the data in `folder`."""

    def __init__(self, program, folder, upstream):
        self.program, self.folder = program, folder
        (folder / "policy.yaml").write_text(HEAD % 1 + "rules:\n" + ALLOW)
        (folder / "pratique.toml").write_text(
            f'data_dir = "{folder}/data"\npolicy = "{folder}/policy.yaml"\n'
            '[node]\nlisten = "127.0.0.1:5980"\n[admin]\nlisten = "127.0.0.1:5981"\n'
            f'[[upstream]]\nregistry = "{REGISTRY}"\nurl = "http://127.0.0.1:{upstream}"\ndanger_plain_http = true\n')

    def __enter__(self):
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen([self.program, "serve", "--config", self.folder / "pratique.toml"],
                                        stdout=log, stderr=log)
        for _ in range(600):
            try:
                with urllib.request.urlopen("http://127.0.0.1:5981/readyz"):
                    return self
            except OSError:
                time.sleep(0.05)
        raise SystemExit((self.folder / "log").read_text())

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:5980/v2/{NAME}/{path}?ns={REGISTRY}") as answer:
            return answer.read()

    def resident(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def simulate(self, rules):
        draft = self.folder / "draft.yaml"
        draft.write_text(HEAD % 2 + "rules:\n" + rules)
        started = time.monotonic()
        done = subprocess.run([self.program, "policy", "diff", draft, "--against-history", "--days", str(DAYS),
                               "--config", self.folder / "pratique.toml", "--json"], check=True, capture_output=True)
        return time.monotonic() - started, json.loads(done.stdout)


def add_pulls(populated, count):
    """Writes `count` counts of pulls, the first ones of images most often."""
    minute, now = 60_000, int(time.time()) // 60 * 60_000
    chance = random.Random(7)
    rows = []
    for number in range(count):
        # Every image is pulled; what is left is spread unevenly.
        of = number % populated.count if number < populated.count else int(chance.random() ** 2 * populated.count)
        repository, digest, _ = populated.repeated(of + 1)
        at = now - chance.randrange(DAYS * 24 * 60 - 5) * minute
        rows.append((at, f"{REGISTRY}/{repository}", digest, f"node-{chance.randrange(CLIENTS)}", "admitted", 1))
    rows.sort()
    ledger = populated.ledger()
    ledger.execute("BEGIN")
    ledger.executemany("INSERT INTO pulls (minute, name, digest, client, outcome, count)"
                       " VALUES (?, ?, ?, ?, ?, ?)", rows)
    ledger.execute("COMMIT")
    ledger.close()


class Image:
    name = NAME

    def __init__(self, digest):
        self.digest = digest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/pratique")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--pulls", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    program = os.path.abspath(options.program)
    manifest, blobs = image()
    with tempfile.TemporaryDirectory(prefix="pratique-simulate-") as name:
        folder = pathlib.Path(name)
        mirror = Mirror(program, folder, registry())
        with mirror:
            assert mirror.get(f"manifests/{digest_of(manifest)}") == manifest
            for blob in blobs:
                assert mirror.get(f"blobs/{digest_of(blob)}") == blob
        populated = populate.Populated(str(folder / "data"), REGISTRY, Image(digest_of(manifest)), manifest)
        populated.grow(options.images)
        add_pulls(populated, options.pulls)
        print(f"{options.images} images, {options.pulls} counts of pulls")
        for what, rules in (("one repository of ten is refused", ALLOW + TENTH), ("everything is refused", DENY)):
            for _ in range(options.repeat):
                with mirror:
                    idle = mirror.resident()
                    first, answer = mirror.simulate(rules)
                    again, _ = mirror.simulate(rules)
                    print(f"{what}: {first:.2f} s, again {again:.2f} s; looked at {answer['examined']}, refused "
                          f"{answer['refused']} ({answer['pulls_refused']} of {answer['pulls']} pulls); "
                          f"resident {idle:.0f} -> {mirror.resident():.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
