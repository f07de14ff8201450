#!/usr/bin/python3
"""kill -9 in a loop, during pulls and approvals.

Each round starts Pratique, checks that every approval acknowledged so far is still in force, then pulls and
approves until the process is killed. Every byte received is compared with what upstream has, also those of
answers the kill cut short. Ends with a line of figures; exit status 1 and the reason on the last line otherwise.
"""
import argparse
import hashlib
import http.client
import json
import os
import random
import re
import subprocess
import threading
import time

ACCEPT = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
CHUNK_BYTES = 1 << 16
RESTART_LIMIT_S = 2.0
CLI_LIMIT_S = 20
LONGEST_ROUND_S = 1.2
PULLERS = 3
# What one approval is taken to last until some were measured. The approvals of a round begin at most as long
# before its kill as all of them last, so that most kills meet one on its way.
APPROVAL_S = 0.05
APPROVALS_A_ROUND = 5
LEAST_APPROVED, LEAST_APPROVAL_CUT, LEAST_CUT_SHORT, LEAST_WHOLE = 30, 5, 10, 50

arguments = argparse.ArgumentParser()
for option in ("--pratique", "--config", "--mirror", "--fixtures"):
    arguments.add_argument(option, required=True)
arguments.add_argument("--rounds", type=int, default=50)
arguments.add_argument("--seed", type=int, default=20261123)
arguments = arguments.parse_args()
chance = random.Random(arguments.seed)
HOST, PORT = arguments.mirror.split(":")
BLOBS = os.path.join(arguments.fixtures, "blobs", "sha256")


class Failure(Exception):
    """What the loop is there to find."""


figures = {"whole": 0, "cut short": 0, "bytes": 0, "approvals cut": 0}
problems = []
durations = []
lock = threading.Lock()


def problem(text):
    with lock:
        problems.append(text)


def count(name, number=1):
    with lock:
        figures[name] += number


with open(os.path.join(arguments.fixtures, "digests.tsv"), encoding="utf-8") as file:
    DIGESTS = {row[0]: row[1] for row in (line.rstrip("\n").split("\t") for line in file)}


def connection(limit=10):
    return http.client.HTTPConnection(HOST, int(PORT), timeout=limit)


def get(path, headers=None):
    link = connection()
    try:
        link.request("GET", path, headers=headers or {})
        answer = link.getresponse()
        return answer.status, answer.reason, answer.read()
    finally:
        link.close()


def start():
    """Starts Pratique; gives the process and the seconds until it said it is ready."""
    log = open(arguments.config + ".log", "ab")
    began = time.monotonic()
    process = subprocess.Popen([arguments.pratique, "serve", "--config", arguments.config],
                               stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    log.close()
    while time.monotonic() - began < 15:
        if process.poll() is not None:
            raise Failure(f"pratique ended by itself with status {process.returncode} at its start")
        try:
            if get("/readyz")[0] == 200:
                return process, time.monotonic() - began
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.01)
    raise Failure("pratique was not ready within 15 s")


def manifest_of(name, expected_status=200):
    repository, tag = name.split(":")
    digest = DIGESTS[name]
    status, reason, body = get(f"/v2/{repository}/manifests/{digest}?ns=up.test", {"Accept": ACCEPT})
    if status == 200 and "sha256:" + hashlib.sha256(body).hexdigest() != digest:
        raise Failure(f"wrong bytes for the manifest of {name}")
    if expected_status is not None and status != expected_status:
        raise Failure(f"{name} is answered {status} {reason}")
    return status, reason, body


def compare_blob(repository, digest, first=0):
    """Reads a blob from `first` on and compares each byte that comes, whether or not the answer is complete."""
    link = connection()
    headers = {"Range": f"bytes={first}-"} if first else {}
    try:
        link.request("GET", f"/v2/{repository}/blobs/{digest}?ns=up.test", headers=headers)
        answer = link.getresponse()
        if answer.status not in (200, 206):
            answer.read()
            if answer.status in (403, 404):
                problem(f"a granted blob of {repository} is answered {answer.status} {answer.reason}")
            return
        with open(os.path.join(BLOBS, digest[7:]), "rb") as truth:
            truth.seek(first if answer.status == 206 else 0)
            while chunk := answer.read(CHUNK_BYTES):
                count("bytes", len(chunk))
                if chunk != truth.read(len(chunk)):
                    problem(f"WRONG BYTES in {repository} {digest} (from {first})")
                    return
            # http.client gives b"" at a cut as well: whole is only what reached the announced end.
            if answer.length in (0, None) and not truth.read(1):
                count("whole")
            else:
                count("cut short")
    except http.client.IncompleteRead:
        count("cut short")
    except (OSError, http.client.HTTPException):
        count("cut short")
    finally:
        link.close()


