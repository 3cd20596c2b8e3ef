/* certs.h - the cluster's own certificates (RFC 5280): one authority per cluster, one certificate per node,
 * ECDSA P-256 with SHA-256. A node is named in the subject alternative name, as the URI quorate:CLUSTER:NODE
 * in lower-case hex, and nowhere else: host names and the subject prove nothing here. A key is made where it
 * is used; what travels is a request (RFC 2986), signed by that key. Blocking and slow (milliseconds): for
 * start-up, commands and the pool. Times are seconds since 1970. */
#ifndef CLUSTER_CERTS_H
#define CLUSTER_CERTS_H

#include "base/rng.h"
#include "cluster/disk.h"
#include "storage/record.h"

enum {
    CERT_DER_MAX = 2048,  /* octets of a certificate or request: about 600 */
    CERT_KEY_MAX = 256,   /* octets of a private key as PKCS#8 DER: 138 */
    CERT_FILE_MAX = 8192, /* octets of a PEM file */
    CERT_URI_MAX = 80,    /* bytes with NUL */
    CERT_SERIAL_LEN = 16,
    CERT_SERIAL_MAX = 2 * CERT_SERIAL_LEN + 1, /* as hex, with NUL */
    CERT_FINGERPRINT_LEN = 32,                 /* SHA-256 of the DER */
    CERT_CA_DAYS = 3650,
    CERT_NODE_DAYS = 365,
    CERT_BACKDATE_S = 3600, /* clocks of new nodes may be that much behind */
    CERT_CA_COUNT_MAX = 4,  /* authorities that are believed at once */
};

/* Who a certificate speaks for. The authority has a node id of zeros. */
struct cert_name {
    uint8_t cluster_id[CLUSTER_ID_LEN];
    uint8_t node_id[NODE_ID_LEN];
};

bool cert_name_equal(const struct cert_name *a, const struct cert_name *b);
const char *cert_uri_format(const struct cert_name *name, char out[CERT_URI_MAX]); /* returns out */
err_t cert_uri_parse(struct cert_name *out, struct bytes text) MUST_USE;           /* E_BAD_ID */
/* How Raft calls a node: the first 8 octets of its id, big-endian. 0 is nobody. */
uint64_t node_raft_id(const uint8_t node_id[NODE_ID_LEN]);

struct cert_key;                                     /* a private key; wiped when freed */
err_t cert_key_make(struct cert_key **out) MUST_USE; /* E_CRYPTO, E_NO_MEMORY */
/* PKCS#8 as DER or PEM. E_BAD_KEY: damaged, encrypted, or not P-256. */
err_t cert_key_open(struct bytes pkcs8, struct cert_key **out) MUST_USE;
/* PKCS#8 DER; the caller wipes out. */
err_t cert_key_encode(const struct cert_key *key, uint8_t out[CERT_KEY_MAX], size_t *out_len) MUST_USE;
/* DIR/NAME as PEM, mode 0600, whole or not at all. */
err_t cert_key_store(const struct cert_key *key, const struct disk *disk, const char *dir,
                     const char *name) MUST_USE;
/* E_NOT_FOUND, E_PERMISSION (not a regular file, or others may read it), E_BAD_KEY. */
err_t cert_key_load(const char *path, struct cert_key **out) MUST_USE;
void cert_key_free(struct cert_key *key);

struct cert;
/* DER or PEM, one certificate. E_CORRUPT; E_BAD_KEY: its key is not P-256. */
err_t cert_open(struct bytes encoded, struct cert **out) MUST_USE;
err_t cert_store(const struct cert *cert, const struct disk *disk, const char *dir,
                 const char *name) MUST_USE;
err_t cert_load(const char *path, struct cert **out) MUST_USE;
void cert_free(struct cert *cert);
struct bytes cert_der(const struct cert *cert); /* borrowed */
/* E_MISSING: no such URI in it; E_BAD_ID: malformed, or more than one. */
err_t cert_get_name(const struct cert *cert, struct cert_name *out) MUST_USE;
const char *cert_serial(const struct cert *cert, char out[CERT_SERIAL_MAX]); /* lower-case hex; returns out */
void cert_fingerprint(const struct cert *cert, uint8_t out[CERT_FINGERPRINT_LEN]);
bool cert_is_ca(const struct cert *cert);
/* Until it expires; negative once it has. */
int64_t cert_seconds_left(const struct cert *cert, uint64_t now_s);
bool cert_has_key(const struct cert *cert, const struct cert_key *key);
/* A node's certificate, straight below this authority and of its cluster, valid now. E_AUTH, E_EXPIRED (or
 * not valid yet), E_MISSING, E_BAD_ID. */
err_t cert_verify(const struct cert *cert, const struct cert *ca, uint64_t now_s) MUST_USE;

/* The authority of a new cluster, signed by itself. */
err_t cert_make_ca(const struct cert_key *key, const uint8_t cluster_id[CLUSTER_ID_LEN],
                   const struct rng *rng, uint64_t now_s, unsigned days, struct cert **out) MUST_USE;
/* A request of the key's owner for this name, as DER. */
err_t cert_request_make(const struct cert_key *key, const struct cert_name *name, uint8_t out[CERT_DER_MAX],
                        size_t *out_len) MUST_USE;
/* The name that a request asks for. E_CORRUPT, E_BAD_SIGNATURE (not signed by its key), E_BAD_KEY (not
 * P-256), E_MISSING, E_BAD_ID. */
err_t cert_request_check(struct bytes der, struct cert_name *out) MUST_USE;
/* A certificate for the key of the request and the name given, which the caller has authorized. Errors of
 * cert_request_check; E_BAD_ID: the request or the authority is for another name; E_BAD_KEY: not the
 * authority's key. Never lives longer than the authority. */
err_t cert_issue(const struct cert_key *ca_key, const struct cert *ca, struct bytes request,
                 const struct cert_name *name, const struct rng *rng, uint64_t now_s, unsigned days,
                 struct cert **out) MUST_USE;
/* The same with a life in seconds. */
err_t cert_issue_for(const struct cert_key *ca_key, const struct cert *ca, struct bytes request,
                     const struct cert_name *name, const struct rng *rng, uint64_t now_s, uint64_t life_s,
                     struct cert **out) MUST_USE;
/* What the others are told of it; all zeros if its times cannot be read. */
void cert_describe(const struct cert *cert, struct node_cert *out);

#endif
