"""Signatures of the Notary Project, in JSON (JWS) and in CBOR (COSE)."""
import base64
import json
import os

import cbor
from registry import EMPTY, MANIFEST, Image, IndexOf, Place, encode, part
from subject import ACCEPT, REJECT, Form as Base, core, more
from tools import der_integers, der_signature, flipped

ARTIFACT = "application/vnd.cncf.notary.signature"
PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json"
MEDIA = {"jws": "application/jose+json", "cose": "application/cose"}
PREFIX = "io.cncf.notary."
SCHEME, TIME, EXPIRY, AUTHENTIC = PREFIX + "signingScheme", PREFIX + "signingTime", PREFIX + "expiry", PREFIX + "authenticSigningTime"
OTHER = Image("another image")
#: The algorithm of each key: its hash, and the bytes of each half of its signatures (0: RSA).
ALGORITHMS = {"es256": ("ES256", "sha256", 32), "es384": ("ES384", "sha384", 48), "es512": ("ES512", "sha512", 66),
              "ps256": ("PS256", "sha256", 0), "ps384": ("PS384", "sha384", 0), "ps512": ("PS512", "sha512", 0)}


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authority:
    """Certificates, by openssl, and the configuration that notation signs and verifies with."""

    def __init__(self, tools, script):
        self.tools = tools
        self.folder = os.path.join(tools.scratch, "notation")
        tools.must(["bash", script, self.folder])
        self.configuration = {"XDG_CONFIG_HOME": self.folder, "XDG_CACHE_HOME": os.path.join(self.folder, "cache")}

    def path(self, name):
        return os.path.join(self.folder, name)

    def chain(self, name):
        """The certificates of a signer, in DER, its own first."""
        with open(self.path(f"{name}.chain.pem"), encoding="ascii") as file:
            blocks = file.read().split("-----END CERTIFICATE-----")[:-1]
        return [base64.b64decode(it.split("-----BEGIN CERTIFICATE-----")[1]) for it in blocks]

    def sign(self, name, algorithm, message):
        """A signature as JWS and COSE have it."""
        _, digest, half = ALGORITHMS[algorithm]
        options = [] if half else ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
        made = self.tools.must(["openssl", "dgst", f"-{digest}", "-sign", self.path(f"{name}.key"), *options], stdin=message)
        return b"".join(it.to_bytes(half, "big") for it in der_integers(made)) if half else made


def target(image, **changes):
    """What is signed about an image."""
    return {"targetArtifact": {**image.descriptor, **changes}}


