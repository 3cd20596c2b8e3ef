#include "cluster/command.h"

#include <stdlib.h>

#include "cluster/command_internal.h"
#include "cluster/level.h"
#include "storage/record_part.h"

const char *command_name(enum command_type type)
{
    switch (type) {
#define COMMAND(name, number, level, text)                                                                   \
    case CMD_##name:                                                                                         \
        return #name;
#include "cluster/command.def"
#undef COMMAND
    }
    return "?";
}

static void encode_signing(struct writer *w, const struct signing_record *key)
{
    write_u32(w, key->version);
    write_u8(w, (uint8_t)key->alg);
    write_u16(w, key->bits);
    blob_encode(w, key->public_key, key->public_len);
    blob_encode(w, key->private_key, key->private_len);
}

static void decode_signing(struct reader *r, struct signing_record *out)
{
    out->version = read_u32(r);
    out->alg = enum_decode(r, SIGN_ECDSA_384);
    out->bits = read_u16(r);
    out->public_len = blob_decode(r, out->public_key, sizeof(out->public_key));
    out->private_len = blob_decode(r, out->private_key, sizeof(out->private_key));
}

static void encode_registered(struct writer *w, const struct cmd_member_registered *c)
{
    write_u32(w, c->group_id);
    identity_encode(w, &c->identity);
    endpoint_encode(w, &c->endpoint);
    write_bytes(w, BYTES_OF(c->key_server));
    write_u16(w, c->sid_request);
    write_u32(w, c->offered_generation);
    write_u32(w, c->offered_seq);
}

static void decode_registered(struct reader *r, struct cmd_member_registered *out)
{
    out->group_id = read_u32(r);
    identity_decode(r, &out->identity);
    endpoint_decode(r, &out->endpoint);
    read_into(r, out->key_server, sizeof(out->key_server));
    out->sid_request = read_u16(r);
    out->offered_generation = read_u32(r);
    out->offered_seq = read_u32(r);
}

static void encode_rekey(struct writer *w, const struct cmd_rekey *c)
{
    write_u32(w, c->group_id);
    write_u32(w, c->epoch);
    write_u32(w, c->generation);
    write_u32(w, c->seq);
    write_u32(w, c->policy_version);
    write_u8(w, (uint8_t)c->kind);
    bool_encode(w, c->has_kek);
    if (c->has_kek)
        kek_record_encode(w, &c->kek);
    bool_encode(w, c->has_tek);
    if (c->has_tek)
        tek_record_encode(w, &c->tek);
    bool_encode(w, c->sid_reset);
    write_bytes(w, BYTES_OF(c->kek_spi));
    if (c->push.len > ISAKMP_MESSAGE_MAX)
        writer_fail(w, E_LIMIT);
    write_u32(w, (uint32_t)c->push.len);
    write_bytes(w, c->push);
}

static void decode_rekey(struct reader *r, struct cmd_rekey *out)
{
    out->group_id = read_u32(r);
    out->epoch = read_u32(r);
    out->generation = read_u32(r);
    out->seq = read_u32(r);
    out->policy_version = read_u32(r);
    out->kind = enum_decode(r, REKEY_POLICY);
    out->has_kek = bool_decode(r);
    if (out->has_kek)
        kek_record_decode(r, &out->kek);
    out->has_tek = bool_decode(r);
    if (out->has_tek)
        tek_record_decode(r, &out->tek);
    out->sid_reset = bool_decode(r);
    read_into(r, out->kek_spi, sizeof(out->kek_spi));
    uint32_t len = read_u32(r);
    reader_require(r, len <= ISAKMP_MESSAGE_MAX);
    out->push = read_bytes(r, r->err == E_OK ? len : 0);
}

static void encode_push_done(struct writer *w, const struct cmd_push_done *c)
{
    write_u32(w, c->group_id);
    write_u32(w, c->seq);
    write_u32(w, c->retransmits);
    if (c->silent_count > SILENT_MAX)
        writer_fail(w, E_LIMIT);
    write_u32(w, (uint32_t)c->silent_count);
    for (size_t i = 0; i < c->silent_count && w->err == E_OK; i++)
        identity_encode(w, &c->silent[i]);
}

