"""A data directory with very many verdicts and blobs.

One image is pulled through the program; its rows in the ledger are then repeated for made-up digests
in made-up repositories. They have the seals of a program from before there was a key for them, and the
note that there is one is taken away, so that the next start seals every one of them. The
first `SERVED` of them are real manifests and can be pulled; the others have a verdict and one grant,
and nothing in the store. Blobs are files of a few bytes with the name of a digest.
"""

import hashlib
import os
import sqlite3

# Images that can be pulled, and repositories that verdicts are spread over.
SERVED = 1000
REPOSITORIES = 500
# A text of the pulled manifest that is another for each repetition, of the same length.
NUMBER = "0000000"
BATCH = 20_000


class Unknown(Exception):
    """The ledger is not as this file knows it."""


def seal(table, key, body):
    """As the ledger sealed a row before there was a key for that."""
    hasher = hashlib.sha256()
    for part in (table, *key, body):
        part = part.encode()
        hasher.update(len(part).to_bytes(8, "big") + part)
    return hasher.digest()


class Populated:
    """The data directory `data`, in which `image` of `registry` was pulled by its digest."""

    def __init__(self, data, registry, image, manifest):
        self.data, self.image, self.manifest = data, image, manifest
        self.name = f"{registry}/{image.name}"
        self.count = self.blobs = 0
        ledger = self.ledger()
        row = ledger.execute("SELECT r.body FROM records r JOIN repositories n ON n.id ="
                             " r.repository WHERE n.name = ? AND r.digest = ?",
                             (self.name, image.digest)).fetchone()
        grants = ledger.execute("SELECT g.digest, g.body FROM grants g JOIN records r ON"
                                " r.id = g.record WHERE r.digest = ? ORDER BY g.digest LIMIT 1",
                                (image.digest,)).fetchall()
        ledger.close()
        self.mark = os.path.join(data, "audit", "sealed")
        if not row or not grants or not os.path.exists(self.mark):
            raise Unknown("the ledger keeps or seals its rows in another way than populate.py knows")
        self.body, self.grants = row[0], grants

    def ledger(self):
        ledger = sqlite3.connect(os.path.join(self.data, "ledger.db"), isolation_level=None)
        ledger.execute("PRAGMA synchronous = off")
        ledger.execute("PRAGMA cache_size = -200000")
        return ledger

    def paths(self):
        """What can be pulled, below /v2/."""
        for number in range(1, min(self.count, SERVED) + 1):
            repository, digest, _ = self.repeated(number)
            yield f"/v2/{repository}/manifests/{digest}"

    def repeated(self, number):
        """Repository, digest and content of one repetition."""
        repository = f"{self.image.name}-{number % REPOSITORIES:03}"
        if number > SERVED:
            return repository, "sha256:" + hashlib.sha256(b"%d" % number).hexdigest(), None
        content = self.manifest.replace(NUMBER.encode(), b"%07d" % number)
        return repository, "sha256:" + hashlib.sha256(content).hexdigest(), content

    def grow(self, count):
        """Makes it `count` verdicts."""
        ledger = self.ledger()
        ledger.execute("BEGIN")
        registry = self.name[: -len(self.image.name)]
        for number in range(REPOSITORIES):
            ledger.execute("INSERT OR IGNORE INTO repositories (name) VALUES (?)",
                           (f"{self.name}-{number:03}",))
        ids = dict(ledger.execute("SELECT name, id FROM repositories"))
        next_id = ledger.execute("SELECT max(id) FROM records").fetchone()[0] + 1
        digest, content = self.grants[0][0], self.grants[0][1]
        for start in range(self.count + 1, count + 1, BATCH):
            records, grants = [], []
            for number in range(start, min(start + BATCH, count + 1)):
                repository, of, manifest = self.repeated(number)
                if manifest:
                    self.write_blob(of, manifest)
                name = registry + repository
                body = self.body.replace(self.image.digest, of)
                body = body.replace(f'"{self.name}"', f'"{name}"')
                records.append((next_id, ids[name], of, body, seal("records", (name, of), body)))
                grants.append((ids[name], digest, next_id, content,
                               seal("grants", (name, digest, of), content)))
                next_id += 1
            ledger.executemany("INSERT INTO records (id, repository, digest, body, seal)"
                               " VALUES (?, ?, ?, ?, ?)", records)
            ledger.executemany("INSERT INTO grants (repository, digest, record, body, seal)"
                               " VALUES (?, ?, ?, ?, ?)", grants)
        ledger.execute("COMMIT")
        ledger.close()
        if os.path.exists(self.mark):
            os.remove(self.mark)
        self.count = count

    def write_blob(self, digest, content):
        hex_digest = digest.split(":")[1]
        folder = os.path.join(self.data, "blobs", "sha256", hex_digest[:2])
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, hex_digest)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o444)

    def add_blobs(self, count):
        """Makes it `count` blobs more."""
        for number in range(self.blobs, self.blobs + count):
            content = b"blob %d" % number
            self.write_blob("sha256:" + hashlib.sha256(content).hexdigest(), content)
        self.blobs += count
