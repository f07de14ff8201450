#!/usr/bin/python3
"""The table client x (allowed, denied, pending), from the cells that the cases turned green.

    table.py TABLE_TSV VERSIONS_TSV [--into MARKDOWN_FILE]

A cell is empty until a case has shown it in this run. With --into, the text between the two marks of the file
is replaced.
"""
import sys

CLIENTS = [
    # client in the cells, how it is named in the table, its line in the versions
    ("containerd 1.6 ctr", "containerd 1.6, `ctr`", "containerd 1.6"),
    ("containerd 1.6 cri", "containerd 1.6, CRI", "containerd 1.6"),
    ("containerd 1.7 ctr", "containerd 1.7, `ctr`", "containerd 1.7"),
    ("containerd 1.7 cri", "containerd 1.7, CRI", "containerd 1.7"),
    ("containerd 2 ctr", "containerd 2, `ctr`", "containerd 2"),
    ("containerd 2 cri", "containerd 2, CRI", "containerd 2"),
    ("docker", "Docker Engine, by the mirror's name", "docker engine"),
    ("podman", "podman, by the mirror's name", "podman"),
    ("skopeo", "skopeo, by the mirror's name", "skopeo"),
    ("crane", "crane, by the mirror's name", "crane"),
    ("oras", "oras, by the mirror's name", "oras"),
]
COLUMNS = ["allowed", "denied", "pending"]
WORDS = {"allowed": "pulls", "denied": "refused, reason shown", "pending": "refused, request shown, pulls once approved"}
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file]


cells = {(client, column): text for client, column, text in rows(sys.argv[1])}
versions = dict(rows(sys.argv[2]))
lines = ["| Client | Version | Allowed | Denied | Pending |", "|---|---|---|---|---|"]
for client, title, tool in CLIENTS:
    shown = [WORDS[column] if (client, column) in cells else "" for column in COLUMNS]
    lines.append("| " + " | ".join([title, versions.get(tool, ""), *shown]) + " |")
lines += ["", "What the client prints, with digests shortened:", "", "| Client | Denied | Pending |", "|---|---|---|"]
for client, title, _ in CLIENTS:
    said = [cells.get((client, column), "").replace("|", "\\|") for column in ("denied", "pending")]
    lines.append(f"| {title} | {said[0]} | {said[1]} |")
text = "\n".join(lines)

if "--into" in sys.argv:
    path = sys.argv[sys.argv.index("--into") + 1]
    with open(path, encoding="utf-8") as file:
        before, _, rest = file.read().partition(BEGIN)
    after = rest.partition(END)[2]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}\n{END}{after}")
else:
    print(text)
