"""How long single requests take: one after the other on a kept connection, with a pause between.

    probe.py PORT TARGET SECONDS

prints as JSON when each began, by the clock that all processes share, and how long it took in milliseconds.
"""

import json
import re
import socket
import sys
import time

PAUSE_SECONDS = 0.001


def main():
    port, target, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    request = (f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
               "Accept: application/vnd.oci.image.manifest.v1+json\r\n\r\n").encode()
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        connection.sendall(request)
        answer = connection.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(head.decode(errors="replace"))
        left = int(re.search(rb"(?im)^content-length: *(\d+)", head).group(1)) - len(body)
        while left > 0:
            left -= len(connection.recv(65536))
        took.append((begin, (time.monotonic() - begin) * 1000))
        time.sleep(PAUSE_SECONDS)
    json.dump(took, sys.stdout)


if __name__ == "__main__":
    main()
