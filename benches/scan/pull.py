"""What scanning in the stream adds to a cold pull: the same server with a rule that asks for a scan and with one that
does not, each time started anew with an empty cache."""

import os
import shutil
import subprocess
import time

import watched
from client import Failed, get
from servers import REGISTRY

# What an upstream gives each connection, in bytes a second; nothing is as fast as loopback is.
SPEEDS = {"loopback": None, "1 Gbit/s": 125_000_000, "400 Mbit/s": 50_000_000, "200 Mbit/s": 25_000_000}
# How long the database may take to come into force, and a refused pull to be let through, in seconds.
DATABASE_SECONDS_MAX = 60
PATIENCE_SECONDS = 120
GATE = 'gates: {strict: {deny: [{severity: critical}], unknown: allow, incomplete: allow}}\n'
POLICY = """
apiVersion: pratique.dev/v1
kind: Policy
metadata: {{name: bench, revision: 1}}
floor:
  registries: [{registry}]
  platforms: [linux/amd64]
{gates}rules:
- {{id: bench, match: ["{registry}/bench/**"], trust: allow{rule}}}
"""
WITHOUT, WITH = "pratique, no scan", "pratique, scan"


def policy(scans):
    gates, rule = (GATE, ", gates: [strict]") if scans else ("", "")
    return POLICY.format(registry=REGISTRY, gates=gates, rule=rule)


def small_database(run):
    """A database of one record, made once: pulls read the image, and compare it with next to nothing."""
    path = os.path.join(run.folder, "one.db")
    if not os.path.exists(path):
        record = os.path.join(run.folder, "CVE-2020-1.json")
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with open(record, "w", encoding="ascii") as file:
            file.write('{"schema_version":"1.6.0","id":"CVE-2020-1","published":"%s","modified":"%s","affected":[{"package":'
                       '{"ecosystem":"Debian:12","name":"no-such-package"},"ranges":[{"type":"ECOSYSTEM","events":'
                       '[{"introduced":"0"}]}]}]}' % (now, now))
        subprocess.run([run.binary, "db", "import", "--force", "--to", path, record], check=True, capture_output=True, timeout=60)
    return path


def started(run, upstream, scans, database, **options):
    """A server with an empty cache whose database is in force."""
    settings = f'[scan]\ndatabase = "{database}"\n'
    server = run.rig.pratique(policy=policy(scans), upstream=upstream, settings=settings, **options)
    wait_for(server, "vulnerability database in force")
    return server


def wait_for(server, text, count=1, seconds=DATABASE_SECONDS_MAX):
    """Waits until the log says it so many times; gives the lines."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        with open(server.log_path, errors="replace") as log:
            lines = [line for line in log if text in line]
        if len(lines) >= count:
            return lines
        time.sleep(0.05)
    raise Failed(f"{server.name}: no {text!r} in its log after {seconds} s")


def patient(server, path):
    """One GET that is made again when the server says that it is not ready."""
    begin = time.monotonic()
    while True:
        try:
            return get(server, path)
        except Failed as error:
            is_later = " 503 " in str(error) or "Still checking" in str(error)
            if not is_later or time.monotonic() - begin > PATIENCE_SECONDS:
                raise
            time.sleep(0.05)


def user_seconds(server):
    """Processor time of its processes outside of the kernel."""
    ticks = 0
    for pid in server.processes():
        with open(f"/proc/{pid}/stat") as file:
            ticks += int(file.read().rsplit(")", 1)[1].split()[11])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(run):
    """Every speed, every contestant; and what inflating alone costs."""
    rig, image = run.rig, run.image
    images = {"debian": image}
    database = small_database(run)
    for speed, limit in SPEEDS.items():
        if run.quick and speed in ("400 Mbit/s", "200 Mbit/s"):
            continue
        rig.upstream = rig.nginx("upstream", images, limit=limit)
        contestants = ["no mirror", WITHOUT, WITH]
        if shutil.which("docker-registry"):
            contestants.insert(1, "docker-registry")
        elif not any("docker-registry" in text for text in run.skipped):
            run.skip("docker-registry: not installed")

        def one(name):
            os.sync()
            server = rig.upstream
            if name == "docker-registry":
                server = rig.docker_registry()
            elif name != "no mirror":
                server = started(run, rig.upstream, name == WITH, database)
            server.settle()
            cpu, user, begin = server.cpu_seconds(), user_seconds(server), time.monotonic()
            patient(server, image.by_tag)
            known = time.monotonic() - begin
            get(server, image.blob(image.config))
            get(server, image.blob(image.layers[0]))
            seconds = time.monotonic() - begin
            cpu = server.settle() - cpu
            taken = {"seconds": seconds, "manifest": known, "cpu": cpu, "user": user_seconds(server) - user}
            if server is not rig.upstream:
                taken["memory"] = watched.largest(server.process.pid) / 1024
                rig.stop(server)
            return taken

        run.each_round(f"pull, {speed}", contestants, one)
        rig.stop(rig.upstream)
    inflate(run)


def inflate(run):
    """The same layer through gzip, as the peer of what inflates it here."""
    layer = os.path.join(run.image.files, "blobs", run.image.layers[0])

    def one(_):
        code, cost = watched.run(["gzip", "-dc", layer], limit=120, stdout=open(os.devnull, "wb"))
        if code:
            raise Failed("gzip -dc failed")
        return {"seconds": cost.wall, "user": cost.user, "cpu": cost.processor}

    run.each_round("inflate", ["gzip -dc"], one)
