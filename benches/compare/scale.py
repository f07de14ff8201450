"""Crowds and sizes: 500 clients, a flood beside warm pulls, 100,000 blobs, a million verdicts, gates
on and off."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time

import content
from client import Failed, check_digest, get, get_many, wrk
from populate import SERVED, Populated, Unknown
from servers import REGISTRY

HERE = os.path.dirname(os.path.abspath(__file__))
CROWD_CLIENTS = 500
FLOOD_CLIENTS = 100
FLOOD_SECONDS_MAX = 300
PROBE_SECONDS = 3
# A guard rests on it: enough for a median.
GATES_REPETITIONS = 6
# Requests per processor second with the gates on, as a part of those with them off.
GATES_RATIO_MIN = 0.95
# How often that is measured before it counts as missed, each time by new processes: a neighbour who
# was busy for all of one measurement has nothing to do with what the gates cost.
GATES_ATTEMPTS = 5
SLOW_BYTES_PER_SECOND = 32 * 1024 * 1024
BLOBS = 100_000
MANIFEST_CONNECTIONS = 32
MEMORY_EVERY_SECONDS = 0.02
LUA = """
local paths = {}
for line in io.lines("%s") do paths[#paths + 1] = line end
local index = 0
request = function() index = index %% #paths + 1; return wrk.format("GET", paths[index]) end
"""
SIGNED_POLICY = f"""
apiVersion: pratique.dev/v1
kind: Policy
metadata: {{name: bench, revision: 1}}
mode: %s
floor:
  registries: [{REGISTRY}]
  platforms: [linux/amd64]
signers:
  team:
    key: {{pem: "file:%s"}}
    transparencyLog: none
rules:
- {{id: bench, match: ["{REGISTRY}/bench/**"], trust: allow%s}}
"""


def crowd(server, path, clients):
    """Starts that many clients in a process of their own."""
    command = [sys.executable, os.path.join(HERE, "crowd.py"), str(server.port),
               server.target(path), str(clients)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def outcome(server, process):
    """What a crowd or a probe printed."""
    text, _ = process.communicate(timeout=FLOOD_SECONDS_MAX)
    if process.returncode:
        raise Failed(f"{server.name}: the clients failed")
    said = json.loads(text)
    if isinstance(said, dict) and said["failed"]:
        raise Failed(f"{server.name}: {said['failed']} clients failed: {said['why']}")
    return said


class MemoryPeak:
    """The most anonymous memory of a server while this is open, and what it had before, in MiB."""

    def __init__(self, server):
        self.server, self.done = server, threading.Event()

    def __enter__(self):
        self.before, _ = self.server.resident()
        self.peak = self.before
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def watch(self):
        while not self.done.wait(MEMORY_EVERY_SECONDS):
            self.peak = max(self.peak, self.server.resident()[0])

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def crowds(comparison):
    """500 clients on one cold blob, and on the same blob when it is warm."""
    rig, images = comparison.rig, comparison.images
    big = images["herd" if comparison.quick else "big"]
    path = big.blob(big.layers[0])
    size = content.HERD_BYTES if comparison.quick else content.BIG_BYTES
    comparison.crowd_bytes = size

    def measure(server):
        before, cpu = rig.upstream_gets(path), server.cpu_seconds()
        with MemoryPeak(server) as memory:
            said = outcome(server, crowd(server, path, CROWD_CLIENTS))
        return {"seconds": said["seconds"], "gets": rig.upstream_gets(path) - before,
                "cpu_per_gb": (server.cpu_seconds() - cpu) / (CROWD_CLIENTS * size / 1e9),
                "kib_per_client": max(0, memory.peak - memory.before) * 1024 / CROWD_CLIENTS}

    samples = {}
    nginx = rig.nginx("nginx", images)
    samples["nginx, warm"] = [measure(nginx)]
    rig.stop(nginx)
    begin = time.monotonic()
    get(rig.upstream, path)
    upstream = {"seconds": time.monotonic() - begin, "gets": 1}
    samples["one client, at the upstream"] = [upstream]
    if rig.binary:
        server = rig.pratique()
        get(server, big.by_tag)
        server.settle()
        samples["pratique, cold"] = [measure(server)]
        server.settle()
        samples["pratique, warm"] = [measure(server)]
        rig.stop(server)
    comparison.samples["crowd"] = samples


def flood(comparison):
    """The latency of warm manifests, alone and beside 100 clients that fetch another image."""
    rig, images = comparison.rig, comparison.images
    small, image = images["small"], images["herd" if comparison.quick else "flood"]
    servers = [rig.nginx("nginx", images)]
    servers += [rig.docker_registry()] if comparison.has_registry else []
    servers += [rig.pratique()] if rig.binary else []
    for server in servers:
        get(server, small.by_tag)
        get(server, image.by_tag)
        server.settle()

    def probe(server, seconds):
        command = [sys.executable, os.path.join(HERE, "probe.py"), str(server.port),
                   server.target(small.by_tag), str(seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def measure(server, repetition):
        alone = outcome(server, probe(server, PROBE_SECONDS))
        clients = crowd(server, image.blob(image.layers[repetition]), FLOOD_CLIENTS)
        beside = []
        while clients.poll() is None:
            beside += outcome(server, probe(server, 0.5))
        said = outcome(server, clients)
        seconds, first, last = said["seconds"], said["begin"], said["begin"] + said["seconds"]
        # A probe outlives the flood: what it asked then was asked of an idle server.
        beside = [one for one in beside if first <= one[0] <= last]
        server.settle()
        alone, beside = percentiles(alone), percentiles(beside)
        return {"p99_alone": alone[1], "p99_beside": beside[1], "p50_alone": alone[0],
                "p50_beside": beside[0], "times": beside[1] / alone[1], "seconds": seconds}

    comparison.rounds("flood", servers, measure)
    for server in servers:
        rig.stop(server)


def percentiles(values):
    values = sorted(milliseconds for _, milliseconds in values)
    return values[len(values) // 2], values[min(len(values) - 1, len(values) * 99 // 100)]


def slow_upstream(comparison):
    """A cold blob when every connection to the upstream is slow."""
    rig, images = comparison.rig, comparison.images
    image = images["flood"]
    slow = rig.nginx("upstream-slow", images, limit=SLOW_BYTES_PER_SECOND)
    samples = {"direct": [], "pratique": []} if rig.binary else {"direct": []}
    for repetition in range(1 if comparison.quick else 2):
        path = image.blob(image.layers[repetition])
        for name in samples:
            server = rig.pratique(upstream=slow) if name == "pratique" else slow
            get(server, image.by_tag)
            cpu, begin = server.cpu_seconds(), time.monotonic()
            get(server, path)
            seconds = time.monotonic() - begin
            samples[name].append({"seconds": seconds, "cpu_per_gb":
                                  (server.settle() - cpu) / (content.FLOOD_BYTES / 1e9)})
            if server is not slow:
                rig.stop(server)
    comparison.samples["slow upstream"] = samples
    rig.stop(slow)


def sizes(comparison):
    """Memory, start and cost per request, as verdicts and blobs grow."""
    rig = comparison.rig
    image = comparison.images["small"]
    if not rig.binary or not shutil.which("wrk"):
        return
    data = os.path.join(rig.folder, "populated")
    server = rig.pratique(data=data)
    get(server, image.by_digest)
    get(server, image.blob(image.layers[0]))
    rig.stop(server)
    with open(os.path.join(rig.root, image.by_digest[1:]), "rb") as file:
        manifest = file.read()
    try:
        populated = Populated(data, REGISTRY, image, manifest)
    except Unknown as error:
        comparison.skip(f"growth: {error}")
        return
    rows, list_path = [], os.path.join(rig.folder, "paths")
    script = os.path.join(rig.folder, "paths.lua")
    with open(script, "w") as file:
        file.write(LUA % list_path)
    steps = [(1000, 0), (1000, BLOBS), (100_000, BLOBS)]
    steps += [] if comparison.quick else [(1_000_000, BLOBS)]
    for verdicts, blobs in steps:
        populated.add_blobs(blobs - populated.blobs)
        populated.grow(verdicts)
        rows.append(size_row(comparison, populated, list_path, script, verdicts, blobs))
    comparison.sizes = rows


def size_row(comparison, populated, list_path, script, verdicts, blobs):
    rig, starts, repetitions = comparison.rig, [], max(3, comparison.repetitions)
    for _ in range(repetitions):
        server = rig.pratique(data=populated.data)
        starts.append(server.ready_seconds)
        rig.stop(server)
    os.sync()
    server = rig.pratique(data=populated.data)
    server.settle()
    resident = server.resident()
    paths = [server.target(path) for path in populated.paths()]
    with open(list_path, "w") as file:
        file.write("\n".join(paths))
    for path in populated.paths():
        get(server, path)
    asked, costs, speeds = rig.upstream_requests(), [], []
    for _ in range(repetitions):
        cpu = server.cpu_seconds()
        said = wrk(server, next(populated.paths()), MANIFEST_CONNECTIONS, 1, script)
        costs.append((server.cpu_seconds() - cpu) / said["requests"] * 1e6)
        speeds.append(said["per_second"])
    asked = rig.upstream_requests() - asked
    rig.stop(server)
    return {"verdicts": verdicts, "blobs": blobs, "starts": starts, "resident": resident,
            "costs": costs, "speeds": speeds, "asked": asked, "served": SERVED}


def gates(comparison):
    """The same signed image with a signature required, with none asked for, and in audit mode.

    Audit mode is shown and is not the only measure of "off": it does work of its own, and a guard
    against it alone would let the gates become dear unseen."""
    rig, image = comparison.rig, comparison.images["signed"]
    if not rig.binary or not shutil.which("wrk") or not shutil.which("openssl"):
        return
    key, public = os.path.join(rig.folder, "signer.key"), os.path.join(rig.folder, "signer.pub")
    for command in (["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key],
                    ["ec", "-in", key, "-pubout", "-out", public]):
        subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=30)
    content.sign(rig.root, image, REGISTRY, key)
    for _ in range(GATES_ATTEMPTS):
        measure_gates(comparison, image, public)
        if gates_ratio(comparison) >= GATES_RATIO_MIN:
            break


def measure_gates(comparison, image, public):
    """One measurement of the three, by processes of its own."""
    rig = comparison.rig
    needs = ", signatures: {atLeast: 1, of: [team], scope: index}"
    servers = [rig.pratique(name=name, policy=SIGNED_POLICY % (mode, public, signatures))
               for name, mode, signatures in (("gates on: signature required", "enforce", needs),
                                              ("gates off: allow all", "enforce", ""),
                                              ("gates off: mode audit", "audit", ""))]
    for server in servers:
        get(server, image.by_tag)
        check_digest(server, image.blob(image.layers[0]), image.layers[0])
        server.settle()

    def measure(server, _):
        cpu = server.cpu_seconds()
        said = wrk(server, image.by_tag, MANIFEST_CONNECTIONS, comparison.wrk_seconds)
        cpu = server.cpu_seconds() - cpu
        blobs = server.cpu_seconds()
        get_many(server, image.blob(image.layers[0]), 2)
        return {"per_second": said["per_second"], "cpu_us": cpu / said["requests"] * 1e6,
                "p99": said["p99"], "blob_cpu_ms": (server.cpu_seconds() - blobs) / 2 * 1000}

    comparison.rounds("gates", servers, measure, GATES_REPETITIONS)
    for server in servers:
        rig.stop(server)


def gates_ratio(comparison):
    """Requests per processor second with the gates on, as a part of those with them off: against
    the cheaper of the two ways of "off", by the medians of one measurement, in which they take turns;
    the best of the measurements. What other work on the machine adds differs from one to the next, and
    a single lucky run of one contestant says nothing."""
    samples = comparison.samples.get("gates")
    if not samples:
        return None
    count = min(len(found) for found in samples.values()) // GATES_REPETITIONS
    return max(ratio_of(samples, number) for number in range(count)) if count else None


def ratio_of(samples, number):
    """The ratio by one measurement."""
    part = slice(number * GATES_REPETITIONS, (number + 1) * GATES_REPETITIONS)
    cost = {name: statistics.median(one["cpu_us"] for one in found[part]) for name, found in samples.items()}
    off = min(cost[name] for name in cost if name.startswith("gates off"))
    return off / cost["gates on: signature required"]
