#include "proto/wire/sa_payload.h"

#include "proto/wire/attribute.h"
#include "proto/wire/payload.h"

enum { PROPOSAL_SPI_MAX = 16 }; /* RFC 2408 3.5: 0..16 octets, content ignored */

/* A lifetime is a pair: a type, then its duration (RFC 2409 appendix A). Seconds and kilobytes may both
 * stand; we keep the seconds. */
struct life {
    uint16_t type; /* of the pair that is open, 0 for none */
    bool seen[LIFE_KILOBYTES + 1];
};

static void take_life_type(struct ike_transform *t, struct life *life, struct attribute_walk *walk,
                           const struct attribute *attribute)
{
    uint32_t type = attribute_walk_u32(walk, attribute);
    if (life->type != 0 || (type != LIFE_SECONDS && type != LIFE_KILOBYTES)) {
        t->unknown = true;
        return;
    }
    if (life->seen[type])
        reader_fail(&walk->r, E_DUPLICATE);
    life->seen[type] = true;
    life->type = (uint16_t)type;
}

static void take_life_duration(struct ike_transform *t, struct life *life, struct attribute_walk *walk,
                               const struct attribute *attribute)
{
    uint32_t duration = attribute_walk_u32(walk, attribute);
    if (life->type == 0) {
        t->unknown = true;
        return;
    }
    if (life->type == LIFE_SECONDS || t->life_type == 0) {
        t->life_type = life->type;
        t->life_duration = duration;
    }
    life->type = 0;
}

/* A class that is a number of two octets; a larger one is nothing that we know. */
static void take_u16(struct ike_transform *t, uint16_t *out, struct attribute_walk *walk,
                     const struct attribute *attribute)
{
    uint32_t value = attribute_walk_u32(walk, attribute);
    if (value > UINT16_MAX)
        t->unknown = true;
    else
        *out = (uint16_t)value;
}

static void take_attribute(struct ike_transform *t, struct life *life, struct attribute_walk *walk,
                           const struct attribute *attribute)
{
    switch (attribute->type) {
    case IKE_ATTR_ENCRYPTION:
        take_u16(t, &t->encryption, walk, attribute);
        break;
    case IKE_ATTR_HASH:
        take_u16(t, &t->hash, walk, attribute);
        break;
    case IKE_ATTR_AUTH:
        take_u16(t, &t->auth, walk, attribute);
        break;
    case IKE_ATTR_GROUP:
        take_u16(t, &t->group, walk, attribute);
        break;
    case IKE_ATTR_KEY_LENGTH:
        take_u16(t, &t->key_bits, walk, attribute);
        break;
    case IKE_ATTR_LIFE_TYPE:
        take_life_type(t, life, walk, attribute);
        break;
    case IKE_ATTR_LIFE_DURATION:
        take_life_duration(t, life, walk, attribute);
        break;
    default: /* also a prf: none is defined (RFC 2409 appendix A) */
        t->unknown = true;
    }
}

static err_t transform_decode(struct ike_transform *out, struct bytes body)
{
    struct reader r = reader_over(body);
    out->number = read_u8(&r);
    out->unknown = read_u8(&r) != TRANSFORM_KEY_IKE;
    read_skip(&r, 2); /* RESERVED2 */
    struct bytes list = read_rest(&r);
    if (r.err != E_OK)
        return r.err;

    struct attribute attribute;
    struct life life = {0};
    const uint64_t pairs = UINT64_C(1) << IKE_ATTR_LIFE_TYPE | UINT64_C(1) << IKE_ATTR_LIFE_DURATION;
    struct attribute_walk walk = attribute_walk_over(list, pairs);
    while (attribute_walk_next(&walk, &attribute))
        take_attribute(out, &life, &walk, &attribute);
    if (life.type != 0)
        out->unknown = true; /* a type without a duration */
    return reader_end(&walk.r);
}

/* The transforms of one ISAKMP proposal: a chain of its own, with its count in the proposal. */
static err_t transforms_decode(struct ike_offer *out, uint8_t proposal, uint8_t count, struct bytes body)
{
    struct reader r = reader_over(body);
    uint8_t type = PAYLOAD_TRANSFORM;
    size_t taken = 0;
    while (type == PAYLOAD_TRANSFORM) {
        struct payload payload = payload_read(&r, type, &type);
        if (r.err != E_OK)
            return r.err;
        if (out->count == IKE_TRANSFORM_MAX)
            return E_LIMIT;
        struct ike_transform *t = &out->transforms[out->count];
        *t = (struct ike_transform){.proposal = proposal};
        err_t err = transform_decode(t, payload.body);
        if (err != E_OK)
            return err;
        out->count++;
        taken++;
    }
    reader_require(&r, type == PAYLOAD_NONE);
    if (r.err == E_OK && taken != count)
        return E_BAD_LENGTH;
    return reader_end(&r);
}

