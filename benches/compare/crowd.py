"""Many slow-costing clients in one process: epoll, and the kernel throws the bytes away.

    crowd.py PORT TARGET CLIENTS

asks for TARGET on CLIENTS connections at once, follows the lengths, and prints as JSON when the
first and the last client had everything, by the clock that all processes share.
"""

import json
import re
import select
import socket
import sys
import time

DISCARD = socket.MSG_TRUNC
PIECE_BYTES = 16 * 1024 * 1024
HEAD_BYTES_MAX = 64 * 1024
SILENCE_SECONDS = 60


class Client:
    """One connection: how much is still to come; none is known before the head was read."""

    def __init__(self, port, request):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.head, self.left = b"", None
        self.socket.send(request)

    def read(self):
        """Takes what is there; true when everything has come."""
        if self.left is None:
            # A peek first, so that no byte of the body is taken for the head.
            seen = self.socket.recv(HEAD_BYTES_MAX, socket.MSG_PEEK)
            end = seen.find(b"\r\n\r\n")
            if end < 0:
                if not seen:
                    raise ConnectionError("closed before the head")
                return False
            head = self.socket.recv(end + 4)
            length = re.search(rb"(?im)^content-length: *(\d+)", head)
            if not head.startswith(b"HTTP/1.1 200") or not length:
                raise ConnectionError(head.splitlines()[0].decode(errors="replace"))
            self.left = int(length.group(1))
        # As much as is there, and never more than the rest: once it is empty, epoll wakes us.
        while self.left:
            try:
                got = self.socket.recv_into(BUFFER, min(self.left, PIECE_BYTES), DISCARD)
            except BlockingIOError:
                return False
            if got == 0:
                raise ConnectionError(f"closed with {self.left} bytes to come")
            self.left -= got
            # One turn each, or the first clients would be served first.
            return not self.left
        return True


BUFFER = bytearray(PIECE_BYTES)


def main():
    port, target, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    begin, poll = time.monotonic(), select.epoll()
    clients = {}
    for _ in range(count):
        client = Client(port, request)
        clients[client.socket.fileno()] = client
        poll.register(client.socket, select.EPOLLIN)
    first, failed = None, []
    while clients:
        events = poll.poll(SILENCE_SECONDS)
        if not events:
            failed.append(f"{len(clients)} clients heard nothing for {SILENCE_SECONDS} s")
            break
        for number, _ in events:
            client = clients[number]
            try:
                done = client.read()
            except OSError as error:
                failed.append(str(error))
                done = True
            if done:
                first = first or time.monotonic()
                poll.unregister(number)
                client.socket.close()
                del clients[number]
    end = time.monotonic()
    json.dump({"begin": begin, "first": (first or end) - begin, "seconds": end - begin,
               "failed": len(failed), "why": failed[:1]}, sys.stdout)


if __name__ == "__main__":
    main()
