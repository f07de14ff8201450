"""Clients that cost as little as they can, so that the server is what is measured."""

import hashlib
import http.client
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
READ_BYTES = 4 * 1024 * 1024
HEAD_BYTES_MAX = 64 * 1024
TIMEOUT_SECONDS = 60
# TCP throws the bytes away in the kernel: no copy into this process.
DISCARD = socket.MSG_TRUNC


class Failed(Exception):
    """An answer that is not the whole content with status 200."""


def get(server, path, *, sink=None):
    """One GET on a connection of its own; gives the body's length. `sink` gets each piece; without
    it the bytes are thrown away, by the kernel where the connection is plain."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS) as plain:
        connection = plain
        if server.tls:
            connection = trusting_context().wrap_socket(plain, server_hostname="localhost")
            server.cipher = "%s %s" % (connection.version(), connection.cipher()[0])
        request = (
            f"GET {server.target(path)} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Accept: {MANIFEST_TYPE}, */*\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(request.encode())
        length, received = read_head(connection, path)
        if sink and received:
            sink(received)
        return read_body(connection, path, length, len(received), sink, server.tls)


def read_head(connection, path):
    """The promised length, and what of the body came with the head."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece or len(head) > HEAD_BYTES_MAX:
            raise Failed(f"{path}: no whole head")
        head += piece
    head, body = head.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200"):
        raise Failed(f"{path}: {head.splitlines()[0].decode(errors='replace')}")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    if not length:
        raise Failed(f"{path}: no Content-Length")
    return int(length.group(1)), body


def read_body(connection, path, length, got, sink, tls):
    """Reads until all is there; gives the length."""
    flags = 0 if sink or tls else DISCARD
    buffer = memoryview(bytearray(READ_BYTES))
    while got < length:
        count = connection.recv_into(buffer, min(READ_BYTES, length - got), flags)
        if count == 0:
            raise Failed(f"{path}: ended after {got} of {length} bytes")
        if sink:
            sink(buffer[:count])
        got += count
    return got


def trusting_context():
    """TLS 1.3 without a look at the certificate: it was made for this run."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def check_digest(server, path, digest):
    """Raises unless the content has the digest."""
    hasher = hashlib.sha256()
    get(server, path, sink=hasher.update)
    if "sha256:" + hasher.hexdigest() != digest:
        raise Failed(f"{server.name}: wrong bytes for {path}")


def get_many(server, path, connections):
    """The same GET on many connections at once; gives (seconds until the last was served, bytes)."""
    lengths, errors = [], []
    together = threading.Barrier(connections + 1)

    def one():
        together.wait()
        try:
            lengths.append(get(server, path))
        except (OSError, Failed) as error:
            errors.append(error)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    together.wait()
    begin = time.monotonic()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begin
    if errors:
        raise Failed(f"{server.name}: {len(errors)} of {connections} clients failed: {errors[0]}")
    return seconds, sum(lengths)


def wrk(server, path, connections, seconds, script=None):
    """Requests on kept connections; gives a dictionary of what wrk says. A script may choose other
    paths."""
    command = [
        "wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s",
        "--latency", "--header", f"Accept: {MANIFEST_TYPE}",
        *(["--script", script] if script else []),
        f"http://127.0.0.1:{server.port}{server.target(path)}",
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True)
    said = run.stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise Failed(f"{server.name}: {said}")
    return {
        "requests": int(re.search(r"(\d+) requests in", said).group(1)),
        "per_second": float(re.search(r"Requests/sec: *([\d.]+)", said).group(1)),
        "p50": milliseconds(re.search(r"50% +(\S+)", said).group(1)),
        "p99": milliseconds(re.search(r"99% +(\S+)", said).group(1)),
    }


def milliseconds(text):
    """wrk's 12.3us, 4.5ms, 1.2s."""
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    raise ValueError(text)


def push(server, root, image):
    """Puts a small image of the upstream's files into a registry that takes pushes."""
    folder = f"{root}/v2/{image.name}"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)

    def ask(method, path, body=b"", content_type="application/octet-stream"):
        connection.request(method, path, body, {"Content-Type": content_type})
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (201, 202):
            raise Failed(f"{server.name}: {method} {path}: {answer.status}")
        return answer.headers.get("Location", "")

    for digest in {image.config, *image.layers}:
        with open(f"{folder}/blobs/{digest}", "rb") as file:
            content = file.read()
        place = urllib.parse.urlsplit(ask("POST", f"/v2/{image.name}/blobs/uploads/"))
        ask("PUT", f"{place.path}?{place.query}&digest={digest}", content)
    with open(f"{folder}/manifests/latest", "rb") as file:
        ask("PUT", f"/v2/{image.name}/manifests/latest", file.read(), MANIFEST_TYPE)
