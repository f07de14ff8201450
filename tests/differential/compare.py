#!/usr/bin/python3
"""Makes subjects, good and forged, asks Pratique and the tools about each, and compares. See run.sh."""
import argparse
import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time

import report
from registry import Place, Registry
from subject import ACCEPT, REJECT, Subject
from tools import KINDS, Tools

import attestation
import bundle
import keyless
import logged
import notation
import simple

MIRROR, ADMIN = "127.0.0.1:5000", "127.0.0.1:5001"
UNDECIDED = "undecided"
#: What a quick run is about.
QUICK_KINDS = ["p256", "p384", "rsa2048", "ed25519"]
QUICK_LABELS = {"simple": QUICK_KINDS, "bundle": ["p256"], "attestation-envelope": ["p256-slsaprovenance1"], "attestation-bundle": ["p256-slsaprovenance1"],
                "notation-jws": ["es256"], "notation-cose": ["es256"], "keyless-bundle": ["workflow"], "keyless-simple": ["workflow"],
                "logged-bundle": ["p256"], "logged-simple": ["p256"]}
HERE = os.path.dirname(os.path.abspath(__file__))
START_LIMIT = 20


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--registry", required=True)
    parser.add_argument("--rig", required=True)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--pratique", required=True)
    parser.add_argument("--project", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="a regular expression on FORM/KEY/VARIANT")
    parser.add_argument("--output", required=True)
    parser.add_argument("--workers", type=int, default=4)
    return parser.parse_args()


def forms(tools, folder, quick, pool):
    """Every form with every key it is made with."""
    kinds = [kind for kind in KINDS if not quick or kind in QUICK_KINDS]
    names = [(f"{kind}{suffix}", kind) for kind in kinds for suffix in ("", "-other")]
    keys = dict(zip([name for name, _ in names], pool.map(lambda it: tools.make_key(*it), names)))

    def of(kind):
        return keys[kind], keys[f"{kind}-other"], keys["rsa2048" if kind != "rsa2048" else "p256"]

    made = [simple.Form(tools, *of(kind)) for kind in kinds]
    made += [bundle.Form(tools, *of(kind)) for kind in kinds]
    made += [form(tools, *of(kind), about) for form in (attestation.Envelopes, attestation.Bundles) for kind, about in attestation.MADE if kind in kinds]
    made += logged.forms(tools, of, [kind for kind in ("p256", "rsa2048") if kind in kinds])
    authority = notation.Authority(tools, os.path.join(HERE, "notation_keys.sh"))
    made += [notation.Form(authority, encoding, *it) for encoding in notation.MEDIA for it in notation.MADE]
    made += [form(tools, folder, label) for form in (keyless.Bundles, keyless.Simple) for label in form.wanted]
    return [form for form in made if not quick or form.label in QUICK_LABELS[form.name]]


def build(registry, form, variant):
    repository = f"{form.name}/{form.label}/{variant.name}"
    if variant.expected == ACCEPT and form.repository:
        repository = form.repository
    image = form.subject(variant.name, form.label)
    variant.make(Place(registry, repository, image))
    oracles = form.oracles(f"{registry.address}/{repository}@{image.digest}")
    return Subject(form.name, form.label, variant.name, variant.expected, repository, image.digest, oracles)


def write_policy(path, made):
    """A rule for each form and key."""
    roots = dict.fromkeys(root for form in made for root in form.roots)
    signers = dict.fromkeys(form.policy()[0] for form in made)
    lines = ["apiVersion: pratique.dev/v1", "kind: Policy", "metadata: {name: differential, revision: 1}"]
    lines += ["trustRoots:", *[f"  {it}" for it in roots]]
    lines += ["signers:", *[f"  {it}" for it in signers], "floor: {registries: [up.test]}", "rules:"]
    for form in made:
        match = [f"up.test/{form.name}/{form.label}/**"] + ([f"up.test/{form.repository}"] if form.repository else [])
        lines.append(f"- {{id: {form.name}-{form.label}, match: {json.dumps(match)}, trust: allow, {form.policy()[1]}}}")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


