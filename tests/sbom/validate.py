"""Has every layout's bills written, and read by others.

validate.py PRATIQUE SYFT WORK DATA
"""

import json
import pathlib
import subprocess
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

PRATIQUE, SYFT, WORK, DATA = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]
CREATED = "2026-11-20T09:00:00Z"
FILES = {"cyclonedx": "bom.cdx.json", "spdx": "bom.spdx.json"}


def written(layout, form):
    target = WORK / f"{layout.name}.{FILES[form]}"
    command = [PRATIQUE, "sbom", f"oci:{layout}", "--format", form, "--created", CREATED, "--allow-incomplete"]
    subprocess.run([*command, "-o", target], check=True, capture_output=True, text=True)
    again = subprocess.run(command, check=True, capture_output=True)
    assert again.stdout == target.read_bytes(), f"{target.name}: not the same bytes"
    return target


def check_cyclonedx(path):
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text())
    assert wrong is None, f"{path.name}: {wrong}"
    bill = json.loads(path.read_text())
    references = [bill["metadata"]["component"]["bom-ref"], *(it["bom-ref"] for it in bill["components"])]
    assert len(references) == len(set(references)), f"{path.name}: references are not unique"
    for node in bill["dependencies"]:
        unknown = {node["ref"], *node["dependsOn"]} - set(references)
        assert not unknown, f"{path.name}: {unknown} stand for nothing"
    packages = [it for it in bill["components"] if it["type"] == "library"]
    for package in packages:
        check_url(package, path)
    return {(it["purl"], it["version"]) for it in packages}


def check_url(package, path):
    url = PackageURL.from_string(package["purl"])
    again = PackageURL.from_string(url.to_string())
    assert url == again, f"{path.name}: {package['purl']} is {again} to others"
    group, name = package.get("group"), package["name"]
    whole = {"maven": f"{group}/{name}", "npm": f"{group}/{name}", "composer": f"{group}/{name}"}
    expected = whole.get(url.type, name) if group else name
    of_distribution = url.type in ("apk", "deb", "rpm")
    named = url.name if of_distribution or not url.namespace else f"{url.namespace}/{url.name}"
    assert named.lower() == expected.lower(), f"{path.name}: {package['purl']} is not {expected}"
    epoch = url.qualifiers.get("epoch")
    version = f"{epoch}:{url.version}" if epoch else url.version
    assert version == package["version"], f"{path.name}: {package['purl']} is not {package['version']}"


def check_spdx(path):
    document = parse_file(str(path))
    wrong = validate_full_spdx_document(document)
    assert not wrong, f"{path.name}: {[it.validation_message for it in wrong[:3]]}"
    packages = [it for it in document.packages if it.spdx_id.startswith("SPDXRef-Package-")]
    return {(it.external_references[0].locator, it.version) for it in packages}


def check_syft(path, expected, system):
    command = [SYFT, "convert", path, "-o", "syft-json"]
    converted = subprocess.run(command, check=True, capture_output=True, text=True)
    document = json.loads(converted.stdout)
    read = {PackageURL.from_string(it["purl"]) for it in document["artifacts"] if it["purl"].startswith("pkg:")}
    images = {url for url in read if url.type == "oci"}
    ours = {PackageURL.from_string(url) for url, _ in expected}
    lost = {url.to_string() for url in ours - read}
    assert not lost, f"syft does not read from {path.name}: {sorted(lost)[:3]}"
    more = {url.to_string() for url in read - images - ours}
    assert not more, f"syft reads more from {path.name}: {sorted(more)[:3]}"
    if system:
        assert document["distro"]["id"] == system, f"{path.name}: {document['distro']}"


def main():
    count = 0
    systems = {"mixed": "debian", "holed": "debian", "apk": "alpine", "bookworm": "debian", "alpine": "alpine"}
    for layout in sorted((WORK / "layouts").iterdir()):
        cyclonedx, spdx = written(layout, "cyclonedx"), written(layout, "spdx")
        packages = check_cyclonedx(cyclonedx)
        assert packages == check_spdx(spdx), f"{layout.name}: the two bills differ"
        if packages:
            check_syft(cyclonedx, packages, systems.get(layout.name))
            check_syft(spdx, packages, None)
        aggregate = json.loads(cyclonedx.read_text())["compositions"][0]["aggregate"]
        assert aggregate == ("incomplete" if layout.name == "holed" else "unknown"), f"{layout.name}: {aggregate}"
        if layout.name == "bookworm":
            truth = (pathlib.Path(DATA) / "scan/fixtures/bookworm-rootfs.dpkg-query.txt").read_text().split("\n")
            debs = {url for url, _ in packages if url.startswith("pkg:deb/")}
            assert len(debs) == len([line for line in truth if line]), f"{len(debs)} packages of Debian"
        count += 1
        print(f"ok   {layout.name}: {len(packages)} packages, both bills valid, and read alike by syft")
    assert count >= 4, "the layouts were not there"


main()
