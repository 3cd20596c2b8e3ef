/* join.h - how a new node gets its certificate: one request and one answer, authorized by a one-time token.
 * Pure messages; both prove themselves, so whatever carries them (REST, a file) need not be trusted for it.
 * No key travels: the node makes its own and asks for a certificate (RFC 2986); the cluster's data key
 * follows later, over the mutual TLS that the certificate opens.
 *
 *   operator: join_token_make on a member, join_record_make into the replicated state, the text to the new
 * node node:     join_request_make                  token id, node id, address, request for a certificate,
 * HMAC under the token cluster:  join_request_decode, _check        once per token, before it expires;
 * consumed by a committed command join_answer_make                   certificate, authority, members, HMAC
 * under the token node:     join_answer_open                   HMAC, the authority's fingerprint from the
 * token, its own key and name
 *
 * The HMAC is HMAC-SHA-256 (RFC 2104), with one key per direction, derived from the token's 32 random octets.
 * The cluster keeps a derived key, wrapped, and cannot show the token again. */
#ifndef CLUSTER_JOIN_H
#define CLUSTER_JOIN_H

#include "cluster/certs.h"
#include "cluster/raft_transport.h"
#include "proto/crypto/keywrap.h"

enum {
    JOIN_SECRET_LEN = 32,
    JOIN_ID_LEN = 16,
    JOIN_MAC_LEN = 32,
    JOIN_NONCE_LEN = 16,
    JOIN_TOKEN_TEXT_MAX = 172, /* bytes with NUL: "qj1.CLUSTER.SECRET.FINGERPRINT", 167 */
    JOIN_REQUEST_MAX = 3072,   /* octets */
    JOIN_ANSWER_MAX = 16384,   /* octets: certificates and TRANSPORT_PEER_MAX + 1 members */
    JOIN_RECORD_MAX = 160,     /* octets of an encoded record */
    JOIN_MEMBER_MAX = TRANSPORT_PEER_MAX + 1,
    JOIN_VERSION = 1,
};

enum join_role { JOIN_VOTER = 1, JOIN_WITNESS = 2, JOIN_STANDBY = 3 };

/* In the operator's hands and on the new node. */
struct join_token {
    uint8_t cluster_id[CLUSTER_ID_LEN];
    uint8_t ca_fingerprint[CERT_FINGERPRINT_LEN];
    struct secret secret; /* JOIN_SECRET_LEN */
};

/* In the replicated state. */
struct join_record {
    uint8_t id[JOIN_ID_LEN];
    struct wrapped key;  /* under the cluster's data key */
    uint64_t expires_ms; /* cluster time */
    enum join_role role;
    bool used;
    uint8_t used_by[JOIN_MAC_LEN]; /* the request's HMAC: the same request may ask again, an answer may get
                                      lost */
};

err_t join_token_make(struct join_token *out, const struct cert *ca, const struct rng *rng) MUST_USE;
void join_token_close(struct join_token *token);
/* The caller wipes out. */
void join_token_format(const struct join_token *token, char out[JOIN_TOKEN_TEXT_MAX]);
err_t join_token_parse(struct join_token *out, struct bytes text) MUST_USE; /* E_RANGE */

err_t join_record_make(struct join_record *out, const struct join_token *token, enum join_role role,
                       uint64_t expires_ms, const struct wrap_key *wrap_key, const struct rng *rng) MUST_USE;
void join_record_encode(struct writer *w, const struct join_record *record);
err_t join_record_decode(struct join_record *out, struct bytes encoded) MUST_USE;

/* A decoded request: views into it, nothing proven yet. */
struct join_request {
    uint8_t token_id[JOIN_ID_LEN];
    uint8_t node_id[NODE_ID_LEN];
    char host[TRANSPORT_HOST_MAX]; /* where the cluster will reach it */
    uint16_t port;
    uint32_t level; /* of its build; 1 where it tells none */
    struct bytes csr;
    struct bytes signed_part;
    uint8_t mac[JOIN_MAC_LEN];
};

/* key: the new node's own; level: of its build (level.h). E_RANGE for host or port. */
err_t join_request_make(const struct join_token *token, const struct cert_key *key,
                        const struct transport_peer *self, uint32_t level, const struct rng *rng,
                        uint8_t out[JOIN_REQUEST_MAX], size_t *out_len) MUST_USE;
/* E_TRUNCATED, E_TRAILING, E_RANGE, E_BAD_VERSION. */
err_t join_request_decode(struct join_request *out, struct bytes encoded) MUST_USE;
/* May it have a certificate? record is that of its token id. E_AUTH: not made with this token; E_EXPIRED;
 * E_REPLAY: the token was used by another request; E_BAD_ID, E_BAD_SIGNATURE, E_BAD_KEY, E_CORRUPT: of the
 * certificate request. E_EXISTS: this very request was granted before, so the caller answers again and
 * consumes nothing. */
err_t join_request_check(const struct join_request *request, const struct join_record *record,
                         const uint8_t cluster_id[CLUSTER_ID_LEN], const struct wrap_key *wrap_key,
                         uint64_t now_ms) MUST_USE;
/* In apply: marks the record. E_REPLAY, E_EXPIRED; E_OK also for the same request again. */
err_t join_record_use(struct join_record *record, const uint8_t request_mac[JOIN_MAC_LEN],
                      uint64_t now_ms) MUST_USE;

struct join_grant {
    uint64_t epoch;
    enum join_role role;
    const struct cert *cert;
    const struct cert *ca;
    const struct transport_peer *members; /* without the new one */
    size_t member_count;
};
err_t join_answer_make(const struct join_request *request, const struct join_record *record,
                       const struct wrap_key *wrap_key, const struct join_grant *grant,
                       uint8_t out[JOIN_ANSWER_MAX], size_t *out_len) MUST_USE;
/* A refusal is not authenticated: whoever asks with a wrong token shares no key. reason is one of the errors
 * above. */
err_t join_refusal_make(err_t reason, uint8_t out[JOIN_ANSWER_MAX], size_t *out_len) MUST_USE;

struct join_result {
    uint64_t epoch;
    enum join_role role;
    struct cert *cert; /* owned */
    struct cert *ca;
    struct transport_peer members[JOIN_MEMBER_MAX];
    size_t member_count;
};
/* request: what join_request_make gave. E_REFUSED (*reason says why, if the other side told the truth),
 * E_AUTH (not of this token, or another authority), E_BAD_ID, E_BAD_KEY (a certificate for another),
 * E_EXPIRED, and those of decoding. */
err_t join_answer_open(struct join_result *out, const struct join_token *token, const struct cert_key *key,
                       struct bytes request, struct bytes answer, uint64_t now_s, err_t *reason) MUST_USE;
void join_result_close(struct join_result *result);

#endif
