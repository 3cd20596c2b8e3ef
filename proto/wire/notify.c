#include "proto/wire/notify.h"

err_t notify_decode(struct notify_payload *out, struct bytes body)
{
    struct reader r = reader_over(body);
    out->doi = read_u32(&r);
    out->protocol = read_u8(&r);
    uint8_t spi_len = read_u8(&r);
    out->type = read_u16(&r);
    out->spi = read_bytes(&r, spi_len);
    out->data = read_rest(&r);
    return reader_end(&r);
}

void notify_encode(struct writer *w, const struct notify_payload *notify)
{
    if (notify->spi.len > UINT8_MAX) {
        writer_fail(w, E_BAD_LENGTH);
        return;
    }
    write_u32(w, notify->doi);
    write_u8(w, notify->protocol);
    write_u8(w, (uint8_t)notify->spi.len);
    write_u16(w, notify->type);
    write_bytes(w, notify->spi);
    write_bytes(w, notify->data);
}
