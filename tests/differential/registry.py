"""Content put into a registry over the plain distribution API, as it is, without a client that would mend it."""
import hashlib
import http.client
import json
import os
import threading

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encode(value):
    """JSON bytes of a value; bytes are taken as they are."""
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def part(media_type, data, **more):
    """The descriptor of some bytes."""
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **more}


class Registry:
    """A registry on loopback; each thread has a connection of its own."""

    def __init__(self, address, storage=None):
        self.address, self.storage = address, storage
        self._own = threading.local()

    def ask(self, method, path, body=None, media_type=None, accept=None):
        """Gives status, headers and body."""
        headers = {name: value for name, value in (("Content-Type", media_type), ("Accept", accept)) if value}
        for attempt in range(2):
            if not hasattr(self._own, "connection"):
                self._own.connection = http.client.HTTPConnection(self.address, timeout=60)
            try:
                self._own.connection.request(method, path, body=body, headers=headers)
                answer = self._own.connection.getresponse()
                return answer.status, answer.headers, answer.read()
            except (http.client.HTTPException, OSError):
                # A kept connection that the other side has closed meanwhile.
                self._own.connection.close()
                del self._own.connection
                if attempt:
                    raise
        raise AssertionError("unreachable")

    def put(self, path, body, media_type):
        status, _, answer = self.ask("PUT", path, body, media_type)
        if status != 201:
            raise SystemExit(f"PUT {path}: {status} {answer[:300]!r}")

    def blob(self, repository, data):
        status, headers, answer = self.ask("POST", f"/v2/{repository}/blobs/uploads/", b"")
        if status != 202:
            raise SystemExit(f"upload to {repository}: {status} {answer[:300]!r}")
        place = headers["Location"]
        place = place[place.index("/v2/"):]
        self.put(f"{place}{'&' if '?' in place else '?'}digest={sha256(data)}", data, "application/octet-stream")

    def lose(self, repository, digest):
        """The repository no longer has this blob, whatever its manifests say."""
        algorithm, _, encoded = digest.partition(":")
        os.remove(f"{self.storage}/docker/registry/v2/repositories/{repository}/_layers/{algorithm}/{encoded}/link")

    def lose_manifest(self, repository, digest):
        algorithm, _, encoded = digest.partition(":")
        os.remove(f"{self.storage}/docker/registry/v2/repositories/{repository}/_manifests/revisions/{algorithm}/{encoded}/link")

    def manifest(self, repository, reference, media_type, manifest):
        """Pushes a manifest under a tag, or under its digest without one; gives its descriptor."""
        data = encode(manifest)
        self.put(f"/v2/{repository}/manifests/{reference or sha256(data)}", data, media_type)
        return part(media_type, data)

    def read_manifest(self, repository, reference):
        status, _, body = self.ask("GET", f"/v2/{repository}/manifests/{reference}", accept=f"{MANIFEST}, {INDEX}, {DOCKER_MANIFEST}")
        if status != 200:
            raise SystemExit(f"{repository}:{reference} is not there: {status}")
        return json.loads(body)

    def read_blob(self, repository, digest):
        status, _, body = self.ask("GET", f"/v2/{repository}/blobs/{digest}")
        if status != 200:
            raise SystemExit(f"{repository}@{digest} is not there: {status}")
        return body


class Image:
    """A small image; the text makes it another one."""

    def __init__(self, text, architecture="amd64"):
        self.layer = text.encode()
        self.config = encode({"architecture": architecture, "os": "linux", "config": {},
                              "rootfs": {"type": "layers", "diff_ids": [sha256(self.layer)]}})
        self.manifest = encode({"schemaVersion": 2, "mediaType": MANIFEST, "config": part(CONFIG, self.config),
                                "layers": [part(LAYER, self.layer)]})
        self.descriptor = part(MANIFEST, self.manifest)
        self.digest = self.descriptor["digest"]

    def push(self, registry, repository):
        for data in (self.config, self.layer):
            registry.blob(repository, data)
        registry.manifest(repository, None, MANIFEST, self.manifest)


class IndexOf:
    """An index over one image."""

    def __init__(self, image):
        self.image = image
        listed = {**image.descriptor, "platform": {"os": "linux", "architecture": "amd64"}}
        self.manifest = encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]})
        self.descriptor = part(INDEX, self.manifest)
        self.digest = self.descriptor["digest"]

    def push(self, registry, repository):
        self.image.push(registry, repository)
        registry.manifest(repository, None, INDEX, self.manifest)


class Place:
    """A repository with one subject in it, and what is put beside that."""

    def __init__(self, registry, repository, subject, push=True):
        self.registry, self.repository, self.subject = registry, repository, subject
        if push:
            subject.push(registry, repository)

    def attach_tag(self, suffix, manifest, blobs=(), media_type=MANIFEST, digest=None):
        """Under the tag of the subject's digest with a suffix, as cosign 2 does."""
        for blob in blobs:
            self.registry.blob(self.repository, blob)
        tag = (digest or self.subject.digest).replace(":", "-") + suffix
        return self.registry.manifest(self.repository, tag, media_type, manifest)

    def refer(self, entries, listed=None):
        """Each entry is (manifest, blobs); all are listed under the fallback tag, as clients do at a registry
        without the referrers API. `listed` may change the descriptors in the list."""
        descriptors = []
        for manifest, blobs in entries:
            for blob in blobs:
                self.registry.blob(self.repository, blob)
            descriptor = self.registry.manifest(self.repository, None, MANIFEST, manifest)
            if isinstance(manifest, dict) and "artifactType" in manifest:
                descriptor["artifactType"] = manifest["artifactType"]
            descriptors.append(descriptor)
        if listed:
            descriptors = listed(descriptors)
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}
        self.registry.manifest(self.repository, self.subject.digest.replace(":", "-"), INDEX, index)

    def referrers(self):
        """What the fallback tag lists, as manifests."""
        index = self.registry.read_manifest(self.repository, self.subject.digest.replace(":", "-"))
        return [self.registry.read_manifest(self.repository, it["digest"]) for it in index["manifests"]]
