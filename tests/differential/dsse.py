"""Statements in envelopes, and bundles around them: what cosign 3 makes of signatures, and both of attestations."""
import base64

from registry import EMPTY, MANIFEST, encode, part

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
OLD_STATEMENT = "https://in-toto.io/Statement/v0.1"
SIGNED = "https://sigstore.dev/cosign/sign/v1"


def b64(data):
    return base64.b64encode(data).decode()


def pae(payload, kind=IN_TOTO):
    """What is signed of an envelope."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def statement(digest, predicate_type=SIGNED, predicate=None, kind=STATEMENT, algorithm="sha256"):
    return {"_type": kind, "subject": [{"digest": {algorithm: digest.partition(":")[2]}}],
            "predicateType": predicate_type, "predicate": predicate or {}}


def envelope(payload, *signatures, kind=IN_TOTO):
    return {"payload": b64(payload), "payloadType": kind, "signatures": [{"sig": b64(it)} for it in signatures]}


def bundle(around, hint=""):
    return {"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": hint}}, "dsseEnvelope": around}


def digest_for(key):
    """The hash that cosign 3 signs with in bundles."""
    return "sha384" if key.kind == "p384" else "sha256"


def referrer(content, about, /, layer_type=BUNDLE, artifact_type=BUNDLE, **changes):
    """A manifest that carries a bundle, with its blobs; a change to None takes a field away."""
    content = encode(content)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type, "config": part(EMPTY, b"{}"),
                "layers": [part(layer_type, content)], "subject": about, **changes}
    return {name: value for name, value in manifest.items() if value is not None}, [b"{}", content]