static void decode_push_done(struct reader *r, struct cmd_push_done *out)
{
    out->group_id = read_u32(r);
    out->seq = read_u32(r);
    out->retransmits = read_u32(r);
    uint32_t count = read_u32(r);
    /* An identity takes three octets or more: no allocation beyond what the bytes can fill. */
    reader_require(r, count <= SILENT_MAX && count <= reader_left(r) / 3);
    if (r->err != E_OK || count == 0)
        return;
    struct identity *silent = calloc(count, sizeof(*silent));
    if (silent == NULL) {
        reader_fail(r, E_NO_MEMORY);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        identity_decode(r, &silent[i]);
    out->silent = silent;
    out->silent_count = count;
}

static void encode_runway(struct writer *w, const struct cmd_runway_set *c)
{
    write_u32(w, c->group_id);
    write_u32(w, c->epoch);
    write_u32(w, c->generation);
    write_u32(w, c->policy_version);
    write_u8(w, (uint8_t)c->count);
    for (size_t i = 0; i < c->count; i++)
        tek_record_encode(w, &c->teks[i]);
}

static void decode_runway(struct reader *r, struct cmd_runway_set *out)
{
    out->group_id = read_u32(r);
    out->epoch = read_u32(r);
    out->generation = read_u32(r);
    out->policy_version = read_u32(r);
    out->count = enum_decode(r, RUNWAY_MAX);
    for (size_t i = 0; i < out->count; i++)
        tek_record_decode(r, &out->teks[i]);
}

static void encode_served(struct writer *w, const struct cmd_member_served *c)
{
    write_u32(w, c->group_id);
    identity_encode(w, &c->identity);
    endpoint_encode(w, &c->endpoint);
    write_bytes(w, BYTES_OF(c->key_server));
    write_u64(w, c->served_ms);
}

static void decode_served(struct reader *r, struct cmd_member_served *out)
{
    out->group_id = read_u32(r);
    identity_decode(r, &out->identity);
    endpoint_decode(r, &out->endpoint);
    read_into(r, out->key_server, sizeof(out->key_server));
    out->served_ms = read_u64(r);
}

/* An older command ends behind the configuration: it knew no runway. */
static void decode_group_set(struct reader *r, struct cmd_group_set *out)
{
    group_config_decode(r, &out->config);
    if (r->err == E_OK && reader_left(r) > 0)
        out->config.runway = enum_decode(r, RUNWAY_MAX);
}

/* Rows inside commands carry their length, as they have a format version of their own. */
static void encode_node(struct writer *w, const struct node_record *node)
{
    size_t length = write_reserve(w, 2), start = w->len;
    node_record_encode(w, node);
    if (w->err == E_OK)
        writer_patch_u16(w, length, (uint16_t)(w->len - start));
}

static void decode_node(struct reader *r, struct node_record *out)
{
    struct bytes row = read_bytes(r, read_u16(r));
    if (r->err == E_OK)
        reader_require(r, node_record_decode(out, row) == E_OK);
}

static void encode_token(struct writer *w, const struct join_record *token)
{
    size_t length = write_reserve(w, 2), start = w->len;
    join_record_encode(w, token);
    if (w->err == E_OK)
        writer_patch_u16(w, length, (uint16_t)(w->len - start));
}

static void decode_token(struct reader *r, struct join_record *out)
{
    struct bytes row = read_bytes(r, read_u16(r));
    if (r->err == E_OK)
        reader_require(r, join_record_decode(out, row) == E_OK);
}

static void encode_cluster_fields(struct writer *w, const struct command *c)
{
    switch (c->type) {
    case CMD_NODE_SET:
        encode_node(w, &c->u.node_set.node);
        return;
    case CMD_NODE_REMOVE:
        write_bytes(w, BYTES_OF(c->u.node_remove.id));
        return;
    case CMD_CA_SET:
        blob_encode(w, c->u.ca_set.ca.cert, c->u.ca_set.ca.cert_len);
        blob_encode(w, c->u.ca_set.ca.key, c->u.ca_set.ca.key_len);
        return;
    case CMD_JOIN_TOKEN_SET:
        encode_token(w, &c->u.join_token_set.token);
        return;
    case CMD_JOIN_TOKEN_USED:
        write_bytes(w, BYTES_OF(c->u.join_token_used.token_id));
        write_bytes(w, BYTES_OF(c->u.join_token_used.request_mac));
        encode_node(w, &c->u.join_token_used.node);
        return;
    case CMD_RUNWAY_SET:
        encode_runway(w, &c->u.runway_set);
        return;
    case CMD_MEMBER_SERVED:
        encode_served(w, &c->u.member_served);
        return;
    default:
        command_encode_operate(w, c);
    }
}

static void decode_cluster_fields(struct reader *r, struct command *out)
{
    switch (out->type) {
    case CMD_NODE_SET:
        decode_node(r, &out->u.node_set.node);
        return;
    case CMD_NODE_REMOVE:
        read_into(r, out->u.node_remove.id, NODE_ID_LEN);
        return;
    case CMD_CA_SET:
        out->u.ca_set.ca.cert_len = blob_decode(r, out->u.ca_set.ca.cert, CA_CERT_MAX);
        out->u.ca_set.ca.key_len = blob_decode(r, out->u.ca_set.ca.key, sizeof(out->u.ca_set.ca.key));
        return;
    case CMD_JOIN_TOKEN_SET:
        decode_token(r, &out->u.join_token_set.token);
        return;
    case CMD_JOIN_TOKEN_USED:
        read_into(r, out->u.join_token_used.token_id, JOIN_ID_LEN);
        read_into(r, out->u.join_token_used.request_mac, JOIN_MAC_LEN);
        decode_node(r, &out->u.join_token_used.node);
        return;
    case CMD_RUNWAY_SET:
        decode_runway(r, &out->u.runway_set);
        return;
    case CMD_MEMBER_SERVED:
        decode_served(r, &out->u.member_served);
        return;
    default:
        command_decode_operate(r, out);
    }
}

static void encode_fields(struct writer *w, const struct command *c)
{
    switch (c->type) {
    case CMD_CLUSTER_INIT:
        write_bytes(w, BYTES_OF(c->u.cluster_init.cluster_id));
        return;
    case CMD_ELECT:
        write_u32(w, c->u.elect.epoch);
        write_bytes(w, BYTES_OF(c->u.elect.primary_id));
        return;
    case CMD_GROUP_SET:
        group_config_encode(w, &c->u.group_set.config);
        write_u8(w, c->u.group_set.config.runway);
        return;
    case CMD_GROUP_DELETE:
        name_encode(w, c->u.group_delete.name, sizeof(c->u.group_delete.name));
        return;
    case CMD_PSK_SET:
        prefix_encode(w, &c->u.psk_set.psk.peer);
        wrapped_encode(w, &c->u.psk_set.psk.psk);
        return;
    case CMD_PSK_DELETE:
        prefix_encode(w, &c->u.psk_delete.peer);
        return;
    case CMD_SIGNING_KEY:
        encode_signing(w, &c->u.signing_key.key);
        return;
    case CMD_MEMBER_REGISTERED:
        encode_registered(w, &c->u.member_registered);
        return;
    case CMD_MEMBER_REMOVED:
        write_u32(w, c->u.member_removed.group_id);
        identity_encode(w, &c->u.member_removed.identity);
        return;
    case CMD_REKEY:
        encode_rekey(w, &c->u.rekey);
        return;
    case CMD_PUSH_DONE:
        encode_push_done(w, &c->u.push_done);
        return;
    default:
        encode_cluster_fields(w, c);
    }
}

static void decode_fields(struct reader *r, struct command *out)
{
    switch (out->type) {
    case CMD_CLUSTER_INIT:
        read_into(r, out->u.cluster_init.cluster_id, CLUSTER_ID_LEN);
        return;
    case CMD_ELECT:
        out->u.elect.epoch = read_u32(r);
        read_into(r, out->u.elect.primary_id, NODE_ID_LEN);
        return;
    case CMD_GROUP_SET:
        decode_group_set(r, &out->u.group_set);
        return;
    case CMD_GROUP_DELETE:
        name_decode(r, out->u.group_delete.name, sizeof(out->u.group_delete.name));
        return;
    case CMD_PSK_SET:
        prefix_decode(r, &out->u.psk_set.psk.peer);
        wrapped_decode(r, &out->u.psk_set.psk.psk);
        return;
    case CMD_PSK_DELETE:
        prefix_decode(r, &out->u.psk_delete.peer);
        return;
    case CMD_SIGNING_KEY:
        decode_signing(r, &out->u.signing_key.key);
        return;
    case CMD_MEMBER_REGISTERED:
        decode_registered(r, &out->u.member_registered);
        return;
    case CMD_MEMBER_REMOVED:
        out->u.member_removed.group_id = read_u32(r);
        identity_decode(r, &out->u.member_removed.identity);
        return;
    case CMD_REKEY:
        decode_rekey(r, &out->u.rekey);
        return;
    case CMD_PUSH_DONE:
        decode_push_done(r, &out->u.push_done);
        return;
    default:
        decode_cluster_fields(r, out);
    }
}

err_t command_encode(struct writer *w, const struct command *command)
{
    write_u8(w, (uint8_t)command->type);
    write_u64(w, command->time_ms);
    size_t length = write_reserve(w, 4);
    size_t start = w->len;
    encode_fields(w, command);
    if (w->err == E_OK)
        writer_patch_u32(w, length, (uint32_t)(w->len - start));
    return writer_end(w);
}

err_t command_decode(struct reader *r, struct command *out)
{
    *out = (struct command){0};
    out->type = read_u8(r);
    out->time_ms = read_u64(r);
    uint32_t length = read_u32(r);
    struct reader fields = reader_over(read_bytes(r, length));
    if (r->err == E_OK && level_of_command(&level_own, out->type) == 0)
        return E_UNSUPPORTED;
    if (r->err == E_OK) {
        decode_fields(&fields, out);
        err_t err = reader_end(&fields);
        if (err != E_OK)
            reader_fail(r, err == E_NO_MEMORY ? err : E_CORRUPT);
    }
    if (r->err == E_OK)
        return E_OK;
    command_close(out);
    return r->err == E_NO_MEMORY ? E_NO_MEMORY : E_CORRUPT;
}

void command_close(struct command *command)
{
    if (command->type == CMD_PUSH_DONE)
        free((void *)(uintptr_t)command->u.push_done.silent); /* ours: made by command_decode */
    *command = (struct command){0};
}
