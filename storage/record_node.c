#include "storage/record_part.h"

enum { NODE_VERSION = 2 /* 1: without priority_set and cert */ };

void node_cert_encode(struct writer *w, const struct node_cert *cert)
{
    write_bytes(w, BYTES_OF(cert->serial));
    write_bytes(w, BYTES_OF(cert->fingerprint));
    write_u64(w, cert->not_before_s);
    write_u64(w, cert->not_after_s);
}

void node_cert_decode(struct reader *r, struct node_cert *out)
{
    read_into(r, out->serial, sizeof(out->serial));
    read_into(r, out->fingerprint, sizeof(out->fingerprint));
    out->not_before_s = read_u64(r);
    out->not_after_s = read_u64(r);
}

void node_record_encode(struct writer *w, const struct node_record *r)
{
    write_u8(w, NODE_VERSION);
    write_bytes(w, BYTES_OF(r->id));
    write_u8(w, (uint8_t)r->role);
    write_u8(w, r->priority);
    endpoint_encode(w, &r->cluster);
    addr_encode(w, &r->address);
    write_u64(w, r->changed_ms);
    write_u64(w, r->request);
    bool_encode(w, r->priority_set);
    node_cert_encode(w, &r->cert);
}

err_t node_record_decode(struct node_record *out, struct bytes row)
{
    *out = (struct node_record){0};
    struct reader r = reader_over(row);
    uint8_t version = read_u8(&r);
    if ((version < RECORD_VERSION || version > NODE_VERSION) && r.err == E_OK)
        reader_fail(&r, E_BAD_VERSION);
    read_into(&r, out->id, sizeof(out->id));
    out->role = enum_decode(&r, NODE_STANDBY);
    out->priority = read_u8(&r);
    reader_require(&r, out->role >= NODE_VOTER && out->priority > 0);
    endpoint_decode(&r, &out->cluster);
    addr_decode(&r, &out->address);
    out->changed_ms = read_u64(&r);
    out->request = read_u64(&r);
    if (version >= 2) {
        out->priority_set = bool_decode(&r);
        node_cert_decode(&r, &out->cert);
    }
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
