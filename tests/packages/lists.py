"""The packages that each tool lists of an image, told in one way: kind, name, version."""
import collections
import json
import os
import re
import statistics
import sys
import urllib.parse
from dataclasses import dataclass

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools"))

import watched  # noqa: E402

#: Seconds that one tool may take for one image.
LIMIT = 600
#: By the type of their package URLs, what Pratique calls them.
KINDS = {"apk": "apk", "cargo": "cargo", "composer": "composer", "deb": "deb", "gem": "gem", "golang": "go", "maven": "maven", "npm": "npm",
         "nuget": "nuget", "pypi": "python", "rpm": "rpm"}


@dataclass(frozen=True, order=True)
class Package:
    """What is compared."""
    kind: str
    name: str
    version: str


def normal(kind, name, version):
    """The spellings of one package as one: they differ in nothing that advisories are asked by."""
    if kind == "python":
        name = re.sub("[-_.]+", "-", name).lower()
    if kind == "composer":
        name = name.lower()
    if kind == "go" and name == "stdlib":
        version = version.removeprefix("go").removeprefix("v")
    elif kind == "go" and version[:1].isdigit():
        version = f"v{version}"
    if kind == "rpm":
        version = version.removeprefix("0:")
    return Package(kind, name, version)


def of_url(url, spoken):
    """Of a package URL and the name beside it, or nothing where it is of no kind that Pratique has."""
    found = re.fullmatch(r"pkg:([^/]+)/([^@?#]+)(?:@([^?#]+))?(?:\?([^#]*))?(?:#.*)?", url)
    if not found or found[1] not in KINDS:
        return None
    kind, version = KINDS[found[1]], urllib.parse.unquote(found[3] or "")
    path = [urllib.parse.unquote(part) for part in found[2].split("/")]
    qualifiers = dict(urllib.parse.parse_qsl(found[4] or ""))
    if kind in ("apk", "deb", "rpm"):
        name = path[-1]  # before it is the distribution
    elif kind == "go":
        name = spoken  # URLs have it in lower case, or in two parts
    else:
        name = (":" if kind == "maven" else "/").join(path)
    if kind in ("deb", "rpm") and qualifiers.get("epoch", "0") != "0":
        version = f"{qualifiers['epoch']}:{version}"
    return normal(kind, name, version)


class Tool:
    """A program that lists packages. `list` gives each with the paths that it was found in."""

    def __init__(self, program, scratch):
        self.program, self.scratch = program, scratch

    def command(self, layout):
        """Prints the list of a layout."""
        raise NotImplementedError

    def read(self, document):
        raise NotImplementedError

    def run(self, layout, output):
        """Writes the list to `output`; what it took, as `watched.Cost`."""
        environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false", "TRIVY_DISABLE_TELEMETRY": "true", "TRIVY_SKIP_VERSION_CHECK": "true"}
        complaints = f"{output}.stderr"
        with open(output, "wb") as written, open(complaints, "wb") as said:
            try:
                code, cost = watched.run(self.command(layout), limit=LIMIT, env=environment, stdout=written, stderr=said)
            except watched.TookTooLong as late:
                raise SystemExit(f"{self.name} of {layout}: {late}") from late
        if code not in self.codes:
            with open(complaints, encoding="utf-8", errors="replace") as file:
                raise SystemExit(f"{self.name} of {layout}: {code}: {file.read()[-600:]}")
        return cost

    def list(self, layout):
        output = os.path.join(self.scratch, f"{self.name}.{os.path.basename(layout)}.json")
        self.run(layout, output)
        with open(output, encoding="utf-8") as file:
            document = json.load(file)
        found = collections.defaultdict(set)
        for package, paths in self.read(document):
            found[package].update(path.lstrip("/") for path in paths)
        return found

    def measure(self, layout, repeat):
        """The median of each, and of memory the most, after a run that does not count."""
        costs = [self.run(layout, os.path.join(self.scratch, "measured.json")) for _ in range(repeat + 1)][1:]
        wall, processor, user = (statistics.median(getattr(it, name) for it in costs) for name in ("wall", "processor", "user"))
        return watched.Cost(wall, processor, user, max(it.memory for it in costs))


class Pratique(Tool):
    name, codes = "pratique", (0, 3)

    def command(self, layout):
        return [self.program, "scan", "--json", "--database", os.path.join(self.scratch, "vulnerabilities.db"), "--platform", "linux/amd64", f"oci:{layout}"]

    def read(self, document):
        image, = document["images"]
        #: What could not be read is told, too: a list with gaps is not whole.
        self.gaps = [f"{gap.get('path', '')}: {gap['text']}" for gap in image.get("gaps", [])] + image.get("unread", [])
        for package in image["packages"]:
            yield normal(package["kind"], package["name"], package["version"]), [package["found_in"]]


class Syft(Tool):
    name, codes = "syft", (0,)

    def command(self, layout):
        return [self.program, "scan", "--quiet", "--output", "json", f"oci-dir:{layout}"]

    def read(self, document):
        for artifact in document["artifacts"]:
            package = of_url(artifact["purl"], artifact["name"]) if artifact["purl"] else None
            # What is of no kind of ours stays what it says.
            package = package or Package(artifact["type"], artifact["name"], artifact["version"])
            yield package, [place["path"] for place in artifact["locations"]]


class Trivy(Tool):
    name, codes = "trivy", (0,)

    def command(self, layout):
        return [self.program, "image", "--quiet", "--input", layout, "--format", "cyclonedx", "--skip-db-update", "--offline-scan",
                "--skip-java-db-update", "--cache-dir", os.path.join(self.scratch, "trivy")]

    def read(self, document):
        for component in document.get("components") or []:
            properties = {it["name"].rpartition(":")[2]: it["value"] for it in component.get("properties") or []}
            if component["type"] == "library":
                package = of_url(component["purl"], component["name"]) if "purl" in component else None
                package = package or Package(properties.get("PkgType", "?"), component["name"], component.get("version", ""))
                yield package, [properties["FilePath"]] if "FilePath" in properties else []
