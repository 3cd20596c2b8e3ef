#include "proto/wire/isakmp_header.h"

#include <string.h>

enum {
    LENGTH_AT = 24, /* offset of the length field in the header */
    MAJOR_VERSION = ISAKMP_VERSION >> 4,
};

err_t isakmp_header_decode(struct isakmp_header *out, struct bytes *body, struct bytes datagram)
{
    struct reader r = reader_over(datagram);
    *body = (struct bytes){0};
    read_into(&r, out->cookie_i, COOKIE_LEN);
    read_into(&r, out->cookie_r, COOKIE_LEN);
    out->next_payload = read_u8(&r);
    out->version = read_u8(&r);
    out->exchange = read_u8(&r);
    out->flags = read_u8(&r);
    out->message_id = read_u32(&r);
    out->length = read_u32(&r);
    if (r.err != E_OK)
        return r.err;
    if (out->version >> 4 != MAJOR_VERSION)
        return E_BAD_VERSION;
    if (out->length < ISAKMP_HEADER_LEN || out->length > ISAKMP_MESSAGE_MAX)
        return E_BAD_LENGTH;
    *body = read_bytes(&r, out->length - ISAKMP_HEADER_LEN);
    return r.err; /* bytes behind the length are not ours to judge */
}

void isakmp_header_encode(struct writer *w, const struct isakmp_header *header)
{
    write_bytes(w, BYTES_OF(header->cookie_i));
    write_bytes(w, BYTES_OF(header->cookie_r));
    write_u8(w, header->next_payload);
    write_u8(w, header->version);
    write_u8(w, header->exchange);
    write_u8(w, header->flags);
    write_u32(w, header->message_id);
    write_u32(w, header->length);
}

void isakmp_message_end(struct writer *w, size_t start)
{
    if (w->len < start || w->len - start > ISAKMP_MESSAGE_MAX) {
        writer_fail(w, E_BAD_LENGTH);
        return;
    }
    writer_patch_u32(w, start + LENGTH_AT, (uint32_t)(w->len - start));
}

struct bytes non_esp_marker_strip(struct bytes datagram, bool *had)
{
    static const uint8_t marker[NON_ESP_MARKER_LEN];
    *had = datagram.len >= NON_ESP_MARKER_LEN && memcmp(datagram.data, marker, NON_ESP_MARKER_LEN) == 0;
    return *had ? bytes_slice(datagram, NON_ESP_MARKER_LEN, datagram.len) : datagram;
}

bool cookie_is_zero(const uint8_t cookie[COOKIE_LEN])
{
    static const uint8_t zero[COOKIE_LEN];
    return memcmp(cookie, zero, COOKIE_LEN) == 0;
}