static err_t proposal_decode(struct ike_offer *out, bool *first, struct bytes body)
{
    struct reader r = reader_over(body);
    uint8_t number = read_u8(&r);
    uint8_t protocol = read_u8(&r);
    uint8_t spi_len = read_u8(&r);
    uint8_t count = read_u8(&r);
    read_skip(&r, spi_len);
    struct bytes transforms = read_rest(&r);
    if (r.err != E_OK)
        return r.err;
    if (protocol != PROTO_ISAKMP)
        return E_OK;
    if (spi_len > PROPOSAL_SPI_MAX)
        return E_BAD_LENGTH;
    if (*first)
        out->spi_len = spi_len;
    *first = false;
    return transforms_decode(out, number, count, transforms);
}

static err_t proposals_decode(struct ike_offer *out, struct reader *r)
{
    uint8_t type = PAYLOAD_PROPOSAL;
    bool first = true;
    for (size_t n = 0; type == PAYLOAD_PROPOSAL; n++) {
        struct payload payload = payload_read(r, type, &type);
        if (r->err != E_OK)
            return r->err;
        if (n == IKE_PROPOSAL_MAX)
            return E_LIMIT;
        err_t err = proposal_decode(out, &first, payload.body);
        if (err != E_OK)
            return err;
    }
    reader_require(r, type == PAYLOAD_NONE);
    return reader_end(r);
}

err_t ike_offer_decode(struct ike_offer *out, struct bytes body)
{
    struct reader r = reader_over(body);
    out->count = 0;
    out->spi_len = 0;
    out->doi = read_u32(&r);
    out->situation = read_u32(&r);
    if (r.err != E_OK)
        return r.err;
    if (out->doi != DOI_IPSEC && out->doi != DOI_GDOI)
        return E_BAD_DOI;
    /* Other situations of DOI 1 bring labels of their own behind them (RFC 2407 4.6.1). */
    if (out->situation != SITUATION_GDOI && out->situation != SITUATION_IDENTITY_ONLY)
        return E_RANGE;
    err_t err = proposals_decode(out, &r);
    if (err != E_OK)
        out->count = 0;
    return err;
}

static void put_unless_zero(struct writer *w, uint16_t type, uint16_t value)
{
    if (value != 0)
        attribute_put_basic(w, type, value);
}

static void transform_encode(struct payload_chain *chain, const struct ike_transform *t)
{
    struct writer *w = chain->w;
    size_t begun = payload_begin(chain, PAYLOAD_TRANSFORM);
    write_u8(w, t->number);
    write_u8(w, TRANSFORM_KEY_IKE);
    write_zeros(w, 2);
    put_unless_zero(w, IKE_ATTR_ENCRYPTION, t->encryption);
    put_unless_zero(w, IKE_ATTR_KEY_LENGTH, t->key_bits);
    put_unless_zero(w, IKE_ATTR_HASH, t->hash);
    put_unless_zero(w, IKE_ATTR_GROUP, t->group);
    put_unless_zero(w, IKE_ATTR_AUTH, t->auth);
    if (t->life_type != 0) {
        attribute_put_basic(w, IKE_ATTR_LIFE_TYPE, t->life_type);
        attribute_put_u32(w, IKE_ATTR_LIFE_DURATION, t->life_duration);
    }
    payload_end(chain, begun);
}

void ike_offer_encode(struct writer *w, const struct ike_offer *offer)
{
    if (offer->count == 0 || offer->count > IKE_TRANSFORM_MAX) {
        writer_fail(w, offer->count == 0 ? E_MISSING : E_LIMIT);
        return;
    }
    write_u32(w, offer->doi);
    write_u32(w, offer->situation);

    /* One proposal, so its next payload stays 0; the first transform is announced nowhere, a proposal implies
     * it. */
    size_t proposal = write_reserve(w, PAYLOAD_HEADER_LEN);
    write_u8(w, offer->transforms[0].proposal);
    write_u8(w, PROTO_ISAKMP);
    write_u8(w, 0); /* SPI size: the cookies are the SPI (RFC 2408 2.4) */
    size_t count_at = write_reserve(w, 1);
    struct payload_chain chain = payload_chain_over(w, proposal);
    uint8_t count = 0;
    for (size_t i = 0; i < offer->count; i++) {
        if (offer->transforms[i].unknown)
            continue;
        transform_encode(&chain, &offer->transforms[i]);
        count++;
    }
    if (count == 0)
        writer_fail(w, E_MISSING);
    writer_patch_u8(w, count_at, count);
    writer_patch_u8(w, proposal, PAYLOAD_NONE);
    payload_end(&chain, proposal);
}