def puller(seed, stop, approved):
    own = random.Random(seed)
    while not stop.is_set():
        name = own.choice(["open/many:60", "open/cut:1", "open/zstd:1", *approved])
        try:
            body = manifest_of(name, None)
            if body[0] != 200:
                if body[0] in (403, 404):
                    problem(f"{name}, which is admitted, is answered {body[0]} {body[1]}")
                continue
            layer = own.choice(json.loads(body[2])["layers"])
        except Failure as failure:
            problem(str(failure))
            return
        except (OSError, http.client.HTTPException, ValueError):
            continue
        first = own.randrange(layer["size"]) if own.random() < 0.3 else 0
        compare_blob(name.split(":")[0], layer["digest"], first)


def approver(waiting, acknowledged, stop, delay):
    """Approves one waiting image after the other; only what the command acknowledged counts."""
    stop.wait(delay)
    while waiting and not stop.is_set():
        name = waiting[0]
        began = time.monotonic()
        try:
            status, reason, _ = manifest_of(name, None)
        except (OSError, http.client.HTTPException):
            return
        if status == 200:  # an approval that took effect although its command was cut off
            acknowledged.append(waiting.pop(0))
            continue
        request = re.search(r"R-\d+", reason)
        if status != 403 or not request:
            if not stop.is_set():
                problem(f"{name} waits for approval but is answered {status} {reason}")
            return
        command = [arguments.pratique, "approve", request.group(), "--reason", "kill loop", "--config", arguments.config]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=CLI_LIMIT_S, check=False)
        if done.returncode == 0:
            acknowledged.append(waiting.pop(0))
            durations.append(time.monotonic() - began)
        elif stop.is_set():
            count("approvals cut")
        else:
            problem(f"approve {request.group()} failed while the server ran: {done.stderr.decode()[:200]}")
            return


def one_round(number, waiting, acknowledged):
    process, ready_after = start()
    stop = threading.Event()
    threads = []
    turn, waiting[:APPROVALS_A_ROUND] = waiting[:APPROVALS_A_ROUND], []
    try:
        if ready_after > RESTART_LIMIT_S:
            raise Failure(f"round {number}: ready only after {ready_after:.2f} s")
        for name in acknowledged:
            manifest_of(name)
        approved = list(acknowledged)
        threads = [threading.Thread(target=puller, args=(number * PULLERS + n, stop, approved)) for n in range(PULLERS)]
        life = chance.uniform(0.02, LONGEST_ROUND_S) if number % 3 else chance.uniform(0.0, 0.1)
        approval = sum(durations[-20:]) / len(durations[-20:]) if durations else APPROVAL_S
        delay = max(0.0, life - chance.uniform(0.0, APPROVALS_A_ROUND * approval))
        threads.append(threading.Thread(target=approver, args=(turn, acknowledged, stop, delay)))
        for thread in threads:
            thread.start()
        time.sleep(life)
    finally:
        stop.set()
        process.kill()
        process.wait()
        for thread in threads:
            thread.join(timeout=60)
    waiting.extend(turn)
    if problems:
        raise Failure(f"round {number}: {problems[0]}")
    return ready_after


def run():
    waiting = [name for name in DIGESTS if name.startswith("kill/image:")]
    acknowledged, restarts = [], []
    for number in range(arguments.rounds):
        restarts.append(one_round(number, waiting, acknowledged))
    process, ready_after = start()
    restarts.append(ready_after)
    try:
        for name in acknowledged:
            _, _, body = manifest_of(name)
            for layer in json.loads(body)["layers"]:
                compare_blob(name.split(":")[0], layer["digest"])
        command = [arguments.pratique, "audit", "verify", "--config", arguments.config]
        audit = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        if audit.returncode != 0:
            raise Failure(f"audit verify: {(audit.stdout + audit.stderr).decode()[:300]}")
    finally:
        process.kill()
        process.wait()
    if problems:
        raise Failure(problems[0])
    enough = (
        ("approvals", len(acknowledged), LEAST_APPROVED),
        ("approvals that met a kill", figures["approvals cut"], LEAST_APPROVAL_CUT),
        ("answers cut short", figures["cut short"], LEAST_CUT_SHORT),
        ("whole blobs", figures["whole"], LEAST_WHOLE),
    )
    for name, number, least in enough:
        if number < least * arguments.rounds // 50:
            raise Failure(f"only {number} {name} in {arguments.rounds} rounds: the loop did not test what it is there for")
    restarts.sort()
    print(f"{arguments.rounds} kills: {len(acknowledged)} acknowledged approvals all kept, {figures['approvals cut']} met a kill; "
          f"{figures['whole']} blobs whole and {figures['cut short']} cut short, {figures['bytes'] / 1e6:.0f} MB without a wrong byte; "
          f"ready again after {restarts[len(restarts) // 2]:.2f} s (median), {restarts[-1]:.2f} s at most")


try:
    run()
except Failure as failure:
    print(failure)
    raise SystemExit(1)
