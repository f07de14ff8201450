#!/usr/bin/env python3
"""Holds the Dockerfile to what deploy/image makes: dockerfile.py PROJECT LAYOUT."""
import json
import os
import re
import sys

project, layout = sys.argv[1:3]
with open(os.path.join(project, "Dockerfile"), encoding="utf-8") as file:
    text = file.read()
last = text[text.rindex("\nFROM "):]
with open(os.path.join(layout, "index.json"), encoding="utf-8") as file:
    entry = next(m for m in json.load(file)["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"] == "latest")


def blob(descriptor):
    with open(os.path.join(layout, "blobs", *descriptor["digest"].split(":")), encoding="utf-8") as file:
        return json.load(file)


config = blob(blob(entry)["config"])["config"]
one = lambda word: re.search(rf"^{word} (.*)$", last, re.M).group(1)
assert re.match(r"\nFROM scratch\n", last), "it is not from scratch"
assert one("USER") == config["User"]
assert json.loads(one("ENTRYPOINT")) == config["Entrypoint"]
assert json.loads(one("CMD")) == config["Cmd"]
assert set(json.loads(one("VOLUME"))) == set(config["Volumes"])
assert {port + "/tcp" for port in one("EXPOSE").split()} == set(config["ExposedPorts"])
assert one("WORKDIR") == config["WorkingDir"]
assert "deploy/image/binary.sh" in text, "the program is built in another way"
