#!/usr/bin/env python3
"""How long an API server waits for an answer about a pod.

    cargo build --release && benches/admission.py [--program PROGRAM] [--images N] [--reviews N] [--containers N]

As benches/simulate.py, one image is pulled through the program and its record is repeated for made-up digests in 500
repositories. Then the program is started on that, and asked by AdmissionReview, over kept connections on loopback:
by one caller, then by sixteen at a time, about pods whose containers each run another image, all of which the
program has to read from the ledger first; and the same pods again. What is not known here, and what is refused, is
asked about too. No answer may need the registry: it is gone by then.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "compare")]
import populate  # noqa: E402
import simulate  # noqa: E402

PORT = 5982


def review(images):
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bench", "namespace": "shop"},
           "spec": {"containers": containers}}
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    request = {"uid": "bench", "kind": kind, "operation": "CREATE", "namespace": "shop", "dryRun": True,
               "resource": {"group": "", "version": "v1", "resource": "pods"},
               "userInfo": {"username": "bench"}, "object": pod}
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


CONNECTIONS = threading.local()


def ask(path, body):
    """Gives how many milliseconds it took, and what was said of the images."""
    connection = getattr(CONNECTIONS, "own", None)
    if connection is None:
        connection = CONNECTIONS.own = http.client.HTTPConnection("127.0.0.1", PORT)
        connection.connect()
    begun = time.perf_counter()
    connection.request("POST", path, body, {"content-type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    return (time.perf_counter() - begun) * 1000, answer["response"]["auditAnnotations"]["decision"]


def asked(what, bodies, callers, decision):
    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        answers = list(pool.map(lambda body: ask("/admission/v1/validate", body), bodies))
    took = sorted(milliseconds for milliseconds, _ in answers)
    said = {was for _, was in answers}
    if said != {decision}:
        raise SystemExit(f"{what}: {said}, and not {decision}")
    p99 = took[min(len(took) - 1, len(took) * 99 // 100)]
    print(f"{what}, {callers} at a time: median {statistics.median(took):.1f} ms, p99 {p99:.1f} ms, "
          f"longest {took[-1]:.1f} ms of {len(took)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/pratique")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--reviews", type=int, default=200)
    parser.add_argument("--containers", type=int, default=20)
    options = parser.parse_args()
    manifest, blobs = simulate.image()
    with tempfile.TemporaryDirectory(prefix="pratique-admission-") as name:
        folder = pathlib.Path(name)
        mirror = simulate.Mirror(os.path.abspath(options.program), folder, simulate.registry())
        with mirror:
            digest = simulate.digest_of(manifest)
            assert mirror.get(f"manifests/{digest}") == manifest
            for blob in blobs:
                assert mirror.get(f"blobs/{simulate.digest_of(blob)}") == blob
        populated = populate.Populated(str(folder / "data"), simulate.REGISTRY, simulate.Image(digest), manifest)
        populated.grow(options.images)
        settings = folder / "pratique.toml"
        # A port that nobody listens at: no answer may need it.
        gone = [f'url = "http://127.0.0.1:1"' if line.startswith("url") else line for line in settings.read_text().splitlines()]
        settings.write_text("\n".join(gone) + f'\n[admission]\nlisten = "127.0.0.1:{PORT}"\n')
        (folder / "policy.yaml").write_text(simulate.HEAD % 1 + "rules:\n" + simulate.ALLOW)

        def pods(offset):
            for number in range(options.reviews):
                of = [(offset + number * options.containers + it) % options.images + 1 for it in range(options.containers)]
                named = (populated.repeated(it) for it in of)
                yield review([f"{simulate.REGISTRY}/{repository}@{digest}" for repository, digest, _ in named])

        half = options.images // 2
        with mirror:
            print(f"{options.images} images on record, pods of {options.containers} containers", flush=True)
            for callers, offset in ((1, 0), (16, half)):
                known = list(pods(offset))
                asked("read from the ledger", known, callers, "admitted")
                asked("the same again", known, callers, "admitted")
            unknown = [review([f"{simulate.REGISTRY}/none-{number}/{it}:1" for it in range(options.containers)])
                       for number in range(options.reviews)]
            asked("not known here", unknown, 16, "unknown")
            elsewhere = [review([f"elsewhere.test/{number}/{it}:1" for it in range(options.containers)])
                         for number in range(options.reviews)]
            asked("refused", elsewhere, 16, "denied")


if __name__ == "__main__":
    main()
