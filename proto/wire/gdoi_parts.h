/* gdoi_parts.h - between the files of the GDOI SA codec: its inner payloads by their bodies. */
#ifndef PROTO_WIRE_GDOI_PARTS_H
#define PROTO_WIRE_GDOI_PARTS_H

#include "proto/wire/gdoi_sa.h"

/* An ID of SAK or SAT: type, port, data length of one octet, data. Not there: a protocol octet, which the
 * text of RFC 6407 5.3 and 5.5.1 lists for DST and its figures do not show. Nobody sends it. */
struct gdoi_id gdoi_id_read(struct reader *r);
void gdoi_id_write(struct writer *w, const struct gdoi_id *id);

err_t gdoi_sak_decode(struct gdoi_sak *out, struct bytes body) MUST_USE;
void gdoi_sak_encode(struct writer *w, const struct gdoi_sak *sak);
err_t gdoi_sat_decode(struct gdoi_sat *out, struct bytes body) MUST_USE;
void gdoi_sat_encode(struct writer *w, const struct gdoi_sat *sat);

/* A basic attribute that is left out when zero. */
void gdoi_put_basic(struct writer *w, uint16_t type, uint16_t value);
/* A 4-octet attribute that is left out when zero. */
void gdoi_put_u32(struct writer *w, uint16_t type, uint32_t value);

#endif
