#!/bin/bash
# Two certificate authorities and a signer below each, with the configuration by which notation signs with them.
#
#     notation_keys.sh FOLDER
#
# Leaves FOLDER/acme.pem and FOLDER/stranger.pem (the authorities), and FOLDER/notation: what notation calls its
# configuration directory, with the keys acme and stranger, and a policy that trusts acme.
set -euo pipefail
mkdir -p "$1/notation"
cd "$1"
cat >x509.cnf <<'X'
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
[leaf]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
X
key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1"; }
for name in acme stranger; do
  key $name-root.key
  openssl req -x509 -new -key $name-root.key -subj "/C=US/ST=WA/O=$name/CN=$name root" -days 3650 -config x509.cnf \
    -extensions root -out $name.pem
  key $name.key
  openssl req -new -key $name.key -subj "/C=US/ST=WA/O=$name/CN=builder" -config x509.cnf -out $name.csr
  openssl x509 -req -in $name.csr -CA $name.pem -CAkey $name-root.key -set_serial "0x1$(openssl rand -hex 8)" \
    -days 3650 -extfile x509.cnf -extensions leaf -out $name.leaf.pem
  cat $name.leaf.pem $name.pem >$name.chain.pem
done
cat >notation/signingkeys.json <<X
{"default": "acme", "keys": [
  {"name": "acme", "keyPath": "$PWD/acme.key", "certPath": "$PWD/acme.chain.pem"},
  {"name": "stranger", "keyPath": "$PWD/stranger.key", "certPath": "$PWD/stranger.chain.pem"}]}
X
mkdir -p notation/truststore/x509/ca/acme
cp acme.pem notation/truststore/x509/ca/acme/
cat >notation/trustpolicy.json <<'X'
{"version": "1.0", "trustPolicies": [{"name": "acme", "registryScopes": ["*"],
  "signatureVerification": {"level": "strict", "override": {"revocation": "skip"}}, "trustStores": ["ca:acme"],
  "trustedIdentities": ["x509.subject: C=US, ST=WA, O=acme, CN=builder"]}]}
X
