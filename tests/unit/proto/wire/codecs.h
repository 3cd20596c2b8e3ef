/* codecs.h - every codec of proto/wire behind one signature, so that damage, round trips and fuzzing are
 * written once. The invariant of all: what decodes, encodes, and decodes to the same again. */
#ifndef TESTS_UNIT_PROTO_WIRE_CODECS_H
#define TESTS_UNIT_PROTO_WIRE_CODECS_H

#include "proto/wire/attribute.h"
#include "tests/unit/proto/wire/same.h"

enum { CODEC_BUFFER_LEN = 1 << 18 }; /* what a UDP datagram decodes to is written in less than that */

/* A whole datagram: header and chain. */
struct message {
    struct isakmp_header header;
    struct payload_list list;
};

/* A list of attributes, bounded as the decoders bound it. */
struct attribute_list {
    struct attribute items[ATTRIBUTE_MAX];
    size_t count;
};

union decoded {
    struct message message;
    struct attribute_list attributes;
    struct ike_offer offer;
    struct gdoi_sa sa;
    struct gdoi_gap gap;
    struct gdoi_kd kd;
    uint32_t seq;
    struct id_payload id;
    struct notify_payload notify;
    struct delete_payload del;
};

struct codec {
    const char *name;
    err_t (*decode)(union decoded *out, struct bytes body);
    void (*encode)(struct writer *w, const union decoded *x);
    bool (*same)(const union decoded *a, const union decoded *b);
};

static inline err_t message_decode(union decoded *out, struct bytes datagram)
{
    struct bytes body;
    err_t err = isakmp_header_decode(&out->message.header, &body, datagram);
    return err != E_OK ? err
                       : payload_list_decode(&out->message.list, out->message.header.next_payload, body);
}

static inline void message_encode(struct writer *w, const union decoded *x)
{
    const struct message *message = &x->message;
    size_t start = w->len;
    isakmp_header_encode(w, &message->header);
    struct payload_chain chain = payload_chain_over(w, start + 16);
    for (size_t i = 0; i < message->list.count; i++)
        payload_put(&chain, message->list.items[i].type, message->list.items[i].body);
    isakmp_message_end(w, start);
}

static inline bool message_same(const union decoded *a, const union decoded *b)
{
    const struct message *x = &a->message, *y = &b->message;
    if (memcmp(x->header.cookie_i, y->header.cookie_i, COOKIE_LEN) != 0 ||
        memcmp(x->header.cookie_r, y->header.cookie_r, COOKIE_LEN) != 0)
        return false;
    if (x->header.next_payload != y->header.next_payload || x->header.version != y->header.version ||
        x->header.exchange != y->header.exchange || x->header.flags != y->header.flags ||
        x->header.message_id != y->header.message_id)
        return false;
    if (x->list.count != y->list.count || x->list.consumed != y->list.consumed)
        return false;
    for (size_t i = 0; i < x->list.count; i++)
        if (x->list.items[i].type != y->list.items[i].type ||
            !bytes_equal(x->list.items[i].body, y->list.items[i].body))
            return false;
    return true;
}

static inline err_t attributes_decode(union decoded *out, struct bytes body)
{
    struct attribute attribute;
    struct attribute_walk walk = attribute_walk_over(body, ~UINT64_C(0));
    out->attributes.count = 0;
    while (attribute_walk_next(&walk, &attribute))
        out->attributes.items[out->attributes.count++] = attribute;
    return reader_end(&walk.r);
}

static inline void attributes_encode(struct writer *w, const union decoded *x)
{
    for (size_t i = 0; i < x->attributes.count; i++) {
        const struct attribute *attribute = &x->attributes.items[i];
        if (attribute->basic)
            attribute_put_basic(w, attribute->type, attribute->value);
        else
            attribute_put_bytes(w, attribute->type, attribute->body);
    }
}

static inline bool attributes_same(const union decoded *a, const union decoded *b)
{
    if (a->attributes.count != b->attributes.count)
        return false;
    for (size_t i = 0; i < a->attributes.count; i++) {
        const struct attribute *x = &a->attributes.items[i], *y = &b->attributes.items[i];
        if (x->type != y->type || x->basic != y->basic || x->value != y->value ||
            !bytes_equal(x->body, y->body))
            return false;
    }
    return true;
}

