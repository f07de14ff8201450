"""The servers of a run: started, watched by way of /proc, ended."""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from client import MANIFEST_TYPE, Failed, get

START_SECONDS = 20
STOP_SECONDS = 10
SETTLE_SECONDS_MAX = 20
REGISTRY = "bench.test"
# What everybody may pull.
POLICY = f"""
apiVersion: pratique.dev/v1
kind: Policy
metadata: {{name: bench, revision: 1}}
floor:
  registries: [{REGISTRY}]
  platforms: [linux/amd64]
rules:
- {{id: bench, match: ["{REGISTRY}/bench/**"], trust: allow}}
"""
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Server:
    """A process with its children, in a folder of its own."""

    def __init__(self, name, folder, port, command, *, tls=False, namespace=None):
        self.name, self.folder, self.port = name, folder, port
        self.tls, self.namespace, self.cipher = tls, namespace, None
        self.log_path = os.path.join(folder, "log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                start_new_session=True,
                preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
            )
        try:
            self.await_start()
        except BaseException:
            self.stop()
            raise

    def await_start(self):
        begin = time.monotonic()
        while True:
            try:
                get(self, "/v2/")
                self.ready_seconds = time.monotonic() - begin
                return
            except (OSError, Failed) as error:
                if self.process.poll() is not None or time.monotonic() - begin > START_SECONDS:
                    with open(self.log_path, errors="replace") as log:
                        raise Failed(f"{self.name} did not start: {error}\n{log.read()[-2000:]}")
                time.sleep(0.002)

    def target(self, path):
        """What stands in the request line."""
        return f"{path}?ns={self.namespace}" if self.namespace else path

    def processes(self):
        """The process and its children, by id."""
        pids = [self.process.pid]
        for entry in os.listdir("/proc"):
            if entry.isdigit() and parent(entry) == self.process.pid:
                pids.append(int(entry))
        return pids

    def cpu_seconds(self):
        """User and system time of all its processes so far."""
        return sum(cpu_seconds(pid) for pid in self.processes())

    def settle(self):
        """Waits until it does nothing any more; gives its processor time."""
        begin, before = time.monotonic(), self.cpu_seconds()
        while time.monotonic() - begin < SETTLE_SECONDS_MAX:
            time.sleep(0.1)
            now = self.cpu_seconds()
            if now - before < 0.002:
                return now
            before = now
        return before

    def memory(self):
        """(anonymous, with its part of mapped files) in MiB, right now."""
        anonymous = total = 0
        for pid in self.processes():
            with open(f"/proc/{pid}/smaps_rollup") as file:
                rollup = file.read()
            anonymous += int(re.search(r"(?m)^Pss_Anon: *(\d+)", rollup).group(1))
            total += int(re.search(r"(?m)^Pss: *(\d+)", rollup).group(1))
        return anonymous / 1024, total / 1024

    def resident(self):
        """(anonymous, all) resident memory in MiB, right now."""
        anonymous = total = 0
        for pid in self.processes():
            with open(f"/proc/{pid}/status") as file:
                status = file.read()
            anonymous += int(re.search(r"(?m)^RssAnon:\s*(\d+)", status).group(1))
            total += int(re.search(r"(?m)^VmRSS:\s*(\d+)", status).group(1))
        return anonymous / 1024, total / 1024

    def stop(self, *, remove=False):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        if remove:
            shutil.rmtree(self.folder)


def parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return None


