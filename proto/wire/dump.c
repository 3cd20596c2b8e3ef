#include "proto/wire/dump.h"

#include <stdarg.h>
#include <stdio.h>

#include "proto/wire/attribute.h"
#include "proto/wire/gdoi_kd.h"
#include "proto/wire/id_payload.h"
#include "proto/wire/isakmp_header.h"
#include "proto/wire/notify.h"
#include "proto/wire/payload.h"

/* It reads loosely and on its own, without the codecs' rules: what they refuse is what one wants to see. */

enum {
    HEX_SHOWN_MAX = 20, /* octets of a public field; more are cut with ".." */
    DEPTH_STEP = 2,
};

struct text {
    char *out;
    size_t size;
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
    if (t->len + 1 >= t->size)
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->out + t->len, t->size - t->len, format, args);
    va_end(args);
    if (n < 0)
        return;
    size_t room = t->size - t->len - 1;
    t->len += (size_t)n < room ? (size_t)n : room;
}

static void put_line(struct text *t, int depth)
{
    put(t, "\n%*s", depth * DEPTH_STEP, "");
}

static void put_hex(struct text *t, struct bytes raw)
{
    struct bytes shown = bytes_slice(raw, 0, HEX_SHOWN_MAX);
    for (size_t i = 0; i < shown.len; i++)
        put(t, "%02x", shown.data[i]);
    if (raw.len > shown.len)
        put(t, "..");
}

static void put_end(struct text *t, const struct reader *r)
{
    err_t err = reader_end(r);
    if (err != E_OK)
        put(t, " (%s)", err_text(err));
}

static void put_attributes(struct text *t, int depth, struct reader *r)
{
    struct attribute attribute;
    while (attribute_next(r, &attribute)) {
        uint32_t value;
        put_line(t, depth);
        put(t, "attribute %u = ", attribute.type);
        if (attribute_u32(&attribute, &value) == E_OK)
            put(t, "%u%s", (unsigned)value, attribute.basic ? "" : " (variable)");
        else
            put(t, "%zu octets", attribute.body.len);
    }
    put_end(t, r);
}

static void put_identity(struct text *t, uint8_t type, struct bytes data)
{
    struct id_payload id = {.type = type, .data = data};
    struct identity identity;
    char text[ID_TEXT_MAX];
    if (identity_from_payload(&identity, &id) == E_OK)
        put(t, "%s", identity_format(&identity, text));
    else
        put_hex(t, data);
}

static void put_gdoi_id(struct text *t, const char *name, struct reader *r)
{
    uint8_t type = read_u8(r);
    uint16_t port = read_u16(r);
    size_t len = read_u8(r);
    struct bytes data = read_bytes(r, len);
    if (r->err != E_OK)
        return;
    put(t, " %s %s:%u ", name, id_type_name(type), port);
    put_identity(t, type, data);
}

static void dump_transform(struct text *t, int depth, struct reader *r)
{
    uint8_t number = read_u8(r);
    uint8_t id = read_u8(r);
    read_skip(r, 2);
    put(t, " number %u id %u", number, id);
    put_attributes(t, depth, r);
}

static void dump_sak(struct text *t, int depth, struct reader *r)
{
    put(t, " protocol %u", read_u8(r));
    put_gdoi_id(t, "src", r);
    put_gdoi_id(t, "dst", r);
    put(t, " spi ");
    put_hex(t, read_bytes(r, KEK_SPI_LEN));
    read_skip(r, 4);
    put_attributes(t, depth, r);
}

static void dump_sat(struct text *t, int depth, struct reader *r)
{
    uint8_t protocol = read_u8(r);
    put(t, " protocol %u", protocol);
    if (protocol != SAT_ESP && protocol != SAT_AH)
        return;
    put(t, " selector %u", read_u8(r));
    put_gdoi_id(t, "src", r);
    put_gdoi_id(t, "dst", r);
    put(t, " transform %u", read_u8(r));
    put(t, " spi %08x", (unsigned)read_u32(r));
    put_attributes(t, depth, r);
}

static void dump_proposal(struct text *t, int depth, struct reader *r)
{
    uint8_t number = read_u8(r);
    uint8_t protocol = read_u8(r);
    size_t spi_len = read_u8(r);
    uint8_t count = read_u8(r);
    read_skip(r, spi_len);
    put(t, " number %u protocol %u spi size %zu transforms %u", number, protocol, spi_len, count);
    uint8_t type = reader_left(r) == 0 ? PAYLOAD_NONE : PAYLOAD_TRANSFORM;
    while (type == PAYLOAD_TRANSFORM) {
        struct payload payload = payload_read(r, type, &type);
        struct reader body = reader_over(payload.body);
        put_line(t, depth);
        put(t, "transform");
        dump_transform(t, depth + 1, &body);
    }
    put_end(t, r);
}

static void dump_inner(struct text *t, int depth, const struct payload *payload)
{
    struct reader r = reader_over(payload->body);
    put_line(t, depth);
    put(t, "%s (%u) %zu octets", payload_name(payload->type), payload->type, payload->whole.len);
    if (payload->type == PAYLOAD_PROPOSAL)
        dump_proposal(t, depth + 1, &r);
    else if (payload->type == PAYLOAD_SAK)
        dump_sak(t, depth + 1, &r);
    else if (payload->type == PAYLOAD_SAT)
        dump_sat(t, depth + 1, &r);
    else if (payload->type == PAYLOAD_GAP)
        put_attributes(t, depth + 1, &r);
}

