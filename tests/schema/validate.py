"""The schema against policies that are good, and against the same with one thing broken."""

import copy
import json
import pathlib
import re
import sys

import jsonschema
import yaml


class Loader(yaml.SafeLoader):
    """YAML 1.2 as editors read it: a time is a text, and so are yes and no."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(("timestamp", "bool"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))

root = pathlib.Path(sys.argv[1])
folder = root / "src/policy/schema"
schema = json.loads((folder / "schema.json").read_text())
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)


def load(text):
    return yaml.load(text, Loader)


def documents():
    """Every whole policy that people are shown."""
    for path in [root / "config/policy.yaml", root / "src/policy/built_in.yaml", *folder.glob("*.yaml")]:
        yield path.name, load(path.read_text())
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.S | re.M)):
            if "kind: Policy\n" in block:
                yield f"{path.name}, block {number}", load(block)


# What is broken, by where and how; "drop" takes the key away.
BROKEN = [
    (["kind"], "Polcy"),
    (["apiVersion"], "pratique.dev/v2"),
    (["metadata", "revision"], "drop"),
    (["metadata", "revision"], "1"),
    (["metadata", "name"], "a b"),
    (["modes"], "audit"),
    (["defaults", "mode"], "watch"),
    (["floor", "platforms"], ["amd64"]),
    (["floor", "platforms"], []),
    (["floor", "denyImages", 0, "digest"], "sha256:12"),
    (["floor", "denyImages", 0, "reason"], "drop"),
    (["floor", "limits", "manifestBytes"], "4MB"),
    (["floor", "limits", "layers"], 0),
    (["floor", "vulnerabilities", "denyKEV"], "yes"),
    (["trustRoots", "corp", "sigstore", "trustedRoot"], "root.json"),
    (["trustRoots", "corp", "notation"], {"ca": ["file:any"]}),
    (["trustRoots", "x509", "notation", "crlMaxAge"], "a week"),
    (["signers", "team", "transparencyLog"], "drop"),
    (["signers", "team", "key", "pem"], "drop"),
    (["signers", "team", "key", "jwk"], "file:any"),
    (["signers", "team", "key", "notAfter"], "2027-01-01"),
    (["signers", "ci", "keyless", "issuer"], "drop"),
    (["signers", "ci", "keyless", "subject"], "both"),
    (["signers", "ci", "key"], {"pem": "file:any"}),
    (["signers", "a b"], {"keyless": {"issuer": "i", "subject": "s"}}),
    (["gates", "strict", "scanner", "maxDbAge"], "48"),
    (["gates", "strict", "deny"], []),
    (["gates", "strict", "deny", 0, "severity"], "bad"),
    (["gates", "strict", "deny", 0], {}),
    (["gates", "rated", "deny", 0, "likelihood"], 0.1),
    (["gates", "strict", "onNewFinding"], "warn"),
    (["gates", "strict", "user", "nonRoot"], False),
    (["gates", "strict", "exposedPorts", "deny"], [0]),
    (["gates", "strict", "env", "denyNames"], ["A=b"]),
    (["gates", "strict", "vex", "from"], "drop"),
    (["exceptions", 0, "expires"], "drop"),
    (["exceptions", 0, "check", "vulnerability"], "drop"),
    (["maxException"], "90"),
    (["rules"], "drop"),
    (["rules"], []),
    (["rules", 0, "id"], "drop"),
    (["rules", 0, "trust"], "drop"),
    (["rules", 0, "trust"], "allowed"),
    (["rules", 0, "match"], "up.test/*"),
    (["rules", 0, "match", "images"], "drop"),
    (["rules", 0, "tags", "exact"], ["1"]),
    (["rules", 0, "signatures", "none"], "nobody signs"),
    (["rules", 0, "signatures", "of"], "drop"),
    (["rules", 0, "signatures", "atLeast"], 0),
    (["rules", 0, "signatures", "scope"], "all"),
    (["rules", 0, "attestations", 0, "signers"], "drop"),
    (["rules", 0, "signature"], {"none": "a slip of the pen"}),
]


def broken(document, place, value):
    document = copy.deepcopy(document)
    inner = document
    for step in place[:-1]:
        inner = inner[step]
    if value == "drop":
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return document


failed = 0
names = []
for name, document in documents():
    names.append(name)
    for error in validator.iter_errors(document):
        failed += 1
        print(f"{name}: {error.json_path}: {error.message}")
everything = load((folder / "everything.yaml").read_text())
# What a file may leave to the others of its directory.
base = broken(everything, ["rules"], "drop")
part = load("""{apiVersion: pratique.dev/v1, kind: Policy,
  metadata: {name: team, owner: "group:team", scope: ["up.test/team/**"]}}""")
for what, document in [("base file", base), ("file with a scope", part)]:
    for error in validator.iter_errors(document):
        failed += 1
        print(f"{what} of a directory: {error.json_path}: {error.message}")
del everything["metadata"]["scopes"]
for place, value in BROKEN:
    if validator.is_valid(broken(everything, place, value)):
        failed += 1
        print(f"fits although broken: {place} = {value!r}")
if len(names) < 5:
    failed += 1
    print(f"too few policies were found: {names}")
print(f"{len(names)} policies fit, {len(BROKEN)} broken ones do not" if not failed else f"{failed} failures")
sys.exit(1 if failed else 0)
