#!/usr/bin/env python3
"""Which of two versions is lower, by Maven's ComparableVersion: maven.py JAR <PAIRS.

Its own main compares each argument with the one before it.
"""
import re
import subprocess
import sys

BATCH = 200


def is_circular(version):
    """Whether Maven's own order has circles with it: 0-x < 0.alpha-x < 0 < 0-x."""
    version = version.lower()
    # A qualifier after a dot, and more after it.
    if re.search(r"\.(?!(ga|final|release)-)[a-z_]+[.-]", version):
        return True
    without_words = re.sub(r"(?<=[0-9])(ga|final|release)(?![a-z_])", "-0", version)
    without_words = re.sub(r"(?<![a-z_])(ga|final|release)(?![a-z_])", "0", without_words)
    return any(map(has_empty_list, (version, without_words)))


def has_empty_list(version):
    """Whether a list has nothing in it but zeros, and the list after it begins with a qualifier."""
    for run in re.finditer(r"(?<![0.-])[0.-]+(?=[a-z_])", version):
        after_number = run.start() > 0 and version[run.start() - 1].isdigit()
        if "-" in run[0][:-1] if after_number else run[0] not in ("-", "."):
            return True
    return False


pairs = [line.rstrip("\n").split("\t") for line in sys.stdin]
ordered = [pair for pair in pairs if not any(map(is_circular, pair))]
print(f"maven: {len(pairs) - len(ordered)} pairs are left out, Maven's order has circles with them", file=sys.stderr)
pairs = ordered
for start in range(0, len(pairs), BATCH):
    batch = pairs[start:start + BATCH]
    arguments = [version for pair in batch for version in pair]
    program = ["java", "-Xshare:auto", "-cp", sys.argv[1], "org.apache.maven.artifact.versioning.ComparableVersion", *arguments]
    out = subprocess.run(program, capture_output=True, check=True, text=True).stdout
    compared = [line.split() for line in out.splitlines() if line.startswith("   ")]
    if len(compared) != len(arguments) - 1:
        sys.exit(f"{len(compared)} comparisons of {len(arguments)} versions")
    for (a, b), (first, order, second) in zip(batch, compared[::2]):
        if (a, b) != (first, second):
            sys.exit(f"{a} {b} was compared as {first} {second}")
        print(a, b, {"<": -1, "==": 0, ">": 1}[order], sep="\t")
