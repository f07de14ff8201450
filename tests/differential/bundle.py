"""Sigstore bundles that sign an image: cosign 3's form, among the referrers."""
import base64
import copy
import json

from dsse import (BUNDLE, IN_TOTO, OLD_STATEMENT, SIGNED, STATEMENT, b64, digest_for, envelope, pae, referrer, statement)
from registry import EMPTY, MANIFEST, Image, IndexOf, Place, encode, part
from simple import signer
from subject import ACCEPT, REJECT, Form as Base, core, more
from tools import SIGN, flipped

OTHER = Image("another image")
PROVENANCE = "https://slsa.dev/provenance/v1"


def changed(value, *path_and_change):
    """A copy of nested dicts and lists with one value replaced."""
    *path, last, change = path_and_change
    value = copy.deepcopy(value)
    place = value
    for name in path:
        place = place[name]
    place[last] = change(place[last]) if callable(change) else change
    return value


def text_bytes(change):
    """A change of bytes that stand as base64."""
    return lambda text: b64(change(base64.b64decode(text)))


class Form(Base):
    """The variants for one key. `other` is somebody else's key of the same kind."""
    name = "bundle"

    def __init__(self, tools, key, other, different):
        self.tools, self.key, self.other, self.different = tools, key, other, different
        self.label = key.kind
        self.made = None

    def prepare(self, registry):
        """What cosign makes, to forge from."""
        place = Place(registry, f"prepared/{self.name}/{self.label}", self.subject("", self.label))
        self.by_tool(place)
        manifest = place.referrers()[0]
        self.made = json.loads(registry.read_blob(place.repository, manifest["layers"][0]["digest"]))

    def by_tool(self, place):
        self.tools.must(["cosign-3", "sign", "--key", f"{self.key.path}-cosign.key", *SIGN, "--use-signing-config=false",
                         f"{place.registry.address}/{place.repository}@{place.subject.digest}"])

    def sealed(self, payload, key=None, kind=IN_TOTO, digest=None):
        """A bundle over a payload, validly signed by openssl."""
        key = key or self.key
        payload = encode(payload)
        signature = key.sign(pae(payload, kind), digest or digest_for(key))
        return changed(self.made, "dsseEnvelope", envelope(payload, signature, kind=kind))

    # --- what is the same for signatures and attestations: `of(digest)` makes the statement -------------------

    def forged(self, of):
        """Variants for every key: (name, what it should come to, bundles from a place)."""
        def edit(*path_and_change):
            return lambda place: [changed(self.made, *path_and_change)]

        def wrong(place):
            return self.sealed(of(place.subject.digest), self.other)

        payload, sig = ("dsseEnvelope", "payload"), ("dsseEnvelope", "signatures", 0, "sig")
        swap = self.subject("", self.label).digest[7:].encode()
        return [
            ("good-by-openssl", ACCEPT, lambda place: [self.sealed(of(place.subject.digest))]),
            ("good-copied", ACCEPT, lambda place: [self.made]),
            ("unsigned", REJECT, None),
            ("wrong-key", REJECT, lambda place: [wrong(place)]),
            ("wrong-kind-of-key", REJECT, lambda place: [self.sealed(of(place.subject.digest), self.different)]),
            ("of-another-image", REJECT, lambda place: [self.sealed(of(OTHER.digest))]),
            ("payload-edited", REJECT, edit(*payload, text_bytes(lambda it: it.replace(swap, OTHER.digest[7:].encode())))),
            ("payload-bit-flipped", REJECT, edit(*payload, text_bytes(flipped))),
            ("signature-bit-flipped", REJECT, edit(*sig, text_bytes(flipped))),
            ("signature-empty", REJECT, edit(*sig, "")),
            ("signature-removed", REJECT, edit("dsseEnvelope", "signatures", [])),
            ("cut", REJECT, lambda place: [encode(self.made)[:-10]]),
            ("good-after-bad", ACCEPT, lambda place: [wrong(place), self.made]),
            ("good-before-bad", ACCEPT, lambda place: [self.made, wrong(place)]),
        ]

    def odd(self, of):
        """Variants for one key: (name, what it should come to, bundles from a place)."""
        made = self.made

        def edit(*path_and_change):
            return lambda place: [changed(made, *path_and_change)]

        def said(change):
            """Validly signed, with another statement."""
            def make(place):
                value = copy.deepcopy(of(place.subject.digest))
                return [self.sealed(change(value) or value)]
            return make

        def written(change):
            """Validly signed, with other text."""
            return lambda place: [self.sealed(change(encode(of(place.subject.digest)).decode(), place.subject.digest).encode())]

        def about(value, subjects):
            value["subject"] = subjects

        material, sig = "verificationMaterial", ("dsseEnvelope", "signatures", 0, "sig")
        other = {"digest": {"sha256": OTHER.digest[7:]}}
        return [
            ("hint-of-another-key", ACCEPT, edit(material, {"publicKey": {"hint": "of another key"}})),
            ("hint-missing", ACCEPT, edit(material, {"publicKey": {}})),
            ("material-missing", REJECT, lambda place: [{name: made[name] for name in made if name != material}]),
            ("material-empty", REJECT, edit(material, {})),
            ("material-a-certificate", REJECT, edit(material, {"certificate": {"rawBytes": b64(b"certificate")}})),
            ("material-key-and-certificate", REJECT, edit(material, {"publicKey": {"hint": ""}, "certificate": {"rawBytes": b64(b"certificate")}})),
            ("with-a-broken-log-entry", ACCEPT, edit(material, {**made[material], "tlogEntries": [{"logIndex": "1"}]})),
            ("with-a-broken-timestamp", ACCEPT, edit(material, {**made[material], "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]}})),
            ("version-0.1", ACCEPT, edit("mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.1")),
            ("version-0.2", ACCEPT, edit("mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.2")),
            ("version-0.3-old-spelling", ACCEPT, edit("mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.3")),
            ("version-0.4", REJECT, edit("mediaType", "application/vnd.dev.sigstore.bundle.v0.4+json")),
            ("version-missing", REJECT, edit("mediaType", "")),
            ("unknown-field", REJECT, lambda place: [{**made, "more": 1}]),
            ("two-contents", REJECT, lambda place: [{**made, "messageSignature": {"messageDigest": {"algorithm": "SHA2_256", "digest": b64(b"0" * 32)}, "signature": "AAAA"}}]),
            ("message-over-the-manifest", REJECT, lambda place: [{
                "mediaType": BUNDLE, material: made[material], "messageSignature": {
                    "messageDigest": {"algorithm": "SHA2_256", "digest": b64(bytes.fromhex(place.subject.digest[7:]))},
                    "signature": b64(self.key.sign(place.subject.manifest))}}]),
            ("two-signatures-first-good", REJECT, edit("dsseEnvelope", "signatures", lambda it: [*it, {"sig": "AAAA"}])),
            ("two-signatures-last-good", REJECT, edit("dsseEnvelope", "signatures", lambda it: [{"sig": "AAAA"}, *it])),
            ("signature-twice", REJECT, edit("dsseEnvelope", "signatures", lambda it: [*it, *it])),
            ("signature-with-tail", REJECT, edit(*sig, text_bytes(lambda it: it + b"\0"))),
            ("signature-in-base64url", REJECT, lambda place: [self.url_spelled(of(place.subject.digest))]),
            ("payload-type-edited", REJECT, edit("dsseEnvelope", "payloadType", "application/json")),
            ("payload-type-signed", REJECT, lambda place: [self.sealed(of(place.subject.digest), kind="application/json")]),
            ("payload-alone-signed", REJECT, lambda place: [changed(made, *sig, b64(self.key.sign(base64.b64decode(made["dsseEnvelope"]["payload"]))))]),
            ("payload-empty", REJECT, lambda place: [self.sealed(b"")]),
            ("payload-null", REJECT, lambda place: [self.sealed(b"null")]),
            ("payload-cut", REJECT, written(lambda text, _: text[:-2])),
            ("payload-with-tail", REJECT, written(lambda text, _: text + "{}")),
            ("payload-with-space", ACCEPT, written(lambda text, _: f" {text}\n")),
            ("statement-0.1", ACCEPT, said(lambda it: it.update(_type=OLD_STATEMENT))),
            ("statement-1", ACCEPT, said(lambda it: it.update(_type=STATEMENT))),
            ("statement-of-another-type", REJECT, said(lambda it: it.update(_type="https://in-toto.io/Statement/v9"))),
            ("statement-without-type", REJECT, said(lambda it: drop(it, "_type"))),
            ("statement-without-subject", REJECT, said(lambda it: drop(it, "subject"))),
            ("statement-of-no-subject", REJECT, said(lambda it: about(it, []))),
            ("statement-without-digest", REJECT, said(lambda it: about(it, [{"name": "image"}]))),
            ("statement-of-two-first-ours", ACCEPT, said(lambda it: about(it, [*it["subject"], other]))),
            ("statement-of-two-last-ours", ACCEPT, said(lambda it: about(it, [other, *it["subject"]]))),
            ("statement-of-two-others", REJECT, said(lambda it: about(it, [other, other]))),
            ("statement-names-a-repository", ACCEPT, said(lambda it: it["subject"][0].update(name="other.test/another"))),
            ("statement-digest-by-sha512", REJECT, said(lambda it: about(it, [{"digest": {"sha512": "0" * 128}}]))),
            ("statement-digest-as-sha512", REJECT, said(lambda it: about(it, [{"digest": {"sha512": it["subject"][0]["digest"]["sha256"]}}]))),
            ("statement-digest-in-capitals", REJECT, said(lambda it: about(it, [{"digest": {"sha256": it["subject"][0]["digest"]["sha256"].upper()}}]))),
            ("statement-digest-with-prefix", REJECT, said(lambda it: about(it, [{"digest": {"sha256": "sha256:" + it["subject"][0]["digest"]["sha256"]}}]))),
            ("statement-two-digests-last-ours", REJECT, written(lambda text, digest: text.replace('"sha256":', f'"sha256":"{OTHER.digest[7:]}","sha256":'))),
            ("statement-two-subjects-last-ours", REJECT, written(lambda text, digest: text.replace('"subject":', '"subject":[{"digest":{"sha256":"00"}}],"subject":'))),
            ("statement-other-case", REJECT, written(lambda text, digest: text.replace('"subject"', '"Subject"'))),
            ("predicate-type-missing", REJECT, said(lambda it: drop(it, "predicateType"))),
            ("predicate-type-with-slash", REJECT, said(lambda it: it.update(predicateType=it["predicateType"] + "/"))),
            ("predicate-type-in-capitals", REJECT, said(lambda it: it.update(predicateType=it["predicateType"].upper()))),
        ]

    def url_spelled(self, value):
        """A bundle whose signature, in base64url, is spelled otherwise than in base64."""
        for number in range(64):
            sealed = self.sealed({**value, "predicate": {"number": number}} if self.name == "bundle" else value)
            text = sealed["dsseEnvelope"]["signatures"][0]["sig"]
            if "+" in text or "/" in text:
                return changed(sealed, "dsseEnvelope", "signatures", 0, "sig", text.replace("+", "-").replace("/", "_"))
        raise AssertionError("no signature with + or / in base64")

    def placed(self):
        """Variants of where the bundle stands: (name, what it should come to, maker)."""
        made = self.made

        def alone(**how):
            return lambda place: place.refer([referrer(made, place.subject.descriptor, **how)])

        def beside_gone(place):
            gone = encode({"gone": 1})
            place.refer([referrer(gone, place.subject.descriptor), referrer(made, place.subject.descriptor)])
            place.registry.lose(place.repository, part(BUNDLE, gone)["digest"])

        def lied(**lie):
            return lambda place: place.refer([referrer(made, place.subject.descriptor)], lambda all_: [{**it, **lie} for it in all_])

        def two_layers(*contents):
            def make(place):
                layers = [part(BUNDLE, encode(it)) for it in contents]
                manifest, blobs = referrer(contents[0], place.subject.descriptor, layers=layers)
                place.refer([(manifest, [*blobs, *map(encode, contents)])])
            return make

        def not_listed(place):
            place.refer([referrer(made, place.subject.descriptor)], lambda _: [])

        def missing(place):
            entry = referrer({"missing": True}, place.subject.descriptor)
            place.refer([entry, referrer(made, place.subject.descriptor)])
            place.registry.lose_manifest(place.repository, part(MANIFEST, encode(entry[0]))["digest"])

        def elsewhere(place):
            manifest, blobs = referrer(made, place.subject.descriptor)
            place.attach_tag(".sig", manifest, blobs)

        garbage = encode({"garbage": True})
        bad = changed(made, "dsseEnvelope", "signatures", 0, "sig", text_bytes(flipped))
        return [
            ("placed-as-cosign-does", ACCEPT, alone()),
            ("placed-with-another-layer-type", REJECT, alone(layer_type="application/octet-stream")),
            ("placed-with-another-artifact-type", REJECT, alone(artifact_type="application/vnd.example+json")),
            ("placed-without-artifact-type", REJECT, alone(artifact_type=None)),
            ("placed-without-artifact-type-by-config", ACCEPT, alone(artifact_type=None, config=part(BUNDLE, b"{}"))),
            ("placed-as-version-0.3-old-spelling", ACCEPT, alone(layer_type="application/vnd.dev.sigstore.bundle+json;version=0.3",
                                                                artifact_type="application/vnd.dev.sigstore.bundle+json;version=0.3")),
            ("placed-without-subject", REJECT, alone(subject=None)),
            ("placed-at-another-subject", REJECT, alone(subject=OTHER.descriptor)),
            ("placed-at-another-size", ACCEPT, lambda place: place.refer([referrer(made, {**place.subject.descriptor, "size": 1})])),
            ("placed-unlisted", REJECT, not_listed),
            ("placed-under-sig", REJECT, elsewhere),
            ("placed-beside-a-lost-blob", ACCEPT, beside_gone),
            ("placed-beside-a-missing-manifest", ACCEPT, missing),
            ("placed-beside-garbage", ACCEPT, lambda place: place.refer([referrer(it, place.subject.descriptor) for it in (garbage, made)])),
            ("placed-before-garbage", ACCEPT, lambda place: place.refer([referrer(it, place.subject.descriptor) for it in (made, garbage)])),
            ("placed-beside-another-artifact", ACCEPT, lambda place: place.refer([
                referrer(garbage, place.subject.descriptor, "application/json", "application/vnd.example+json"), referrer(made, place.subject.descriptor)])),
            ("placed-first-of-two-layers", REJECT, two_layers(made, bad)),
            ("placed-second-of-two-layers", REJECT, two_layers(bad, made)),
            ("placed-after-60", ACCEPT, lambda place: place.refer([referrer({**bad, "number": at}, place.subject.descriptor) for at in range(60)] + [referrer(made, place.subject.descriptor)])),
            ("placed-after-70", ACCEPT, lambda place: place.refer([referrer({**bad, "number": at}, place.subject.descriptor) for at in range(70)] + [referrer(made, place.subject.descriptor)])),
            ("listed-as-empty", ACCEPT, lied(artifactType=EMPTY)),
            ("listed-as-something-else", ACCEPT, lied(artifactType="application/vnd.example+json")),
            ("listed-without-artifact-type", ACCEPT, lambda place: place.refer([referrer(made, place.subject.descriptor)], lambda all_: [
                {name: it[name] for name in it if name != "artifactType"} for it in all_])),
            ("listed-as-an-attestation", ACCEPT, lied(annotations={"dev.sigstore.bundle.predicateType": PROVENANCE})),
            ("listed-with-another-size", REJECT, lied(size=1)),
            ("listed-with-another-type", REJECT, lied(mediaType="application/vnd.oci.image.index.v1+json")),
            ("listed-twice", ACCEPT, lambda place: place.refer([referrer(made, place.subject.descriptor)], lambda all_: [*all_, *all_])),
        ]

    def own(self):
        """What only signatures can be: (name, what it should come to, maker)."""
        def signed(make):
            return lambda place: place.refer([referrer(it, place.subject.descriptor) for it in make(place)])

        return [
            ("attestation-instead", REJECT, signed(lambda place: [self.sealed(statement(place.subject.digest, PROVENANCE, {"buildDefinition": {}}))])),
            ("attestation-beside-it", ACCEPT, signed(lambda place: [self.sealed(statement(place.subject.digest, PROVENANCE)), self.made])),
            ("index-signed", ACCEPT, self.by_tool),
            ("index-signed-by-its-child", REJECT, lambda place: self.by_tool(Place(place.registry, place.repository, place.subject.image, push=False))),
            ("index-with-the-signature-of-its-child", REJECT, signed(lambda place: [self.sealed(statement(place.subject.image.digest))])),
        ] + ([("signature-by-sha256", ACCEPT, signed(lambda place: [self.sealed(statement(place.subject.digest), digest="sha256")]))] if self.label == "p384" else [])

    def of(self, digest):
        return statement(digest, SIGNED, kind=STATEMENT)

    def first(self):
        return self.key.kind == "p256"

    def variants(self):
        def put(make):
            if make is None:
                return lambda place: None
            return lambda place: place.refer([referrer(it, place.subject.descriptor) for it in make(place)])

        def all_of(made):
            return [(name, expected, put(make)) for name, expected, make in made]

        forged = core([("good", ACCEPT, self.by_tool)] + all_of(self.forged(self.of)))
        if self.first():
            return forged + core(self.own()) + more(all_of(self.odd(self.of)) + self.placed())
        return forged + more(self.own()[-1:] if self.label == "p384" else [])

    def subject(self, variant, key):
        image = Image(f"{self.name} {key}")
        return IndexOf(image) if variant.startswith("index-") else image

    def policy(self):
        return signer(self.key), f"signatures: {{atLeast: 1, of: [{self.key.kind}]}}"

    def oracles(self, image):
        return [("cosign 3", self.tools.verify(3, self.key, image))]


def drop(value, name):
    del value[name]
