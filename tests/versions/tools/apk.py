#!/usr/bin/env python3
"""The order of versions as the test data of apk-tools have it: apk.py CHECKOUT, a directory or a bare repository."""
import os
import re
import subprocess
import sys

PLACES = ["test/unit/version.data", "test/version.data"]


def contents(checkout):
    for place in PLACES:
        path = os.path.join(checkout, place)
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                return file.read()
        shown = subprocess.run(["git", "-C", checkout, "show", f"HEAD:{place}"], capture_output=True, text=True, check=False)
        if shown.returncode == 0:
            return shown.stdout
    sys.exit(f"{checkout} has none of {PLACES}")


# apk-tools orders these as texts; for us they are no versions.
INVALID = {"1.0bc", "23_foo"}

for line in contents(sys.argv[1]).splitlines():
    words = line.split("#")[0].split()
    if len(words) == 3 and words[1] in "<=>" and not INVALID.intersection(words):
        print("apk", words[0], words[2], "<=>".index(words[1]) - 1, sep="\t")
    elif len(words) == 1 and re.fullmatch(r"!?\S+", words[0]):
        # A version alone is one, with `!` before it none.
        version = words[0].lstrip("!")
        print("apk", version, version, "none" if words[0].startswith("!") else 0, sep="\t")
