"""What the comparison came to: the counts, every difference with its reason, and whether all of them have one."""
import collections
import datetime
import fnmatch
from dataclasses import dataclass, field

#: What the tool lists and Pratique does not, and the reverse.
MISSING, EXTRA = "missing", "extra"
COLUMNS = 7
#: In the place of a pattern: files that packages of the distribution own, by its own record.
OWNED = "@owned"
#: Names that are told of one reason in the document.
SHOWN = 6


@dataclass
class Row:
    """One image, one tool."""
    image: str
    tool: str
    ours: dict
    theirs: dict
    gaps: list
    #: Paths without a leading slash.
    owned: set

    def differences(self):
        for package in sorted(self.theirs.keys() - self.ours.keys()):
            yield self.difference(MISSING, package, self.theirs[package])
        for package in sorted(self.ours.keys() - self.theirs.keys()):
            yield self.difference(EXTRA, package, self.ours[package])

    def difference(self, side, package, paths):
        is_owned = bool(paths) and paths <= self.owned
        return Difference(self.image, self.tool, side, package, paths, is_owned)

    def count(self, side):
        return sum(difference.side == side for difference in self.differences())

    def told(self):
        gaps = f", {len(self.gaps)} gaps" if self.gaps else ""
        return (f"{self.image:<12} {self.tool:<6} Pratique {len(self.ours):>4}{gaps}, {self.tool} {len(self.theirs):>4}: "
                f"{self.count(MISSING)} missing, {self.count(EXTRA)} extra")


@dataclass
class Outcome:
    """All of it."""
    rows: list
    #: By image, what Pratique and syft took; empty where it was not measured.
    costs: dict
    versions: list


def cost_told(image, ours, theirs):
    return (f"{image:<12} Pratique {ours.wall:.2f} s, {ours.processor:.2f} s of processors, {ours.memory:.0f} MiB; "
            f"syft {theirs.wall:.2f} s, {theirs.processor:.2f} s, {theirs.memory:.0f} MiB")


def speed(costs):
    yield from ("", "## How long it takes", "", "`pratique scan --json` and `syft scan -o json` of the same layouts on the same machine, one after the other: medians, and the most of memory.", "",
                "| image | Pratique | syft | ratio | processors | syft | ratio | memory | syft | ratio |", "|---|---|---|---|---|---|---|---|---|---|")
    for image, (ours, theirs) in costs.items():
        cells = []
        for name, unit in (("wall", "s"), ("processor", "s"), ("memory", "MiB")):
            mine, other = getattr(ours, name), getattr(theirs, name)
            digits = 0 if unit == "MiB" else 2
            cells += [f"{mine:.{digits}f} {unit}", f"{other:.{digits}f} {unit}", f"1 : {other / max(mine, 0.001):.1f}"]
        yield f"| {image} | {' | '.join(cells)} |"


@dataclass
class Difference:
    """A package that one side lists."""
    image: str
    tool: str
    side: str
    package: object
    paths: set
    is_owned: bool

    def __str__(self):
        package = self.package
        return f"{self.image}: {self.side} against {self.tool}: {package.kind} {package.name} {package.version} ({', '.join(sorted(self.paths)[:3])})"


@dataclass
class Explained:
    """A line of explained.tsv."""
    line: int
    images: str
    tools: str
    side: str
    kinds: str
    names: str
    paths: str
    why: str
    met: list = field(default_factory=list)

    def covers(self, it):
        package = it.package
        texts = ((self.images, it.image), (self.tools, it.tool), (self.side, it.side), (self.kinds, package.kind), (self.names, f"{package.name} {package.version}"))
        if not all(any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns.split("|")) for patterns, text in texts):
            return False
        # Wherever it was found, the reason holds.
        if self.paths == OWNED:
            return it.is_owned
        return all(any(fnmatch.fnmatchcase(path, pattern) for pattern in self.paths.split("|")) for path in it.paths or {""})


def read(path):
    found = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.startswith("#"):
                cells = line.rstrip("\n").split("\t")
                if len(cells) != COLUMNS or cells[2] not in (MISSING, EXTRA):
                    raise SystemExit(f"{path}:{number}: it should be {COLUMNS} columns, the third {MISSING} or {EXTRA}")
                found.append(Explained(number, *cells))
    return found


def cell(text):
    return text.replace("|", "\\|")


def shown(differences):
    names = list(dict.fromkeys(f"{it.package.name} {it.package.version}" for it in differences))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def document(outcome, explained):
    rows = outcome.rows
    today = datetime.datetime.now(datetime.timezone.utc).date()
    lines = [
        "# What Pratique lists, beside syft and Trivy", "",
        f"Written by `tests/packages/run.sh --write-docs` on {today}, with {', '.join(outcome.versions)}.", "",
        "A package is its kind, name and version. Missing is what the tool lists and Pratique does not, extra the reverse; "
        "each of them has a reason in `explained.tsv`, or the run fails.", "",
        "| image | tool | Pratique | tool | the same | missing | extra |", "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        same = len(row.ours.keys() & row.theirs.keys())
        lines.append(f"| {row.image} | {row.tool} | {len(row.ours)} | {len(row.theirs)} | {same} | {row.count(MISSING)} | {row.count(EXTRA)} |")
    for side, title in ((MISSING, "What they list and Pratique does not"), (EXTRA, "What Pratique lists and they do not")):
        lines += ["", f"## {title}", "", "| tool | kind | packages | which | why |", "|---|---|---|---|---|"]
        grouped = collections.defaultdict(list)
        for line in explained:
            if line.side == side:
                for it in line.met:
                    grouped[line.why, it.tool, it.package.kind].append(it)
        for (why, tool, kind), differences in grouped.items():
            number = len({(it.package.name, it.package.version) for it in differences})
            lines.append(f"| {tool} | {kind} | {number} | {cell(shown(differences))} | {cell(why)} |")
    gaps = sorted({f"{row.image}: {gap}" for row in rows for gap in row.gaps})
    if gaps:
        lines += ["", "## What Pratique could not read", "", "An image with one of these is incomplete, and refused by default.", ""] + [f"- {gap}" for gap in gaps]
    if outcome.costs:
        lines += speed(outcome.costs)
    return "\n".join(lines) + "\n"


def write(outcome, explanations, output, complete):
    rows, explained = outcome.rows, read(explanations)
    failed, compared = [], 0
    for row in rows:
        compared += len(row.ours.keys() & row.theirs.keys())
        for difference in row.differences():
            line = next((line for line in explained if line.covers(difference)), None)
            if line:
                line.met.append(difference)
            else:
                failed.append(str(difference))
    if complete:
        images = {row.image for row in rows}
        # A line about images that are not at hand says nothing here.
        unmet = [line for line in explained if not line.met and any(fnmatch.fnmatchcase(image, pattern) for image in images for pattern in line.images.split("|"))]
        failed += [f"line {line.line} of the explanations speaks of nothing that differs" for line in unmet]
    with open(output, "w", encoding="utf-8") as file:
        file.write(document(outcome, explained))
    for line in failed:
        print(f"FAIL {line}")
    print(f"     {sum(len(line.met) for line in explained)} differences with a reason")
    print(f"{compared} passed, {len(failed)} failed")
    return 1 if failed else 0
