"""Signatures by a key that count only with an entry in a transparency log."""
import base64
import os

import bundle
import simple
from bundle import OTHER, changed, text_bytes
from dsse import referrer, statement
from log import Log, as_annotation
from registry import encode
from subject import ACCEPT, REJECT, core
from tools import flipped

BUNDLE = "dev.sigstore.cosign/bundle"


class Asked:
    """What a policy and a tool are told: the key, and the root of the log."""

    def use(self, log, stranger):
        """The log that counts, and another one."""
        self.log, self.stranger = log, stranger
        self.path = os.path.join(self.tools.scratch, "log-root.json")
        with open(self.path, "wb") as file:
            file.write(encode(log.root()))
        self.roots = [f'log: {{sigstore: {{trustedRoot: "file:{self.path}"}}}}']
        return self

    def policy(self):
        name = f"logged-{self.key.kind}"
        return (f"{name}: {{key: {{pem: \"file:{self.key.path}.pub\"}}, transparencyLog: log}}", f"signatures: {{atLeast: 1, of: [{name}]}}")


class Bundles(Asked, bundle.Form):
    """Sigstore bundles with a key and an entry."""
    name = "logged-bundle"

    def with_entry(self, made, log=None, key=None, **more):
        """A bundle, and what a log says of it."""
        entry = (log or self.log).of_envelope(made["dsseEnvelope"], key or self.key, **more)
        return changed(made, "verificationMaterial", {**made["verificationMaterial"], "tlogEntries": [entry]})

    def variants(self):
        def put(*makers):
            return lambda place: place.refer([referrer(make(place), place.subject.descriptor) for make in makers])

        def good(place):
            return self.with_entry(self.made)

        def entry(*path_and_change):
            return put(lambda place: changed(good(place), "verificationMaterial", "tlogEntries", 0, *path_and_change))

        def sealed(digest, key=None):
            return self.sealed(statement(digest), key)

        def another(place):
            """A bundle over another image, with its entry."""
            return self.with_entry(sealed(OTHER.digest))

        def swapped(place):
            return changed(good(place), "verificationMaterial", "tlogEntries", another(place)["verificationMaterial"]["tlogEntries"])

        def without(name):
            return put(lambda place: changed(good(place), "verificationMaterial", "tlogEntries", 0, {
                key: it for key, it in good(place)["verificationMaterial"]["tlogEntries"][0].items() if key != name}))

        flip = text_bytes(flipped)
        sig = ("dsseEnvelope", "signatures", 0, "sig")
        return core([
            ("good", ACCEPT, put(good)),
            ("good-by-openssl", ACCEPT, put(lambda place: self.with_entry(sealed(place.subject.digest)))),
            ("unlogged", REJECT, put(lambda place: self.made)),
            ("unsigned", REJECT, lambda place: None),
            ("good-after-unlogged", ACCEPT, put(lambda place: sealed(place.subject.digest), good)),
            ("wrong-key", REJECT, put(lambda place: self.with_entry(sealed(place.subject.digest, self.other), key=self.other))),
            ("logged-for-another-key", REJECT, put(lambda place: self.with_entry(self.made, key=self.other))),
            ("of-another-image", REJECT, put(another)),
            ("entry-of-another-image", REJECT, put(swapped)),
            ("logged-by-a-stranger", REJECT, put(lambda place: self.with_entry(self.made, self.stranger))),
            ("stranger-under-the-name-of-the-log", REJECT, put(lambda place: changed(
                self.with_entry(self.made, self.stranger), "verificationMaterial", "tlogEntries", 0, "logId",
                good(place)["verificationMaterial"]["tlogEntries"][0]["logId"]))),
            ("payload-bit-flipped", REJECT, put(lambda place: changed(good(place), "dsseEnvelope", "payload", flip))),
            ("signature-bit-flipped", REJECT, put(lambda place: changed(good(place), *sig, flip))),
            ("signature-bit-flipped-and-logged", REJECT, put(lambda place: self.with_entry(changed(self.made, *sig, flip)))),
            ("promise-bit-flipped", REJECT, entry("inclusionPromise", "signedEntryTimestamp", flip)),
            ("promise-removed", ACCEPT, without("inclusionPromise")),
            ("proof-removed", REJECT, without("inclusionProof")),
            ("proof-root-flipped", REJECT, entry("inclusionProof", "rootHash", flip)),
            ("proof-with-another-hash", REJECT, entry("inclusionProof", "hashes", [base64.b64encode(bytes(32)).decode()])),
            ("checkpoint-edited", REJECT, entry("inclusionProof", "checkpoint", "envelope", lambda it: "x" + it)),
            ("body-bit-flipped", REJECT, entry("canonicalizedBody", flip)),
            ("seen-later", REJECT, entry("integratedTime", lambda it: str(int(it) + 60))),
            ("at-another-place", REJECT, entry("logIndex", "8")),
        ])

    def oracles(self, image):
        return [("cosign 3", ["cosign-3", "verify", "--key", f"{self.key.path}.pub", "--trusted-root", self.path,
                              "--allow-http-registry", "--allow-insecure-registry", image])]


