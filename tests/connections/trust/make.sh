#!/bin/sh
# Makes the certificates of tests/connections/trust.rs that rcgen cannot make. They are valid for a
# hundred years, so this need not be run again; the keys are worth nothing, and the authority's is
# thrown away.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

key() { openssl genpkey -algorithm "$1" -pkeyopt "$2" -out "$3" 2>"$tmp/progress"; }

# Signs a request for a name, by the key that is given, with the extensions of a section.
sign() {
    name=$1 subject_key=$2 section=$3 file=$4
    shift 4
    openssl req -new -key "$subject_key" -subj "/CN=$name" -out "$tmp/request"
    : >"$tmp/index"
    cat >"$tmp/config" <<END
[ca]
default_ca = here
[here]
database = $tmp/index
new_certs_dir = $tmp
rand_serial = yes
policy = any
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
# As openssl.cnf has it for req -x509.
[req_x509]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer
basicConstraints = critical, CA:TRUE
subjectAltName = DNS:localhost
[server]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost
END
    [ "$section" = none ] || set -- "$@" -extensions "$section"
    openssl ca -batch -notext -config "$tmp/config" -in "$tmp/request" -out "$file" \
        -startdate 20200101000000Z -enddate 21200101000000Z "$@" 2>"$tmp/progress"
}

key EC ec_paramgen_curve:P-256 "$tmp/authority.key"
key EC ec_paramgen_curve:P-256 p256.key
key EC ec_paramgen_curve:P-521 p521.key
key RSA rsa_keygen_bits:1024 rsa1024.key

sign authority "$tmp/authority.key" authority authority.pem \
    -selfsign -keyfile "$tmp/authority.key" -md sha256
# What `openssl req -x509` makes: CA:TRUE.
sign localhost p256.key req_x509 req-x509.pem -selfsign -keyfile p256.key -md sha256
# What `openssl x509 -req` makes without extensions: version 1.
sign localhost p256.key none version-1.pem -selfsign -keyfile p256.key -md sha256

by_authority() {
    sign localhost "$1" server "$2" -cert authority.pem -keyfile "$tmp/authority.key" -md "$3"
}
by_authority p256.key p256-sha512.pem sha512
by_authority p521.key p521.pem sha256
by_authority rsa1024.key rsa1024.pem sha256
