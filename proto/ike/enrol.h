/* enrol.h - how a member gets its pre-shared key: one request and one answer, authorized by a one-time token.
 * Pure messages; both prove themselves, so whatever carries them need not be trusted.
 *
 *   operator:  enrol_token_make on a key server for one member's address; the text goes to the branch
 *   member:    enrol_request_make   token id, address, DH value, HMAC under the token
 *   cluster:   enrol_request_check  once per token, before it expires; consumed by a committed command
 *              enrol_answer_make    DH value, and sealed: pre-shared key, group, key servers
 *   member:    enrol_answer_open
 *
 * The answer is sealed with AES-256-GCM under HMAC-SHA-256(token key, DH secret | request's HMAC): who reads
 * the token later and has recorded the exchange still learns nothing, and who has no token can neither ask
 * nor answer. The cluster keeps a derived key, wrapped, and cannot show the token again. See
 * docs/decisions/0010.
 *
 *   request:  "QRTE" | version u16 | 1 | token id 16 | nonce 16 | address u8-len | DH value 64 | HMAC 32
 *   answer:   "QRTE" | version u16 | 2 | DH value 64 | sealed: PSK u8-len | group's name u8-len |
 *             identity type u8, u8-len | servers u8 | (address u8-len) ..
 *   refusal:  "QRTE" | version u16 | 3 | reason u8 */
#ifndef PROTO_IKE_ENROL_H
#define PROTO_IKE_ENROL_H

#include "base/addr.h"
#include "base/rng.h"
#include "base/secret.h"
#include "proto/crypto/dh.h"
#include "proto/wire/id_payload.h"

enum {
    ENROL_VERSION = 1,
    ENROL_SECRET_LEN = 32,
    ENROL_ID_LEN = 16,
    ENROL_MAC_LEN = 32,
    ENROL_NONCE_LEN = 16,
    ENROL_PUBLIC_LEN = 64,      /* of ECP 19 */
    ENROL_TOKEN_TEXT_MAX = 128, /* bytes with NUL: "qe1.SECRET.ADDRESS" */
    ENROL_REQUEST_MAX = 160,    /* octets */
    ENROL_ANSWER_MAX = 1024,
    ENROL_NAME_MAX = 64, /* bytes with NUL of a group's name */
    ENROL_SERVER_MAX = 16,
    ENROL_PSK_LEN = 64, /* octets: 32 random ones as hexadecimal digits, since they stand in a text file */
};

/* In the operator's hands and at the branch. */
struct enrol_token {
    struct addr member;
    struct secret secret; /* ENROL_SECRET_LEN */
};

err_t enrol_token_make(struct enrol_token *out, const struct addr *member, const struct rng *rng) MUST_USE;
void enrol_token_close(struct enrol_token *token);
/* The caller wipes out. */
void enrol_token_format(const struct enrol_token *token, char out[ENROL_TOKEN_TEXT_MAX]);
err_t enrol_token_parse(struct enrol_token *out,
                        struct bytes text) MUST_USE; /* E_RANGE; a line end may follow */
/* What the cluster keeps: the key of the token, and the name it goes by. */
err_t enrol_token_key(const struct enrol_token *token, struct secret *key, uint8_t id[ENROL_ID_LEN]) MUST_USE;

/* Is it for us at all, rather than a request to join? */
bool enrol_is_request(struct bytes encoded);

/* A decoded request: views into it, nothing proven yet. */
struct enrol_request {
    uint8_t token_id[ENROL_ID_LEN];
    struct addr member;
    struct bytes public_value;
    struct bytes signed_part;
    uint8_t mac[ENROL_MAC_LEN];
};

/* *dh is the caller's, for the answer. */
err_t enrol_request_make(const struct enrol_token *token, const struct rng *rng, struct dh_key **dh,
                         uint8_t out[ENROL_REQUEST_MAX], size_t *out_len) MUST_USE;
err_t enrol_request_decode(struct enrol_request *out, struct bytes encoded) MUST_USE; /* those of decoding */
err_t enrol_request_check(const struct enrol_request *request,
                          const struct secret *key) MUST_USE; /* E_AUTH */

struct enrol_grant {
    struct secret psk;
    char group[ENROL_NAME_MAX];
    struct identity identity;
    struct addr servers[ENROL_SERVER_MAX];
    size_t server_count; /* 1 or more */
};
void enrol_grant_close(struct enrol_grant *grant);

/* request has been checked. E_BAD_KE: its DH value; E_LIMIT: the grant is too long. */
err_t enrol_answer_make(const struct enrol_request *request, const struct secret *key,
                        const struct enrol_grant *grant, uint8_t out[ENROL_ANSWER_MAX],
                        size_t *out_len) MUST_USE;
/* Not authenticated, as whoever asks with a wrong token shares no key. */
err_t enrol_refusal_make(err_t reason, uint8_t out[ENROL_ANSWER_MAX], size_t *out_len) MUST_USE;
/* request: what enrol_request_make gave. E_REFUSED (*reason says why, if the other side told the truth),
 * E_AUTH (not of this token), and those of decoding. */
err_t enrol_answer_open(struct enrol_grant *out, const struct enrol_token *token, const struct dh_key *dh,
                        struct bytes request, struct bytes answer, err_t *reason) MUST_USE;

#endif
