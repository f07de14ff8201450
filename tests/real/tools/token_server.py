#!/usr/bin/python3
"""The token server of docker-registry's `auth: token`: hands out RS256 tokens to one user, pull only.

    token_server.py PORT CERTIFICATE KEY USER PASSWORD LOG

Answers both forms: GET with Basic credentials, and the OAuth2 POST with a password grant. Without the right
password the answer is 401, so a mirror that asks without its credentials is not served.
"""
import base64
import json
import subprocess
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

PORT, CERTIFICATE, KEY, USER, PASSWORD, LOG = sys.argv[1:7]
TOKEN_LIFE_S = 60
BODY_LIMIT_BYTES = 1 << 16
log_file = open(LOG, "a", buffering=1, encoding="utf-8")


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def certificate_der():
    lines = open(CERTIFICATE, encoding="ascii").read().splitlines()
    return "".join(line for line in lines if "CERTIFICATE" not in line)


def signed(message):
    command = ["openssl", "dgst", "-sha256", "-sign", KEY]
    return subprocess.run(command, input=message, capture_output=True, check=True, timeout=10).stdout


def token(service, scopes):
    access = []
    for scope in " ".join(scopes).split():
        kind, rest = scope.split(":", 1)
        name, actions = rest.rsplit(":", 1)
        access.append({"type": kind, "name": name, "actions": [a for a in actions.split(",") if a == "pull"]})
    now = int(time.time())
    claims = {
        "iss": "rig", "sub": USER, "aud": service, "exp": now + TOKEN_LIFE_S, "nbf": now - 5, "iat": now,
        "jti": str(uuid.uuid4()), "access": access,
    }
    head = {"typ": "JWT", "alg": "RS256", "x5c": [certificate_der()]}
    message = base64url(json.dumps(head).encode()) + "." + base64url(json.dumps(claims).encode())
    return message + "." + base64url(signed(message.encode()))


class TokenHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self):
        given = self.headers.get("Authorization", "")
        right = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        self.answer(parse_qs(urlparse(self.path).query), given == right)

    def do_POST(self):
        form = parse_qs(self.rfile.read(min(int(self.headers.get("Content-Length") or 0), BODY_LIMIT_BYTES)).decode())
        self.answer(form, form.get("username") == [USER] and form.get("password") == [PASSWORD])

    def answer(self, asked, known):
        print(self.command, "known" if known else "refused", asked.get("scope"), file=log_file)
        if known:
            value = token((asked.get("service") or [""])[0], asked.get("scope", []))
            status, body = 200, {"token": value, "access_token": value, "expires_in": TOKEN_LIFE_S}
        else:
            status, body = 401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong user or password"}]}
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(PORT)), TokenHandler).serve_forever()
