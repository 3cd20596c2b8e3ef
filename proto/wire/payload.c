#include "proto/wire/payload.h"

struct payload payload_read(struct reader *r, uint8_t type, uint8_t *next)
{
    struct reader header = *r;
    *next = read_u8(&header);
    read_skip(&header, 1); /* RESERVED: peers err, RFC 2408 5.2 or not */
    size_t len = read_u16(&header);
    if (header.err != E_OK)
        reader_fail(r, header.err);
    else if (len < PAYLOAD_HEADER_LEN)
        reader_fail(r, E_BAD_LENGTH);

    struct bytes whole = read_bytes(r, len);
    if (r->err != E_OK)
        *next = PAYLOAD_NONE;
    return (struct payload){type, whole, bytes_slice(whole, PAYLOAD_HEADER_LEN, whole.len)};
}

err_t payload_list_decode(struct payload_list *out, uint8_t first, struct bytes body)
{
    struct reader r = reader_over(body);
    out->count = 0;
    out->consumed = 0;
    for (uint8_t type = first; type != PAYLOAD_NONE && r.err == E_OK;) {
        if (out->count == PAYLOAD_MAX) {
            reader_fail(&r, E_LIMIT);
            break;
        }
        struct payload *payload = &out->items[out->count++];
        *payload = payload_read(&r, type, &type);
        out->consumed += payload->whole.len;
    }
    if (r.err != E_OK) {
        out->count = 0;
        out->consumed = 0;
    }
    return r.err; /* what is left is padding */
}

const struct payload *payload_find(const struct payload_list *list, uint8_t type, size_t n)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].type == type && n-- == 0)
            return &list->items[i];
    return NULL;
}

size_t payload_count(const struct payload_list *list, uint8_t type)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += list->items[i].type == type;
    return count;
}

err_t payload_rule_check(const struct payload_rule *rule, const struct payload_list *list)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < list->count; i++) {
        uint8_t type = list->items[i].type;
        uint64_t bit = type < 64 ? UINT64_C(1) << type : 0;
        if (((rule->need | rule->may) & bit) == 0)
            return E_UNEXPECTED;
        if ((seen & bit & ~rule->many) != 0)
            return E_DUPLICATE;
        seen |= bit;
    }
    return (rule->need & ~seen) == 0 ? E_OK : E_MISSING;
}

struct payload_chain payload_chain_over(struct writer *w, size_t next_at)
{
    return (struct payload_chain){w, next_at};
}

size_t payload_begin(struct payload_chain *chain, uint8_t type)
{
    writer_patch_u8(chain->w, chain->next_at, type);
    chain->next_at = write_reserve(chain->w, PAYLOAD_HEADER_LEN);
    return chain->next_at;
}

void payload_end(struct payload_chain *chain, size_t begun)
{
    size_t len = chain->w->len - begun;
    if (len > UINT16_MAX) {
        writer_fail(chain->w, E_BAD_LENGTH);
        return;
    }
    writer_patch_u16(chain->w, begun + 2, (uint16_t)len);
}

void payload_put(struct payload_chain *chain, uint8_t type, struct bytes body)
{
    size_t begun = payload_begin(chain, type);
    write_bytes(chain->w, body);
    payload_end(chain, begun);
}
