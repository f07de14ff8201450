"""A registry, Pratique in front of it, and what must hold after every fault.

The registry is a small HTTP server of this process with images made from a seed. Pratique is the real program.
"""
import hashlib
import http.client
import http.server
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

READY_LIMIT_S = 20.0
ANSWER_LIMIT_S = 30.0
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
POLICY = """apiVersion: pratique.dev/v1
kind: Policy
metadata: {name: faults, revision: 1}
rules:
- {id: open, match: ["up.test/open/**"], trust: allow}
- {id: asked, match: ["up.test/asked/**"], trust: approve}
"""


class Broken(Exception):
    """An invariant does not hold."""


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Image:
    """An image of a config and some layers."""

    def __init__(self, name, seed, layer_sizes=(200_000, 3_000)):
        chance = random.Random(seed)
        self.name = name
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "seed": seed})
        self.blobs = {}
        layers = []
        for size in layer_sizes:
            content = chance.randbytes(size)
            self.blobs[digest_of(content)] = content
            layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest_of(content), "size": size})
        config = config.encode()
        self.blobs[digest_of(config)] = config
        self.manifest = json.dumps({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(config), "size": len(config)},
            "layers": layers,
        }).encode()
        self.digest = digest_of(self.manifest)


class Registry:
    """The upstream: serves the images it was given, at once and right."""

    def __init__(self):
        self.images = {}
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer(True)

            def do_HEAD(self):
                self.answer(False)

            def answer(self, with_body):
                content, kind = registry.find(self.path)
                self.send_response(404 if content is None else 200)
                content = content or b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if with_body:
                    self.wfile.write(content)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):
                pass  # a client that was killed

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, image):
        self.images[image.name] = image
        return image

    def find(self, path):
        if path.rstrip("/") == "/v2":
            return b"{}", "application/json"
        match = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/?]+)", path)
        image = match and self.images.get(match.group(1))
        if not image:
            return None, "application/json"
        if match.group(2) == "manifests":
            there = match.group(3) in ("1", image.digest)
            return (image.manifest if there else None), MANIFEST
        return image.blobs.get(match.group(3)), "application/octet-stream"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mirror:
    """Pratique on one data directory."""

    def __init__(self, program, folder, registry, data=None):
        self.program, self.folder = program, folder
        os.makedirs(folder, exist_ok=True)
        self.data = data or os.path.join(folder, "data")
        self.node, self.admin = free_port(), free_port()
        self.config = os.path.join(folder, "pratique.toml")
        self.log = os.path.join(folder, "log")
        self.process = None
        policy = os.path.join(folder, "policy.yaml")
        with open(policy, "w", encoding="utf-8") as file:
            file.write(POLICY)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f'data_dir = "{self.data}"\npolicy = "{policy}"\n'
                       f'[node]\nlisten = "127.0.0.1:{self.node}"\n[admin]\nlisten = "127.0.0.1:{self.admin}"\n'
                       f'[[upstream]]\nregistry = "up.test"\nurl = "http://127.0.0.1:{registry.port}"\ndanger_plain_http = true\n')

    def spawn(self, before=()):
        """Starts the program, behind the words of `before`, without waiting for it."""
        # Few threads, so that the n-th call of a thread is reached early.
        environment = {**os.environ, "TOKIO_WORKER_THREADS": "2"}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*before, self.program, "serve", "--config", self.config], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=environment, start_new_session=True)
        return self.process

    def wait_ready(self, limit=READY_LIMIT_S):
        """Seconds until it is ready; None when it ended by itself."""
        began = time.monotonic()
        while time.monotonic() - began < limit:
            if self.process.poll() is not None:
                return None
            try:
                if self.get("/readyz", 1)[0] == 200:
                    return time.monotonic() - began
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.01)
        raise Broken(f"not ready within {limit} s: {self.last_words()}")

    def start(self):
        self.spawn()
        took = self.wait_ready()
        if took is None:
            raise Broken(f"did not start (status {self.process.returncode}): {self.last_words()}")
        return took

    def kill(self):
        """kill -9 of the program and of whatever it was started behind."""
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None

    def stop(self):
        """SIGTERM; gives the exit status."""
        self.process.terminate()
        try:
            status = self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Broken("did not stop on SIGTERM") from None
        self.process = None
        return status

    def last_words(self, count=400):
        with open(self.log, "rb") as file:
            text = re.sub(r"\x1b\[[0-9;]*m", "", file.read().decode(errors="replace"))
        return text.strip()[-count:].replace("\n", " | ")

    def get(self, path, limit=ANSWER_LIMIT_S, port=None, headers=None, method="GET", body=None):
        """Status and body; raises when the answer does not end cleanly."""
        link = http.client.HTTPConnection("127.0.0.1", port or self.node, timeout=limit)
        try:
            link.request(method, path, body=body, headers=headers or {})
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def api(self, path, body=None):
        with open(os.path.join(self.data, "admin.token"), encoding="utf-8") as file:
            headers = {"Authorization": "Bearer " + file.read().strip(), "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body)
        status, answer = self.get("/api/v1" + path, port=self.admin, headers=headers, method="POST" if text else "GET", body=text)
        return status, json.loads(answer)

    def manifest(self, image):
        status, body = self.get(f"/v2/{image.name}/manifests/{image.digest}?ns=up.test", headers={"Accept": MANIFEST})
        if status == 200 and body != image.manifest:
            raise Broken(f"wrong bytes for the manifest of {image.name}")
        return status

    def pull(self, image):
        """Pulls everything; gives the first status that is not 200, or 200. An answer that breaks off raises."""
        status = self.manifest(image)
        if status != 200:
            return status
        for digest, content in image.blobs.items():
            status, body = self.get(f"/v2/{image.name}/blobs/{digest}?ns=up.test")
            if status != 200:
                return status
            if body != content:
                raise Broken(f"WRONG BYTES ended cleanly for {digest} of {image.name}")
        return 200

    def approve(self, image):
        """Whether the approval was acknowledged."""
        try:
            status, _ = self.api("/approvals", {"target": f"up.test/{image.name}@{image.digest}", "reason": "fault loop"})
        except (OSError, http.client.HTTPException, ValueError):
            return False
        return status == 200


def attempt(work):
    """What `work` gives; None when the connection did."""
    try:
        return work()
    except (OSError, http.client.HTTPException):
        return None


def until(limit, work):
    """Whether `work` comes true within `limit` seconds: a blob is served a little before it has its name."""
    began = time.monotonic()
    while not work():
        if time.monotonic() - began > limit:
            return False
        time.sleep(0.01)
    return True


def check_store(data, settle=0.0):
    """Every blob has the hash of its name, and nothing half done is left after `settle` seconds."""
    count = 0
    for folder, _, files in os.walk(os.path.join(data, "blobs")):
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                if hashlib.sha256(file.read()).hexdigest() != name:
                    raise Broken(f"blobs/{name} does not have its hash")
            count += 1
    ingest = os.path.join(data, "ingest")
    if not until(settle, lambda: not os.listdir(ingest)):
        raise Broken(f"left in ingest/: {os.listdir(ingest)}")
    snapshots = os.path.join(data, "snapshots")
    partial = [name for name in (os.listdir(snapshots) if os.path.isdir(snapshots) else []) if ".partial" in name]
    if partial:
        raise Broken(f"left in snapshots/: {partial}")
    return count


def check(mirror, open_images, approved, ready_limit=READY_LIMIT_S):
    """Starts the program as it is left and checks everything; leaves it running. Gives the seconds to ready."""
    took = mirror.start()
    if took > ready_limit:
        raise Broken(f"ready only after {took:.1f} s")
    check_store(mirror.data)
    for image in approved:
        status = mirror.manifest(image)
        if status != 200:
            raise Broken(f"ACKNOWLEDGED APPROVAL LOST: {image.name} is answered {status}")
    status, report = mirror.api("/audit/verify")
    if status != 200 or not report["intact"]:
        raise Broken(f"audit: {status} {report}")
    for image in [*open_images, *approved]:
        status = mirror.pull(image)
        if status != 200:
            raise Broken(f"{image.name}, which is admitted, is answered {status}: {mirror.last_words()}")
    check_store(mirror.data, settle=5.0)
    return took


def fresh(folder, template=None):
    """A new empty folder, or a copy of `template`."""
    shutil.rmtree(folder, ignore_errors=True)
    if template:
        shutil.copytree(template, folder, symlinks=True)
    else:
        os.makedirs(folder)
    return folder
