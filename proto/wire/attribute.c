#include "proto/wire/attribute.h"

enum { AF_BASIC = 0x8000 }; /* the top bit of the type */

bool attribute_next(struct reader *r, struct attribute *out)
{
    *out = (struct attribute){0};
    if (reader_left(r) == 0)
        return false;
    uint16_t type = read_u16(r);
    out->type = type & (AF_BASIC - 1);
    out->basic = (type & AF_BASIC) != 0;
    if (out->basic) {
        out->body = read_bytes(r, sizeof(out->value));
        for (size_t i = 0; i < out->body.len; i++)
            out->value = (uint16_t)(out->value << 8 | out->body.data[i]);
    } else {
        out->body = read_bytes(r, read_u16(r));
    }
    return r->err == E_OK;
}

err_t attribute_u32(const struct attribute *attribute, uint32_t *out)
{
    *out = 0;
    if (attribute->body.len == 0 || attribute->body.len > sizeof(*out))
        return E_BAD_LENGTH;
    for (size_t i = 0; i < attribute->body.len; i++)
        *out = *out << 8 | attribute->body.data[i];
    return E_OK;
}

struct attribute_walk attribute_walk_over(struct bytes list, uint64_t repeatable)
{
    return (struct attribute_walk){.r = reader_over(list), .repeatable = repeatable};
}

bool attribute_walk_next(struct attribute_walk *walk, struct attribute *out)
{
    if (!attribute_next(&walk->r, out))
        return false;
    if (walk->count++ == ATTRIBUTE_MAX)
        reader_fail(&walk->r, E_LIMIT);
    uint64_t bit = out->type < 64 ? UINT64_C(1) << out->type : 0;
    if ((walk->seen & bit & ~walk->repeatable) != 0)
        reader_fail(&walk->r, E_DUPLICATE);
    walk->seen |= bit;
    return walk->r.err == E_OK;
}

uint32_t attribute_walk_u32(struct attribute_walk *walk, const struct attribute *attribute)
{
    uint32_t value;
    err_t err = attribute_u32(attribute, &value);
    if (err != E_OK)
        reader_fail(&walk->r, err);
    return value;
}

uint16_t attribute_walk_u16(struct attribute_walk *walk, const struct attribute *attribute)
{
    uint32_t value = attribute_walk_u32(walk, attribute);
    reader_require(&walk->r, value <= UINT16_MAX);
    return (uint16_t)value;
}

void attribute_put_basic(struct writer *w, uint16_t type, uint16_t value)
{
    write_u16(w, type | AF_BASIC);
    write_u16(w, value);
}

void attribute_put_u32(struct writer *w, uint16_t type, uint32_t value)
{
    write_u16(w, type & (AF_BASIC - 1));
    write_u16(w, sizeof(value));
    write_u32(w, value);
}

void attribute_put_bytes(struct writer *w, uint16_t type, struct bytes body)
{
    if (body.len > UINT16_MAX) {
        writer_fail(w, E_BAD_LENGTH);
        return;
    }
    write_u16(w, type & (AF_BASIC - 1));
    write_u16(w, (uint16_t)body.len);
    write_bytes(w, body);
}
