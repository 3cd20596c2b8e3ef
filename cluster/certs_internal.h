/* certs_internal.h - what the certs_* files and raft_transport_tls share. */
#ifndef CLUSTER_CERTS_INTERNAL_H
#define CLUSTER_CERTS_INTERNAL_H

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "cluster/certs.h"

struct cert_key {
    EVP_PKEY *pkey;
};

struct cert {
    X509 *x509;
    size_t der_len;
    uint8_t der[CERT_DER_MAX];
};

/* Empties OpenSSL's per-thread error queue, where a TLS connection would find what is not its own; returns
 * err. */
err_t cert_refused(err_t err);
bool cert_key_is_p256(EVP_PKEY *pkey);
/* Takes the certificate, also when it fails. */
err_t cert_wrap(X509 *x509, struct cert **out) MUST_USE;
err_t cert_x509_name(X509 *x509, struct cert_name *out) MUST_USE;
/* Of the one URI of ours among these names, which may be NULL. */
err_t cert_names_find(const STACK_OF(GENERAL_NAME) * names, struct cert_name *out) MUST_USE;

#endif
