"""A transparency log of the kind of Rekor 1 that holds one entry at a time, and a trust root that names it."""
import base64
import hashlib
import json
import time

from dsse import b64
from registry import encode


def canonical(value):
    """JSON as RFC 8785 has it, of what is used here."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Log:
    """A log with a key of its own."""
    origin = "log.test - 1"

    def __init__(self, key):
        self.key = key
        self.spki = base64.b64decode("".join(key.public.splitlines()[1:-1]))
        self.id = hashlib.sha256(self.spki).digest()

    def entry(self, kind, spec, at=None, index=7):
        """What the log says of a signature, as bundles have it."""
        body = canonical({"apiVersion": "0.0.1", "kind": kind, "spec": spec})
        at = at or int(time.time())
        promise = canonical({"body": b64(body), "integratedTime": at, "logID": self.id.hex(), "logIndex": index})
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"{self.origin}\n1\n{b64(root)}\n"
        signed = b64(self.id[:4] + self.key.sign(note.encode()))
        return {
            "logIndex": str(index), "logId": {"keyId": b64(self.id)}, "kindVersion": {"kind": kind, "version": "0.0.1"}, "integratedTime": str(at),
            "inclusionPromise": {"signedEntryTimestamp": b64(self.key.sign(promise))},
            "inclusionProof": {"logIndex": "0", "rootHash": b64(root), "treeSize": "1", "hashes": [],
                               "checkpoint": {"envelope": f"{note}\n— log.test {signed}\n"}},
            "canonicalizedBody": b64(body),
        }

    def of_envelope(self, envelope, key, **more):
        """The entry of a DSSE envelope."""
        def hashed(data):
            return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}

        signatures = [{"signature": it["sig"], "verifier": b64(key.public.encode())} for it in envelope["signatures"]]
        spec = {"envelopeHash": hashed(encode(envelope)), "payloadHash": hashed(base64.b64decode(envelope["payload"])), "signatures": signatures}
        return self.entry("dsse", spec, **more)

    def of_payload(self, payload, signature, key, **more):
        """The entry of a signature over some bytes."""
        spec = {"data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
                "signature": {"content": signature, "publicKey": {"content": b64(key.public.encode())}}}
        return self.entry("hashedrekord", spec, **more)

    def root(self):
        """A trust root with nothing but this log."""
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [{"baseUrl": "https://log.test", "hashAlgorithm": "SHA2_256", "logId": {"keyId": b64(self.id)},
                       "publicKey": {"rawBytes": b64(self.spki), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": {"start": "2020-01-01T00:00:00Z"}}}],
            "certificateAuthorities": [], "ctlogs": [], "timestampAuthorities": [],
        }


def as_annotation(entry):
    """An entry as cosign 2 keeps it beside a signature."""
    return json.dumps({"SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"], "Payload": {
        "body": entry["canonicalizedBody"], "integratedTime": int(entry["integratedTime"]), "logIndex": int(entry["logIndex"]),
        "logID": base64.b64decode(entry["logId"]["keyId"]).hex()}})
