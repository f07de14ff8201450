"""A registry with a few small images, on a port of this machine: upstream.py PORT_FILE"""

import hashlib
import http.server
import json
import sys

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

blobs = {}
manifests = {}


def put(content):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    blobs[digest] = content
    return {"digest": digest, "size": len(content)}


def push(repository, tag, text):
    layer = put(bytes(512) + text.encode() + bytes(1024))
    rootfs = {"type": "layers", "diff_ids": [layer["digest"]]}
    config = put(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, **config},
        "layers": [{"mediaType": LAYER, **layer}],
    }
    content = json.dumps(manifest).encode()
    digest = put(content)["digest"]
    manifests[(repository, tag)] = manifests[(repository, digest)] = (digest, content)


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0].removeprefix("/v2/")
        repository, kind, reference = (path.rsplit("/", 2) + ["", ""])[:3]
        if kind == "manifests" and (repository, reference) in manifests:
            digest, content = manifests[(repository, reference)]
            return self.answer(200, MANIFEST, content, {"Docker-Content-Digest": digest})
        if kind == "blobs" and reference in blobs:
            return self.answer(200, "application/octet-stream", blobs[reference], {})
        if path == "":
            return self.answer(200, "application/json", b"{}", {})
        return self.answer(404, "application/json", b'{"errors":[{"code":"NAME_UNKNOWN"}]}', {})

    do_HEAD = do_GET

    def answer(self, status, kind, content, headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


for number in range(6):
    push("asked/app", f"1.{number}", f"asked {number}")
    push("open/app", f"1.{number}", f"open {number}")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
with open(sys.argv[1], "w") as file:
    print(server.server_address[1], file=file)
server.serve_forever()
