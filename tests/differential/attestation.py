"""Attestations: envelopes under the tag `.att` (cosign 2) and bundles among the referrers (cosign 3)."""
import json
import os

import bundle
from dsse import IN_TOTO, SIGNED, STATEMENT, envelope, pae, referrer, statement
from registry import CONFIG, MANIFEST, Place, encode, part
from simple import PAYLOAD, payload_text, signer, text
from subject import ACCEPT, REJECT, core, more
from tools import SIGN

ENVELOPE = "application/vnd.dsse.envelope.v1+json"
#: By what cosign calls them: what a policy calls them, the predicate type, a predicate.
TYPES = {
    "slsaprovenance1": ("slsaprovenance1", "https://slsa.dev/provenance/v1", {
        "buildDefinition": {"buildType": "https://ci.test/build", "externalParameters": {}}, "runDetails": {"builder": {"id": "https://ci.test/builder"}}}),
    "spdxjson": ("spdx", "https://spdx.dev/Document", {
        "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "image", "documentNamespace": "https://ci.test/image", "dataLicense": "CC0-1.0",
        "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: none"]}, "packages": []}),
    "vuln": ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1", {
        "invocation": {"parameters": [], "uri": "", "event_id": "", "builder.id": ""},
        "scanner": {"uri": "https://ci.test/scanner", "version": "1", "db": {"uri": "", "version": ""}, "result": {}},
        "metadata": {"scanStartedOn": "2026-01-01T00:00:00Z", "scanFinishedOn": "2026-01-01T00:00:00Z"}}),
}


class Base(bundle.Form):
    """What is the same in both forms."""
    line = 0

    def __init__(self, tools, key, other, different, kind):
        super().__init__(tools, key, other, different)
        self.kind = kind
        self.word, self.predicate_type, self.predicate = TYPES[kind]
        self.label = f"{key.kind}-{kind}"

    def by_tool(self, place):
        path = os.path.join(self.tools.scratch, f"{self.name}-{self.label}.json")
        with open(path, "wb") as file:
            file.write(encode(self.predicate))
        more = ["--use-signing-config=false"] if self.line == 3 else []
        self.tools.must([f"cosign-{self.line}", "attest", "--key", f"{self.key.path}-cosign.key", "--type", self.kind, "--predicate", path,
                         *SIGN, *more, f"{place.registry.address}/{place.repository}@{place.subject.digest}"])

    def of(self, digest):
        return statement(digest, self.predicate_type, self.predicate, STATEMENT)

    def policy(self):
        return signer(self.key), f"attestations: [{{type: {self.word}, signers: [{self.key.kind}]}}]"

    def first(self):
        return self.label == "p256-slsaprovenance1"

    def wrong_types(self):
        """Bundles of statements of another type."""
        other = next(it for name, it in TYPES.items() if name != self.kind)
        return [
            ("of-another-type", REJECT, lambda place: [self.sealed(statement(place.subject.digest, other[1], other[2]))]),
            ("of-another-type-beside-it", ACCEPT, lambda place: [self.sealed(statement(place.subject.digest, other[1], other[2])), self.made]),
            ("signature-instead", REJECT, lambda place: [self.sealed(statement(place.subject.digest, SIGNED))]),
        ]

    def odd(self, of):
        return super().odd(of) if self.first() else []

    def indexes(self, sealed):
        return [
            ("index-attested", ACCEPT, self.by_tool),
            ("index-attested-by-its-child", REJECT, lambda place: self.by_tool(Place(place.registry, place.repository, place.subject.image, push=False))),
            ("index-with-the-attestation-of-its-child", REJECT, sealed),
        ]


class Bundles(Base):
    """What cosign 3 makes."""
    name, line = "attestation-bundle", 3

    def variants(self):
        def put(make):
            return (lambda place: None) if make is None else lambda place: place.refer([referrer(it, place.subject.descriptor) for it in make(place)])

        def all_of(made):
            return [(name, expected, put(make)) for name, expected, make in made]

        forged = core([("good", ACCEPT, self.by_tool)] + all_of(self.forged(self.of) + self.wrong_types()))
        if not self.first():
            return forged
        indexes = self.indexes(put(lambda place: [self.sealed(self.of(place.subject.image.digest))]))
        return forged + core(indexes) + more(all_of(self.odd(self.of)) + self.placed())

    def oracles(self, image):
        return [("cosign 3", self.tools.verify_attestation(3, self.key, self.kind, image))]


