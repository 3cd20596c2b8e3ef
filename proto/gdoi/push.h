/* push.h - GROUPKEY-PUSH (RFC 6407 4): building at the key server, taking at the member.
 *   HDR*, SEQ, [D..,] [SA, KD,] SIG      cookies = SPI of the KEK that encrypts, M-ID 0
 * The hashed header has the E flag and the length without padding (PROTOCOL 2.10, trap 3); the IV is the one
 * delivered with the KEK, for every push (trap 4); RSA with DigestInfo (trap 5). A push that brings a new KEK
 * is itself under the old one. */
#ifndef PROTO_GDOI_PUSH_H
#define PROTO_GDOI_PUSH_H

#include <stdbool.h>

#include "proto/crypto/sign.h"
#include "proto/gdoi/group_policy.h"
#include "proto/wire/isakmp_header.h"
#include "proto/wire/notify.h"

enum { PUSH_DELETE_MAX = 16 }; /* D payloads in one push */

struct push_delete {
    uint8_t protocol; /* 1 ESP, 0 KEK */
    bool all;         /* SPI value 0 */
    uint32_t tek_spi;
    uint8_t kek_spi[KEK_SPI_LEN];
};

struct push_content {
    uint32_t seq;
    const struct group_policy *policy; /* SA and KD; NULL: only deletes */
    struct push_delete deletes[PUSH_DELETE_MAX];
    size_t delete_count;
};

/* The datagram of one push into w (appended): sealed under kek, signed by key with kek->sig_hash. Pool-safe:
 * no shared state. The same input gives the same bytes with RSA. The policy names what is new (or all again),
 * and never SIDs (E_UNEXPECTED: they are one member's, RFC 6407 5.6.4.4). E_BAD_KEY: the signing key is not
 * of kek's kind. E_MISSING: nothing to say. E_LIMIT, E_FULL when it would pass ISAKMP_MESSAGE_MAX. */
err_t push_build(const struct kek *kek, const struct sign_key *key, const struct gdoi_dialect *dialect,
                 const struct push_content *content, struct writer *w) MUST_USE;

struct push_received {
    uint32_t seq;
    bool repeated; /* with E_REPLAY: the newest one again, signature good (a new primary repeats it):
                      acknowledge again */
    bool has_policy;
    struct group_policy policy; /* has_kek when a new KEK came; keys are filled in */
    struct push_delete deletes[PUSH_DELETE_MAX];
    size_t delete_count;
};

struct push_member {
    struct kek kek; /* current Rekey SA: decrypts, and says how to verify and acknowledge */
    struct verify_key *verify;
    uint32_t last_seq;
    bool any_dialect; /* take bare signatures, weak signing keys and what group_policy_from_sa says */
};

/* A copy of the KEK, the public key opened. seq: from PULL message 4 (0 if none). E_BAD_KEY. */
err_t push_member_open(struct push_member *member, const struct kek *kek, uint32_t seq,
                       bool any_dialect) MUST_USE;
void push_member_close(struct push_member *member);

/* Order of RFC 6407 4.4 and PROTOCOL 2.10: SPI, decrypt, form, SEQ > last, signature, use. Both readings of
 * the hashed length are taken (trap 3). Nothing changes in member but by push_member_accept. E_UNKNOWN_SPI,
 * E_BAD_PADDING (not ours, or damaged), E_REPLAY (out->seq is set then), E_BAD_SIGNATURE; what comes after a
 * good signature: see group_policy_from_sa and _add_kd. A datagram that the key server repeats is the same
 * bytes: answer it from an answer cache, also when it brought a new KEK and is therefore E_UNKNOWN_SPI now.
 * *out must be zeroed and is closed by push_received_close. plain: scratch of datagram.len, wiped. */
err_t push_member_open_message(const struct push_member *member, struct bytes datagram, uint8_t *plain,
                               struct push_received *out) MUST_USE;
/* The message was installed: last_seq moves up, and to the new KEK if one came (its public key kept from the
 * old one when the push carries none; the sequence never goes back, PROTOCOL 11.2). */
err_t push_member_accept(struct push_member *member, const struct push_received *message) MUST_USE;
void push_received_close(struct push_received *message);
/* Do the Delete payloads of a push name this key, itself or as one of all (RFC 6407 5.9)? */
bool push_deletes_tek(const struct push_received *message, uint32_t spi);
bool push_deletes_kek(const struct push_received *message, const uint8_t spi[KEK_SPI_LEN]);

#endif
