#!/usr/bin/env python3
"""Which of two versions is lower, by Maven's ComparableVersion: maven.py JAR <PAIRS.

Its own main compares each argument with the one before it.
"""
import subprocess
import sys

BATCH = 200
pairs = [line.rstrip("\n").split("\t") for line in sys.stdin]
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
