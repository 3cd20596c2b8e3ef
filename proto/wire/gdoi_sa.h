/* gdoi_sa.h - the GDOI SA payload with its SAK, GAP and SAT payloads (RFC 6407 5.2-5.5, RFC 8263 3).
 * The traps of the field are settled here: no DST ID Prot octet in SAK or SAT, ID data lengths of one octet,
 * RESERVED2 of SAK accepted non-zero, KEK lifetime as TV or TLV, unknown SAK and GAP attributes abort,
 * unknown SAT attributes are reported and not fatal, Group Description ignored. */
#ifndef PROTO_WIRE_GDOI_SA_H
#define PROTO_WIRE_GDOI_SA_H

#include <stdbool.h>

#include "base/wire.h"
#include "proto/wire/numbers.h"

enum {
    GDOI_SAT_MAX = 100, /* SATs (ACEs times keys) in one SA; E_LIMIT beyond */
};

/* An ID inside SAK or SAT: type, port, one-octet length, data (borrowed). Data of an address type has that
 * type's length (id_type_data_len) or is empty: any address. Three octets of zero, the old form of "any" (RFC
 * 3547 5.4.1), are given as empty. */
struct gdoi_id {
    uint8_t type;
    uint16_t port;
    struct bytes data;
};

struct gdoi_sak {
    uint8_t protocol; /* IP protocol of rekeys: 17 */
    struct gdoi_id src;
    struct gdoi_id dst;
    uint8_t spi[KEK_SPI_LEN];
    uint16_t algorithm; /* enum kek_algorithm */
    uint16_t key_bits;  /* 0 if absent (fixed-size cipher) */
    uint32_t lifetime_s;
    bool lifetime_basic; /* encode only: as TV if it fits, for the reference implementation's dialect */
    uint16_t sig_hash;   /* enum sig_hash */
    uint16_t sig_algorithm;
    uint16_t sig_key_bits; /* shown, never used to size anything */
    uint16_t ack;          /* enum kek_ack; 0: none requested */
    uint16_t management; /* 0 if absent; LKH is refused by our member with E_UNSUPPORTED at a higher floor */
};

struct gdoi_gap {
    bool has_activation;
    bool has_deactivation;
    bool has_sid_request;
    uint16_t activation_s;   /* ATD: wait before sending on a new SA */
    uint16_t deactivation_s; /* DTD: keep receiving on the old one */
    uint16_t sid_request;    /* number of SIDs wanted (PULL message 3) */
};

/* Time-based anti-replay, as our key server tells it in a SAT attribute of private class (RFC 6407 9.1 leaves
 * 32001..32767 to private use): format, window in milliseconds, pseudotime in microseconds. 16 octets. */
struct gdoi_replay {
    uint16_t attribute; /* the class; 0: absent */
    uint32_t window_ms; /* 1..100000 */
    uint64_t pseudotime_us;
};

struct gdoi_sat {
    uint8_t protocol;    /* SAT_ESP */
    uint8_t ip_protocol; /* selector, 0 any */
    struct gdoi_id src;
    struct gdoi_id dst;
    uint8_t transform; /* enum esp_transform */
    uint32_t spi;
    uint32_t lifetime_s;
    uint32_t lifetime_kb;
    uint16_t encapsulation;
    uint16_t auth;         /* enum auth_algorithm, 0 absent */
    uint16_t key_bits;     /* 0 absent */
    uint16_t preservation; /* 0 absent = PRESERVE_BOTH */
    uint16_t direction;    /* 0 absent = DIRECTION_SYMMETRIC */
    bool esn;
    struct gdoi_replay replay;
    uint16_t unknown_attributes; /* how many were not understood; never written */
};

struct gdoi_sa {
    uint32_t doi;       /* must be 2 */
    uint32_t situation; /* must be 0 */
    bool has_sak;
    bool has_gap;
    struct gdoi_sak sak;
    struct gdoi_gap gap;
    struct gdoi_sat sats[GDOI_SAT_MAX];
    size_t sat_count;
};

/* Body of the SA payload. Views borrow it. E_BAD_DOI, E_RANGE (situation, a number beyond 16 bits, life type
 * 0), E_DUPLICATE (second SAK or GAP, attribute twice), E_UNEXPECTED (not in the order SAK, GAP, SATs),
 * E_MISSING (neither SAK nor SAT; a SAK without KEK_ALGORITHM or SIG_ALGORITHM; half of a lifetime),
 * E_UNKNOWN_CRITICAL (unknown SAK or GAP attribute, unknown inner payload), E_LIMIT, E_TRUNCATED, E_TRAILING,
 * E_BAD_LENGTH. SATs of other protocols than ESP and AH are E_UNSUPPORTED. After an error out is not to be
 * used. The struct is some 12 KB: keep it off deep stacks. */
err_t gdoi_sa_decode(struct gdoi_sa *out, struct bytes body) MUST_USE;
/* Zero fields are left out, as absent. Writes the body; the caller has begun the SA payload (payload_begin)
 * and ends it. */
void gdoi_sa_encode(struct writer *w, const struct gdoi_sa *sa);

/* A GAP payload of its own (PULL message 3): body codec. */
err_t gdoi_gap_decode(struct gdoi_gap *out, struct bytes body) MUST_USE;
void gdoi_gap_encode(struct writer *w, const struct gdoi_gap *gap);

#endif
