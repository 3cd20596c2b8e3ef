#include "storage/record.h"

#include <string.h>

#include "storage/record_part.h"

enum { GROUP_RECORD_VERSION = 2 };       /* 1: without runway and pseudotime base */
enum { PSK_ENROLLED_VERSION = 2 };       /* with an enrolment */
enum { MEMBER_QUARANTINED_VERSION = 2 }; /* with a reason */

static struct reader row_reader(struct bytes row)
{
    struct reader r = reader_over(row);
    uint8_t version = read_u8(&r);
    if (r.err == E_OK && version != RECORD_VERSION)
        reader_fail(&r, E_BAD_VERSION);
    return r;
}

static void encode_runway(struct writer *w, const struct group_record *r)
{
    write_u64(w, r->pseudotime_base_ms);
    write_u8(w, r->config.runway);
    write_u8(w, (uint8_t)r->runway_count);
    for (size_t i = 0; i < r->runway_count; i++)
        tek_record_encode(w, &r->runway[i]);
}

static void decode_runway(struct reader *r, struct group_record *out)
{
    out->pseudotime_base_ms = read_u64(r);
    out->config.runway = enum_decode(r, RUNWAY_MAX);
    out->runway_count = enum_decode(r, RUNWAY_MAX);
    for (size_t i = 0; i < out->runway_count; i++)
        tek_record_decode(r, &out->runway[i]);
}

void group_record_encode(struct writer *w, const struct group_record *r)
{
    write_u8(w, GROUP_RECORD_VERSION);
    write_u32(w, r->id);
    write_u32(w, r->policy_version);
    write_u32(w, r->told_version);
    group_config_encode(w, &r->config);
    write_u32(w, r->generation);
    write_u32(w, r->seq);
    bool_encode(w, r->has_kek);
    if (r->has_kek)
        kek_record_encode(w, &r->kek);
    bool_encode(w, r->has_previous_kek);
    if (r->has_previous_kek)
        kek_record_encode(w, &r->previous_kek);
    write_u8(w, (uint8_t)r->tek_count);
    for (size_t i = 0; i < r->tek_count; i++)
        tek_record_encode(w, &r->teks[i]);
    write_u32(w, r->next_sid);
    write_u32(w, r->sid_epoch);
    write_u64(w, r->rekeys_sent);
    encode_runway(w, r);
}

err_t group_record_decode(struct group_record *out, struct bytes row)
{
    *out = (struct group_record){0};
    struct reader r = reader_over(row);
    uint8_t version = read_u8(&r);
    if (r.err == E_OK && version != RECORD_VERSION && version != GROUP_RECORD_VERSION)
        reader_fail(&r, E_BAD_VERSION);
    out->id = read_u32(&r);
    out->policy_version = read_u32(&r);
    out->told_version = read_u32(&r);
    group_config_decode(&r, &out->config);
    out->generation = read_u32(&r);
    out->seq = read_u32(&r);
    out->has_kek = bool_decode(&r);
    if (out->has_kek)
        kek_record_decode(&r, &out->kek);
    out->has_previous_kek = bool_decode(&r);
    if (out->has_previous_kek)
        kek_record_decode(&r, &out->previous_kek);
    out->tek_count = enum_decode(&r, GROUP_TEK_MAX);
    for (size_t i = 0; i < out->tek_count; i++)
        tek_record_decode(&r, &out->teks[i]);
    out->next_sid = read_u32(&r);
    out->sid_epoch = read_u32(&r);
    out->rekeys_sent = read_u64(&r);
    if (version == GROUP_RECORD_VERSION)
        decode_runway(&r, out);
    return reader_end(&r);
}

