/* gdoi_parts_in_sa.h - tests of one part of a GDOI SA: the part's body as hex, wrapped into an SA of that
 * part. */
#ifndef TESTS_UNIT_PROTO_WIRE_GDOI_PARTS_IN_SA_H
#define TESTS_UNIT_PROTO_WIRE_GDOI_PARTS_IN_SA_H

#include "proto/wire/gdoi_sa.h"
#include "proto/wire/payload.h"
#include "tests/lib/test.h"

static struct gdoi_sa sa;
static uint8_t sa_raw[2048];

/* A GAP is followed by nothing that could make it a policy, so it has a codec of its own. */
static inline err_t decode_part(uint8_t type, const char *body_hex)
{
    uint8_t body[1024];
    struct writer w = writer_over(sa_raw, sizeof(sa_raw));
    write_u32(&w, DOI_GDOI);
    write_u32(&w, SITUATION_GDOI);
    write_zeros(&w, 4);
    struct payload_chain chain = payload_chain_over(&w, 9);
    payload_put(&chain, type, hex(body_hex, body, sizeof(body)));
    assert_ok(writer_end(&w));
    return gdoi_sa_decode(&sa, writer_bytes(&w));
}

/* The body of the only part of sa, as written. */
static inline struct bytes encode_part(void)
{
    static uint8_t out[2048];
    struct writer w = writer_over(out, sizeof(out));
    gdoi_sa_encode(&w, &sa);
    assert_ok(writer_end(&w));
    return bytes_slice(writer_bytes(&w), 12 + PAYLOAD_HEADER_LEN, sizeof(out));
}

#endif
