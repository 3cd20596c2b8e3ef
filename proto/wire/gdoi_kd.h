/* gdoi_kd.h - the Key Download payload (RFC 6407 5.6) and SEQ (5.7). Keys are borrowed views into the
 * message; the caller copies them into secrets and wipes the buffer. */
#ifndef PROTO_WIRE_GDOI_KD_H
#define PROTO_WIRE_GDOI_KD_H

#include <stdbool.h>

#include "base/wire.h"
#include "proto/wire/numbers.h"

enum {
    KD_TEK_MAX = 16, /* TEK key packets in one KD; E_LIMIT beyond */
    KD_SID_MAX = 16, /* SID values in one SID key packet; E_LIMIT beyond */
};

struct kd_tek {
    uint8_t protocol_spi_len; /* 4 */
    uint32_t spi;
    struct bytes key;       /* cipher key, with the 4-octet salt behind for GCM (RFC 4106 8.1) */
    struct bytes integrity; /* empty for AEAD */
};

struct kd_kek {
    uint8_t spi[KEK_SPI_LEN];
    struct bytes iv_and_key; /* IV of the block size, then the key */
    struct bytes sig_key;    /* DER SubjectPublicKeyInfo; empty if absent */
};

struct gdoi_kd {
    bool has_kek;
    struct kd_kek kek;
    struct kd_tek teks[KD_TEK_MAX];
    size_t tek_count;
    bool has_sid;
    uint16_t sid_bits; /* 8, 12 or 16 (RFC 6054) */
    uint32_t sids[KD_SID_MAX];
    size_t sid_count;
};

/* Body of the KD payload. E_DUPLICATE (second KEK or SID packet or attribute, same TEK SPI or SID twice),
 * E_UNSUPPORTED (LKH, TEK_SOURCE_AUTH_KEY), E_UNKNOWN_CRITICAL (unknown attribute or packet type), E_MISSING
 * (a packet without its key, SID bits without SIDs), E_BAD_LENGTH (SPI size, empty key, key as TV),
 * E_TRUNCATED, E_TRAILING, E_LIMIT, E_RANGE (SID bits, or a SID that does not fit them). After an error out
 * is not to be used. */
err_t gdoi_kd_decode(struct gdoi_kd *out, struct bytes body) MUST_USE;
/* KEK, TEKs, SIDs in this order. Fails the writer on SIDs that decode would refuse. */
void gdoi_kd_encode(struct writer *w, const struct gdoi_kd *kd);

err_t gdoi_seq_decode(uint32_t *out, struct bytes body) MUST_USE; /* exactly 4 octets */
void gdoi_seq_encode(struct writer *w, uint32_t seq);

#endif