/* Phase 1 has proposals behind the situation; GDOI has the type of its first inner payload first. */
static void dump_sa(struct text *t, int depth, uint8_t exchange, struct reader *r)
{
    put(t, " doi %u", (unsigned)read_u32(r));
    put(t, " situation %u", (unsigned)read_u32(r));
    uint8_t type = PAYLOAD_PROPOSAL;
    if (exchange == EXCHANGE_PULL || exchange == EXCHANGE_PUSH) {
        uint16_t first = read_u16(r);
        read_skip(r, 2);
        reader_require(r, first <= UINT8_MAX);
        type = (uint8_t)first;
    }
    while (type != PAYLOAD_NONE && r->err == E_OK) {
        struct payload payload = payload_read(r, type, &type);
        if (r->err == E_OK)
            dump_inner(t, depth, &payload);
    }
    put_end(t, r);
}

/* Types and lengths only: this is where the keys are. */
static void dump_kd(struct text *t, int depth, struct reader *r)
{
    uint16_t count = read_u16(r);
    read_skip(r, 2);
    put(t, " packets %u", count);
    for (unsigned i = 0; i < count && r->err == E_OK; i++) {
        uint8_t type = read_u8(r);
        read_skip(r, 1);
        size_t len = read_u16(r);
        struct reader packet =
            reader_over(read_bytes(r, len < PAYLOAD_HEADER_LEN ? 0 : len - PAYLOAD_HEADER_LEN));
        size_t spi_len = read_u8(&packet);
        struct bytes spi = read_bytes(&packet, spi_len);
        struct attribute attribute;
        if (r->err != E_OK)
            break;
        put_line(t, depth);
        put(t, "key packet type %u %zu octets spi ", type, len);
        put_hex(t, spi);
        while (attribute_next(&packet, &attribute)) {
            put_line(t, depth + 1);
            put(t, "attribute %u: %zu octets", attribute.type, attribute.body.len);
        }
        put_end(t, &packet);
    }
    put_end(t, r);
}

static void dump_id(struct text *t, struct reader *r)
{
    uint8_t type = read_u8(r);
    uint8_t protocol = read_u8(r);
    uint16_t port = read_u16(r);
    put(t, " %s protocol %u port %u ", id_type_name(type), protocol, port);
    put_identity(t, type, read_rest(r));
    put_end(t, r);
}

static void dump_notify(struct text *t, struct bytes body)
{
    struct notify_payload notify;
    err_t err = notify_decode(&notify, body);
    put(t, " doi %u protocol %u %s (%u) spi ", (unsigned)notify.doi, notify.protocol,
        notify_name(notify.type), notify.type);
    put_hex(t, notify.spi);
    put(t, " data %zu octets", notify.data.len);
    if (err != E_OK)
        put(t, " (%s)", err_text(err));
}

static void dump_delete(struct text *t, struct reader *r)
{
    put(t, " doi %u", (unsigned)read_u32(r));
    put(t, " protocol %u", read_u8(r));
    size_t spi_len = read_u8(r);
    uint16_t count = read_u16(r);
    put(t, " count %u", count);
    for (unsigned i = 0; i < count && i < DELETE_SPI_MAX && spi_len != 0 && reader_left(r) != 0; i++) {
        put(t, " ");
        put_hex(t, read_bytes(r, spi_len));
    }
    put_end(t, r);
}

static void dump_payload(struct text *t, uint8_t exchange, const struct payload *payload)
{
    struct reader r = reader_over(payload->body);
    put_line(t, 1);
    put(t, "%s (%u) %zu octets", payload_name(payload->type), payload->type, payload->whole.len);
    switch (payload->type) {
    case PAYLOAD_SA:
        dump_sa(t, 2, exchange, &r);
        break;
    case PAYLOAD_KD:
        dump_kd(t, 2, &r);
        break;
    case PAYLOAD_ID:
        dump_id(t, &r);
        break;
    case PAYLOAD_NOTIFY:
        dump_notify(t, payload->body);
        break;
    case PAYLOAD_DELETE:
        dump_delete(t, &r);
        break;
    case PAYLOAD_GAP:
        put_attributes(t, 2, &r);
        break;
    case PAYLOAD_SEQ:
        put(t, " %u", (unsigned)read_u32(&r));
        put_end(t, &r);
        break;
    case PAYLOAD_VENDOR:
        put(t, " ");
        put_hex(t, payload->body);
        break;
    default: /* KE, NONCE, HASH, SIG and all that is unknown: nothing of their content */
        break;
    }
}

size_t isakmp_dump(char *out, size_t size, struct bytes message)
{
    struct text t = {out, size, 0};
    if (size == 0)
        return 0;
    out[0] = '\0';

    struct isakmp_header header;
    struct bytes body;
    err_t err = isakmp_header_decode(&header, &body, message);
    put(&t, "%s (%u) version %u.%u flags 0x%02x id %08x length %u", exchange_name(header.exchange),
        header.exchange, header.version >> 4, header.version & 0xf, header.flags, (unsigned)header.message_id,
        (unsigned)header.length);
    put(&t, " cookies ");
    put_hex(&t, BYTES_OF(header.cookie_i));
    put(&t, " ");
    put_hex(&t, BYTES_OF(header.cookie_r));
    if (err != E_OK)
        put(&t, " (%s)", err_text(err));

    struct reader r = reader_over(body);
    uint8_t type = err == E_OK ? header.next_payload : PAYLOAD_NONE;
    for (size_t n = 0; type != PAYLOAD_NONE && n < PAYLOAD_MAX; n++) {
        struct payload payload = payload_read(&r, type, &type);
        if (r.err == E_OK)
            dump_payload(&t, header.exchange, &payload);
    }
    if (r.err != E_OK)
        put(&t, "\n  (%s)", err_text(r.err));
    else if (reader_left(&r) != 0)
        put(&t, "\n  %zu octets of padding", reader_left(&r));
    return t.len;
}
