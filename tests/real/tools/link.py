#!/usr/bin/python3
"""A TCP link that can be slow and can be cut: between a node and the mirror, or the mirror and its upstream.

    link.py LISTEN_PORT TARGET_PORT LOG [--cut-at BYTES] [--cuts N] [--cut-by end|reset]
            [--rate BYTES_PER_SECOND] [--flip-at BYTES]

Cuts the first N connections whose answers grow past --cut-at bytes: by a plain end in the middle of the body,
or by a reset. With --flip-at, one byte of every longer answer is changed on its way. The log holds a line for every request head that passes ("request GET /v2/... range=bytes=1-") and for every cut or flip ("cut BYTES", "flip BYTES").
"""
import argparse
import re
import socket
import struct
import threading
import time

CHUNK_BYTES = 1 << 16
HEAD_LIMIT_BYTES = 1 << 16
IDLE_S = 120

arguments = argparse.ArgumentParser()
arguments.add_argument("listen", type=int)
arguments.add_argument("target", type=int)
arguments.add_argument("log")
arguments.add_argument("--cut-at", type=int, default=0)
arguments.add_argument("--cuts", type=int, default=0)
arguments.add_argument("--cut-by", choices=["end", "reset"], default="end")
arguments.add_argument("--rate", type=int, default=0)
arguments.add_argument("--flip-at", type=int, default=0)
arguments = arguments.parse_args()
log_file = open(arguments.log, "a", buffering=1, encoding="utf-8")
lock = threading.Lock()
cuts_left = arguments.cuts


def log(*words):
    with lock:
        print(*words, file=log_file)


def log_heads(buffered):
    """Logs the complete request heads in `buffered`; gives what is left. No request here has a body."""
    while b"\r\n\r\n" in buffered:
        head, _, buffered = buffered.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        wanted = re.search(r"(?im)^range:\s*(\S+)", text)
        log("request", text.split("\r\n")[0].rsplit(" ", 1)[0], "range=" + (wanted.group(1) if wanted else "-"))
    return buffered[-HEAD_LIMIT_BYTES:]


def take_cut():
    global cuts_left
    with lock:
        if cuts_left <= 0:
            return False
        cuts_left -= 1
        return True


def drop(by, *connections):
    for connection in connections:
        try:
            if by == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()


def upwards(node, server):
    buffered = b""
    try:
        while chunk := node.recv(CHUNK_BYTES):
            buffered = log_heads(buffered + chunk)
            server.sendall(chunk)
        server.shutdown(socket.SHUT_WR)
    except OSError:
        drop("reset", node, server)


def downwards(server, node):
    passed, started = 0, time.monotonic()
    try:
        while chunk := server.recv(CHUNK_BYTES):
            if arguments.flip_at and passed <= arguments.flip_at < passed + len(chunk):
                at = arguments.flip_at - passed
                chunk = chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1:]
                log("flip", arguments.flip_at)
            node.sendall(chunk)
            passed += len(chunk)
            if arguments.cut_at and passed > arguments.cut_at and take_cut():
                log("cut", passed)
                drop(arguments.cut_by, node, server)
                return
            if arguments.rate:
                ahead = passed / arguments.rate - (time.monotonic() - started)
                if ahead > 0:
                    time.sleep(min(ahead, 1.0))
        node.shutdown(socket.SHUT_WR)
    except OSError:
        drop("reset", node, server)


listener = socket.create_server(("127.0.0.1", arguments.listen), backlog=128)
while True:
    near, _ = listener.accept()
    near.settimeout(IDLE_S)
    try:
        far = socket.create_connection(("127.0.0.1", arguments.target), timeout=IDLE_S)
    except OSError:
        near.close()
        continue
    threading.Thread(target=upwards, args=(near, far), daemon=True).start()
    threading.Thread(target=downwards, args=(far, near), daemon=True).start()
