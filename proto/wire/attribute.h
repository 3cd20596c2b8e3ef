/* attribute.h - data attributes, TV (AF=1) and TLV (AF=0), RFC 2408 3.3. */
#ifndef PROTO_WIRE_ATTRIBUTE_H
#define PROTO_WIRE_ATTRIBUTE_H

#include <stdbool.h>

#include "base/wire.h"

enum { ATTRIBUTE_MAX = 32 }; /* in one list; E_LIMIT beyond */

struct attribute {
    uint16_t type;     /* without the AF bit */
    bool basic;        /* TV: value only; TLV: body */
    uint16_t value;    /* TV */
    struct bytes body; /* TLV; for TV the two value octets */
};

/* Reads the next attribute; false when the reader is at its end or has failed. */
bool attribute_next(struct reader *r, struct attribute *out);
/* An unsigned number of 1..4 octets (leading zeros allowed) from TV or TLV; E_BAD_LENGTH else. */
err_t attribute_u32(const struct attribute *attribute, uint32_t *out) MUST_USE;

/* A list in which every class stands once, as in a transform, SAK, GAP, SAT or key packet: a type below 64
 * that comes again fails the reader with E_DUPLICATE unless its bit is in repeatable, the 33rd attribute with
 * E_LIMIT. Higher types are private ones that nobody here knows. End with reader_end(&walk.r). */
struct attribute_walk {
    struct reader r;
    uint64_t repeatable;
    uint64_t seen;
    size_t count;
};
struct attribute_walk attribute_walk_over(struct bytes list, uint64_t repeatable);
bool attribute_walk_next(struct attribute_walk *walk, struct attribute *out);
/* The attribute as a number; the walk's reader fails with E_BAD_LENGTH, or E_RANGE beyond 65535. */
uint32_t attribute_walk_u32(struct attribute_walk *walk, const struct attribute *attribute);
uint16_t attribute_walk_u16(struct attribute_walk *walk, const struct attribute *attribute);

void attribute_put_basic(struct writer *w, uint16_t type, uint16_t value);
void attribute_put_u32(struct writer *w, uint16_t type, uint32_t value); /* TLV of 4 octets */
void attribute_put_bytes(struct writer *w, uint16_t type, struct bytes body);

#endif