void member_record_encode(struct writer *w, const struct member_record *r)
{
    write_u8(w, r->quarantined_ms != 0 ? MEMBER_QUARANTINED_VERSION : RECORD_VERSION);
    write_u32(w, r->group_id);
    identity_encode(w, &r->identity);
    endpoint_encode(w, &r->endpoint);
    write_bytes(w, BYTES_OF(r->key_server));
    write_u64(w, r->first_ms);
    write_u64(w, r->last_ms);
    write_u32(w, r->registrations);
    write_u32(w, r->seq_base);
    write_u32(w, r->rekeys_sent);
    write_u32(w, r->acks);
    write_u32(w, r->missed);
    write_u8(w, r->missed_in_row);
    for (size_t i = 0; i < MEMBER_SEQ_SHOWN; i++)
        write_u32(w, r->sent_seq[i]);
    for (size_t i = 0; i < MEMBER_SEQ_SHOWN; i++)
        write_u32(w, r->acked_seq[i]);
    write_u16(w, r->sid_count);
    write_u32(w, r->first_sid);
    if (r->quarantined_ms != 0) {
        write_u64(w, r->quarantined_ms);
        size_t len = strlen(r->quarantine) + 1; /* with its NUL, so that a row can be read where it is */
        write_u8(w, (uint8_t)len);
        write_bytes(w, (struct bytes){(const uint8_t *)r->quarantine, len});
    }
}

err_t member_record_decode(struct member_record *out, struct bytes row)
{
    *out = (struct member_record){0};
    struct reader r = reader_over(row);
    uint8_t version = read_u8(&r);
    if (r.err == E_OK && version != RECORD_VERSION && version != MEMBER_QUARANTINED_VERSION)
        reader_fail(&r, E_BAD_VERSION);
    out->group_id = read_u32(&r);
    identity_decode(&r, &out->identity);
    endpoint_decode(&r, &out->endpoint);
    read_into(&r, out->key_server, sizeof(out->key_server));
    out->first_ms = read_u64(&r);
    out->last_ms = read_u64(&r);
    out->registrations = read_u32(&r);
    out->seq_base = read_u32(&r);
    out->rekeys_sent = read_u32(&r);
    out->acks = read_u32(&r);
    out->missed = read_u32(&r);
    out->missed_in_row = read_u8(&r);
    for (size_t i = 0; i < MEMBER_SEQ_SHOWN; i++)
        out->sent_seq[i] = read_u32(&r);
    for (size_t i = 0; i < MEMBER_SEQ_SHOWN; i++)
        out->acked_seq[i] = read_u32(&r);
    out->sid_count = read_u16(&r);
    reader_require(&r, out->sid_count <= MEMBER_SID_MAX);
    out->first_sid = read_u32(&r);
    if (version == MEMBER_QUARANTINED_VERSION) {
        out->quarantined_ms = read_u64(&r);
        struct bytes reason = read_bytes(&r, read_u8(&r));
        bool good = r.err == E_OK && reason.len > 1 && reason.len <= QUARANTINE_REASON_MAX &&
                    memchr(reason.data, 0, reason.len) == reason.data + reason.len - 1;
        reader_require(&r, good && out->quarantined_ms != 0);
        out->quarantine = good ? (const char *)reason.data : NULL;
    }
    return reader_end(&r);
}

void rekey_record_encode(struct writer *w, const struct rekey_record *r)
{
    write_u8(w, RECORD_VERSION);
    write_u32(w, r->group_id);
    write_u32(w, r->seq);
    write_u8(w, (uint8_t)r->kind);
    write_u64(w, r->created_ms);
    write_u64(w, r->done_ms);
    write_u32(w, r->members);
    write_u32(w, r->acked);
    write_u32(w, r->silent);
    write_u32(w, r->retransmits);
    write_u32(w, r->push_len);
    write_bytes(w, BYTES_OF(r->kek_spi));
}

err_t rekey_record_decode(struct rekey_record *out, struct bytes row)
{
    *out = (struct rekey_record){0};
    struct reader r = row_reader(row);
    out->group_id = read_u32(&r);
    out->seq = read_u32(&r);
    out->kind = enum_decode(&r, REKEY_POLICY);
    out->created_ms = read_u64(&r);
    out->done_ms = read_u64(&r);
    out->members = read_u32(&r);
    out->acked = read_u32(&r);
    out->silent = read_u32(&r);
    out->retransmits = read_u32(&r);
    out->push_len = read_u32(&r);
    read_into(&r, out->kek_spi, sizeof(out->kek_spi));
    return reader_end(&r);
}

