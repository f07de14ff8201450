#!/usr/bin/python3
"""The address that only a fallback would reach.

Stands where the registry names of the tests really point (443 with TLS, and 80), holds a certificate the
clients trust, and forwards what it is asked to the real upstream: so a client that goes past the mirror
*succeeds*, and is seen. Every accepted connection and every request is one line in the log.

    canary.py ADDRESS CERTIFICATE KEY UPSTREAM_PORT LOG
"""
import http.client
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS, CERTIFICATE, KEY, UPSTREAM_PORT, LOG = sys.argv[1:6]
UPSTREAM_TIMEOUT_S = 60
CHUNK_BYTES = 1 << 18
log_file = open(LOG, "a", buffering=1, encoding="utf-8")
log_lock = threading.Lock()


def log(*words):
    with log_lock:
        print(*words, file=log_file)


class Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = UPSTREAM_TIMEOUT_S

    def do_GET(self):
        log("request", self.command, self.headers.get("Host"), self.path)
        upstream = http.client.HTTPConnection("127.0.0.1", int(UPSTREAM_PORT), timeout=UPSTREAM_TIMEOUT_S)
        upstream.putrequest(self.command, self.path, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("host", "connection"):
                upstream.putheader(name, value)
        upstream.endheaders()
        answer = upstream.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            while chunk := answer.read(CHUNK_BYTES):
                self.wfile.write(chunk)
        upstream.close()

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


class Canary(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, context):
        self.context = context
        super().__init__((ADDRESS, port), Forward)

    def process_request_thread(self, request, client_address):
        # The connection itself counts, even when the handshake fails afterwards.
        log("connect", self.server_address[1])
        try:
            if self.context is not None:
                request = self.context.wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except OSError as error:
            log("broken", repr(error))

    def handle_error(self, request, client_address):
        log("broken", repr(sys.exc_info()[1]))


tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(CERTIFICATE, KEY)
threading.Thread(target=Canary(80, None).serve_forever, daemon=True).start()
Canary(443, tls).serve_forever()