class Mirror:
    """Pratique in front of the registry."""

    def __init__(self, program, scratch, upstream, policy):
        config = os.path.join(scratch, "pratique.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'data_dir = "{scratch}/data"\npolicy = "{policy}"\n[node]\nlisten = "{MIRROR}"\n[admin]\nlisten = "{ADMIN}"\n'
                       f'[[upstream]]\nregistry = "up.test"\nurl = "http://{upstream}"\ndanger_plain_http = true\n')
        self.log = open(os.path.join(scratch, "pratique.log"), "wb")
        self.process = subprocess.Popen([program, "serve", "--config", config], stdout=self.log, stderr=self.log)
        self.node = Registry(MIRROR)
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if Registry(MIRROR).ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        self.stop()
        with open(self.log.name, encoding="utf-8") as file:
            raise SystemExit(f"pratique did not start: {file.read()[-2000:]}")

    def verdict(self, subject):
        """What Pratique says, and why."""
        path = f"/v2/{subject.repository}/manifests/{subject.digest}?ns=up.test"
        status, _, body = self.node.ask("GET", path)
        if status == 200:
            return ACCEPT, ""
        try:
            text = json.loads(body)["errors"][0]["message"]
        except (ValueError, KeyError, IndexError):
            text = body[:200].decode(errors="replace")
        if status != 403:
            return UNDECIDED, f"{status} {text}"
        # A refusal for any other reason would prove nothing.
        if not re.search(r"sign|attest", text):
            raise SystemExit(f"{subject.repository} is refused for another reason: {text}")
        return REJECT, text

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def asked(tools, command):
    """The verdict of a tool by its exit status, and its last word."""
    command, environment = command if isinstance(command, tuple) else (command, {})
    status, out, error = tools.run(command, **environment)
    said = [line for line in (error or out).decode(errors="replace").splitlines() if line.strip()]
    return (ACCEPT if status == 0 else REJECT), (said[-1] if said else "")


def main():
    given = arguments()
    registry = Registry(given.registry, os.path.join(given.scratch, "registry"))
    tools = Tools(given.rig, given.scratch)
    wanted = re.compile(given.only)
    with concurrent.futures.ThreadPoolExecutor(given.workers) as pool:
        started = time.monotonic()
        made = forms(tools, os.path.join(given.project, "tests/fixtures/signatures/keyless"), given.quick, pool)
        list(pool.map(lambda form: form.prepare(registry), made))
        work = [(form, variant) for form in made for variant in form.variants()
                if wanted.search(f"{form.name}/{form.label}/{variant.name}") and (variant.core or not given.quick)]
        twice = [it for it, count in collections.Counter((form.name, form.label, variant.name) for form, variant in work).items() if count > 1]
        if twice:
            raise SystemExit(f"two variants of one name: {twice}")
        subjects = list(pool.map(lambda it: build(registry, *it), work))
        print(f"     {len(subjects)} subjects made in {time.monotonic() - started:.0f} s", flush=True)
        policy = os.path.join(given.scratch, "policy.yaml")
        write_policy(policy, made)
        mirror = Mirror(given.pratique, given.scratch, given.registry, policy)
        started = time.monotonic()
        verdicts = list(pool.map(mirror.verdict, subjects))
        mirror.stop()
        print(f"     Pratique judged them in {time.monotonic() - started:.1f} s", flush=True)
        started = time.monotonic()
        questions = [(at, tool, command) for at, subject in enumerate(subjects) for tool, command in subject.oracles]
        answers = list(pool.map(lambda it: asked(tools, it[2]), questions))
        print(f"     the tools answered {len(questions)} times in {time.monotonic() - started:.0f} s", flush=True)
    rows = [report.Row(subjects[at], tool, *answer, *verdicts[at]) for (at, tool, _), answer in zip(questions, answers)]
    complete = not given.quick and not given.only
    sys.exit(report.write(rows, given.rig, os.path.join(HERE, "explained.tsv"), given.output, complete))


main()
