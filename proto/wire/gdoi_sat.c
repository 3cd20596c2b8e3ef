#include "proto/wire/attribute.h"
#include "proto/wire/gdoi_parts.h"

enum {
    ESN_64_BIT = 1, /* RFC 4304 3 */
    REPLAY_FORMAT =
        0x5101, /* of the private attribute: so that another vendor's number is not taken for it */
    REPLAY_LEN = 16,
    REPLAY_WINDOW_MS_MAX = 100000,
};

/* Lifetimes come as pairs, a type before its duration (RFC 2407 4.5). */
struct life {
    uint32_t type; /* of the open pair; 0: none */
    bool seen[LIFE_KILOBYTES + 1];
};

static void take_life_type(struct life *life, struct attribute_walk *walk, const struct attribute *attribute)
{
    uint32_t type = attribute_walk_u32(walk, attribute);
    if (life->type != 0)
        reader_fail(&walk->r, E_MISSING); /* two types in a row */
    reader_require(&walk->r, type != 0);
    life->type = type;
    if (type > LIFE_KILOBYTES)
        return;
    if (life->seen[type])
        reader_fail(&walk->r, E_DUPLICATE);
    life->seen[type] = true;
}

static void take_life_duration(struct gdoi_sat *out, struct life *life, struct attribute_walk *walk,
                               const struct attribute *attribute)
{
    uint32_t duration = attribute_walk_u32(walk, attribute);
    if (life->type == 0)
        reader_fail(&walk->r, E_MISSING);
    else if (life->type == LIFE_SECONDS)
        out->lifetime_s = duration;
    else if (life->type == LIFE_KILOBYTES)
        out->lifetime_kb = duration;
    else
        out->unknown_attributes++;
    life->type = 0;
}

static bool take_replay(struct gdoi_replay *out, const struct attribute *attribute)
{
    struct reader r = reader_over(attribute->body);
    if (attribute->type < SAT_ATTR_PRIVATE_MIN || attribute->basic || attribute->body.len != REPLAY_LEN ||
        out->attribute != 0 || read_u16(&r) != REPLAY_FORMAT)
        return false;
    read_skip(&r, 2);
    uint32_t window_ms = read_u32(&r);
    if (window_ms == 0 || window_ms > REPLAY_WINDOW_MS_MAX)
        return false;
    *out = (struct gdoi_replay){attribute->type, window_ms, read_u64(&r)};
    return true;
}

static void put_replay(struct writer *w, const struct gdoi_replay *replay)
{
    uint8_t body[REPLAY_LEN];
    struct writer b = writer_over(body, sizeof(body));
    if (replay->attribute == 0)
        return;
    write_u16(&b, REPLAY_FORMAT);
    write_u16(&b, 0);
    write_u32(&b, replay->window_ms);
    write_u64(&b, replay->pseudotime_us);
    attribute_put_bytes(w, replay->attribute, writer_bytes(&b));
}

/* Unlike SAK and GAP, RFC 6407 has no rule here to abort on unknown attributes: they are counted. */
static void take_attribute(struct gdoi_sat *out, struct life *life, struct attribute_walk *walk,
                           const struct attribute *attribute)
{
    switch (attribute->type) {
    case SAT_ATTR_LIFE_TYPE:
        take_life_type(life, walk, attribute);
        break;
    case SAT_ATTR_LIFE_DURATION:
        take_life_duration(out, life, walk, attribute);
        break;
    case SAT_ATTR_GROUP_DESCRIPTION: /* "is ignored by a GDOI implementation if received", 5.5.1 */
        break;
    case SAT_ATTR_ENCAPSULATION:
        out->encapsulation = attribute_walk_u16(walk, attribute);
        break;
    case SAT_ATTR_AUTH:
        out->auth = attribute_walk_u16(walk, attribute);
        break;
    case SAT_ATTR_KEY_LENGTH:
        out->key_bits = attribute_walk_u16(walk, attribute);
        break;
    case SAT_ATTR_ESN:
        out->esn = attribute_walk_u16(walk, attribute) == ESN_64_BIT;
        if (!out->esn)
            out->unknown_attributes++;
        break;
    case SAT_ATTR_ADDRESS_PRESERVATION:
        out->preservation = attribute_walk_u16(walk, attribute);
        break;
    case SAT_ATTR_DIRECTION:
        out->direction = attribute_walk_u16(walk, attribute);
        break;
    default:
        if (!take_replay(&out->replay, attribute))
            out->unknown_attributes++;
    }
}

static err_t attributes_decode(struct gdoi_sat *out, struct bytes list)
{
    const uint64_t repeatable = UINT64_C(1) << SAT_ATTR_LIFE_TYPE | UINT64_C(1) << SAT_ATTR_LIFE_DURATION |
                                UINT64_C(1) << SAT_ATTR_GROUP_DESCRIPTION;
    struct attribute attribute;
    struct life life = {0};
    struct attribute_walk walk = attribute_walk_over(list, repeatable);
    while (attribute_walk_next(&walk, &attribute))
        take_attribute(out, &life, &walk, &attribute);
    err_t err = reader_end(&walk.r);
    return err == E_OK && life.type != 0 ? E_MISSING : err;
}

err_t gdoi_sat_decode(struct gdoi_sat *out, struct bytes body)
{
    struct reader r = reader_over(body);
    *out = (struct gdoi_sat){0};
    out->protocol = read_u8(&r);
    if (r.err == E_OK && out->protocol != SAT_ESP && out->protocol != SAT_AH)
        return E_UNSUPPORTED; /* another layout, such as IEC 61850's (RFC 8052 2.2) */
    out->ip_protocol = read_u8(&r);
    out->src = gdoi_id_read(&r);
    out->dst = gdoi_id_read(&r);
    out->transform = read_u8(&r);
    out->spi = read_u32(&r);
    struct bytes attributes = read_rest(&r);
    return r.err != E_OK ? r.err : attributes_decode(out, attributes);
}

static void put_life(struct writer *w, uint16_t type, uint32_t duration)
{
    if (duration == 0)
        return;
    attribute_put_basic(w, SAT_ATTR_LIFE_TYPE, type);
    attribute_put_u32(w, SAT_ATTR_LIFE_DURATION, duration);
}

void gdoi_sat_encode(struct writer *w, const struct gdoi_sat *sat)
{
    write_u8(w, sat->protocol);
    write_u8(w, sat->ip_protocol);
    gdoi_id_write(w, &sat->src);
    gdoi_id_write(w, &sat->dst);
    write_u8(w, sat->transform);
    write_u32(w, sat->spi);
    gdoi_put_basic(w, SAT_ATTR_ENCAPSULATION, sat->encapsulation);
    gdoi_put_basic(w, SAT_ATTR_AUTH, sat->auth);
    gdoi_put_basic(w, SAT_ATTR_KEY_LENGTH, sat->key_bits);
    put_life(w, LIFE_SECONDS, sat->lifetime_s);
    put_life(w, LIFE_KILOBYTES, sat->lifetime_kb);
    if (sat->esn)
        attribute_put_basic(w, SAT_ATTR_ESN, ESN_64_BIT);
    gdoi_put_basic(w, SAT_ATTR_ADDRESS_PRESERVATION, sat->preservation);
    gdoi_put_basic(w, SAT_ATTR_DIRECTION, sat->direction);
    put_replay(w, &sat->replay);
}