class Form(Base):
    """The variants for one signer in one encoding."""

    def __init__(self, authority, encoding, label, signer=None, algorithm=None):
        self.authority, self.tools, self.encoding, self.label = authority, authority.tools, encoding, label
        self.name = f"notation-{encoding}"
        self.signer, self.algorithm = signer or label, algorithm or label
        self.made = None
        self.roots = [f'acme: {{notation: {{ca: ["file:{authority.path("root.pem")}", "file:{authority.path("lone.pem")}"]}}}}']

    def prepare(self, registry):
        place = Place(registry, f"prepared/{self.name}/{self.label}", self.subject("", self.label))
        self.by_tool()(place)
        self.made = registry.read_blob(place.repository, place.referrers()[0]["layers"][0]["digest"])

    def by_tool(self, signer=None, *options):
        def make(place):
            self.tools.must(["notation", "sign", "--insecure-registry", "--signature-format", self.encoding, "--key", signer or self.signer, *options,
                             f"{place.registry.address}/{place.repository}@{place.subject.digest}"], **self.authority.configuration)
        return make

    def referrer(self, content, about, /, **changes):
        layer_type = changes.pop("layer_type", MEDIA[self.encoding])
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": ARTIFACT, "config": part(EMPTY, b"{}"),
                    "layers": [part(layer_type, content)], "subject": about,
                    "annotations": {"io.cncf.notary.x509chain.thumbprint#S256": "[]"}, **changes}
        return {name: value for name, value in manifest.items() if value is not None}, [b"{}", content]

    def put(self, make):
        """Attaches the envelopes that `make` gives."""
        return lambda place: place.refer([self.referrer(it, place.subject.descriptor) for it in make(place)])

    # --- envelopes, taken apart and made ----------------------------------------------------------------------

    def parts(self):
        """Protected header, payload, signature, chain, as bytes."""
        if self.encoding == "jws":
            envelope = json.loads(self.made)
            chain = [base64.b64decode(it) for it in envelope["header"]["x5c"]]
            return from_b64url(envelope["protected"]), from_b64url(envelope["payload"]), from_b64url(envelope["signature"]), chain
        protected, unprotected, payload, signature = cbor.decode(self.made).value
        chain = unprotected[33]
        return protected, payload, signature, chain if isinstance(chain, list) else [chain]

    def envelope(self, protected=None, payload=None, signature=None, chain=None, header=None):
        """What the tool made with some parts replaced."""
        parts = [new if new is not None else old for new, old in zip((protected, payload, signature, chain), self.parts())]
        protected, payload, signature, chain = parts
        if self.encoding == "jws":
            given = json.loads(self.made)["header"]
            return encode({"payload": b64url(payload), "protected": b64url(protected), "signature": b64url(signature),
                           "header": {**given, "x5c": [base64.b64encode(it).decode() for it in chain], **(header or {})}})
        unprotected = {**cbor.decode(self.made).value[1], 33: chain, **(header or {})}
        return cbor.encode(cbor.Tagged(18, [protected, unprotected, payload, signature]))

    def protected(self):
        """The protected header as a value."""
        protected = self.parts()[0]
        return json.loads(protected) if self.encoding == "jws" else cbor.decode(protected)

    def sealed(self, payload, signer=None, algorithm=None, change=None, signed_by=None):
        """An envelope, validly signed by openssl; `change` may alter the protected header before."""
        signer, algorithm = signer or self.signer, algorithm or self.algorithm
        header = self.protected()
        if self.encoding == "jws":
            header["alg"] = ALGORITHMS[algorithm][0]
        header = (change(header) or header) if change else header
        protected = encode(header) if self.encoding == "jws" else cbor.encode(header)
        payload = encode(payload)
        message = (f"{b64url(protected)}.{b64url(payload)}".encode() if self.encoding == "jws"
                   else cbor.encode(["Signature1", protected, b"", payload]))
        return self.envelope(protected, payload, self.authority.sign(signed_by or signer, algorithm, message), self.authority.chain(signer))

    # --- variants ---------------------------------------------------------------------------------------------

    def variants(self):
        parts = self.parts()
        protected, payload, signature, chain = parts

        def edit(**changes):
            return self.put(lambda place: [self.envelope(**changes)])

        def sealed(**how):
            return self.put(lambda place: [self.sealed(target(place.subject), **how)])

        def other(name, **how):
            """By the chain of another signer, as the tool would sign."""
            return sealed(signer=name, algorithm=how.pop("algorithm", "es256"), **how)

        mine, theirs = self.subject("", self.label).digest.encode(), OTHER.digest.encode()
        every = [
            ("good", ACCEPT, self.by_tool()),
            ("good-by-openssl", ACCEPT, sealed()),
            ("good-copied", ACCEPT, edit()),
            ("unsigned", REJECT, lambda place: None),
            ("of-another-image", REJECT, self.put(lambda place: [self.sealed(target(OTHER))])),
            ("payload-edited", REJECT, edit(payload=payload.replace(mine, theirs))),
            ("payload-bit-flipped", REJECT, edit(payload=flipped(payload, 30))),
            ("protected-bit-flipped", REJECT, edit(protected=flipped(protected, -2))),
            ("signature-bit-flipped", REJECT, edit(signature=flipped(signature))),
            ("signature-empty", REJECT, edit(signature=b"")),
            ("by-the-key-of-another", REJECT, sealed(signed_by="stranger" if self.algorithm == "es256" else f"{self.algorithm}-other")),
            ("cut", REJECT, self.put(lambda place: [self.made[:-10]])),
            ("good-after-bad", ACCEPT, self.put(lambda place: [self.envelope(signature=flipped(signature)), self.made])),
            ("good-before-bad", ACCEPT, self.put(lambda place: [self.made, self.envelope(signature=flipped(signature))])),
            ("chain-of-a-stranger", REJECT, edit(chain=self.authority.chain("stranger"))),
            ("chain-without-root", REJECT, edit(chain=chain[:-1])),
            ("chain-empty", REJECT, edit(chain=[])),
        ]
        if self.label != "es256":
            # The lone signer is its own root.
            return core(it for it in every if self.label != "lone" or it[0] not in ("chain-without-root", "by-the-key-of-another"))

        def attribute(name, value, critical=False):
            def change(header):
                header[name] = value
                if critical:
                    header[self.crit].append(name)
            return sealed(change=change)

        def without(name):
            def change(header):
                header.pop(name, None)
                header[self.crit] = [it for it in header[self.crit] if it != name]
            return sealed(change=change)

        def says(**changes):
            return self.put(lambda place: [self.sealed(target(place.subject, **changes))])

        def written(change):
            return self.put(lambda place: [self.sealed(change(encode(target(place.subject)).decode()).encode())])

        def placed(**how):
            return lambda place: place.refer([self.referrer(self.made, place.subject.descriptor, **how)])

        def uncritical(header):
            header[self.crit] = []

        def wrong_kind(header):
            header[self.content_type] = "application/json"

        child = self.put(lambda place: [self.sealed(target(place.subject.image))])
        first = [
            ("by-a-stranger", REJECT, self.by_tool("stranger")),
            ("by-another-identity", REJECT, self.by_tool("elsewhere")),
            ("by-a-longer-identity", ACCEPT, self.by_tool("longer")),
            ("by-no-organization", REJECT, self.by_tool("shorter")),
            ("by-the-lone-signer", ACCEPT, self.by_tool("lone")),
            ("by-an-unknown-lone-signer", REJECT, other("unknown")),
            ("by-an-expired-certificate", REJECT, other("expired")),
            ("by-a-future-certificate", REJECT, other("future")),
            ("by-an-authority", REJECT, other("inter")),
            ("certificate-for-servers", REJECT, other("server")),
            ("certificate-for-anything", ACCEPT, other("anything")),
            ("certificate-without-extended-usage", ACCEPT, other("plain")),
            ("certificate-that-cannot-sign", REJECT, other("encipher")),
            ("certificate-without-usage", REJECT, other("useless")),
            ("certificate-with-sha1", REJECT, other("sha1")),
            ("certificate-of-1024-bits", REJECT, other("weak", algorithm="ps256")),
            ("chain-too-long-for-its-authority", REJECT, other("below")),
            ("chain-by-no-authority", REJECT, other("byleaf")),
            ("chain-reversed", REJECT, edit(chain=chain[::-1])),
            ("chain-without-intermediate", REJECT, edit(chain=[chain[0], chain[2]])),
            ("chain-with-a-stranger-behind", REJECT, edit(chain=[*chain, self.authority.chain("stranger")[-1]])),
            ("chain-twice", REJECT, edit(chain=[*chain, *chain])),
            ("chain-damaged", REJECT, edit(chain=[flipped(chain[0]), *chain[1:]])),
            ("expired", REJECT, sealed(change=lambda it: self.expire(it, 1_700_000_000, 1_600_000_000))),
            ("expires-later", ACCEPT, sealed(change=lambda it: self.expire(it, 4_000_000_000))),
            ("expires-before-it-was-made", REJECT, sealed(change=lambda it: self.expire(it, 1_000_000_000))),
            ("expiry-not-critical", REJECT, sealed(change=lambda it: self.expire(it, 4_000_000_000, critical=False))),
            ("signed-in-the-future", ACCEPT, sealed(change=lambda it: it.update({TIME: self.moment(4_000_000_000)}))),
            ("signing-time-missing", REJECT, without(TIME)),
            ("scheme-missing", REJECT, without(SCHEME)),
            ("scheme-unknown", REJECT, attribute(SCHEME, "notary.x509.example")),
            ("scheme-of-an-authority", REJECT, sealed(change=self.by_authority)),
            ("critical-unknown", REJECT, attribute("io.example.must", "x", critical=True)),
            ("critical-empty", REJECT, sealed(change=uncritical)),
            ("critical-plugin", REJECT, attribute(PREFIX + "verificationPlugin", "com.example.plugin", critical=True)),
            ("attribute-unknown", ACCEPT, attribute("io.example.may", "x")),
            ("plugin-named", REJECT, attribute(PREFIX + "verificationPlugin", "com.example.plugin")),
            ("payload-of-another-type", REJECT, sealed(change=wrong_kind)),
            ("payload-null", REJECT, self.put(lambda place: [self.sealed(b"null")])),
            ("payload-without-target", REJECT, self.put(lambda place: [self.sealed({})])),
            ("payload-with-tail", REJECT, written(lambda text: text + "{}")),
            ("payload-with-more", ACCEPT, written(lambda text: text[:-1] + ',"more":1}')),
            ("payload-two-targets", REJECT, written(lambda text: text.replace('{"targetArtifact"', '{"targetArtifact":{},"targetArtifact"'))),
            ("payload-other-case", REJECT, written(lambda text: text.replace("targetArtifact", "TargetArtifact"))),
            ("target-of-another-size", REJECT, says(size=1)),
            ("target-of-another-type", REJECT, says(mediaType="application/vnd.oci.image.index.v1+json")),
            ("target-annotated", ACCEPT, says(annotations={"team": "a"})),
            ("target-digest-in-capitals", REJECT, self.put(lambda place: [self.sealed(target(place.subject, digest="sha256:" + place.subject.digest[7:].upper()))])),
            ("placed-with-another-layer-type", REJECT, placed(layer_type="application/octet-stream")),
            ("placed-as-the-other-encoding", REJECT, placed(layer_type=MEDIA["cose" if self.encoding == "jws" else "jws"])),
            ("placed-with-another-artifact-type", REJECT, placed(artifactType="application/vnd.example+json")),
            ("placed-by-config-type", ACCEPT, placed(artifactType=None, config=part(ARTIFACT, b"{}"))),
            ("placed-without-subject", REJECT, placed(subject=None)),
            ("placed-at-another-subject", REJECT, placed(subject=OTHER.descriptor)),
            ("placed-beside-garbage", ACCEPT, self.put(lambda place: [b"garbage", self.made])),
            ("placed-before-garbage", ACCEPT, self.put(lambda place: [self.made, b"garbage"])),
            ("placed-after-60", ACCEPT, self.put(lambda place: [self.envelope(signature=at.to_bytes(64, "big")) for at in range(60)] + [self.made])),
            ("index-signed", ACCEPT, self.by_tool()),
            ("index-signed-by-its-child", REJECT, lambda place: self.by_tool()(Place(place.registry, place.repository, place.subject.image, push=False))),
            ("index-with-the-signature-of-its-child", REJECT, child),
        ]
        if self.encoding == "jws":
            first += [
                ("algorithm-none", REJECT, sealed(change=lambda it: it.update(alg="none"))),
                ("algorithm-of-another-key", REJECT, sealed(change=lambda it: it.update(alg="ES384"))),
                ("algorithm-hs256", REJECT, sealed(change=lambda it: it.update(alg="HS256"))),
                ("signature-in-der", REJECT, edit(signature=self.in_der(signature))),
                ("unprotected-unknown", ACCEPT, edit(header={"more": "x"})),
                ("timestamp-broken", ACCEPT, edit(header={PREFIX + "timestampSignature": "AAAA"})),
                ("field-unknown", ACCEPT, self.put(lambda place: [encode({**json.loads(self.made), "more": 1})])),
                ("signatures-as-a-list", REJECT, self.put(lambda place: [encode(self.general())])),
            ]
        else:
            first += [
                ("untagged", REJECT, self.put(lambda place: [self.made[1:]])),
                ("with-tail", REJECT, self.put(lambda place: [self.made + b"\0"])),
                ("algorithm-of-another-key", REJECT, sealed(change=lambda it: it.update({1: -35}))),
                ("timestamp-broken", ACCEPT, edit(header={PREFIX + "timestampSignature": b"\0\0"})),
            ]
        return core(every) + more(first)

    @property
    def crit(self):
        return "crit" if self.encoding == "jws" else 2

    @property
    def content_type(self):
        return "cty" if self.encoding == "jws" else 3

    def moment(self, seconds):
        if self.encoding == "cose":
            return cbor.Tagged(1, seconds)
        return self.tools.must(["date", "-u", "-d", f"@{seconds}", "+%Y-%m-%dT%H:%M:%SZ"]).decode().strip()

    def expire(self, header, seconds, made_at=None, critical=True):
        header[EXPIRY] = self.moment(seconds)
        if made_at:
            header[TIME] = self.moment(made_at)
        if critical:
            header[self.crit].append(EXPIRY)

    def by_authority(self, header):
        header[SCHEME] = "notary.x509.signingAuthority"
        header[AUTHENTIC] = header.pop(TIME)
        header[self.crit].append(AUTHENTIC)

    def in_der(self, signature):
        half = len(signature) // 2
        return der_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))

    def general(self):
        """The other JSON form of JWS, with a list of signatures."""
        flat = json.loads(self.made)
        return {"payload": flat["payload"], "signatures": [{name: flat[name] for name in ("protected", "header", "signature")}]}

    def subject(self, variant, key):
        image = Image(f"notation {key}")
        return IndexOf(image) if variant.startswith("index-") else image

    def policy(self):
        return 'builder: {notation: {root: acme, identity: "x509.subject: C=US, ST=WA, O=acme, CN=builder"}}', "signatures: {atLeast: 1, of: [builder]}"

    def oracles(self, image):
        return [("notation", (["notation", "verify", "--insecure-registry", image], self.authority.configuration))]


#: Signer and algorithm, where they are not named alike.
MADE = [("es256",), ("es384",), ("es512",), ("ps256",), ("ps384",), ("ps512",), ("lone", "lone", "es256")]
