"""The n-th system call: a kill, or an error, at each of them, by strace.

strace counts calls per thread. For n = 1, 2, … the operation runs with the n-th call of every thread that gets so
far struck, until a run is left untouched. After each run the program is started plainly and everything is checked.
"""
import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import time

from rig import Broken, Image, Mirror, attempt, check, fresh

CALLS = ("openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "unlink")
# Other numbers of the same call: which one is used is the libraries' choice.
ALIASES = {"rename": "rename,renameat,renameat2", "unlink": "unlink,unlinkat", "openat": "openat,openat2,open"}
FAULTS = ("signal=SIGKILL", "error=ENOSPC", "error=EIO", "error=EMFILE")
# What the kernel never answers to these calls.
IMPOSSIBLE = {("error=EMFILE", call) for call in CALLS if call != "openat"} | {("error=ENOSPC", "unlink")}
ATTACH_LIMIT_S = 20.0
# Later than any record.
FAR_AWAY = "2999-01-01T00:00:00Z"
N_MAX = 400


class Figures:
    def __init__(self):
        self.kills = self.errors = self.untouched = self.acknowledged = self.refused = 0
        self.slowest = 0.0

    def __str__(self):
        return (f"{self.kills} kills, {self.errors} errors injected, {self.untouched} runs untouched; {self.acknowledged} "
                f"approvals acknowledged and kept, {self.refused} not acknowledged; ready again after {self.slowest:.2f} s at most")


def steps(full, most):
    """The n to try: each one, or 1, 2, 3, 5, 8, …, `most` of them."""
    if full:
        yield from range(1, N_MAX)
        return
    one, two = 1, 2
    for _ in range(most):
        yield one
        one, two = two, one + two


class Loop:
    def __init__(self, program, folder, registry, full, most, say):
        self.program, self.folder, self.registry = program, folder, registry
        self.full, self.most, self.say = full, most, say
        self.open = [registry.add(Image("open/warm", 1))]
        self.kept = registry.add(Image("asked/kept", 2, (1_000,)))
        self.number = 0
        self.segment = []

    def prepare(self):
        """A data directory with a warm image, an approval, and a ledger that waits to be upgraded."""
        mirror = Mirror(self.program, os.path.join(self.folder, "template"), self.registry)
        mirror.start()
        for image in self.open:
            if mirror.pull(image) != 200:
                raise Broken(f"{image.name} cannot be pulled: {mirror.last_words()}")
        mirror.manifest(self.kept)
        if not mirror.approve(self.kept) or mirror.pull(self.kept) != 200:
            raise Broken(f"nothing can be approved: {mirror.last_words()}")
        mirror.stop()
        self.template = mirror.data

    def mirror(self, template=True):
        folder = os.path.join(self.folder, "run")
        fresh(folder)
        if template:
            fresh(os.path.join(folder, "data"), self.template)
        return Mirror(self.program, folder, self.registry)

    # --- operations: each gives whether it was struck, and the approvals acknowledged ---

    def strace(self, mirror, call, fault, n):
        calls = ALIASES.get(call, call)
        self.trace = os.path.join(self.folder, "trace")
        only = [word for path in self.files(mirror) for word in ("-P", path)] if call == "write" and not fault.startswith("signal") else []
        return ["strace", "-f", "-qq", "-o", self.trace, *only, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}:when={n}"]

    def files(self, mirror):
        """The files that are written by `write`: an error is for them alone, since descriptors that are no files
        (the runtime wakes itself by writing to one) never give these."""
        images = [*self.open, *self.cold]
        digests = [digest for image in images for digest in (image.digest, *image.blobs)]
        partial = [f"ingest/{number}-{digest[7:19]}" for number in range(8) for digest in digests]
        names = ["audit/head.new", "audit/checkpoints", "audit/checkpoint.new", "admin.token", *partial, *self.segment]
        return [os.path.join(mirror.data, name) for name in names]

    def struck(self, fault):
        with open(self.trace, encoding="utf-8", errors="replace") as file:
            text = file.read()
        return "(INJECTED)" in text or (fault.startswith("signal") and "killed by SIGKILL" in text)

    def start_up(self, mirror, call, fault, n):
        """From exec to ready and through SIGTERM, with a ledger to upgrade and a partial file to sweep."""
        downgrade(mirror.data)
        with open(os.path.join(mirror.data, "ingest", "0-left"), "wb") as file:
            file.write(b"left by an earlier process")
        return self.first_start(mirror, call, fault, n)

    def first_start(self, mirror, call, fault, n):
        """The very first start: directories, ledger, token."""
        mirror.spawn(self.strace(mirror, call, fault, n))
        try:
            ready = mirror.wait_ready()
            if ready is not None:
                self.stop_traced(mirror)
        finally:
            mirror.kill()
        return self.struck(fault), []

    def stop_traced(self, mirror):
        # strace forwards nothing: the program is its child.
        for child in children(mirror.process.pid):
            try:
                os.kill(child, signal.SIGTERM)
            except ProcessLookupError:
                pass
        try:
            mirror.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            raise Broken(f"did not stop on SIGTERM under strace: {mirror.last_words()}") from None

    def attached(self, mirror, call, fault, n, work, before=None):
        """Runs `work` on a running program with strace attached; then kills the program as it is. `before` gives
        further files that are written."""
        mirror.start()
        self.segment = before(mirror) if before else []
        words = self.strace(mirror, call, fault, n)
        tracer = subprocess.Popen([*[word for word in words if word != "-qq"], "-p", str(mirror.process.pid)],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        acknowledged = []
        try:
            # What works by itself may meet the fault before strace has all threads: then nobody asked for anything.
            if wait_attached(tracer, mirror.process.pid, fault.startswith("signal")):
                acknowledged = work(mirror)
                if not fault.startswith("signal"):
                    self.after_error(mirror, tracer)
        finally:
            mirror.kill()
            tracer.kill()
            tracer.wait()
            tracer.stderr.close()
        return self.struck(fault), acknowledged

    def after_error(self, mirror, tracer):
        """The disk works again: so does the program, without a restart."""
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.wait(timeout=10)
        except subprocess.TimeoutExpired:
            tracer.kill()
        if mirror.process.poll() is not None:
            raise Broken(f"the program ended by a failed call (status {mirror.process.returncode}): {mirror.last_words()}")
        for image in self.open:
            if mirror.pull(image) != 200:
                raise Broken(f"{image.name} is not served after the fault: {mirror.last_words()}")

    def ingest(self, mirror, call, fault, n):
        """A cold pull of an image."""
        self.number += 1
        image = self.registry.add(Image("open/cold", 1000 + self.number))
        self.cold = [image]

        def work(mirror):
            attempt(lambda: mirror.pull(image))
            return []

        return self.attached(mirror, call, fault, n, work)

    def approval(self, mirror, call, fault, n):
        """Two approvals, one after the other."""
        images = [self.registry.add(Image(f"asked/new{turn}", 5000 + turn, (500,))) for turn in (1, 2)]

        def work(mirror):
            return [image for image in images if mirror.approve(image)]

        self.cold = images  # what is asked for while the call is struck
        struck, acknowledged = self.attached(mirror, call, fault, n, work)
        self.cold, self.refused = [], len(images) - len(acknowledged)
        return struck, acknowledged

    def archiving(self, mirror, call, fault, n):
        """Every audit record that there is leaves the database for a file."""

        def work(mirror):
            attempt(lambda: mirror.api("/audit/archives", {"before": FAR_AWAY}))
            return []

        return self.attached(mirror, call, fault, n, work, planned)

    def archived(self, mirror):
        """After whatever happened to it, archiving works, and every record is where it can be read."""
        status, answer = mirror.api("/audit/archives", {"before": FAR_AWAY})
        if status != 200:
            raise Broken(f"nothing can be archived any more: {status} {answer}")
        left = [name for name in os.listdir(os.path.join(mirror.data, "audit", "segments")) if not name.endswith(".jsonl.zst")]
        if left:
            raise Broken(f"left in audit/segments/: {left}")
        status, report = mirror.api("/audit/verify")
        if status != 200 or not report["intact"] or report.get("notes"):
            raise Broken(f"audit, archived: {status} {report}")
        status, page = mirror.api("/audit?from=1&limit=1")
        if status != 200 or page["records"][0]["sequence"] != 1:
            raise Broken(f"the first record cannot be read any more: {status} {page}")

    def eviction(self, mirror, call, fault, n):
        """`pratique cache gc`, with something to remove."""

        def work(mirror):
            subprocess.run([self.program, "cache", "gc", "--config", mirror.config], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=60, check=False)
            return []

        return self.attached(mirror, call, fault, n, work)

    # --- the loop ---

    def run(self, operation, call, fault, figures):
        for n in steps(self.full, self.most):
            self.cold, self.refused = [], 0
            mirror = self.mirror(operation != "first_start")
            try:
                struck, acknowledged = getattr(self, operation)(mirror, call, fault, n)
                known = [] if operation == "first_start" else [self.kept]
                took = check(mirror, [*self.open, *self.cold], [*known, *acknowledged])
                if operation == "archiving":
                    self.archived(mirror)
            except Broken as broken:
                raise Broken(f"{operation}, {call} {fault} n={n}: {broken}") from None
            finally:
                mirror.kill()
            figures.slowest = max(figures.slowest, took)
            figures.acknowledged += len(acknowledged)
            figures.refused += self.refused
            if not struck:
                figures.untouched += 1
                return
            if fault.startswith("signal"):
                figures.kills += 1
            else:
                figures.errors += 1


def planned(mirror):
    """The file that archiving would write."""
    status, plan = mirror.api("/audit/archives", {"before": FAR_AWAY, "dry_run": True})
    if status != 200 or not plan["records"]:
        raise Broken(f"nothing would be archived: {status} {plan}")
    return [f"audit/segments/{plan['from']:012}-{plan['to']:012}.jsonl.zst.partial"]


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(word) for word in file.read().split()]


def threads_are_traced(pid):
    traced = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status", encoding="utf-8") as file:
                traced.append(re.search(r"TracerPid:\s+(\d+)", file.read()).group(1) != "0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(traced) and all(traced)


def wait_attached(tracer, pid, may_be_killed):
    """Until strace has every thread of `pid`; whether it has them, and did not kill it meanwhile."""
    began = time.monotonic()
    while time.monotonic() - began < ATTACH_LIMIT_S:
        if tracer.poll() is not None:
            said = tracer.stderr.read().decode()
            if may_be_killed and "attached" in said:
                return False
            raise Broken(f"strace ended: {said[:200]}")
        if threads_are_traced(pid):
            return True
        time.sleep(0.01)
    raise Broken("strace did not attach")


def downgrade(data):
    """Makes the ledger one of schema version 1 again, so that the next start upgrades it."""
    ledger = sqlite3.connect(os.path.join(data, "ledger.db"))
    if ledger.execute("PRAGMA user_version").fetchone()[0] > 1:
        for (table,) in ledger.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall():
            if table not in VERSION_1_TABLES:
                ledger.execute(f"DROP TABLE {table}")
        # Indexes that go with a constraint have no text, and stay.
        for (index,) in ledger.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").fetchall():
            if index not in VERSION_1_INDEXES:
                ledger.execute(f"DROP INDEX {index}")
        ledger.create_function("plain_seal", 3, plain_seal, deterministic=True)
        for table, key in VERSION_1_SEALED.items():
            ledger.execute(f"UPDATE {table} SET seal = plain_seal('{table}', {key}, body)")
        ledger.execute("PRAGMA user_version = 1")
        ledger.commit()
    ledger.close()
    # That rows have keyed seals, which those of version 1 have not.
    mark = os.path.join(data, "audit", "sealed")
    if os.path.exists(mark):
        os.remove(mark)


def plain_seal(table, key, body):
    """The seal of a row as version 1 has it: a hash over what it is about and what it says."""
    parts = [part.encode() for part in (table, *json.loads(key), body)]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


VERSION_1_SEALED = {
    "records": "(SELECT json_array(n.name, records.digest) FROM repositories n WHERE n.id = records.repository)",
    "grants": "(SELECT json_array(n.name, grants.digest, r.digest) FROM repositories n, records r "
              "WHERE n.id = grants.repository AND r.id = grants.record)",
    "tags": "(SELECT json_array(n.name, tags.tag) FROM repositories n WHERE n.id = tags.repository)",
    "requests": "json_array('R-' || id, key)",
    "decisions": "(SELECT json_array(n.name || '@' || r.digest) FROM records r, repositories n "
                 "WHERE r.id = decisions.record AND n.id = r.repository)",
    "tokens": "json_array(name)",
    "policies": "json_array()",
}
VERSION_1_TABLES = ("repositories", "records", "grants", "tags", "tag_digests", "requests", "decisions", "tokens", "policies",
                    "pulls", "audit")
VERSION_1_INDEXES = ("grants_by_record", "requests_by_key", "requests_by_state", "decisions_by_record", "pulls_by_subject")


def possible(call, fault):
    return (fault, call) not in IMPOSSIBLE