def cpu_seconds(pid):
    """What utime + stime of /proc/PID/stat say, by the process's own clock: that counts in
    nanoseconds where the file counts in ticks of 10 ms."""
    process_clock = (~pid << 3) | 2
    try:
        return time.clock_gettime(process_clock)
    except OSError:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Rig:
    """Makes servers below one folder, and ends all of them."""

    def __init__(self, folder, binary):
        self.folder, self.binary, self.running, self.made = folder, binary, [], 0
        self.root = os.path.join(folder, "registry")
        self.certificate, self.key = os.path.join(folder, "tls.crt"), os.path.join(folder, "tls.key")
        self.access_log = os.path.join(folder, "access.log")
        self.upstream = None

    def start(self, name, configure, command, **options):
        """A server in a new folder; `configure` writes what it needs and `command` runs it."""
        self.made += 1
        folder = os.path.join(self.folder, f"{self.made}-{name}")
        os.makedirs(folder)
        port = free_port()
        for file_name, text in configure(folder, port).items():
            with open(os.path.join(folder, file_name), "w") as file:
                file.write(text)
        server = Server(name, folder, port, command, **options)
        self.running.append(server)
        return server

    def stop(self, server):
        self.running.remove(server)
        server.stop(remove=True)

    def stop_all(self):
        for server in reversed(self.running):
            server.stop()
        self.running = []

    def nginx(self, name, images, *, tls=False, access_log=None, limit=None):
        """The static files, as a registry: right types and digests, nothing else. With `limit`, no
        answer goes faster than so many bytes a second."""
        digests = "".join(f"{image.by_tag} {image.digest}; {image.by_digest} {image.digest};\n"
                          for image in images.values())
        log = f"{access_log} requests" if access_log else "off"
        listen = " ssl" if tls else ""
        secret = (f"ssl_certificate {self.certificate}; ssl_certificate_key {self.key};"
                  " ssl_protocols TLSv1.3;" if tls else "")

        def configure(folder, port):
            return {"nginx.conf": f"""
daemon off; worker_processes auto; pid {folder}/pid;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 4096; }}
http {{
  log_format requests '$request_method $uri $status $body_bytes_sent';
  access_log {log};
  sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  types {{ }} default_type application/octet-stream;
  map_hash_bucket_size 512; map_hash_max_size 4096;
  map $uri $content_digest {{
{digests}  }}
  server {{
    listen 127.0.0.1:{port}{listen}; root {self.root};
    {secret}
    {f"limit_rate {limit};" if limit else ""}
    location = /v2/ {{ default_type application/json; return 200 '{{}}'; }}
    location ~ /manifests/ {{
      default_type {MANIFEST_TYPE};
      add_header Docker-Content-Digest $content_digest;
    }}
  }}
}}
"""}
        return self.start(name, configure,
                          ["nginx", "-e", "stderr", "-p", ".", "-c", "nginx.conf"], tls=tls)

    def docker_registry(self, *, proxy=True):
        """Its cache of descriptors in memory, no access log; in proxy mode, or with its own data."""
        remote = f"proxy: {{remoteurl: 'http://127.0.0.1:{self.upstream.port}'}}" if proxy else ""

        def configure(folder, port):
            return {"config.yml": f"""
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/data}}
  cache: {{blobdescriptor: inmemory}}
  delete: {{enabled: true}}
http: {{addr: 127.0.0.1:{port}, secret: bench}}
{remote}
"""}
        name = "docker-registry" if proxy else "docker-registry, direct"
        return self.start(name, configure, ["docker-registry", "serve", "config.yml"])

    def pratique(self, *, tls=False, name="pratique", data=None, policy=POLICY, upstream=None,
                 settings="", before=()):
        """Gates on, `trust: allow` for the registry of the run; everything else as it comes. `data`
        is a data directory that outlives the server, `settings` are some more, and `before` is what
        the command begins with."""
        upstream = upstream or self.upstream

        def configure(folder, port):
            secret = f'[node.tls]\ncert = "{self.certificate}"\nkey = "{self.key}"\n' if tls else ""
            return {"pratique.toml": f"""
data_dir = "{data or folder + '/data'}"
policy = "{folder}/policy.yaml"
[node]
listen = "127.0.0.1:{port}"
{secret}
[admin]
listen = "127.0.0.1:{free_port()}"
[[upstream]]
registry = "{REGISTRY}"
url = "http://127.0.0.1:{upstream.port}"
danger_plain_http = true
tag_ttl = "60s"
{settings}
""", "policy.yaml": policy}
        return self.start(name, configure,
                          [*before, self.binary, "serve", "--config", "pratique.toml"],
                          tls=tls, namespace=REGISTRY)

    def upstream_gets(self, path):
        """How often the upstream was asked for the content of this path so far."""
        with open(self.access_log) as file:
            return sum(line.startswith(f"GET {path} 20") for line in file)

    def upstream_requests(self):
        """How many requests the upstream had so far."""
        with open(self.access_log) as file:
            return sum(1 for _ in file)

    def make_certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", self.key, "-out", self.certificate],
            check=True, capture_output=True, timeout=30)
