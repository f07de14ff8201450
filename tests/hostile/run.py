#!/usr/bin/python3
"""Scans each hostile image in a process of its own. See run.sh."""
import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tools"))

import archive  # noqa: E402
import images  # noqa: E402
import watched  # noqa: E402

#: MiB that a scan may take, whatever it is of.
MEMORY_MIB_MAX = 256
#: What `pratique scan` ends with when something was found, or not everything could be looked at; and when nothing was.
REFUSED, DONE = 3, 0
#: What is vulnerable: ecosystem, name, and the first version that is not.
KNOWN = [("Debian:12", "openssl", "3"), ("Alpine:v3.20", "openssl", "3"), ("AlmaLinux:9", "openssl", "3"), ("SUSE:Linux Enterprise Server 15 SP6", "openssl", "3"),
         ("Maven", "org.apache.logging.log4j:log4j-core", "2.17.1"), ("Go", "example.com/vulnerable", "1.0.0"), ("npm", "vulnerable", "1.0.0"),
         ("PyPI", "vulnerable", "1.0.0"), ("crates.io", "vulnerable", "1.0.0"), ("Packagist", "a/vulnerable", "1.0.0"), ("NuGet", "vulnerable", "1.0.0")]


# A scan may take so many times as long by the clock as it may by its own work.
WALL_TIMES_MAX = 5


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pratique", required=True)
    parser.add_argument("--seconds", type=float, default=60, help="of the processor that one scan may take")
    parser.add_argument("--scratch", default=tempfile.gettempdir())
    parser.add_argument("--output")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("image", nargs="*")
    return parser.parse_args()


def write_database(program, folder):
    """A database of one vulnerability in each ecosystem."""
    records = os.path.join(folder, "records")
    os.makedirs(records)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for number, (ecosystem, name, fixed) in enumerate(KNOWN):
        with open(os.path.join(records, f"TEST-{number}.json"), "w", encoding="ascii") as file:
            json.dump({"schema_version": "1.6.0", "id": f"TEST-{number}", "published": now, "modified": now, "affected": [
                {"package": {"ecosystem": ecosystem, "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}]}]}, file)
    database = os.path.join(folder, "vulnerabilities.db")
    made = subprocess.run([program, "db", "import", "--force", "--to", database, records], capture_output=True, text=True, timeout=60, check=False)
    if made.returncode:
        sys.exit(f"db import: {made.stderr}")
    return database


def write_layout(image, folder):
    """The image as a layout; gives the bytes of its layers."""
    blobs = os.path.join(folder, "blobs", "sha256")
    os.makedirs(blobs)
    partial = os.path.join(folder, "layer")

    def document(media_type, value):
        text = json.dumps(value).encode()
        digest = hashlib.sha256(text).hexdigest()
        with open(os.path.join(blobs, digest), "wb") as file:
            file.write(text)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(text)}

    layers, diff_ids = [], []
    for layer in image.layers:
        written = archive.Written(partial)
        diff_ids.append(layer.said or layer.write(written, layer.pieces))
        if layer.said:
            layer.write(written, layer.pieces)
        digest, size = written.close()
        os.rename(partial, os.path.join(blobs, digest.split(":")[1]))
        layers.append({"mediaType": layer.media_type, "digest": digest, "size": size})
    config = document("application/vnd.oci.image.config.v1+json", {
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    media_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = document(media_type, {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers})
    for name, value in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", {"schemaVersion": 2, "manifests": [manifest]})):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            json.dump(value, file)
    return sum(layer["size"] for layer in layers)


class Outcome:
    """What one scan came to, and what of that is wrong."""

    def __init__(self, image, code, cost, answer, said, options):
        self.image, self.code, self.cost, self.said = image, code, cost, said
        images_of = answer.get("images", [])
        of = lambda key: [it for one in images_of for it in one.get(key) or []]  # noqa: E731
        self.found = {it["id"] for it in of("findings")}
        self.gaps = [it["text"] for it in of("gaps")] + of("unread") + [json.dumps(it) for it in of("unmatched")]
        self.wrong = list(self.complaints(options))

    def complaints(self, options):
        expected, is_open = self.image.expected, bool(self.gaps)
        if self.code not in (REFUSED, DONE):
            yield f"it ended with {self.code}: {self.said[-300:]}"
        elif expected == images.NOTHING:
            if self.code != DONE or self.found or is_open:
                yield "there is nothing in it"
        elif self.code != REFUSED:
            yield "it is said to be clean"
        elif expected == images.FOUND and not self.found:
            yield "what is in it was not found"
        elif expected == images.OPEN and not is_open:
            yield "it is not said to be incomplete"
        if self.cost.memory > MEMORY_MIB_MAX:
            yield f"it took more than {MEMORY_MIB_MAX} MiB"
        # By its own work: what neighbours do takes time, too, but not for ever.
        if self.cost.processor > options.seconds or self.cost.wall > WALL_TIMES_MAX * options.seconds:
            yield f"it took more than {options.seconds:.0f} s"

    def verdict(self):
        if self.code not in (REFUSED, DONE):
            return "failed"
        words = (["found"] if self.found else []) + (["incomplete"] if self.gaps else [])
        return ", ".join(words) or "nothing found"


def scan(name, options, scratch, database):
    image = images.IMAGES[name]()
    layout, output = os.path.join(scratch, "layout"), os.path.join(scratch, "answer.json")
    shutil.rmtree(layout, ignore_errors=True)
    size = write_layout(image, layout)
    command = [options.pratique, "scan", "--json", "--fail-on", "low", "--database", database, "--platform", "linux/amd64", f"oci:{layout}"]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": scratch}
    complaints = os.path.join(scratch, "stderr")
    with open(output, "wb") as out, open(complaints, "wb") as err:
        try:
            # It is ended only when it would never end by itself: that it was slow is told below.
            code, cost = watched.run(command, limit=options.seconds * 4, stdout=out, stderr=err, env=environment, cwd=scratch)
        except watched.TookTooLong as late:
            code, cost = "no end", late.cost
    with open(output, encoding="utf-8") as file, open(complaints, encoding="utf-8", errors="replace") as said:
        try:
            answer = json.load(file) if code in (REFUSED, DONE) else {}
        except ValueError:
            code, answer = "no JSON", {}
        outcome = Outcome(image, code, cost, answer, said.read(), options)
    shutil.rmtree(layout)
    return size, outcome


def row(name, size, outcome):
    cost = outcome.cost
    gap = outcome.gaps[0] if outcome.gaps else ""
    gap = gap.replace("|", "\\|")[:70]
    wrong = "; ".join(outcome.wrong)
    return f"| {name} | {size / archive.MIB:.1f} | {outcome.verdict()} | {cost.wall:.2f} | {cost.processor:.2f} | {cost.memory:.0f} | {'**' + wrong + '**' if wrong else gap} |"


def main():
    options = arguments()
    if options.list:
        print("\n".join(images.IMAGES))
        return 0
    unknown = set(options.image) - images.IMAGES.keys()
    if unknown:
        sys.exit(f"there is no image {', '.join(sorted(unknown))}; --list tells which there are")
    lines = ["| image | MiB compressed | verdict | seconds | processor seconds | MiB at most | why not read, the first |", "|---|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="pratique-hostile-", dir=options.scratch) as scratch:
        database = write_database(options.pratique, scratch)
        for name in options.image or images.IMAGES:
            size, outcome = scan(name, options, scratch, database)
            wrong += bool(outcome.wrong)
            lines.append(row(name, size, outcome))
            print(lines[-1], flush=True)
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    print(f"{len(lines) - 2 - wrong} passed, {wrong} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