static inline err_t seq_decode(union decoded *out, struct bytes body)
{
    return gdoi_seq_decode(&out->seq, body);
}

static inline void seq_encode(struct writer *w, const union decoded *x)
{
    gdoi_seq_encode(w, x->seq);
}

static inline bool seq_same(const union decoded *a, const union decoded *b)
{
    return a->seq == b->seq;
}

/* NAME_decode, NAME_encode and same_SAME over a member of the union. */
#define CODEC_FUNCTIONS(member, name, compare)                                                               \
    static inline err_t member##_codec_decode(union decoded *out, struct bytes body)                         \
    {                                                                                                        \
        return name##_decode(&out->member, body);                                                            \
    }                                                                                                        \
    static inline void member##_codec_encode(struct writer *w, const union decoded *x)                       \
    {                                                                                                        \
        name##_encode(w, &x->member);                                                                        \
    }                                                                                                        \
    static inline bool member##_codec_same(const union decoded *a, const union decoded *b)                   \
    {                                                                                                        \
        return same_##compare(&a->member, &b->member);                                                       \
    }
CODEC_FUNCTIONS(offer, ike_offer, offer)

/* An offer of nothing that we know is read, but there is nothing to write of it. */
static inline err_t known_offer_decode(union decoded *out, struct bytes body)
{
    size_t at = 0;
    err_t err = ike_offer_decode(&out->offer, body);
    return err == E_OK && next_known(&out->offer, &at) == NULL ? E_NO_PROPOSAL : err;
}

CODEC_FUNCTIONS(sa, gdoi_sa, sa)
CODEC_FUNCTIONS(gap, gdoi_gap, gap)
CODEC_FUNCTIONS(kd, gdoi_kd, kd)
CODEC_FUNCTIONS(id, id_payload, id)
CODEC_FUNCTIONS(notify, notify, notify)
CODEC_FUNCTIONS(del, delete, delete)

#define CODEC(text, prefix)                                                                                  \
    {                                                                                                        \
        text, prefix##_decode, prefix##_encode, prefix##_same                                                \
    }
static const struct codec codec_message = CODEC("message", message);
static const struct codec codec_attributes = CODEC("attributes", attributes);
static const struct codec codec_offer = {"ike_offer", known_offer_decode, offer_codec_encode,
                                         offer_codec_same};
static const struct codec codec_sa = CODEC("gdoi_sa", sa_codec);
static const struct codec codec_gap = CODEC("gdoi_gap", gap_codec);
static const struct codec codec_kd = CODEC("gdoi_kd", kd_codec);
static const struct codec codec_seq = CODEC("gdoi_seq", seq);
static const struct codec codec_id = CODEC("id_payload", id_codec);
static const struct codec codec_notify = CODEC("notify", notify_codec);
static const struct codec codec_delete = CODEC("delete", del_codec);

/* Decodes over garbage, so that what the decoder leaves unset is not zero by luck. */
static inline err_t codec_decode_over(const struct codec *codec, union decoded *out, struct bytes body,
                                      uint8_t garbage)
{
    memset(out, garbage, sizeof(*out));
    return codec->decode(out, body);
}

/* True if x, decoded before, is written and read again as itself. */
static inline bool codec_repeats(const struct codec *codec, const union decoded *x)
{
    static uint8_t buffer[CODEC_BUFFER_LEN];
    static union decoded again;
    struct writer w = writer_over(buffer, sizeof(buffer));
    codec->encode(&w, x);
    return writer_end(&w) == E_OK && codec_decode_over(codec, &again, writer_bytes(&w), 0x5a) == E_OK &&
           codec->same(x, &again);
}

/* The invariant for any bytes: they are refused, or they repeat. */
static inline bool codec_holds(const struct codec *codec, struct bytes body)
{
    static union decoded x;
    return codec_decode_over(codec, &x, body, 0xa5) != E_OK || codec_repeats(codec, &x);
}

#endif
