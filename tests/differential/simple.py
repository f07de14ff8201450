"""Simple signing: cosign 2's form, a payload as a layer under the tag `.sig` and its signature beside it."""
import base64
import json

from registry import CONFIG, DOCKER_MANIFEST, INDEX, MANIFEST, Image, IndexOf, encode, part
from subject import ACCEPT, REJECT, Form as Base, core, more
from tools import ORDERS, SIGN, der_integers, der_signature, flipped

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
REGISTRY = "up.test"
DIGEST, REFERENCE = "docker-manifest-digest", "docker-reference"


def statement(reference, digest, kind="cosign container image signature", **more):
    """What cosign signs."""
    critical = {"identity": {REFERENCE: reference}, "image": {DIGEST: digest}, "type": kind}
    return {"critical": {**critical, **more}, "optional": None}


def layer(payload, signature, media_type=PAYLOAD, **annotations):
    """A payload with its signature as text; without one, the annotation is missing."""
    beside = {} if signature is None else {SIGNATURE: signature}
    return payload, part(media_type, payload, annotations={**beside, **annotations})


def text(signature):
    return base64.b64encode(signature).decode()


class Form(Base):
    """The variants for one key. `other` is somebody else's key of the same kind."""
    name = "simple"

    def __init__(self, tools, key, other, kinds):
        self.tools, self.key, self.other, self.kinds = tools, key, other, kinds
        self.label = key.kind

    def prepare(self, registry):
        """Nothing: what is signed names the repository, so each subject is signed by itself."""

    # --- parts ----------------------------------------------------------------------------------------------

    def by_tool(self, line):
        def make(place):
            command = [f"cosign-{line}", "sign", "--key", f"{self.key.path}-cosign.key", *SIGN]
            command += ["--sign-container-identity", f"{REGISTRY}/{place.repository}"]
            if line == 3:
                command += ["--use-signing-config=false", "--new-bundle-format=false"]
            self.tools.must([*command, f"{place.registry.address}/{place.repository}@{place.subject.digest}"])
        return make

    def good(self, place, key=None, **more):
        """The layer that makes a place's subject a signed one."""
        return self.signed(encode(statement(f"{REGISTRY}/{place.repository}", place.subject.digest)), key, **more)

    def signed(self, payload, key=None, **more):
        return layer(payload, text((key or self.key).sign(payload)), **more)

    def wrong(self, place):
        return self.good(place, self.other)

    def put(self, place, layers, media_type=MANIFEST, suffix=".sig", lost=(), digest=None):
        """Attaches layers, and loses the content of some."""
        config = b"{}"
        manifest = {"schemaVersion": 2, "mediaType": media_type, "config": part(CONFIG, config), "layers": [it for _, it in layers]}
        descriptor = place.attach_tag(suffix, manifest, [config, *[blob for blob, _ in layers]], media_type, digest)
        for at in lost:
            place.registry.lose(place.repository, layers[at][1]["digest"])
        return descriptor

    # --- variants -------------------------------------------------------------------------------------------

    def variants(self):
        def one(make, **more):
            return lambda place: self.put(place, [make(place)], **more)

        def many(*makers, **more):
            return lambda place: self.put(place, [make(place) for make in makers], **more)


        def written(pattern):
            """Validly signed text; @R and @D stand for repository and digest."""
            def make(place):
                payload = pattern.replace("@R", f"{REGISTRY}/{place.repository}").replace("@D", place.subject.digest)
                return self.signed(payload.encode())
            return make

        def damaged(payload=lambda it: it, signature=lambda it: it, **more):
            def make(place):
                content, descriptor = self.good(place)
                return layer(payload(content), signature(descriptor["annotations"][SIGNATURE]), **more)
            return make

        def raw(change):
            """The bytes of the signature changed."""
            return damaged(signature=lambda it: text(change(base64.b64decode(it))))

        def of_other_image(place):
            other = Image("another image").digest
            return self.signed(encode(statement(f"{REGISTRY}/{place.repository}", other)))

        def edited(place):
            content, descriptor = of_other_image(place)
            there = Image("another image").digest
            return layer(content.replace(there.encode(), place.subject.digest.encode()), descriptor["annotations"][SIGNATURE])

        def garbage(_place):
            return b"garbage", part("application/octet-stream", b"garbage")

        def algorithm(**how):
            def make(place):
                content, _ = self.good(place)
                return layer(content, text(self.key.sign(content, **how)))
            return make

        good, wrong = self.good, self.wrong
        every = [
            ("good", ACCEPT, self.by_tool(2)),
            ("good-by-cosign-3", ACCEPT, self.by_tool(3)),
            ("good-by-openssl", ACCEPT, one(good)),
            ("unsigned", REJECT, lambda place: None),
            ("wrong-key", REJECT, one(wrong)),
            ("wrong-kind-of-key", REJECT, one(lambda place: self.good(place, self.kinds))),
            ("of-another-image", REJECT, one(of_other_image)),
            ("payload-edited", REJECT, one(edited)),
            ("payload-bit-flipped", REJECT, one(damaged(payload=lambda it: flipped(it, -10)))),
            ("signature-bit-flipped", REJECT, one(raw(flipped))),
            ("signature-cut", REJECT, one(raw(lambda it: it[:-1]))),
            ("signature-empty", REJECT, one(damaged(signature=lambda it: ""))),
            ("signature-missing", REJECT, one(damaged(signature=lambda it: None))),
            ("good-after-bad", ACCEPT, many(wrong, good)),
            ("good-before-bad", ACCEPT, many(good, wrong)),
            ("for-another-repository", REJECT, one(written(payload_text("up.test/another/repository", "@D")))),
        ]
        first = [
            ("signature-of-nothing", REJECT, one(lambda place: self.signed(b""))),
            ("signature-not-base64", REJECT, one(damaged(signature=lambda it: "!" + it[1:]))),
            ("signature-with-newline", REJECT, one(damaged(signature=lambda it: it[:20] + "\n" + it[20:]))),
            ("signature-with-tail", REJECT, one(raw(lambda it: it + b"\0"))),
            ("signature-doubled", REJECT, one(raw(lambda it: it + it))),
            ("signature-of-zeros", REJECT, one(raw(lambda it: der_signature(0, 0)))),
            ("signature-other-half", ACCEPT, one(raw(lambda it: der_signature(der_integers(it)[0], ORDERS["p256"] - der_integers(it)[1])))),
            ("signature-plus-order", REJECT, one(raw(lambda it: der_signature(der_integers(it)[0], ORDERS["p256"] + der_integers(it)[1])))),
            ("signature-by-sha512", REJECT, one(algorithm(digest="sha512"))),
            ("payload-empty", REJECT, one(written(""))),
            ("payload-null", REJECT, one(written("null"))),
            ("payload-a-list", REJECT, one(written('[{"critical": {"image": {"docker-manifest-digest": "@D"}}}]'))),
            ("payload-cut", REJECT, one(written(payload_text("@R", "@D")[:-3]))),
            ("payload-with-tail", REJECT, one(written(payload_text("@R", "@D") + "{}"))),
            ("payload-with-space", ACCEPT, one(written(" " + payload_text("@R", "@D") + "\n"))),
            ("payload-two-digests-last-good", REJECT, one(written(payload_text("@R", "@D").replace(f'"{DIGEST}"', f'"{DIGEST}":"sha256:{"0" * 64}","{DIGEST}"')))),
            ("payload-two-digests-first-good", REJECT, one(written(payload_text("@R", "@D").replace('"@D"', f'"@D","{DIGEST}":"sha256:{"0" * 64}"')))),
            ("payload-other-case", REJECT, one(written(payload_text("@R", "@D").replace(DIGEST, "Docker-Manifest-Digest")))),
            ("payload-digest-escaped", ACCEPT, one(lambda place: self.signed(payload_text(f"{REGISTRY}/{place.repository}", place.subject.digest).replace("sha256:", "\\u0073ha256:").encode()))),
            ("payload-without-digest", REJECT, one(written(payload_text("@R", "@D").replace(f'"{DIGEST}":"@D"', '')))),
            ("payload-without-image", REJECT, one(written('{"critical":{"identity":{"docker-reference":"@R"},"type":"cosign container image signature"},"optional":null}'))),
            ("payload-of-another-type", REJECT, one(written(payload_text("@R", "@D").replace("cosign container image", "atomic container")))),
            ("payload-without-type", REJECT, one(written(payload_text("@R", "@D").replace(',"type":"cosign container image signature"', '')))),
            ("payload-with-more", ACCEPT, one(written(payload_text("@R", "@D").replace('"optional":null', '"optional":{"creator":"ci","timestamp":1},"more":[1]')))),
            ("payload-names-no-repository", REJECT, one(written(payload_text("", "@D")))),
            ("payload-without-identity", REJECT, one(written('{"critical":{"image":{"docker-manifest-digest":"@D"},"type":"cosign container image signature"},"optional":null}'))),
            ("payload-names-a-tag", ACCEPT, one(written(payload_text("@R:1.0", "@D")))),
            ("payload-names-the-digest", ACCEPT, one(written(payload_text("@R@@D", "@D")))),
            ("payload-names-another-digest", REJECT, one(written(payload_text(f"@R@sha256:{'0' * 64}", "@D")))),
            ("payload-names-another-registry", REJECT, one(lambda place: self.signed(encode(statement(f"other.test/{place.repository}", place.subject.digest))))),
            ("payload-names-the-parent", REJECT, one(lambda place: self.signed(encode(statement(f"{REGISTRY}/{place.repository.rsplit('/', 1)[0]}", place.subject.digest))))),
            ("payload-digest-in-capitals", REJECT, one(lambda place: self.signed(encode(statement(f"{REGISTRY}/{place.repository}", "sha256:" + place.subject.digest[7:].upper()))))),
            ("payload-digest-without-algorithm", REJECT, one(lambda place: self.signed(encode(statement(f"{REGISTRY}/{place.repository}", place.subject.digest[7:]))))),
            ("payload-large", REJECT, one(lambda place: self.signed(encode({**statement(f"{REGISTRY}/{place.repository}", place.subject.digest), "optional": {"much": "x" * 70_000}})))),
            ("payload-gone", REJECT, one(good, lost=[0])),
            ("good-beside-gone", ACCEPT, many(lambda place: self.signed(encode(statement(f"{REGISTRY}/{place.repository}", place.subject.digest, number=1))), good, lost=[0])),
            ("good-beside-garbage", ACCEPT, many(garbage, good)),
            ("good-after-60", ACCEPT, many(*[lambda place, at=at: self.signed(encode(statement(f"{REGISTRY}/{place.repository}", place.subject.digest, number=at)), self.other) for at in range(60)], good)),
            ("good-after-70", ACCEPT, many(*[lambda place, at=at: self.signed(encode(statement(f"{REGISTRY}/{place.repository}", place.subject.digest, number=at)), self.other) for at in range(70)], good)),
            ("no-layers", REJECT, many()),
            ("layer-of-another-type", REJECT, one(damaged(media_type="application/octet-stream"))),
            ("manifest-of-docker", ACCEPT, one(good, media_type=DOCKER_MANIFEST)),
            ("with-a-certificate", ACCEPT, one(damaged(**{"dev.sigstore.cosign/certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}))),
            ("with-a-log-entry", ACCEPT, one(damaged(**{"dev.sigstore.cosign/bundle": '{"SignedEntryTimestamp":"AAAA","Payload":{"body":"AAAA","integratedTime":1,"logIndex":1,"logID":"00"}}'}))),
            ("with-a-broken-log-entry", ACCEPT, one(damaged(**{"dev.sigstore.cosign/bundle": '{"SignedEntryTimestamp":'}))),
            ("in-the-place-of-an-attestation", REJECT, one(good, suffix=".att")),
            ("in-the-place-of-referrers", REJECT, one(good, suffix="")),
            ("at-the-tag-of-another-image", REJECT, one(good, digest=Image("another image").digest)),
            ("list-in-the-place-of-signatures", REJECT, lambda place: place.attach_tag(".sig", {
                "schemaVersion": 2, "mediaType": INDEX, "manifests": [self.put(place, [good(place)], suffix=".sig")]}, media_type=INDEX)),
            ("index-signed", ACCEPT, one(good)),
            ("index-signed-by-its-child", REJECT, lambda place: self.put(place, [self.signed(encode(statement(f"{REGISTRY}/{place.repository}", place.subject.image.digest)))], digest=place.subject.image.digest)),
            ("index-with-the-signature-of-its-child", REJECT, one(lambda place: self.signed(encode(statement(f"{REGISTRY}/{place.repository}", place.subject.image.digest))))),
        ]
        extra = {
            "p384": [("signature-by-sha384", REJECT, one(algorithm(digest="sha384")))],
            "rsa2048": [("signature-by-sha512", REJECT, one(algorithm(digest="sha512"))),
                        ("signature-by-pss", REJECT, one(algorithm(padding="pss"))),
                        ("signature-with-tail", REJECT, one(raw(lambda it: it + b"\0")))],
            "ed25519": [("signature-with-tail", REJECT, one(raw(lambda it: it + b"\0")))],
        }.get(self.key.kind, [])
        return core(every) + more(first if self.key.kind == "p256" else extra)

    def subject(self, variant, key):
        image = Image(f"simple {key}")
        return IndexOf(image) if variant.startswith("index-") else image

    def policy(self):
        return signer(self.key), f"signatures: {{atLeast: 1, of: [{self.label}]}}"

    def oracles(self, image):
        return [(f"cosign {line}", self.tools.verify(line, self.key, image)) for line in (2, 3)]


def signer(key):
    """A line of the policy."""
    return f"{key.kind}: {{key: {{pem: \"file:{key.path}.pub\"}}, transparencyLog: none}}"


def payload_text(reference, digest):
    return json.dumps(statement(reference, digest), separators=(",", ":"))
