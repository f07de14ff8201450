#!/usr/bin/python3
"""Pushes the image of tests/fixtures/signatures/keyless, and signatures of it, over the plain distribution API.

    keyless.py REGISTRY_PORT FIXTURES

    lib/app:1          signed by the workflow that the policy names (Sigstore bundle, by the fallback tag)
    lib/simple:1       the same image, signed for another repository (lib/app) in simple signing
    lib/stranger:1     signed by somebody else's workflow
    lib/unlogged:1     signed by the right workflow, in no transparency log
"""
import base64
import hashlib
import http.client
import json
import os
import sys

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"

port, fixtures = int(sys.argv[1]), sys.argv[2]
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def read(name):
    with open(os.path.join(fixtures, name), "rb") as file:
        return file.read()


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def ask(method, path, body=b"", media_type=None):
    headers = {"Content-Type": media_type} if media_type else {}
    connection.request(method, path, body=body, headers={**headers, "Content-Length": str(len(body))})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in (201, 202):
        raise SystemExit(f"{method} {path}: {answer.status} {text!r}")
    return answer.headers.get("Location")


def part(media_type, data, **more):
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **more}


def push(repository, reference, media_type, manifest, blobs):
    for blob in blobs:
        place = ask("POST", f"/v2/{repository}/blobs/uploads/")
        place = place[place.index("/v2/"):]
        ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={sha256(blob)}", blob, "application/octet-stream")
    data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    ask("PUT", f"/v2/{repository}/manifests/{reference or sha256(data)}", data, media_type)
    return part(media_type, data)


def push_image(repository):
    return push(repository, "1", MANIFEST, image, [read("image-config.json"), read("image-layer.tar")])


def attach(repository, bundle):
    """As cosign 3 does at a registry without the referrers API."""
    subject = push_image(repository)
    empty, content = b"{}", read(bundle)
    manifest = {
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "config": part(EMPTY, empty),
        "layers": [part(BUNDLE, content)], "subject": subject,
    }
    listed = push(repository, None, MANIFEST, manifest, [empty, content])
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**listed, "artifactType": BUNDLE}]}
    push(repository, subject["digest"].replace(":", "-"), INDEX, index, [])


image = read("image-manifest.json")
attach("lib/app", "bundle-rekor1-tsa.json")
attach("lib/stranger", "stranger.json")
attach("lib/unlogged", "no-log.json")

# As cosign 2 does: the payload as a layer, everything else in annotations.
subject = push_image("lib/simple")
material = json.loads(read("simple.json"))["material"]
payload, config = base64.b64decode(material["payload"]), b"{}"
annotations = {
    "dev.cosignproject.cosign/signature": material["signature"],
    "dev.sigstore.cosign/certificate": material["proof"]["certificate"],
    "dev.sigstore.cosign/bundle": material["proof"]["bundle"],
    "dev.sigstore.cosign/rfc3161timestamp": material["proof"]["timestamp"],
}
manifest = {
    "schemaVersion": 2, "mediaType": MANIFEST, "config": part("application/vnd.oci.image.config.v1+json", config),
    "layers": [part(SIMPLE, payload, annotations=annotations)],
}
push("lib/simple", subject["digest"].replace(":", "-") + ".sig", MANIFEST, manifest, [config, payload])
