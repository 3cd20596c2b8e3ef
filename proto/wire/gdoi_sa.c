#include "proto/wire/gdoi_sa.h"

#include "proto/wire/attribute.h"
#include "proto/wire/gdoi_parts.h"
#include "proto/wire/id_payload.h"
#include "proto/wire/payload.h"

enum {
    ANY_SOURCE_LEN = 3
}; /* "three bytes of zero": a SRC of many senders (RFC 3547 5.4.1, RFC 6407 5.5.1) */

struct gdoi_id gdoi_id_read(struct reader *r)
{
    struct gdoi_id id;
    id.type = read_u8(r);
    id.port = read_u16(r);
    size_t len = read_u8(r);
    id.data = read_bytes(r, len);

    static const uint8_t any[ANY_SOURCE_LEN];
    if (bytes_equal(id.data, BYTES_OF(any)))
        id.data = (struct bytes){0};
    size_t wanted = id_type_data_len(id.type);
    if (wanted != 0 && id.data.len != 0 && id.data.len != wanted)
        reader_fail(r, E_BAD_LENGTH);
    return id;
}

void gdoi_id_write(struct writer *w, const struct gdoi_id *id)
{
    if (id->data.len > UINT8_MAX) {
        writer_fail(w, E_BAD_LENGTH);
        return;
    }
    write_u8(w, id->type);
    write_u16(w, id->port);
    write_u8(w, (uint8_t)id->data.len);
    write_bytes(w, id->data);
}

void gdoi_put_basic(struct writer *w, uint16_t type, uint16_t value)
{
    if (value != 0)
        attribute_put_basic(w, type, value);
}

void gdoi_put_u32(struct writer *w, uint16_t type, uint32_t value)
{
    if (value != 0)
        attribute_put_u32(w, type, value);
}

static err_t take_sak(struct gdoi_sa *out, struct bytes body)
{
    if (out->has_sak)
        return E_DUPLICATE;
    if (out->has_gap || out->sat_count != 0)
        return E_UNEXPECTED;
    out->has_sak = true;
    return gdoi_sak_decode(&out->sak, body);
}

static err_t take_gap(struct gdoi_sa *out, struct bytes body)
{
    if (out->has_gap)
        return E_DUPLICATE;
    if (out->sat_count != 0)
        return E_UNEXPECTED;
    out->has_gap = true;
    return gdoi_gap_decode(&out->gap, body);
}

static err_t take_sat(struct gdoi_sa *out, struct bytes body)
{
    if (out->sat_count == GDOI_SAT_MAX)
        return E_LIMIT;
    return gdoi_sat_decode(&out->sats[out->sat_count++], body);
}

/* The order is SAK, GAP, SATs, and one SAK or SAT is there (RFC 6407 5.2.1). */
static err_t parts_decode(struct gdoi_sa *out, struct reader *r, uint8_t type)
{
    while (type != PAYLOAD_NONE) {
        struct payload part = payload_read(r, type, &type);
        err_t err = r->err;
        if (err == E_OK && part.type == PAYLOAD_SAK)
            err = take_sak(out, part.body);
        else if (err == E_OK && part.type == PAYLOAD_GAP)
            err = take_gap(out, part.body);
        else if (err == E_OK && part.type == PAYLOAD_SAT)
            err = take_sat(out, part.body);
        else if (err == E_OK)
            err = E_UNKNOWN_CRITICAL;
        if (err != E_OK)
            return err;
    }
    err_t err = reader_end(r);
    if (err == E_OK && !out->has_sak && out->sat_count == 0)
        return E_MISSING;
    return err;
}

err_t gdoi_sa_decode(struct gdoi_sa *out, struct bytes body)
{
    struct reader r = reader_over(body);
    out->doi = read_u32(&r);
    out->situation = read_u32(&r);
    uint16_t first = read_u16(&r);
    read_skip(&r, 2); /* RESERVED2 */
    out->has_sak = false;
    out->has_gap = false;
    out->sak = (struct gdoi_sak){0};
    out->gap = (struct gdoi_gap){0};
    out->sat_count = 0;
    if (r.err != E_OK)
        return r.err;
    if (out->doi != DOI_GDOI)
        return E_BAD_DOI;
    if (out->situation != SITUATION_GDOI)
        return E_RANGE;
    if (first > UINT8_MAX)
        return E_UNKNOWN_CRITICAL;
    return parts_decode(out, &r, (uint8_t)first);
}

void gdoi_sa_encode(struct writer *w, const struct gdoi_sa *sa)
{
    if (sa->sat_count > GDOI_SAT_MAX) {
        writer_fail(w, E_LIMIT);
        return;
    }
    write_u32(w, sa->doi);
    write_u32(w, sa->situation);
    size_t first_at = write_reserve(w, 2); /* SA Attribute Next Payload, two octets */
    write_zeros(w, 2);
    struct payload_chain chain = payload_chain_over(w, first_at + 1);
    if (sa->has_sak) {
        size_t begun = payload_begin(&chain, PAYLOAD_SAK);
        gdoi_sak_encode(w, &sa->sak);
        payload_end(&chain, begun);
    }
    if (sa->has_gap) {
        size_t begun = payload_begin(&chain, PAYLOAD_GAP);
        gdoi_gap_encode(w, &sa->gap);
        payload_end(&chain, begun);
    }
    for (size_t i = 0; i < sa->sat_count; i++) {
        size_t begun = payload_begin(&chain, PAYLOAD_SAT);
        gdoi_sat_encode(w, &sa->sats[i]);
        payload_end(&chain, begun);
    }
}
