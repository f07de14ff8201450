"""What is measured, and how: every contestant in turn, the order turned with each repetition."""

import os
import shutil
import subprocess
import sys
import time

import content
import scale
from client import Failed, check_digest, get, get_many, push, wrk

PLAIN_CONNECTIONS = 2
MANIFEST_CONNECTIONS = 32
HERD_CLIENTS = 40


class Comparison:
    """All measurements of a run, by title and contestant."""

    def __init__(self, rig, *, quick):
        self.rig, self.quick = rig, quick
        self.repetitions = 2 if quick else 5
        self.wrk_seconds = 1 if quick else 3
        self.samples, self.skipped, self.memory, self.ciphers = {}, [], {}, {}
        self.sizes, self.crowd_bytes = [], 0

    def skip(self, text):
        print(f"left out: {text}", file=sys.stderr)
        self.skipped.append(text)

    def run(self):
        """Everything; what is not installed is left out."""
        rig = self.rig
        say("making the images")
        self.images = content.make(rig.root, self.repetitions, self.repetitions)
        rig.upstream = rig.nginx("upstream", self.images, access_log=rig.access_log)
        self.has_registry = shutil.which("docker-registry") is not None
        if not self.has_registry:
            self.skip("docker-registry: not installed")

        plain = [rig.nginx("nginx", self.images)]
        if self.has_registry:
            plain.append(rig.docker_registry())
        if rig.binary:
            plain.append(rig.pratique())
        for server in plain:
            self.memory[server.name] = [server.memory()]
        self.warm_up(plain)
        self.warm_blob(plain)
        stored = []
        if self.has_registry:
            stored = [rig.docker_registry(proxy=False)]
            push(stored[0], rig.root, self.images["small"])
        self.warm_manifest(plain, stored)
        for server in stored:
            rig.stop(server)
        for server in plain:
            server.settle()
            self.memory[server.name].append(server.memory())
            rig.stop(server)

        if shutil.which("openssl"):
            self.warm_blob_tls()
        else:
            self.skip("TLS: openssl is not installed")
        self.herd()
        self.cold()
        for part in (scale.slow_upstream, scale.flood, scale.gates, scale.sizes, scale.crowds):
            say(part.__name__)
            try:
                part(self)
            except (OSError, Failed, subprocess.SubprocessError) as error:
                self.skip(f"{part.__name__}: {error}")

    def rounds(self, title, contestants, measure, repetitions=None):
        """`measure` for each of them in turn, again and again."""
        say(title)
        for repetition in range(repetitions or self.repetitions):
            turn = repetition % len(contestants)
            for contestant in contestants[turn:] + contestants[:turn]:
                name = contestant if isinstance(contestant, str) else contestant.name
                figures = measure(contestant, repetition)
                self.samples.setdefault(title, {}).setdefault(name, []).append(figures)

    def warm_up(self, servers):
        """Everything once through everyone, with a look at the bytes."""
        say("warming up")
        big, small = self.images["big"], self.images["small"]
        for server in servers:
            for image in (big, small):
                check_digest(server, image.by_digest, image.digest)
                get(server, image.by_tag)
                get(server, image.blob(image.config))
            check_digest(server, big.blob(big.layers[0]), big.layers[0])
            server.settle()
            check_digest(server, big.blob(big.layers[0]), big.layers[0])

    def transfer(self, server, path, connections):
        """Wall time, bytes and processor time of one GET on so many connections."""
        cpu = server.cpu_seconds()
        seconds, length = get_many(server, path, connections)
        cpu = server.cpu_seconds() - cpu
        gigabytes = length / 1e9
        return {"gb_per_second": gigabytes / seconds, "cpu_per_gb": cpu / gigabytes}

    def warm_blob(self, servers):
        path = self.images["big"].blob(self.images["big"].layers[0])
        before = self.rig.upstream_gets(path)
        self.rounds("warm blob", servers,
                    lambda server, _: self.transfer(server, path, PLAIN_CONNECTIONS))
        fetched = self.rig.upstream_gets(path) - before
        if fetched:
            self.skip(f"warm blob: the cache did not hold, {fetched} GETs went upstream")

    def warm_blob_tls(self):
        rig = self.rig
        rig.make_certificate()
        servers = [rig.nginx("nginx", self.images, tls=True)]
        if rig.binary:
            servers.append(rig.pratique(tls=True))
        self.warm_up(servers)
        big = self.images["big"]
        path = big.blob(big.layers[0])
        self.rounds("warm blob, TLS", servers, lambda server, _: self.transfer(server, path, 1))
        for server in servers:
            self.ciphers[server.name] = server.cipher
            rig.stop(server)

    def warm_manifest(self, servers, stored):
        """By tag and by digest; those of `stored` were pushed to and are asked by tag only."""
        if not shutil.which("wrk"):
            self.skip("warm manifest: wrk is not installed")
            return
        small = self.images["small"]

        def ask(path):
            def measure(server, _):
                cpu, before = server.cpu_seconds(), self.rig.upstream_requests()
                figures = wrk(server, path, MANIFEST_CONNECTIONS, self.wrk_seconds)
                cpu = server.cpu_seconds() - cpu
                figures["cpu_us"] = cpu / figures["requests"] * 1e6
                figures["asked"] = (self.rig.upstream_requests() - before) / figures["requests"]
                return figures
            return measure

        self.rounds("warm manifest by tag", servers + stored, ask(small.by_tag))
        self.rounds("warm manifest by digest", servers, ask(small.by_digest))

    def cold(self):
        """A whole image whose layer nobody has yet: manifest by tag, configuration, layer."""
        big = self.images["big"]
        layer = big.blob(big.layers[0])
        contestants = ["direct", "direct, to disk"]
        contestants += ["docker-registry"] if self.has_registry else []
        contestants += ["pratique"] if self.rig.binary else []

        def measure(name, _):
            os.sync()
            server = self.fresh(name)
            cpu, before = server.cpu_seconds(), self.rig.upstream_gets(layer)
            begin = time.monotonic()
            get(server, big.by_tag)
            get(server, big.blob(big.config))
            if name == "direct, to disk":
                self.download(server, layer)
            else:
                get(server, layer)
            seconds = time.monotonic() - begin
            figures = {
                "seconds": seconds,
                "cpu_per_gb": (server.settle() - cpu) / (content.BIG_BYTES / 1e9),
                "gets": self.rig.upstream_gets(layer) - before,
            }
            self.dismiss(server)
            return figures

        self.rounds("cold pull", contestants, measure)

    def download(self, server, path):
        """To a file, without a look at the digest, and synced."""
        partial = os.path.join(self.rig.folder, "download")
        with open(partial, "wb") as file:
            get(server, path, sink=file.write)
            file.flush()
            os.fsync(file.fileno())
        os.remove(partial)

    def herd(self):
        """Many clients ask for the same blob at once, and nobody has it yet."""
        image = self.images["herd"]
        servers = [self.rig.upstream]
        servers += [self.rig.docker_registry()] if self.has_registry else []
        servers += [self.rig.pratique()] if self.rig.binary else []
        for server in servers:
            get(server, image.by_tag)
            server.settle()

        def measure(server, repetition):
            path = image.blob(image.layers[repetition])
            before, cpu = self.rig.upstream_gets(path), server.cpu_seconds()
            seconds, length = get_many(server, path, HERD_CLIENTS)
            cpu = server.settle() - cpu
            gets = self.rig.upstream_gets(path) - before
            return {"seconds": seconds, "gets": gets, "cpu_per_gb": cpu / (length / 1e9)}

        self.rounds("herd", servers, measure)
        for server in servers[1:]:
            self.rig.stop(server)

    def fresh(self, name):
        """A server that has nothing yet."""
        if name == "docker-registry":
            return self.rig.docker_registry()
        if name == "pratique":
            return self.rig.pratique()
        return self.rig.upstream

    def dismiss(self, server):
        if server is not self.rig.upstream:
            self.rig.stop(server)


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)
