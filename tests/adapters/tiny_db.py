#!/usr/bin/python3
"""Writes a vulnerability database of Trivy's own form that knows a handful of vulnerabilities, made up for the tests.

  tiny_db.py CACHE [UPDATED]

CACHE is what Trivy calls its cache directory; UPDATED is as of when the database says to be, default now.

The form is bbolt's, version 2: pages of 4096 bytes, of which the first two are meta pages; a bucket is a page of keys
and values in order, and a value that is a bucket is the number of its page. Nothing here is larger than one page may
get, so that there are no branch pages.

Spec: https://github.com/etcd-io/bbolt/blob/v1.4.3/internal/common/page.go and meta.go beside it.
"""
import datetime
import json
import os
import struct
import sys

PAGE = 4096
META, LEAF, FREELIST = 0x04, 0x02, 0x10
MAGIC, VERSION = 0xED0CDAED, 2

DEBIAN = {"ID": "debian", "Name": "Debian Security Tracker", "URL": "https://salsa.debian.org/security-tracker-team/security-tracker"}
GHSA = {"ID": "ghsa", "Name": "GitHub Security Advisory Pip", "URL": "https://github.com/advisories?query=type%3Areviewed+ecosystem%3Apip"}


def vulnerability(severity, vector=None, score=None):
    told = {"Title": "made up", "Severity": severity, "PublishedDate": "2026-01-05T08:00:00Z"}
    if vector:
        told["CVSS"] = {"nvd": {"V3Vector": vector, "V3Score": score}}
    return told


def wanted():
    """The database: dicts are buckets, lists are never in it but in values, which are JSON."""
    return {
        "debian 12": {
            "openssl": {
                "CVE-2026-0001": {"FixedVersion": "3.0.13-1~deb12u1", "VendorIDs": ["DSA-9001-1"]},
                "CVE-2026-0002": {"FixedVersion": "3.0.11-1"},
            },
            "bash": {"CVE-2026-0003": {"Severity": 1, "Status": 5}},
        },
        "pip::GitHub Security Advisory Pip": {
            "requests": {"CVE-2026-0004": {"PatchedVersions": ["2.31.0"], "VulnerableVersions": ["< 2.31.0"]}},
        },
        "vulnerability": {
            "CVE-2026-0001": vulnerability("CRITICAL", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
            "CVE-2026-0002": vulnerability("HIGH"),
            "CVE-2026-0003": vulnerability("LOW"),
            "CVE-2026-0004": vulnerability("MEDIUM", "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:C/C:H/I:N/A:N", 6.1),
        },
        "data-source": {"debian 12": DEBIAN, "pip::GitHub Security Advisory Pip": GHSA},
    }


# Under these the second level is values already.
FLAT = ("vulnerability", "data-source")


class File:
    def __init__(self):
        self.pages = {}
        self.next = 3

    def leaf(self, entries):
        """Writes entries of (key, flags, value) and gives the number of their page."""
        entries = sorted(entries)
        elements, data = b"", b""
        for at, (key, flags, value) in enumerate(entries):
            # A place is told from where its element begins.
            place = (len(entries) - at) * 16 + len(data)
            elements += struct.pack("<IIII", flags, place, len(key), len(value))
            data += key + value
        return self.page(LEAF, len(entries), elements + data)

    def page(self, flags, count, body, number=None):
        more = (16 + len(body) - 1) // PAGE
        if number is None:
            number, self.next = self.next, self.next + 1 + more
        self.pages[number] = (struct.pack("<QHHI", number, flags, count, more) + body).ljust((1 + more) * PAGE, b"\0")
        return number

    def bucket(self, entries, depth, flat):
        told = []
        for key, value in entries.items():
            if depth > 0 and not (flat and depth == 1):
                page = self.bucket(value, depth - 1, flat or key in FLAT)
                told.append((key.encode(), 1, struct.pack("<QQ", page, 0)))
            else:
                told.append((key.encode(), 0, json.dumps(value).encode()))
        return self.leaf(told)

    def finish(self, root):
        self.page(FREELIST, 0, b"", 2)
        for number in (0, 1):
            meta = struct.pack("<IIII", MAGIC, VERSION, PAGE, 0) + struct.pack("<QQQQQ", root, 0, 2, self.next, number)
            self.page(META, 0, meta + struct.pack("<Q", fnv(meta)), number)
        return b"".join(self.pages[number] for number in sorted(self.pages))


def fnv(data):
    told = 0xCBF29CE484222325
    for byte in data:
        told = ((told ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return told


def main():
    cache = sys.argv[1]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    updated = sys.argv[2] if len(sys.argv) > 2 else now
    file = File()
    content = file.finish(file.bucket(wanted(), 2, False))
    os.makedirs(os.path.join(cache, "db"), exist_ok=True)
    with open(os.path.join(cache, "db", "trivy.db"), "wb") as out:
        out.write(content)
    with open(os.path.join(cache, "db", "metadata.json"), "w") as out:
        json.dump({"Version": 2, "NextUpdate": "2036-01-01T00:00:00Z", "UpdatedAt": updated, "DownloadedAt": updated}, out)


main()
