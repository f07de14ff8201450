"""Keys, the real tools, and signatures by openssl where a tool would not make what is wanted."""
import os
import subprocess
import tempfile

# What cosign is asked with, whoever made the signature.
VERIFY = ["--insecure-ignore-tlog=true", "--allow-http-registry", "--allow-insecure-registry"]
SIGN = ["--tlog-upload=false", "--allow-http-registry", "--allow-insecure-registry", "-y"]
KINDS = {
    "p256": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "rsa2048": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa3072": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
    "rsa4096": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
    "ed25519": ["genpkey", "-algorithm", "ED25519"],
}
TOOL_LIMIT = 60


class Failed(Exception):
    """A tool did not do what it has to."""


class Tools:
    """The programs, with a home of their own."""

    def __init__(self, rig, scratch):
        self.bin = os.path.join(rig, "bin")
        self.scratch = scratch
        self.keys = os.path.join(scratch, "keys")
        os.makedirs(self.keys, exist_ok=True)
        self.environment = {**os.environ, "HOME": scratch, "COSIGN_PASSWORD": "", "COSIGN_CACHE": f"{scratch}/cosign",
                            "TUF_ROOT": f"{scratch}/tuf", "XDG_CONFIG_HOME": f"{scratch}/config", "XDG_CACHE_HOME": f"{scratch}/cache"}

    def run(self, arguments, stdin=b"", **environment):
        """Runs a program; gives status and what it said, standard output first."""
        program = [os.path.join(self.bin, arguments[0]), *arguments[1:]] if os.path.exists(os.path.join(self.bin, arguments[0])) else arguments
        done = subprocess.run(program, input=stdin, capture_output=True, timeout=TOOL_LIMIT, check=False,
                              env={**self.environment, **environment}, cwd=self.scratch)
        return done.returncode, done.stdout, done.stderr

    def must(self, arguments, stdin=b"", **environment):
        status, out, error = self.run(arguments, stdin, **environment)
        if status != 0:
            raise Failed(f"{' '.join(arguments)}: status {status}: {error.decode(errors='replace')[-500:]}")
        return out

    def make_key(self, name, kind):
        """A key pair in PEM, and as cosign keeps it."""
        path = os.path.join(self.keys, name)
        self.must(["openssl", *KINDS[kind], "-out", f"{path}.pem"])
        self.must(["openssl", "pkey", "-in", f"{path}.pem", "-pubout", "-out", f"{path}.pub"])
        self.must(["cosign-3", "import-key-pair", "-y", "--key", f"{path}.pem", "--output-key-prefix", f"{path}-cosign"])
        return Key(self, path, kind)

    def verify(self, line, key, image, *more):
        return [f"cosign-{line}", "verify", "--key", f"{key.path}.pub", *VERIFY, *more, image]

    def verify_attestation(self, line, key, kind, image, *more):
        return [f"cosign-{line}", "verify-attestation", "--key", f"{key.path}.pub", "--type", kind, *VERIFY, *more, image]


class Key:
    """One key pair."""

    def __init__(self, tools, path, kind):
        self.tools, self.path, self.kind = tools, path, kind
        with open(f"{path}.pub", encoding="ascii") as file:
            self.public = file.read()

    def sign(self, message, digest="sha256", padding="pkcs1"):
        """A signature over the message by openssl, as cosign makes them unless told otherwise."""
        private = f"{self.path}.pem"
        if self.kind == "ed25519":
            # The one-shot algorithm reads files only.
            with tempfile.NamedTemporaryFile(dir=self.tools.scratch) as file:
                file.write(message)
                file.flush()
                return self.tools.must(["openssl", "pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", file.name])
        options = ["-sigopt", f"rsa_padding_mode:{padding}"] if self.kind.startswith("rsa") else []
        return self.tools.must(["openssl", "dgst", f"-{digest}", "-sign", private, *options], stdin=message)


def flipped(data, at=-1):
    """The same bytes but for one bit."""
    at = at % len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def der_integers(signature):
    """r and s of an ECDSA signature in DER."""
    at, found = 2 if signature[1] < 0x80 else 3, []
    for _ in range(2):
        length = signature[at + 1]
        found.append(int.from_bytes(signature[at + 2:at + 2 + length], "big"))
        at += 2 + length
    return found


def der_signature(*integers):
    """An ECDSA signature in DER."""
    body = b""
    for number in integers:
        content = number.to_bytes(number.bit_length() // 8 + 1, "big")
        body += bytes([2, len(content)]) + content
    return bytes([0x30, len(body)]) + body


ORDERS = {
    "p256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "p384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
}
