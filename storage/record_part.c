#include "storage/record_part.h"

#include <string.h>

/* Families as they lie in a row: AF_INET6 differs between systems. */
enum { FAMILY_NONE = 0, FAMILY_V4 = 4, FAMILY_V6 = 6 };

void addr_encode(struct writer *w, const struct addr *addr)
{
    size_t len = addr_len(addr);
    write_u8(w, len == 4 ? FAMILY_V4 : len == 16 ? FAMILY_V6 : FAMILY_NONE);
    write_bytes(w, (struct bytes){addr->bytes, len});
}

void addr_decode(struct reader *r, struct addr *out)
{
    *out = (struct addr){0};
    uint8_t family = read_u8(r);
    if (family == FAMILY_NONE)
        return;
    reader_require(r, family == FAMILY_V4 || family == FAMILY_V6);
    struct bytes raw = read_bytes(r, family == FAMILY_V4 ? 4 : 16);
    if (r->err == E_OK)
        reader_require(r, addr_from_bytes(out, raw) == E_OK);
}

void prefix_encode(struct writer *w, const struct prefix *prefix)
{
    addr_encode(w, &prefix->addr);
    write_u8(w, prefix->bits);
}

void prefix_decode(struct reader *r, struct prefix *out)
{
    *out = (struct prefix){0};
    struct prefix got = {0};
    addr_decode(r, &got.addr);
    got.bits = read_u8(r);
    size_t len = addr_len(&got.addr);
    reader_require(r, got.bits <= len * 8);
    for (size_t i = 0; i < len && r->err == E_OK; i++) {
        unsigned kept = got.bits > i * 8 ? (unsigned)(got.bits - i * 8) : 0;
        unsigned host = kept >= 8 ? 0 : 0xffu >> kept;
        reader_require(r, (got.addr.bytes[i] & host) == 0);
    }
    if (r->err == E_OK)
        *out = got;
}

void blob_encode(struct writer *w, const uint8_t *data, size_t len)
{
    write_u16(w, (uint16_t)len);
    write_bytes(w, (struct bytes){data, len});
}

uint16_t blob_decode(struct reader *r, uint8_t *out, size_t max)
{
    uint16_t len = read_u16(r);
    reader_require(r, len <= max);
    if (r->err != E_OK)
        return 0;
    read_into(r, out, len);
    return r->err == E_OK ? len : 0;
}

void wrapped_encode(struct writer *w, const struct wrapped *wrapped)
{
    blob_encode(w, wrapped->data, wrapped->len);
}

void wrapped_decode(struct reader *r, struct wrapped *out)
{
    *out = (struct wrapped){0};
    out->len = blob_decode(r, out->data, sizeof(out->data));
}

void suite_encode(struct writer *w, const struct esp_suite *suite)
{
    write_u8(w, suite->transform);
    write_u16(w, suite->key_bits);
    write_u16(w, suite->auth);
}

void suite_decode(struct reader *r, struct esp_suite *out)
{
    out->transform = read_u8(r);
    out->key_bits = read_u16(r);
    out->auth = read_u16(r);
}

bool suite_equal(const struct esp_suite *a, const struct esp_suite *b)
{
    return a->transform == b->transform && a->key_bits == b->key_bits && a->auth == b->auth;
}

void bool_encode(struct writer *w, bool value)
{
    write_u8(w, value ? 1 : 0);
}

bool bool_decode(struct reader *r)
{
    return enum_decode(r, 1) == 1;
}

uint8_t enum_decode(struct reader *r, uint8_t max)
{
    uint8_t value = read_u8(r);
    reader_require(r, value <= max);
    return r->err == E_OK ? value : 0;
}

void name_encode(struct writer *w, const char *name, size_t cap)
{
    size_t len = strnlen(name, cap);
    write_u8(w, (uint8_t)len);
    write_bytes(w, (struct bytes){(const uint8_t *)name, len});
}

void name_decode(struct reader *r, char *out, size_t cap)
{
    memset(out, 0, cap);
    struct bytes name = read_bytes(r, read_u8(r));
    reader_require(r, name.len > 0 && name.len < cap);
    reader_require(r, name.len == 0 || memchr(name.data, 0, name.len) == NULL);
    if (r->err == E_OK)
        memcpy(out, name.data, name.len);
}

void identity_encode(struct writer *w, const struct identity *identity)
{
    write_u8(w, identity->type);
    write_u8(w, identity->len);
    write_bytes(w, (struct bytes){identity->data, identity->len});
}

void identity_decode(struct reader *r, struct identity *out)
{
    *out = (struct identity){0};
    uint8_t type = read_u8(r);
    uint8_t len = read_u8(r);
    struct bytes data = read_bytes(r, len);
    if (r->err != E_OK || len == 0) {
        reader_require(r, len != 0);
        return;
    }
    out->type = type;
    out->len = len;
    memcpy(out->data, data.data, len);
}

void endpoint_encode(struct writer *w, const struct endpoint *endpoint)
{
    addr_encode(w, &endpoint->addr);
    write_u16(w, endpoint->port);
}

void endpoint_decode(struct reader *r, struct endpoint *out)
{
    addr_decode(r, &out->addr);
    out->port = read_u16(r);
}

void kek_record_encode(struct writer *w, const struct kek_record *r)
{
    write_u32(w, r->generation);
    write_bytes(w, BYTES_OF(r->spi));
    write_u8(w, (uint8_t)r->cipher);
    write_u8(w, (uint8_t)r->sig_hash);
    write_u8(w, (uint8_t)r->ack);
    write_u32(w, r->signing_version);
    write_u64(w, r->created_ms);
    write_u32(w, r->lifetime_s);
    wrapped_encode(w, &r->iv_key);
}

void kek_record_decode(struct reader *r, struct kek_record *out)
{
    *out = (struct kek_record){0};
    out->generation = read_u32(r);
    read_into(r, out->spi, sizeof(out->spi));
    out->cipher = enum_decode(r, CIPHER_AES_CBC_256);
    out->sig_hash = enum_decode(r, HASH_SHA512);
    out->ack = enum_decode(r, LKH_ACK_SHA512);
    out->signing_version = read_u32(r);
    out->created_ms = read_u64(r);
    out->lifetime_s = read_u32(r);
    wrapped_decode(r, &out->iv_key);
}

void tek_record_encode(struct writer *w, const struct tek_record *r)
{
    write_u32(w, r->generation);
    write_u32(w, r->spi);
    suite_encode(w, &r->suite);
    write_u32(w, r->sid_epoch);
    write_u16(w, r->sid_bits);
    write_u64(w, r->created_ms);
    write_u32(w, r->lifetime_s);
    wrapped_encode(w, &r->key);
    wrapped_encode(w, &r->integrity);
}

void tek_record_decode(struct reader *r, struct tek_record *out)
{
    *out = (struct tek_record){0};
    out->generation = read_u32(r);
    out->spi = read_u32(r);
    suite_decode(r, &out->suite);
    out->sid_epoch = read_u32(r);
    out->sid_bits = read_u16(r);
    out->created_ms = read_u64(r);
    out->lifetime_s = read_u32(r);
    wrapped_decode(r, &out->key);
    wrapped_decode(r, &out->integrity);
}
