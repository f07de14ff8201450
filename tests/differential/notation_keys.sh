#!/bin/bash
# A certificate authority with good signers and odd ones, and the configuration that notation uses them by.
#
#     notation_keys.sh FOLDER
#
# Leaves NAME.key, NAME.pem and NAME.chain.pem (its own certificate first) for each, and FOLDER/notation.
set -euo pipefail
mkdir -p "$1/notation"
cd "$1"
exec 2>openssl.log
cat >x509.cnf <<'CNF'
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
[inter]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
[leaf]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
[server]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
[anything]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = anyExtendedKeyUsage
[plain]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
[encipher]
basicConstraints = CA:false
keyUsage = critical, keyEncipherment
extendedKeyUsage = codeSigning
[useless]
basicConstraints = CA:false
extendedKeyUsage = codeSigning
[ca]
default_ca = dated
[dated]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
countryName = optional
stateOrProvinceName = optional
organizationName = optional
commonName = optional
CNF
: >index.txt
ec() { openssl ecparam -name "$2" -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }
rsa() { openssl genrsa "$2" | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }
self() { # NAME EXTENSIONS SUBJECT
  openssl req -x509 -new -key "$1.key" -subj "$3" -days 3650 -config x509.cnf -extensions "$2" -out "$1.pem"
  cp "$1.pem" "$1.chain.pem"
}
issue() { # NAME ISSUER EXTENSIONS SUBJECT [OPTION...]
  local name=$1 issuer=$2 extensions=$3 subject=$4
  shift 4
  openssl req -new -key "$name.key" -subj "$subject" -config x509.cnf -out "$name.csr"
  openssl x509 -req -in "$name.csr" -CA "$issuer.pem" -CAkey "$issuer.key" -set_serial "0x1$(openssl rand -hex 8)" -days 3650 \
    -extfile x509.cnf -extensions "$extensions" -out "$name.pem" "$@"
  cat "$name.pem" "$issuer.chain.pem" >"$name.chain.pem"
}
BUILDER=/C=US/ST=WA/O=acme/CN=builder
ec root secp384r1 && self root root "/C=US/ST=WA/O=acme/CN=root"
ec inter prime256v1 && issue inter root inter "/C=US/ST=WA/O=acme/CN=signing"
ec es256 prime256v1 && issue es256 inter leaf $BUILDER
ec es384 secp384r1 && issue es384 inter leaf $BUILDER
ec es512 secp521r1 && issue es512 inter leaf $BUILDER
rsa ps256 2048 && issue ps256 inter leaf $BUILDER
rsa ps384 3072 && issue ps384 inter leaf $BUILDER
rsa ps512 4096 && issue ps512 inter leaf $BUILDER
ec es384-other secp384r1 && ec es512-other secp521r1 && rsa ps256-other 2048 && rsa ps384-other 3072 && rsa ps512-other 4096
ec lone prime256v1 && self lone leaf $BUILDER
ec unknown prime256v1 && self unknown leaf $BUILDER
ec stranger-root prime256v1 && self stranger-root root "/C=US/ST=WA/O=acme/CN=root"
ec stranger prime256v1 && issue stranger stranger-root leaf $BUILDER
ec elsewhere prime256v1 && issue elsewhere inter leaf "/C=US/ST=WA/O=acme/CN=other"
ec longer prime256v1 && issue longer inter leaf "/C=US/ST=WA/L=Seattle/O=acme/OU=team/CN=builder"
ec shorter prime256v1 && issue shorter inter leaf "/C=US/ST=WA/CN=builder"
for name in server anything plain encipher useless; do ec $name prime256v1 && issue $name inter $name $BUILDER; done
ec sha1 prime256v1 && issue sha1 inter leaf $BUILDER -sha1
rsa weak 1024 && issue weak inter leaf $BUILDER
ec below-inter prime256v1 && issue below-inter inter inter "/C=US/ST=WA/O=acme/CN=below"
ec below prime256v1 && issue below below-inter leaf $BUILDER
ec byleaf prime256v1 && issue byleaf es256 leaf $BUILDER
dated() { # NAME FROM TO
  ec "$1" prime256v1
  openssl req -new -key "$1.key" -subj $BUILDER -config x509.cnf -out "$1.csr"
  openssl ca -batch -config x509.cnf -cert inter.pem -keyfile inter.key -in "$1.csr" -startdate "$2" -enddate "$3" -extensions leaf -notext -out "$1.pem"
  cat "$1.pem" inter.chain.pem >"$1.chain.pem"
}
dated expired 20200101000000Z 20210101000000Z
dated future 20400101000000Z 20410101000000Z

names=(es256 es384 es512 ps256 ps384 ps512 lone stranger elsewhere longer shorter)
{
  printf '{"default": "es256", "keys": ['
  for name in "${names[@]}"; do
    printf '%s{"name": "%s", "keyPath": "%s", "certPath": "%s"}' "$([ "$name" = es256 ] || echo ', ')" "$name" "$PWD/$name.key" "$PWD/$name.chain.pem"
  done
  printf ']}\n'
} >notation/signingkeys.json
mkdir -p notation/truststore/x509/ca/acme
cp root.pem lone.pem notation/truststore/x509/ca/acme/
cat >notation/trustpolicy.json <<'JSON'
{"version": "1.0", "trustPolicies": [{"name": "acme", "registryScopes": ["*"],
  "signatureVerification": {"level": "strict", "override": {"revocation": "skip"}}, "trustStores": ["ca:acme"],
  "trustedIdentities": ["x509.subject: C=US, ST=WA, O=acme, CN=builder"]}]}
JSON
