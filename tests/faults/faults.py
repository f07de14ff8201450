#!/usr/bin/python3
"""Crashes and failing disks under the real program; see README.md. Run by run.sh."""
import argparse
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import disks  # noqa: E402
import powercut  # noqa: E402
import syscalls  # noqa: E402
from rig import Broken, Registry  # noqa: E402

arguments = argparse.ArgumentParser()
arguments.add_argument("--pratique", required=True)
arguments.add_argument("--folder", required=True)
arguments.add_argument("--full", action="store_true", help="every n, and more power cuts")
arguments.add_argument("--most", type=int, default=3, help="without --full: n tried per call and fault")
arguments.add_argument("--cuts", type=int, help="power cuts")
arguments.add_argument("only", nargs="*", help="parts: start-up first-start ingest approval archiving eviction power-cut disks, or a case of disks")
arguments = arguments.parse_args()

OPERATIONS = ("first_start", "start_up", "ingest", "approval", "archiving", "eviction")
failed, skipped, passed = [], [], []


def say(line):
    print(line, flush=True)


def wanted(name):
    return not arguments.only or any(name == only or name.startswith(only + ":") for only in arguments.only)


def part(name, work):
    """Runs a part; `work` gives a line of figures, or raises."""
    if not wanted(name):
        return
    began = time.monotonic()
    try:
        line = work()
    except Broken as broken:
        failed.append(name)
        say(f"FAIL {name}: {broken}")
        return
    except disks.Skipped as why:
        skipped.append(name)
        say(f"skip {name}: {why}")
        return
    passed.append(name)
    say(f"ok   {name}: {line} ({time.monotonic() - began:.0f} s)")


def loop_of(operation, loop):
    def work():
        if operation == "eviction":
            probe = subprocess.run([arguments.pratique, "cache", "gc", "--help"], capture_output=True, check=False)
            if probe.returncode != 0:
                raise disks.Skipped("the program has no `cache gc`")
        figures = syscalls.Figures()
        for call in syscalls.CALLS:
            for fault in syscalls.FAULTS:
                if syscalls.possible(call, fault):
                    loop.run(operation, call, fault, figures)
        return str(figures)
    return work


registry = Registry()
names = {operation: operation.replace("_", "-") for operation in OPERATIONS}
if any(wanted(name) for name in names.values()):
    loop = syscalls.Loop(arguments.pratique, os.path.join(arguments.folder, "calls"), registry, arguments.full, arguments.most, say)
    loop.prepare()
    for operation, name in names.items():
        part(name, loop_of(operation, loop))
cuts = arguments.cuts or (100 if arguments.full else 8)
part("power-cut", lambda: powercut.run(arguments.pratique, os.path.join(arguments.folder, "cut"), registry, cuts))
for name, case in disks.CASES.items():
    part(f"disks:{name}", lambda case=case: case(disks.Bench(arguments.pratique, os.path.join(arguments.folder, "disk"), registry)))

say(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
raise SystemExit(1 if failed else 0)
