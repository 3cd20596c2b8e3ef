#include "proto/wire/id_payload.h"

#include <stdio.h>
#include <string.h>

enum { IPV4_LEN = 4, IPV4_PAIR_LEN = 8, IPV6_LEN = 16, IPV6_PAIR_LEN = 32 };

size_t id_type_data_len(uint8_t type)
{
    switch (type) {
    case ID_IPV4_ADDR:
        return IPV4_LEN;
    case ID_IPV6_ADDR:
        return IPV6_LEN;
    case ID_IPV4_ADDR_SUBNET:
    case ID_IPV4_ADDR_RANGE:
        return IPV4_PAIR_LEN;
    case ID_IPV6_ADDR_SUBNET:
    case ID_IPV6_ADDR_RANGE:
        return IPV6_PAIR_LEN;
    default:
        return 0;
    }
}

static err_t check_data(uint8_t type, struct bytes data)
{
    if (type < ID_IPV4_ADDR || type > ID_OID)
        return E_RANGE;
    size_t wanted = id_type_data_len(type);
    if (wanted != 0 ? data.len != wanted : data.len == 0 || data.len > ID_DATA_MAX)
        return E_BAD_LENGTH;
    return E_OK;
}

err_t id_payload_decode(struct id_payload *out, struct bytes body)
{
    struct reader r = reader_over(body);
    out->type = read_u8(&r);
    out->protocol = read_u8(&r);
    out->port = read_u16(&r);
    out->data = read_rest(&r);
    return r.err != E_OK ? r.err : check_data(out->type, out->data);
}

void id_payload_encode(struct writer *w, const struct id_payload *id)
{
    write_u8(w, id->type);
    write_u8(w, id->protocol);
    write_u16(w, id->port);
    write_bytes(w, id->data);
}

err_t identity_from_payload(struct identity *out, const struct id_payload *id)
{
    *out = (struct identity){0};
    err_t err = check_data(id->type, id->data);
    if (err != E_OK)
        return err;
    out->type = id->type;
    out->len = (uint8_t)id->data.len;
    memcpy(out->data, id->data.data, id->data.len);
    return E_OK;
}

struct id_payload identity_as_payload(const struct identity *identity)
{
    return (struct id_payload){.type = identity->type, .data = {identity->data, identity->len}};
}

struct identity identity_from_addr(const struct addr *addr)
{
    struct identity identity = {0};
    struct bytes raw = addr_bytes(addr);
    if (raw.len == 0)
        return identity;
    identity.type = raw.len == IPV4_LEN ? ID_IPV4_ADDR : ID_IPV6_ADDR;
    identity.len = (uint8_t)raw.len;
    memcpy(identity.data, raw.data, raw.len);
    return identity;
}

struct identity identity_from_number(uint32_t number)
{
    struct identity identity = {.type = ID_KEY_ID};
    struct writer w = writer_over(identity.data, sizeof(identity.data));
    write_u32(&w, number);
    identity.len = (uint8_t)w.len;
    return identity;
}

err_t identity_from_text(struct identity *out, uint8_t type, const char *text)
{
    *out = (struct identity){0};
    if (type != ID_FQDN && type != ID_USER_FQDN && type != ID_KEY_ID)
        return E_BAD_ID;
    struct id_payload id = {.type = type, .data = bytes_of_text(text)};
    return identity_from_payload(out, &id);
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
    return a->type == b->type &&
           bytes_equal((struct bytes){a->data, a->len}, (struct bytes){b->data, b->len});
}

err_t identity_addr(const struct identity *identity, struct addr *out)
{
    *out = (struct addr){0};
    size_t wanted = id_type_data_len(identity->type);
    if (identity->type != ID_IPV4_ADDR && identity->type != ID_IPV6_ADDR)
        return E_BAD_ID;
    if (identity->len != wanted)
        return E_BAD_ID;
    return addr_from_bytes(out, (struct bytes){identity->data, identity->len});
}
