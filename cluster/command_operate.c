/* command_operate.c - the fields of the commands with which a cluster is operated. */
#include "cluster/command_internal.h"
#include "storage/record_part.h"

static void encode_level(struct writer *w, const struct cmd_cluster_level_set *c)
{
    write_u32(w, c->level);
    if (c->asked_count > KS_NODE_MAX)
        writer_fail(w, E_LIMIT);
    write_u8(w, (uint8_t)c->asked_count);
    for (size_t i = 0; i < c->asked_count && w->err == E_OK; i++)
        write_bytes(w, BYTES_OF(c->asked[i]));
}

static void decode_level(struct reader *r, struct cmd_cluster_level_set *out)
{
    out->level = read_u32(r);
    out->asked_count = enum_decode(r, KS_NODE_MAX);
    for (size_t i = 0; i < out->asked_count && r->err == E_OK; i++)
        read_into(r, out->asked[i], NODE_ID_LEN);
}

void command_encode_operate(struct writer *w, const struct command *c)
{
    switch (c->type) {
    case CMD_NODE_PRIORITY:
        write_bytes(w, BYTES_OF(c->u.node_priority.id));
        write_u8(w, c->u.node_priority.priority);
        return;
    case CMD_NODE_CERT:
        write_bytes(w, BYTES_OF(c->u.node_cert.id));
        node_cert_encode(w, &c->u.node_cert.cert);
        return;
    case CMD_ENROL_SET:
        prefix_encode(w, &c->u.enrol_set.peer);
        enrolment_encode(w, &c->u.enrol_set.enrolment);
        return;
    case CMD_ENROL_USED:
        prefix_encode(w, &c->u.enrol_used.peer);
        write_bytes(w, BYTES_OF(c->u.enrol_used.token_id));
        write_bytes(w, BYTES_OF(c->u.enrol_used.request_mac));
        wrapped_encode(w, &c->u.enrol_used.psk);
        return;
    case CMD_MEMBER_QUARANTINED:
        write_u32(w, c->u.member_quarantined.group_id);
        identity_encode(w, &c->u.member_quarantined.identity);
        name_encode(w, c->u.member_quarantined.reason, sizeof(c->u.member_quarantined.reason));
        return;
    case CMD_CLUSTER_LEVEL_SET:
        encode_level(w, &c->u.cluster_level_set);
        return;
    case CMD_STATE_MARK:
        return;
    default:
        writer_fail(w, E_RANGE);
    }
}

void command_decode_operate(struct reader *r, struct command *out)
{
    switch (out->type) {
    case CMD_NODE_PRIORITY:
        read_into(r, out->u.node_priority.id, NODE_ID_LEN);
        out->u.node_priority.priority = read_u8(r);
        return;
    case CMD_NODE_CERT:
        read_into(r, out->u.node_cert.id, NODE_ID_LEN);
        node_cert_decode(r, &out->u.node_cert.cert);
        return;
    case CMD_ENROL_SET:
        prefix_decode(r, &out->u.enrol_set.peer);
        enrolment_decode(r, &out->u.enrol_set.enrolment);
        return;
    case CMD_ENROL_USED:
        prefix_decode(r, &out->u.enrol_used.peer);
        read_into(r, out->u.enrol_used.token_id, ENROL_ID_LEN);
        read_into(r, out->u.enrol_used.request_mac, ENROL_MAC_LEN);
        wrapped_decode(r, &out->u.enrol_used.psk);
        return;
    case CMD_MEMBER_QUARANTINED:
        out->u.member_quarantined.group_id = read_u32(r);
        identity_decode(r, &out->u.member_quarantined.identity);
        name_decode(r, out->u.member_quarantined.reason, sizeof(out->u.member_quarantined.reason));
        return;
    case CMD_CLUSTER_LEVEL_SET:
        decode_level(r, &out->u.cluster_level_set);
        return;
    case CMD_STATE_MARK:
        return;
    default:
        reader_fail(r, E_RANGE);
    }
}
