"""Signatures by identity: what a throw-away Sigstore instance signed (tests/fixtures/signatures/keyless), and damaged."""
import base64
import json
import os
import re

from bundle import changed, text_bytes
from dsse import referrer
from registry import CONFIG, MANIFEST, part
from simple import PAYLOAD, SIGNATURE
from subject import ACCEPT, REJECT, Form, core, more
from tools import flipped

OURS = "https://ci.test/acme/app/release.yml@refs/tags/v1"
ISSUER = "https://issuer.test"
#: Who is wanted: root, issuer, subject (or a regular expression for it), and whether that is who signed.
WANTED = {
    "workflow": ("trusted-root", ISSUER, OURS, None, ACCEPT),
    "any-tag": ("trusted-root", ISSUER, None, r"https://ci\.test/acme/app/release\.yml@refs/tags/v.+", ACCEPT),
    "a-part-of-it": ("trusted-root", ISSUER, None, r"^https://ci\.test/acme/app/release\.yml$", REJECT),
    "another-subject": ("trusted-root", ISSUER, OURS + "2", None, REJECT),
    "another-issuer": ("trusted-root", ISSUER + "/", OURS, None, REJECT),
    "another-instance": ("other-root", ISSUER, OURS, None, REJECT),
}


class Fixed:
    """The image of the fixtures."""

    def __init__(self, folder):
        self.folder = folder
        self.manifest = self.read("image-manifest.json")
        self.descriptor = part(MANIFEST, self.manifest)
        self.digest = self.descriptor["digest"]

    def read(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def push(self, registry, repository):
        for name in ("image-config.json", "image-layer.tar"):
            registry.blob(repository, self.read(name))
        registry.manifest(repository, None, MANIFEST, self.manifest)


class Base(Form):
    """Whom the policy and the tool want."""

    def __init__(self, tools, folder, label):
        self.tools, self.folder, self.label, self.image = tools, folder, label, Fixed(folder)
        self.root, self.issuer, self.exact, self.regexp, self.good = WANTED[label]
        self.roots = [f"{self.root}: {{sigstore: {{trustedRoot: \"file:{folder}/{self.root}.json\"}}}}"]

    def load(self, name):
        return json.loads(self.image.read(f"{name}.json"))

    def subject(self, _variant, _key):
        return self.image

    def policy(self):
        who = f"subject: \"{self.exact}\"" if self.exact else f"subjectRegexp: '{self.regexp}'"
        return (f"{self.label}: {{keyless: {{root: {self.root}, issuer: \"{self.issuer}\", {who}}}}}",
                f"signatures: {{atLeast: 1, of: [{self.label}]}}")

    def identity(self):
        who = ["--certificate-identity", self.exact] if self.exact else ["--certificate-identity-regexp", self.regexp]
        return [*who, "--certificate-oidc-issuer", self.issuer, "--allow-http-registry", "--allow-insecure-registry"]


class Bundles(Base):
    """Sigstore bundles, with certificate, log and timestamp."""
    name = "keyless-bundle"
    wanted = list(WANTED)

    def variants(self):
        def put(*bundles):
            return lambda place: place.refer([referrer(it, place.subject.descriptor) for it in bundles])

        def made(name, expected=self.good):
            return (name, expected, put(self.load(name)))

        fixtures = [
            made("bundle-rekor1"), made("bundle-rekor1-tsa"), made("bundle-rekor2-tsa"), made("bundle-intoto-rekor1"),
            made("stranger", REJECT), made("other-image", REJECT), made("no-log", REJECT), made("no-time", REJECT), made("message", REJECT),
            ("other-instance", ACCEPT if self.label == "another-instance" else REJECT, put(self.load("other-instance"))),
        ]
        if self.label != "workflow":
            return core(fixtures)
        first, second = self.load("bundle-rekor1-tsa"), self.load("bundle-rekor2-tsa")
        stranger, plain = self.load("stranger"), self.load("bundle-rekor1")
        material, entry = ("verificationMaterial",), ("verificationMaterial", "tlogEntries", 0)
        stamp = ("verificationMaterial", "timestampVerificationData", "rfc3161Timestamps", 0, "signedTimestamp")
        payload, sig = ("dsseEnvelope", "payload"), ("dsseEnvelope", "signatures", 0, "sig")
        flip = text_bytes(flipped)

        def middle(data):
            return flipped(data, len(data) // 2)

        def of(value, *path):
            for name in path:
                value = value[name]
            return value

        def edit(name, expected, value, *path_and_change):
            return (name, expected, put(changed(value, *path_and_change)))

        def number(change):
            return lambda text: str(int(text) + change)

        def without(value, *path):
            *before, last = path
            return changed(value, *before, {name: it for name, it in of(value, *before).items() if name != last}) if before else {
                name: it for name, it in value.items() if name != last}

        def checkpoint(text):
            """Another origin, which the log did not sign."""
            return "x" + text

        damaged = []
        for log, value in (("rekor1", first), ("rekor2", second)):
            damaged += [
                edit(f"{log}-payload-bit-flipped", REJECT, value, *payload, flip),
                edit(f"{log}-signature-bit-flipped", REJECT, value, *sig, flip),
                edit(f"{log}-signature-of-another", REJECT, value, *sig, of(stranger, *sig)),
                edit(f"{log}-certificate-bit-flipped", REJECT, value, *material, "certificate", "rawBytes", flip),
                edit(f"{log}-certificate-middle-flipped", REJECT, value, *material, "certificate", "rawBytes", text_bytes(middle)),
                edit(f"{log}-certificate-of-another", REJECT, value, *material, "certificate", of(stranger, *material, "certificate")),
                edit(f"{log}-entry-of-another", REJECT, value, *material, "tlogEntries", of(stranger, *material, "tlogEntries")),
                edit(f"{log}-entry-removed", REJECT, value, *material, "tlogEntries", []),
                edit(f"{log}-body-bit-flipped", REJECT, value, *entry, "canonicalizedBody", flip),
                edit(f"{log}-body-of-another", REJECT, value, *entry, "canonicalizedBody", of(stranger, *entry, "canonicalizedBody")),
                edit(f"{log}-log-unknown", REJECT, value, *entry, "logId", "keyId", flip),
                edit(f"{log}-proof-root-flipped", REJECT, value, *entry, "inclusionProof", "rootHash", flip),
                edit(f"{log}-proof-of-another", REJECT, value, *entry, "inclusionProof", of(self.load("stranger" if log == "rekor1" else "no-time"), *entry, "inclusionProof")),
                edit(f"{log}-checkpoint-of-another", REJECT, value, *entry, "inclusionProof", "checkpoint", of(self.load("stranger" if log == "rekor1" else "no-time"), *entry, "inclusionProof", "checkpoint")),
                edit(f"{log}-proof-checkpoint-edited", REJECT, value, *entry, "inclusionProof", "checkpoint", "envelope", checkpoint),
                (f"{log}-proof-removed", REJECT, put(without(value, *entry, "inclusionProof"))),
                edit(f"{log}-kind-of-another", REJECT, value, *entry, "kindVersion", {"kind": "intoto", "version": "0.0.2"}),
                edit(f"{log}-timestamp-bit-flipped", REJECT, value, *stamp, flip),
                edit(f"{log}-timestamp-middle-flipped", REJECT, value, *stamp, text_bytes(middle)),
                edit(f"{log}-timestamp-of-another", REJECT, value, *stamp, of(second if value is first else first, *stamp)),
                (f"{log}-timestamp-removed", ACCEPT if log == "rekor1" else REJECT, put(without(value, *material, "timestampVerificationData"))),
                (f"{log}-key-instead-of-certificate", REJECT, put({**value, "verificationMaterial": {
                    **{name: it for name, it in value["verificationMaterial"].items() if name != "certificate"}, "publicKey": {"hint": ""}}})),
            ]
        damaged += [
            edit("rekor1-promise-flipped", REJECT, plain, *entry, "inclusionPromise", "signedEntryTimestamp", flip),
            edit("rekor1-promise-of-another", REJECT, plain, *entry, "inclusionPromise", of(stranger, *entry, "inclusionPromise")),
            ("rekor1-promise-removed", REJECT, put(without(plain, *entry, "inclusionPromise"))),
            ("rekor1-promise-removed-with-timestamp", ACCEPT, put(without(first, *entry, "inclusionPromise"))),
            edit("rekor1-seen-later", REJECT, plain, *entry, "integratedTime", number(60)),
            edit("rekor1-seen-a-year-later", REJECT, plain, *entry, "integratedTime", number(31_536_000)),
            edit("rekor1-at-another-place", REJECT, plain, *entry, "logIndex", number(1)),
            edit("rekor1-entry-twice", REJECT, plain, *material, "tlogEntries", lambda it: it * 2),
            ("good-after-bad", ACCEPT, put(stranger, plain)),
            ("good-before-bad", ACCEPT, put(plain, stranger)),
            ("provenance-instead", REJECT, put(self.load("provenance"))),
            ("unsigned", REJECT, lambda place: None),
        ]
        return core(fixtures) + more(damaged)

    def oracles(self, image):
        return [("cosign 3", ["cosign-3", "verify", "--trusted-root", f"{self.folder}/{self.root}.json", *self.identity(), image])]


class Simple(Base):
    """Simple signing with certificate and promise; its payload names one repository."""
    name = "keyless-simple"
    #: Of those who take it only one, because what is signed names one repository.
    wanted = ["workflow", "another-subject", "another-issuer", "another-instance"]

    def __init__(self, tools, folder, label):
        super().__init__(tools, folder, label)
        if self.good == ACCEPT:
            self.repository = "lib/app"

    def pem(self, name, certificates):
        """A file of certificates."""
        path = os.path.join(self.tools.scratch, f"{self.root}-{name}.pem")
        with open(path, "w", encoding="ascii") as file:
            for kind, raw in certificates:
                lines = "\n".join(re.findall(".{1,64}", raw))
                file.write(f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n")
        return path

    def variants(self):
        def put(name="simple", **edits):
            def make(place):
                material = self.load(name)["material"]
                payload, proof = base64.b64decode(material["payload"]), material["proof"]
                annotations = {SIGNATURE: material["signature"], "dev.sigstore.cosign/certificate": proof["certificate"],
                               "dev.sigstore.cosign/bundle": proof["bundle"], "dev.sigstore.cosign/rfc3161timestamp": proof["timestamp"]}
                for edited, change in edits.items():
                    key = next((it for it in annotations if it.endswith("/" + edited)), None)
                    if key is None:
                        payload = change(payload)
                    elif change is None:
                        del annotations[key]
                    else:
                        annotations[key] = change(annotations[key])
                layer = part(PAYLOAD, payload, annotations=annotations)
                manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": part(CONFIG, b"{}"), "layers": [layer]}
                place.attach_tag(".sig", manifest, [b"{}", payload])
            return make

        def promise(*path, change):
            return lambda text: json.dumps(changed(json.loads(text), *path, change))

        stranger = self.load("simple-other-repository")["material"]["proof"]
        return core([
            ("good", self.good, put()),
            ("for-another-repository", REJECT, put("simple-other-repository")),
            ("payload-bit-flipped", REJECT, put(payload=lambda it: flipped(it, -30))),
            ("signature-bit-flipped", REJECT, put(signature=text_bytes(flipped))),
            ("certificate-missing", REJECT, put(certificate=None)),
            ("certificate-of-another", REJECT, put(certificate=lambda _: stranger["certificate"])),
            ("promise-missing", REJECT, put(bundle=None)),
            ("promise-of-another", REJECT, put(bundle=lambda _: stranger["bundle"])),
            ("promise-flipped", REJECT, put(bundle=promise("SignedEntryTimestamp", change=text_bytes(flipped)))),
            ("promise-seen-later", REJECT, put(bundle=promise("Payload", "integratedTime", change=lambda it: it + 60))),
            ("promise-from-another-log", REJECT, put(bundle=promise("Payload", "logID", change=lambda it: "00" + it[2:]))),
        ])

    def oracles(self, image):
        root = self.load(self.root)
        certificate = [("CERTIFICATE", it["rawBytes"]) for it in root["certificateAuthorities"][0]["certChain"]["certificates"]]
        environment = {
            "SIGSTORE_ROOT_FILE": self.pem("ca", certificate),
            "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": self.pem("ct", [("PUBLIC KEY", root["ctlogs"][0]["publicKey"]["rawBytes"])]),
            "SIGSTORE_REKOR_PUBLIC_KEY": self.pem("rekor", [("PUBLIC KEY", root["tlogs"][0]["publicKey"]["rawBytes"])]),
        }
        return [("cosign 2", (["cosign-2", "verify", "--offline", *self.identity(), image], environment))]
