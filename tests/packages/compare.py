#!/usr/bin/python3
"""Asks Pratique, syft and Trivy what is in each image, and compares both ways. See run.sh."""
import argparse
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time

import lists
import report


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", required=True, help="a folder of image layouts")
    parser.add_argument("--owned", required=True, help="a folder of what the distribution's packages own, a file for each image")
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--pratique", required=True)
    parser.add_argument("--syft", required=True)
    parser.add_argument("--trivy", required=True)
    parser.add_argument("--versions", required=True)
    parser.add_argument("--explained", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--only", action="append", default=[], help="an image")
    parser.add_argument("--speed", type=int, default=0, metavar="N", help="measure Pratique and syft, each N times")
    return parser.parse_args()


def write_database(program, scratch):
    """A scan asks for a database; this one knows of one package that nobody has."""
    record = os.path.join(scratch, "record.json")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with open(record, "w", encoding="ascii") as file:
        json.dump({"schema_version": "1.6.0", "id": "TEST-2000-1", "published": now, "modified": now, "affected": [
            {"package": {"ecosystem": "PyPI", "name": "no-such-package"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}]}, file)
    made = subprocess.run([program, "db", "import", "--force", "--to", os.path.join(scratch, "vulnerabilities.db"), record],
                          capture_output=True, text=True, timeout=60, check=False)
    if made.returncode:
        raise SystemExit(f"db import: {made.stderr}")


def write_java_database(scratch):
    """Trivy reads no Java archive without its database of their hashes; this one has none."""
    folder = os.path.join(scratch, "trivy", "java-db")
    os.makedirs(folder, exist_ok=True)
    with contextlib.closing(sqlite3.connect(os.path.join(folder, "trivy-java.db"))) as database, database:
        database.executescript("""
            CREATE TABLE IF NOT EXISTS artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);
            CREATE TABLE IF NOT EXISTS indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT);""")
    with open(os.path.join(folder, "metadata.json"), "w", encoding="ascii") as file:
        json.dump({"Version": 1, "NextUpdate": "2999-01-01T00:00:00Z", "UpdatedAt": "2020-01-01T00:00:00Z", "DownloadedAt": "2020-01-01T00:00:00Z"}, file)


def owned(folder, image):
    with open(os.path.join(folder, image), encoding="utf-8") as file:
        listed = {line.rstrip("\n").lstrip("/") for line in file}
    # Where /lib is a link to /usr/lib, the record may say either.
    return listed | {f"usr/{path}" for path in listed if path.startswith(("bin/", "lib/", "sbin/"))}


def main():
    options = arguments()
    os.makedirs(options.scratch, exist_ok=True)
    write_database(options.pratique, options.scratch)
    write_java_database(options.scratch)
    ours = lists.Pratique(options.pratique, options.scratch)
    others = [lists.Syft(options.syft, options.scratch), lists.Trivy(options.trivy, options.scratch)]
    present = sorted(name for name in os.listdir(options.images) if not name.endswith(".part"))
    rows = []
    for image in options.only or present:
        layout = os.path.join(options.images, image)
        found, known = ours.list(layout), owned(options.owned, image)
        for other in others:
            row = report.Row(image, other.name, found, other.list(layout), list(ours.gaps), known)
            print(f"     {row.told()}", flush=True)
            rows.append(row)
    costs = {}
    if options.speed:
        for image in options.only or present:
            costs[image] = [tool.measure(os.path.join(options.images, image), options.speed) for tool in (ours, others[0])]
            print(f"     {report.cost_told(image, *costs[image])}", flush=True)
    with open(options.versions, encoding="utf-8") as file:
        versions = [line.strip() for line in file]
    return report.write(report.Outcome(rows, costs, versions), options.explained, options.output, complete=not options.only)


sys.exit(main())
