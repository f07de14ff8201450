"""What the comparison came to: the table, every difference with its explanation, and whether all is as written."""
import collections
import datetime
import fnmatch
import os
import re
from dataclasses import dataclass

from subject import Subject


@dataclass
class Row:
    """One subject, one tool."""
    subject: Subject
    tool: str
    said: str
    word: str
    ours: str
    reason: str

    @property
    def place(self):
        return f"{self.subject.form}/{self.subject.key}/{self.subject.variant}"

    @property
    def as_meant(self):
        return self.said == self.ours == self.subject.expected


@dataclass
class Explained:
    """A line of explained.tsv."""
    line: int
    tools: list
    forms: list
    keys: list
    variants: list
    said: str
    ours: str
    why: str
    met: int = 0
    #: The comparisons it speaks of that came to something else.
    broken: int = 0

    def covers(self, row):
        of = ((self.tools, row.tool), (self.forms, row.subject.form), (self.keys, row.subject.key), (self.variants, row.subject.variant))
        return all(any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns) for patterns, value in of)


def read(path):
    found = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.startswith("#"):
                cells = line.rstrip("\n").split("\t")
                if len(cells) != 7:
                    raise SystemExit(f"{path}:{number}: {len(cells)} columns, not 7")
                found.append(Explained(number, *[cell.split("|") for cell in cells[:4]], *cells[4:]))
    return found


def problems(rows, explained, complete):
    """Everything that is not as it is written down."""
    found = []
    for row in rows:
        lines = [line for line in explained if line.covers(row)]
        if len(lines) > 1:
            found.append(f"{row.place} by {row.tool} is explained twice, in lines {lines[0].line} and {lines[1].line}")
        for line in lines:
            if (line.said, line.ours) == (row.said, row.ours):
                line.met += 1
            else:
                line.broken += 1
                found.append(f"{row.place}: line {line.line} says that {row.tool} {line.said}s and Pratique {line.ours}s; now {verdicts(row)}")
        if not lines and not row.as_meant:
            found.append(f"{row.place} should be {row.subject.expected}ed: {verdicts(row)}")
    if complete:
        found += [f"line {line.line} of the explanations speaks of nothing that is compared" for line in explained if not line.met and not line.broken]
    return found


def verdicts(row):
    return f"{row.tool} {row.said}s ({row.word[:160]}); Pratique {row.ours}s ({row.reason[:300]})"


def versions(rig):
    with open(os.path.join(rig, "versions.tsv"), encoding="utf-8") as file:
        found = dict(line.rstrip("\n").split("\t") for line in file)
    return ", ".join(f"{name} ({found[name]})" for name in ("cosign 2", "cosign 3", "notation"))


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def document(rows, explained, rig):
    counts = collections.defaultdict(collections.Counter)
    for row in rows:
        kind = f"both {row.said}" if row.said == row.ours else "differ"
        counts[row.subject.form, row.tool][kind] += 1
        counts[row.subject.form, row.tool]["variants", row.subject.variant] += 1
    subjects = {(row.subject.form, row.subject.key, row.subject.variant) for row in rows}
    today = datetime.datetime.now(datetime.timezone.utc).date()
    lines = [
        "# Pratique beside the tools themselves", "",
        f"Written by `tests/differential/run.sh --write-docs` on {today}, with {versions(rig)}: {len(subjects)} subjects, {len(rows)} comparisons.", "",
        "A subject is an image with what stands beside it: signed by the tool, or forged from what the tool signed.",
        "The tool's verdict is its exit status; Pratique's is whether a pull is served. What each class of difference means is said in [docs/signatures.md](../../docs/signatures.md#compared-with-the-tools-themselves).", "",
        "| form | tool | variants | both accept | both reject | differ |", "|---|---|---|---|---|---|",
    ]
    for (form, tool), count in sorted(counts.items()):
        variants = sum(1 for key in count if isinstance(key, tuple))
        lines.append(f"| {form} | {tool} | {variants} | {count['both accept']} | {count['both reject']} | {count['differ']} |")
    lines += ["", "## Where they differ, or agree on what was not meant", "", "| form | keys | variant | tool | the tool | Pratique | why |", "|---|---|---|---|---|---|---|"]
    grouped = collections.defaultdict(list)
    for row in rows:
        if not row.as_meant:
            why = next((line.why for line in explained if line.covers(row)), "**not explained**")
            grouped[row.subject.form, row.subject.variant, row.tool, row.said, row.ours, why].append(row.subject.key)
    for (form, variant, tool, said, ours, why), keys in sorted(grouped.items()):
        lines.append(f"| {form} | {', '.join(keys)} | {variant} | {tool} | {said}s | {ours}s | {cell(why)} |")
    lines += ["", "## What Pratique says of each", "", "| form | variant | keys | verdict | reason |", "|---|---|---|---|---|"]
    said = collections.defaultdict(list)
    for row in {row.place: row for row in rows}.values():
        reason = short(row)
        said[row.subject.form, row.subject.variant, row.ours, reason].append(row.subject.key)
    for (form, variant, ours, reason), keys in sorted(said.items()):
        lines.append(f"| {form} | {variant} | {', '.join(keys)} | {ours} | {cell(reason)} |")
    return "\n".join(lines) + "\n"


def short(row):
    """The reason without what names the subject and what to do."""
    reason = re.sub(r"^.*? is denied by rule [^:]+: ", "", row.reason)
    reason = re.sub(r" It would have to be .*$", "", reason)
    reason = re.sub(r"^(\S+ )?not (signed|attested) by [^ .]+", r"not \2", reason)
    return re.sub(r"(sha256[:-])([0-9a-f]{8})[0-9a-f]+", r"\1\2", reason)


def write(rows, rig, explanations, output, complete):
    explained = read(explanations)
    found = problems(rows, explained, complete)
    with open(output, "w", encoding="utf-8") as file:
        file.write(document(rows, explained, rig))
    for line in found:
        print(f"FAIL {line}")
    same = sum(row.said == row.ours for row in rows)
    print(f"     {len(rows)} comparisons: {same} times the same verdict, {len(rows) - same} times another")
    print(f"{max(len(rows) - len(found), 0)} passed, {len(found)} failed")
    return 1 if found else 0
