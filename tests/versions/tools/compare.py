#!/usr/bin/env python3
"""Which of two versions is lower, by dpkg, OSV (as univers has it), rpm or packaging: compare.py deb|nuget|python|rpm <PAIRS."""
import re
import subprocess
import sys


def deb(first, second):
    def holds(operator):
        done = subprocess.run(["dpkg", "--compare-versions", first, operator, second], capture_output=True, check=False)
        if done.returncode > 1 or done.stderr:
            raise ValueError(done.stderr)
        return done.returncode == 0
    return -1 if holds("lt") else 1 if holds("gt") else 0


def nuget(first, second):
    from univers.nuget import Version
    first, second = Version.from_string(first), Version.from_string(second)
    if first is None or second is None:
        raise ValueError
    return (first > second) - (first < second)


def python(first, second):
    from packaging.version import Version
    first, second = Version(first), Version(second)
    return (first > second) - (first < second)


def rpm(first, second):
    import rpm as library

    def parts(text):
        form = re.fullmatch(r"(?:(\d+):)?([A-Za-z0-9._+~^]+)(?:-([A-Za-z0-9._+~^]+))?", text)
        if form is None:
            raise ValueError(text)
        return form[1] or "0", form[2], form[3] or ""
    return library.labelCompare(parts(first), parts(second))


compare = {"deb": deb, "nuget": nuget, "python": python, "rpm": rpm}[sys.argv[1]]
for line in sys.stdin:
    a, b = line.rstrip("\n").split("\t")
    try:
        print(a, b, compare(a, b), sep="\t")
    except ValueError:
        print(a, b, "none", sep="\t")
