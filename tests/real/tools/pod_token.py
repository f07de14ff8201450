#!/usr/bin/python3
"""A cluster's key and the tokens of its pods, made with openssl.

    pod_token.py KEY.pem --keys               the key as /openid/v1/jwks has it; made if it is not there
    pod_token.py KEY.pem NAMESPACE/ACCOUNT    a token for the audience pratique, good for ten minutes
"""
import base64
import json
import os
import subprocess
import sys
import time

ISSUER = "https://kubernetes.default.svc"
KEY_ID = "rig"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True).stdout


def main():
    key, what = sys.argv[1:3]
    if what == "--keys":
        if not os.path.exists(key):
            openssl("genrsa", "-out", key, "2048")
        modulus = openssl("rsa", "-in", key, "-noout", "-modulus").decode().strip().split("=")[1]
        jwk = {"kty": "RSA", "kid": KEY_ID, "use": "sig", "alg": "RS256", "e": "AQAB",
               "n": b64(bytes.fromhex(modulus))}
        print(json.dumps({"keys": [jwk]}))
        return
    namespace, account = what.split("/")
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": ["pratique"], "iat": now, "nbf": now, "exp": now + 600,
              "sub": f"system:serviceaccount:{namespace}:{account}",
              "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": "rig"}}}
    head = b64(json.dumps({"alg": "RS256", "kid": KEY_ID}).encode())
    message = f"{head}.{b64(json.dumps(claims).encode())}"
    print(message + "." + b64(openssl("dgst", "-sha256", "-sign", key, data=message.encode())))


main()
