#include "storage/record_part.h"

void node_record_encode(struct writer *w, const struct node_record *r)
{
    write_u8(w, RECORD_VERSION);
    write_bytes(w, BYTES_OF(r->id));
    write_u8(w, (uint8_t)r->role);
    write_u8(w, r->priority);
    endpoint_encode(w, &r->cluster);
    addr_encode(w, &r->address);
    write_u64(w, r->changed_ms);
    write_u64(w, r->request);
}

err_t node_record_decode(struct node_record *out, struct bytes row)
{
    *out = (struct node_record){0};
    struct reader r = reader_over(row);
    if (read_u8(&r) != RECORD_VERSION && r.err == E_OK)
        reader_fail(&r, E_BAD_VERSION);
    read_into(&r, out->id, sizeof(out->id));
    out->role = enum_decode(&r, NODE_STANDBY);
    out->priority = read_u8(&r);
    reader_require(&r, out->role >= NODE_VOTER && out->priority > 0);
    endpoint_decode(&r, &out->cluster);
    addr_decode(&r, &out->address);
    out->changed_ms = read_u64(&r);
    out->request = read_u64(&r);
    return reader_end(&r);
}

void ca_record_encode(struct writer *w, const struct ca_record *r)
{
    write_u8(w, RECORD_VERSION);
    blob_encode(w, r->cert, r->cert_len);
    blob_encode(w, r->key, r->key_len);
}

err_t ca_record_decode(struct ca_record *out, struct bytes row)
{
    *out = (struct ca_record){0};
    struct reader r = reader_over(row);
    if (read_u8(&r) != RECORD_VERSION && r.err == E_OK)
        reader_fail(&r, E_BAD_VERSION);
    out->cert_len = blob_decode(&r, out->cert, sizeof(out->cert));
    out->key_len = blob_decode(&r, out->key, sizeof(out->key));
    return reader_end(&r);
}