class Envelopes(Base):
    """What cosign 2 makes."""
    name, line = "attestation-envelope", 2

    def prepare(self, registry):
        place = Place(registry, f"prepared/{self.name}/{self.label}", self.subject("", self.label))
        self.by_tool(place)
        manifest = registry.read_manifest(place.repository, place.subject.digest.replace(":", "-") + ".att")
        self.made = {"verificationMaterial": {}, "dsseEnvelope": json.loads(registry.read_blob(place.repository, manifest["layers"][0]["digest"]))}

    def sealed(self, payload, key=None, kind=IN_TOTO, digest=None):
        key = key or self.key
        payload = encode(payload)
        return {"dsseEnvelope": envelope(payload, key.sign(pae(payload, kind), digest or "sha256"), kind=kind)}

    def put(self, place, contents, layer_type=ENVELOPE, suffix=".att", annotation=None):
        contents = [it if isinstance(it, bytes) else encode(it["dsseEnvelope"]) for it in contents]
        beside = {"dev.cosignproject.cosign/signature": "", "predicateType": annotation or self.predicate_type}
        layers = [part(layer_type, it, annotations=beside) for it in contents]
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": part(CONFIG, b"{}"), "layers": layers}
        place.attach_tag(suffix, manifest, [b"{}", *contents])

    def variants(self):
        def put(make, **how):
            return (lambda place: None) if make is None else lambda place: self.put(place, make(place), **how)

        def good(place):
            return [self.sealed(self.of(place.subject.digest))]

        def simple_signing(place):
            payload = payload_text(f"up.test/{place.repository}", place.subject.digest).encode()
            layer = part(PAYLOAD, payload, annotations={"dev.cosignproject.cosign/signature": text(self.key.sign(payload))})
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": part(CONFIG, b"{}"), "layers": [layer]}
            for suffix in (".att", ".sig"):
                place.attach_tag(suffix, manifest, [b"{}", payload])

        # What is about bundles only has no place here.
        about_bundles = ("hint-", "material-", "with-a-broken", "version-", "two-contents", "message-", "unknown-field")
        def all_of(made):
            return [(name, expected, put(make)) for name, expected, make in made if not name.startswith(about_bundles)]

        forged = core([("good", ACCEPT, self.by_tool)] + all_of(self.forged(self.of) + self.wrong_types()))
        rest = all_of(self.odd(self.of))
        if self.first():
            rest += self.indexes(put(lambda place: [self.sealed(self.of(place.subject.image.digest))])) + [
                ("annotation-of-another-type", ACCEPT, put(good, annotation="https://example.test/other")),
                ("layer-of-another-type", REJECT, put(good, layer_type="application/octet-stream")),
                ("in-the-place-of-signatures", REJECT, put(good, suffix=".sig")),
                ("in-the-place-of-referrers", REJECT, put(good, suffix="")),
                ("simple-signing-instead", REJECT, simple_signing),
                ("good-beside-garbage", ACCEPT, put(lambda place: [b"garbage", self.made])),
                ("good-before-garbage", ACCEPT, put(lambda place: [self.made, b"garbage"])),
                ("unknown-field", ACCEPT, put(lambda place: [{"dsseEnvelope": {**self.made["dsseEnvelope"], "more": 1}}])),
                ("bundle-instead", REJECT, put(lambda place: [encode({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                                                                      **self.made, "verificationMaterial": {"publicKey": {"hint": ""}}})])),
            ]
        if self.key.kind == "p384":
            rest += [("signature-by-sha384", REJECT, put(lambda place: [self.sealed(self.of(place.subject.digest), digest="sha384")]))]
        return forged + more(rest)

    def oracles(self, image):
        return [(f"cosign {line}", self.tools.verify_attestation(line, self.key, self.kind, image)) for line in (2, 3)]


#: Which keys attest what.
MADE = [("p256", "slsaprovenance1"), ("p256", "spdxjson"), ("p256", "vuln"), ("p384", "slsaprovenance1"), ("rsa3072", "slsaprovenance1"), ("ed25519", "slsaprovenance1")]
