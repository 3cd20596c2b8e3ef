#include "proto/wire/notify.h"

enum { SPI_LEN_MAX = 16 }; /* a cookie pair: the SPI of a phase-1 SA or a KEK */

static err_t check(const struct delete_payload *del)
{
    if (del->spi_len == 0 || del->spi_len > SPI_LEN_MAX || del->count == 0)
        return E_RANGE;
    if (del->count > DELETE_SPI_MAX)
        return E_LIMIT;
    return del->spis.len == (size_t)del->count * del->spi_len ? E_OK : E_BAD_LENGTH;
}

err_t delete_decode(struct delete_payload *out, struct bytes body)
{
    struct reader r = reader_over(body);
    out->doi = read_u32(&r);
    out->protocol = read_u8(&r);
    out->spi_len = read_u8(&r);
    out->count = read_u16(&r);
    out->spis = read_rest(&r);
    return r.err != E_OK ? r.err : check(out);
}

void delete_encode(struct writer *w, const struct delete_payload *del)
{
    err_t err = check(del);
    if (err != E_OK) {
        writer_fail(w, err);
        return;
    }
    write_u32(w, del->doi);
    write_u8(w, del->protocol);
    write_u8(w, del->spi_len);
    write_u16(w, del->count);
    write_bytes(w, del->spis);
}
