"""What it costs to judge images again when there is a new database: each by itself, by the library, and ten thousand
stored subjects, by a server on one core."""

import json
import os
import re
import shutil
import subprocess
from datetime import datetime

import pull
from client import Failed, get
from populate import Populated, seal
from servers import REGISTRY

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# How long building and running the benchmark, and judging all subjects again, may take, in seconds.
BENCH_SECONDS_MAX = 1800
JUDGED_SECONDS_MAX = 600
SUBJECTS = 10_000
RECORDS = 300_000
BATCH = 2_000
# Of so many records one is about a package that the images have, and what that stands for. Scanners report 70 to 200
# of a usual image of a distribution, and above a thousand of one with a compiler and kernel headers.
ABOUT_EVERY = {"a usual image": 225, "an image full of findings": 20}
IN_FORCE, JUDGED = "vulnerability database in force", "scanned images judged again"


def measure(run):
    databases = os.path.join(run.folder, "databases")
    subjects = SUBJECTS // 10 if run.quick else SUBJECTS
    for of in ABOUT_EVERY:
        by_library(run, of, databases, subjects)
        by_server(run, of, databases, subjects)
        shutil.rmtree(databases)


def by_library(run, of, databases, images):
    """What benches/rematch.rs says; it makes the databases, too."""
    run.say(f"again: benches/rematch.rs, {of}; it is built first if it has to be")
    records = RECORDS // 10 if run.quick else RECORDS
    command = ["cargo", "bench", "--quiet", "--locked", "--bench", "rematch", "--", "--json", "--records", str(records),
               "--about-images-every", str(ABOUT_EVERY[of]), "--images", str(images), "--databases", databases, "--status", run.image.status]
    ran = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, timeout=BENCH_SECONDS_MAX, check=True)
    run.facts.setdefault("rematch", {})[of] = json.loads(ran.stdout.splitlines()[-1])


def by_server(run, of, databases, subjects):
    """One image is pulled, its record repeated for made-up digests, each with an inventory of its own, and then the
    database is replaced: by one that knows more, and by one that knows more of each."""
    rig, image = run.rig, run.image
    rig.upstream = rig.nginx("upstream", {"debian": image})
    data, database = os.path.join(run.folder, "subjects"), os.path.join(run.folder, "in-force.db")
    put(databases, "first.db", database)
    server = pull.started(run, rig.upstream, True, database, data=data)
    pull.patient(server, image.by_tag)
    get(server, image.by_digest)
    rig.stop(server)
    run.say(f"again: {subjects} subjects")
    count = stock(data, image, subjects)

    server = pull.started(run, rig.upstream, True, database, data=data, before=("taskset", "-c", "0"))
    found = {"subjects": count, "start": judged(server, 1)}
    for turn, (name, file) in enumerate((("nothing of them", "second.db"), ("one of each", "third.db"))):
        run.say(f"again: a database that knows {name} more")
        server.settle()
        cpu = server.cpu_seconds()
        put(databases, file, database)
        found[name] = judged(server, turn + 2)
        found[name]["cpu"] = server.settle() - cpu
    found["memory"] = server.resident()[1]
    run.facts.setdefault("rejudge", {})[of] = found
    rig.stop(server)
    rig.stop(rig.upstream)
    shutil.rmtree(data)


def put(databases, file, path):
    """In one step, as `db import` does."""
    shutil.copyfile(os.path.join(databases, file), path + ".partial")
    os.rename(path + ".partial", path)


def judged(server, count):
    """The last of so many times that all was judged again: how many, and in how many seconds since the database was
    there."""
    done = pull.wait_for(server, JUDGED, count, JUDGED_SECONDS_MAX)[count - 1]
    there = pull.wait_for(server, IN_FORCE, count)[count - 1]
    examined, left = (int(re.search(rf"{word}: (\d+)", plain(done)).group(1)) for word in ("examined", "left"))
    if left:
        raise Failed(f"{left} subjects could not be judged again")
    changed = int(re.search(r"changed: (\d+)", plain(done)).group(1))
    return {"examined": examined, "changed": changed, "seconds": (moment(done) - moment(there)).total_seconds()}


def plain(line):
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def moment(line):
    return datetime.fromisoformat(re.search(r"\d{4}-\d\d-\d\dT[\d:.]+", plain(line)).group(0))


def stock(data, image, count):
    """Repeats the record of `image` so many times; each has another digest and another inventory. Gives how many
    subjects there are then."""
    made = Populated(data, REGISTRY, image, image.manifest)
    inventory = re.search(r'"inventory":"(sha256:[0-9a-f]{64})"', made.body)
    if not inventory:
        raise Failed("the record names no inventory")
    kept = kept_inventory(data, inventory.group(1))
    ledger = made.ledger()
    ledger.execute("BEGIN")
    repository, = ledger.execute("SELECT id FROM repositories WHERE name = ?", (made.name,)).fetchone()
    last, = ledger.execute("SELECT max(id) FROM records").fetchone()
    for start in range(0, count, BATCH):
        rows = []
        for number in range(start, min(start + BATCH, count)):
            digest = content_digest(b"subject %d" % number)
            body = made.body.replace(image.digest, digest)
            body = body.replace(inventory.group(1), write_inventory(data, other(kept, number)))
            rows.append((last + 1 + number, repository, digest, body, seal("records", (made.name, digest), body)))
        ledger.executemany("INSERT INTO records (id, repository, digest, body, seal) VALUES (?, ?, ?, ?, ?)", rows)
    ledger.execute("COMMIT")
    ledger.close()
    return count + 1


def content_digest(content):
    import hashlib
    return "sha256:" + hashlib.sha256(content).hexdigest()


def place(data, digest):
    name = digest.split(":")[1]
    return os.path.join(data, "facts", "inventories", name[:2], name)


def kept_inventory(data, digest):
    with open(place(data, digest), encoding="utf-8") as file:
        return json.load(file)


def other(inventory, number):
    """The same with every third package in another version."""
    packages = [{**package, "version": f"{package['version']}+b{number}"}
                if package["kind"] == "deb" and (index + number) % 3 == 0 else package
                for index, package in enumerate(inventory["packages"])]
    return json.dumps({**inventory, "packages": packages}, separators=(",", ":")).encode()


def write_inventory(data, inventory):
    digest = content_digest(inventory)
    path = place(data, digest)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(inventory)
    return digest
