/* group_policy.h - what a group's members are told: KEK, TEKs, selectors, delays, sender ids. The clear form
 * that both ends work with; conversion to and from SA and KD payloads. Contains plaintext keys: close wipes.
 */
#ifndef PROTO_GDOI_GROUP_POLICY_H
#define PROTO_GDOI_GROUP_POLICY_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/secret.h"
#include "proto/crypto/cipher.h"
#include "proto/crypto/esp.h"
#include "proto/crypto/sign.h"
#include "proto/wire/gdoi_kd.h"
#include "proto/wire/gdoi_sa.h"

enum {
    POLICY_TEK_MAX = 8,        /* TEKs told at once (old, current, next) */
    POLICY_SELECTOR_MAX = 100, /* permit entries; times TEKs <= GDOI_SAT_MAX in one message, else E_LIMIT */
    POLICY_SID_MAX = KD_SID_MAX,
    POLICY_SELECTOR_WORDS = (POLICY_SELECTOR_MAX + 63) / 64,
    TEK_SPI_MIN = 256,              /* RFC 4303 2.1 keeps 0..255 */
    KEK_LIFETIME_DEFAULT_S = 86400, /* seconds, for the reference implementation, which sends none */
};

/* One permit entry: 0 protocol or port = any; ports only with TCP, UDP, SCTP. */
struct selector {
    struct prefix src;
    struct prefix dst;
    uint8_t protocol;
    uint16_t src_port;
    uint16_t dst_port;
};

struct kek {
    uint8_t spi[KEK_SPI_LEN]; /* cookies of the pushes under it */
    enum cipher_alg cipher;   /* AES-CBC-128/256 (3DES for legacy peers) */
    uint32_t lifetime_s;      /* remaining, from the moment of the message */
    enum hash_alg sig_hash;
    enum sign_alg sig_alg;
    uint16_t sig_key_bits;
    enum kek_ack ack;     /* which RFC 8263 acknowledgement is asked for */
    struct secret iv_key; /* IV (block), then key, as in KEK_ALGORITHM_KEY */
    uint16_t public_len;
    uint8_t public_key[SIGN_PUBLIC_MAX]; /* SPKI DER; 0 octets in a push that keeps the signing key */
};

struct tek {
    uint32_t spi; /* never 0..255 (RFC 4303 2.1) */
    struct esp_suite suite;
    uint32_t lifetime_s;     /* remaining, from the moment of the message */
    struct secret key;       /* with salt for GCM */
    struct secret integrity; /* empty for GCM */
    /* Which selectors it serves, by bit. All zero: every one, as our key server does; other servers may give
     * each selector a key of its own (ask tek_covers). */
    uint64_t covers[POLICY_SELECTOR_WORDS];
};

/* Time-based anti-replay: told in the first SAT of each TEK. */
struct policy_time {
    uint16_t attribute; /* private SAT attribute class; 0: the group has none */
    uint32_t window_ms; /* 1..100000 */
    uint64_t pseudotime_us;
};

struct group_policy {
    bool has_kek;
    struct kek kek;
    struct endpoint rekey_src; /* in SAK: key server address, 848 */
    struct endpoint rekey_dst; /* in SAK: multicast group, or 0.0.0.0:848 for unicast */
    bool has_delays;
    uint16_t activation_s;   /* ATD */
    uint16_t deactivation_s; /* DTD */
    struct tek teks[POLICY_TEK_MAX];
    size_t tek_count;
    struct selector selectors[POLICY_SELECTOR_MAX];
    size_t selector_count;
    uint16_t sid_bits; /* 0: none */
    uint32_t sids[POLICY_SID_MAX];
    size_t sid_count;
    struct policy_time time;
};

/* Reference-implementation dialect (PROTOCOL 11). All false = RFC 6407 to the letter. */
struct gdoi_dialect {
    bool bare_signature;     /* RSA without DigestInfo */
    bool kek_under_old_spi;  /* the new KEK's key packet carries the old KEK's SPI */
    bool lifetime_basic;     /* KEK_KEY_LIFETIME as TV (only if < 65536) */
    bool sign_padded_length; /* hash the header with the padded length */
    bool ack_short_length;   /* L = 256/512 instead of 512/1024 */
};

void group_policy_close(struct group_policy *policy);
bool tek_covers(const struct tek *tek, size_t selector);
/* Octets of its cipher key (salt included) and integrity key. Also for 3DES and HMAC-SHA-1, which no data
 * path of ours does: reference implementation and known answers. 0: unknown suite. */
size_t tek_key_len(const struct esp_suite *suite);
size_t tek_integrity_len(const struct esp_suite *suite);
bool tek_is_counter_mode(const struct tek *tek); /* needs SIDs (RFC 6407 3.5) */
bool group_policy_has_counter_mode(const struct group_policy *policy);
/* May these 16 octets be the SPI of a new KEK? Not if the first four are zero (they would look like a non-ESP
 * marker, RFC 3948 2.2) or the responder cookie is (it would look like a first main-mode message). Draw again
 * then. */
bool kek_spi_usable(const uint8_t spi[KEK_SPI_LEN]);

/* SA payload body from policy: SAK if has_kek, GAP if has_delays, one SAT per (TEK, selector), Life Type
 * before Duration, tunnel mode, Address Preservation 4, key length for AES. E_LIMIT, E_FULL. */
err_t group_policy_encode_sa(const struct group_policy *policy, const struct gdoi_dialect *dialect,
                             struct writer *w) MUST_USE;
/* KD payload body: KEK packet (if has_kek), TEK packets, SID packet (if sid_count). kek_spi: SPI that the KEK
 * packet carries (policy->kek.spi, or the old one for the dialect). E_BAD_KEY: a key that does not fit its
 * suite. */
err_t group_policy_encode_kd(const struct group_policy *policy, const uint8_t kek_spi[KEK_SPI_LEN],
                             struct writer *w) MUST_USE;

/* The member's direction. SA first (keys empty), then KD fills the keys in. *out must be zeroed, and is
 * zeroed again after an error. E_UNSUPPORTED: a transform or a kind of SA that we cannot do; E_RANGE: SATs of
 * one SPI that differ in more than the selector, SPI below 256, a lifetime of 0 or none; E_DUPLICATE: a
 * selector twice under one SPI; E_LIMIT. any_dialect: also 3DES, HMAC-SHA-1 and transport mode (the reference
 * implementation's, and no data path of ours), a KEK without lifetime, and selectors in host order. */
err_t group_policy_from_sa(struct group_policy *out, struct bytes sa_body, bool any_dialect) MUST_USE;
/* Every TEK of the SA needs exactly one key packet of the right lengths (E_MISSING, E_BAD_KEY); key packets
 * for unknown SPIs are E_UNKNOWN_SPI. old_kek_spi: NULL in a PULL, where the public key must be there; in a
 * PUSH also take a KEK packet under it. Whether SIDs must or must not be there is the caller's to check. All
 * or nothing. */
err_t group_policy_add_kd(struct group_policy *policy, struct bytes kd_body,
                          const uint8_t old_kek_spi[KEK_SPI_LEN]) MUST_USE;

enum cipher_alg kek_cipher(uint16_t algorithm, uint16_t key_bits); /* CIPHER_NONE if unknown */
enum hash_alg sig_hash_alg(uint16_t sig_hash);                     /* HASH_NONE if unknown */
enum sign_alg sig_sign_alg(uint16_t sig_algorithm);                /* SIGN_NONE if unknown */
/* The cipher key of a KEK without its IV (RFC 8263's base_key); empty if the lengths do not fit the cipher.
 */
struct bytes kek_key(const struct kek *kek);

#endif