class Simple(Asked, simple.Form):
    """Simple signing with a key and a log's promise."""
    name = "logged-simple"

    def variants(self):
        def logged(place, key=None, log=None, of=None, change=lambda it: it, digest=None):
            """The layer of a signature with a log's entry, which may be that of other content."""
            key = key or self.key
            payload = encode(simple.statement(f"{simple.REGISTRY}/{place.repository}", digest or place.subject.digest))
            signature = simple.text(key.sign(payload))
            seen = (log or self.log).of_payload(of or payload, signature, key)
            return simple.layer(payload, signature, **{BUNDLE: as_annotation(change(seen))})

        def one(**how):
            return lambda place: self.put(place, [logged(place, **how)])

        def entry(*path_and_change):
            return one(change=lambda it: changed(it, *path_and_change))

        def bad_signature(place):
            payload, descriptor = logged(place)
            name = simple.SIGNATURE
            return payload, changed(descriptor, "annotations", name, text_bytes(flipped)(descriptor["annotations"][name]))

        flip = text_bytes(flipped)
        return core([
            ("good", ACCEPT, one()),
            ("unlogged", REJECT, self.by_tool(2)),
            ("unsigned", REJECT, lambda place: None),
            ("good-after-unlogged", ACCEPT, lambda place: self.put(place, [self.good(place), logged(place)])),
            ("wrong-key", REJECT, one(key=self.other)),
            ("of-another-image", REJECT, one(digest=OTHER.digest)),
            ("entry-of-another-payload", REJECT, one(of=b"{}")),
            ("logged-by-a-stranger", REJECT, one(log=self.stranger)),
            ("stranger-under-the-name-of-the-log", REJECT, lambda place: self.put(place, [logged(
                place, log=self.stranger, change=lambda it: {**it, "logId": {"keyId": base64.b64encode(self.log.id).decode()}})])),
            ("signature-bit-flipped", REJECT, lambda place: self.put(place, [bad_signature(place)])),
            ("promise-bit-flipped", REJECT, entry("inclusionPromise", "signedEntryTimestamp", flip)),
            ("body-bit-flipped", REJECT, entry("canonicalizedBody", flip)),
            ("seen-later", REJECT, entry("integratedTime", lambda it: str(int(it) + 60))),
            ("at-another-place", REJECT, entry("logIndex", "8")),
            ("for-another-repository", REJECT, lambda place: self.put(place, [self.elsewhere(place)])),
        ])

    def elsewhere(self, place):
        payload = encode(simple.statement(f"{simple.REGISTRY}/another/repository", place.subject.digest))
        signature = simple.text(self.key.sign(payload))
        return simple.layer(payload, signature, **{BUNDLE: as_annotation(self.log.of_payload(payload, signature, self.key))})

    def oracles(self, image):
        command = ["cosign-2", "verify", "--offline", "--key", f"{self.key.path}.pub", "--allow-http-registry", "--allow-insecure-registry", image]
        return [("cosign 2", (command, {"SIGSTORE_REKOR_PUBLIC_KEY": f"{self.log.key.path}.pub"}))]


def forms(tools, of, kinds):
    """Both forms for some keys of their own, with one log."""
    log, stranger = Log(tools.make_key("log", "p256")), Log(tools.make_key("log-stranger", "p256"))
    keys = {kind: tools.make_key(f"{kind}-logged", kind) for kind in kinds}
    return [form(tools, keys[kind], *of(kind)[1:]).use(log, stranger) for form in (Bundles, Simple) for kind in kinds]