void enrolment_encode(struct writer *w, const struct enrolment *e)
{
    write_u32(w, e->group_id);
    write_bytes(w, BYTES_OF(e->id));
    wrapped_encode(w, &e->key);
    write_u64(w, e->expires_ms);
    bool_encode(w, e->used);
    write_bytes(w, BYTES_OF(e->used_by));
}

void enrolment_decode(struct reader *r, struct enrolment *out)
{
    out->is_set = true;
    out->group_id = read_u32(r);
    read_into(r, out->id, sizeof(out->id));
    wrapped_decode(r, &out->key);
    out->expires_ms = read_u64(r);
    out->used = bool_decode(r);
    read_into(r, out->used_by, sizeof(out->used_by));
}

/* A key of a configuration stays a row of version 1. */
void psk_record_encode(struct writer *w, const struct psk_record *r)
{
    write_u8(w, r->enrolment.is_set ? PSK_ENROLLED_VERSION : RECORD_VERSION);
    prefix_encode(w, &r->peer);
    wrapped_encode(w, &r->psk);
    if (r->enrolment.is_set)
        enrolment_encode(w, &r->enrolment);
}

err_t psk_record_decode(struct psk_record *out, struct bytes row)
{
    *out = (struct psk_record){0};
    struct reader r = reader_over(row);
    uint8_t version = read_u8(&r);
    if (r.err == E_OK && version != RECORD_VERSION && version != PSK_ENROLLED_VERSION)
        reader_fail(&r, E_BAD_VERSION);
    prefix_decode(&r, &out->peer);
    wrapped_decode(&r, &out->psk);
    if (version == PSK_ENROLLED_VERSION)
        enrolment_decode(&r, &out->enrolment);
    return reader_end(&r);
}

void signing_record_encode(struct writer *w, const struct signing_record *r)
{
    write_u8(w, RECORD_VERSION);
    write_u32(w, r->version);
    write_u8(w, (uint8_t)r->alg);
    write_u16(w, r->bits);
    blob_encode(w, r->public_key, r->public_len);
    blob_encode(w, r->private_key, r->private_len);
}

err_t signing_record_decode(struct signing_record *out, struct bytes row)
{
    *out = (struct signing_record){0};
    struct reader r = row_reader(row);
    out->version = read_u32(&r);
    out->alg = enum_decode(&r, SIGN_ECDSA_384);
    out->bits = read_u16(&r);
    out->public_len = blob_decode(&r, out->public_key, sizeof(out->public_key));
    out->private_len = blob_decode(&r, out->private_key, sizeof(out->private_key));
    return reader_end(&r);
}

void cluster_record_encode(struct writer *w, const struct cluster_record *r)
{
    write_u8(w, RECORD_VERSION);
    write_bytes(w, BYTES_OF(r->cluster_id));
    write_u32(w, r->coop_epoch);
    write_bytes(w, BYTES_OF(r->primary_id));
    write_u64(w, r->time_ms);
    write_u32(w, r->next_group_id);
}

err_t cluster_record_decode(struct cluster_record *out, struct bytes row)
{
    *out = (struct cluster_record){0};
    struct reader r = row_reader(row);
    read_into(&r, out->cluster_id, sizeof(out->cluster_id));
    out->coop_epoch = read_u32(&r);
    read_into(&r, out->primary_id, sizeof(out->primary_id));
    out->time_ms = read_u64(&r);
    out->next_group_id = read_u32(&r);
    return reader_end(&r);
}

void level_record_encode(struct writer *w, uint32_t level)
{
    write_u32(w, level);
}

err_t level_record_decode(uint32_t *out, struct bytes row)
{
    struct reader r = reader_over(row);
    *out = read_u32(&r);
    reader_require(&r, *out > 0);
    return reader_end(&r);
}
