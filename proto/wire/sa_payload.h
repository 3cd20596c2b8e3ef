/* sa_payload.h - the phase-1 SA payload: DOI, situation, one proposal, many transforms
 * (RFC 2408 3.4-3.6, RFC 2409 appendix A). DOI 1 and 2 are both understood (RFC 6407 2.1). */
#ifndef PROTO_WIRE_SA_PAYLOAD_H
#define PROTO_WIRE_SA_PAYLOAD_H

#include <stdbool.h>

#include "base/wire.h"
#include "proto/wire/numbers.h"

enum {
    IKE_TRANSFORM_MAX =
        128, /* transforms over all proposals of one offer that are looked at; E_LIMIT beyond */
    IKE_PROPOSAL_MAX = 32,
};

/* One phase-1 transform; 0 = attribute absent. */
struct ike_transform {
    uint8_t proposal; /* number of the proposal it stood in */
    uint8_t number;   /* transform number */
    uint16_t encryption;
    uint16_t hash;
    uint16_t auth;
    uint16_t group;
    uint16_t key_bits;      /* 0 if absent */
    uint16_t life_type;     /* LIFE_SECONDS is what we make, and what is kept when both kinds stand */
    uint32_t life_duration; /* in the unit of life_type */
    bool unknown;           /* carries what we do not know or cannot be right: never chosen, never written */
};

struct ike_offer {
    uint32_t doi;       /* 1 or 2 */
    uint32_t situation; /* as received */
    uint8_t spi_len;    /* of the proposals: 0..16 octets are tolerated and ignored */
    struct ike_transform transforms[IKE_TRANSFORM_MAX];
    size_t count;
};

/* Body of an SA payload (after the generic header). Proposals of other protocols than ISAKMP are skipped.
 * E_BAD_DOI, E_RANGE (situation, a payload of another kind in the chain), E_TRUNCATED, E_TRAILING,
 * E_BAD_LENGTH (also a wrong number of transforms), E_LIMIT, E_DUPLICATE (an attribute twice). */
err_t ike_offer_decode(struct ike_offer *out, struct bytes body) MUST_USE;
/* Write the body of an SA payload with every transform of the offer that is not unknown, in one proposal
 * (number of the first) without SPI. Fails the writer with E_MISSING when there is none, E_LIMIT when there
 * are too many. */
void ike_offer_encode(struct writer *w, const struct ike_offer *offer);

#endif
