/* random_command.h - commands with every field drawn from a seed, all of them valid. Free with
 * random_command_close. */
#ifndef TESTS_UNIT_CLUSTER_RANDOM_COMMAND_H
#define TESTS_UNIT_CLUSTER_RANDOM_COMMAND_H

#include "cluster/command.h"
#include "tests/unit/storage/random_record.h"

enum { RANDOM_PUSH_MAX = 700 };

static inline void draw_command_rekey(struct draw *d, struct cmd_rekey *c)
{
    *c = (struct cmd_rekey){
        .group_id = draw_u32(d),
        .epoch = draw_u32(d),
        .generation = draw_u32(d),
        .seq = draw_u32(d),
        .policy_version = draw_u32(d),
        .kind = draw_below(d, REKEY_POLICY + 1),
        .has_kek = draw_below(d, 2) == 1,
        .has_tek = draw_below(d, 2) == 1,
        .sid_reset = draw_below(d, 2) == 1,
    };
    if (c->has_kek)
        c->kek = draw_kek(d);
    if (c->has_tek)
        c->tek = draw_tek(d);
    draw_bytes(d, c->kek_spi, sizeof(c->kek_spi));
    size_t len = draw_below(d, RANDOM_PUSH_MAX);
    uint8_t *push = malloc(len + 1);
    draw_bytes(d, push, len);
    c->push = (struct bytes){push, len};
}

static inline void draw_command_done(struct draw *d, struct cmd_push_done *c)
{
    size_t count = draw_below(d, 20);
    struct identity *silent = calloc(count + 1, sizeof(*silent));
    for (size_t i = 0; i < count; i++)
        silent[i] = draw_identity(d);
    *c = (struct cmd_push_done){draw_u32(d), draw_u32(d), draw_u32(d), silent, count};
}

static inline struct node_record draw_node(struct draw *d)
{
    struct node_record node = {.role = 1 + draw_below(d, NODE_STANDBY),
                               .priority = (uint8_t)(1 + draw_below(d, 255)),
                               .cluster = {draw_addr(d), (uint16_t)draw_u32(d)},
                               .address = draw_addr(d),
                               .changed_ms = draw_u64(d),
                               .request = draw_u64(d)};
    draw_bytes(d, node.id, sizeof(node.id));
    node.priority_set = draw_below(d, 2) != 0;
    node.cert.not_before_s = draw_u64(d);
    node.cert.not_after_s = draw_u64(d);
    draw_bytes(d, node.cert.serial, sizeof(node.cert.serial));
    draw_bytes(d, node.cert.fingerprint, sizeof(node.cert.fingerprint));
    return node;
}

static inline void draw_command(struct draw *d, struct command *c)
{
    static const enum command_type types[] = {
#define COMMAND(name, number, level, text) CMD_##name,
#include "cluster/command.def"
#undef COMMAND
    };
    *c = (struct command){.type = types[draw_below(d, ARRAY_LEN(types))], .time_ms = draw_u64(d)};
    switch (c->type) {
    case CMD_CLUSTER_INIT:
        draw_bytes(d, c->u.cluster_init.cluster_id, CLUSTER_ID_LEN);
        return;
    case CMD_ELECT:
        c->u.elect.epoch = draw_u32(d);
        draw_bytes(d, c->u.elect.primary_id, NODE_ID_LEN);
        return;
    case CMD_GROUP_SET:
        c->u.group_set.config = draw_config(d);
        return;
    case CMD_GROUP_DELETE:
        snprintf(c->u.group_delete.name, GROUP_NAME_MAX, "group-%u", draw_u32(d));
        return;
    case CMD_PSK_SET:
        c->u.psk_set.psk = (struct psk_record){.peer = draw_prefix(d), .psk = draw_wrapped(d)};
        return;
    case CMD_PSK_DELETE:
        c->u.psk_delete.peer = draw_prefix(d);
        return;
    case CMD_SIGNING_KEY:
        c->u.signing_key.key = draw_signing(d);
        return;
    case CMD_MEMBER_REGISTERED:
        c->u.member_registered = (struct cmd_member_registered){
            .group_id = draw_u32(d),
            .identity = draw_identity(d),
            .endpoint = {draw_addr(d), (uint16_t)draw_u32(d)},
            .sid_request = (uint16_t)draw_u32(d),
            .offered_generation = draw_u32(d),
            .offered_seq = draw_u32(d),
        };
        draw_bytes(d, c->u.member_registered.key_server, NODE_ID_LEN);
        return;
    case CMD_MEMBER_QUARANTINED:
        c->u.member_quarantined =
            (struct cmd_member_quarantined){.group_id = draw_u32(d), .identity = draw_identity(d)};
        memset(c->u.member_quarantined.reason, 'r', 1 + draw_below(d, QUARANTINE_REASON_MAX - 1));
        return;
    case CMD_MEMBER_REMOVED:
        c->u.member_removed = (struct cmd_member_removed){draw_u32(d), draw_identity(d)};
        return;
    case CMD_REKEY:
        draw_command_rekey(d, &c->u.rekey);
        return;
    case CMD_PUSH_DONE:
        draw_command_done(d, &c->u.push_done);
        return;
    case CMD_NODE_SET:
        c->u.node_set.node = draw_node(d);
        return;
    case CMD_NODE_REMOVE:
        draw_bytes(d, c->u.node_remove.id, NODE_ID_LEN);
        return;
    case CMD_CA_SET:
        c->u.ca_set.ca.cert_len = (uint16_t)draw_below(d, CA_CERT_MAX + 1);
        draw_bytes(d, c->u.ca_set.ca.cert, c->u.ca_set.ca.cert_len);
        c->u.ca_set.ca.key_len = (uint16_t)draw_below(d, CA_KEY_MAX);
        draw_bytes(d, c->u.ca_set.ca.key, c->u.ca_set.ca.key_len);
        return;
    case CMD_JOIN_TOKEN_SET:
        c->u.join_token_set.token = (struct join_record){
            .key = draw_wrapped(d), .expires_ms = draw_u64(d), .role = 1 + draw_below(d, JOIN_STANDBY)};
        draw_bytes(d, c->u.join_token_set.token.id, JOIN_ID_LEN);
        return;
    case CMD_JOIN_TOKEN_USED:
        draw_bytes(d, c->u.join_token_used.token_id, JOIN_ID_LEN);
        draw_bytes(d, c->u.join_token_used.request_mac, JOIN_MAC_LEN);
        c->u.join_token_used.node = draw_node(d);
        return;
    case CMD_RUNWAY_SET:
        c->u.runway_set = (struct cmd_runway_set){draw_u32(d), draw_u32(d), draw_u32(d), draw_u32(d),
                                                  .count = draw_below(d, RUNWAY_MAX + 1)};
        for (size_t i = 0; i < c->u.runway_set.count; i++)
            c->u.runway_set.teks[i] = draw_tek(d);
        return;
    case CMD_MEMBER_SERVED:
        c->u.member_served = (struct cmd_member_served){.group_id = draw_u32(d),
                                                        .identity = draw_identity(d),
                                                        .endpoint = {draw_addr(d), (uint16_t)draw_u32(d)},
                                                        .served_ms = draw_u64(d)};
        draw_bytes(d, c->u.member_served.key_server, NODE_ID_LEN);
        return;
    case CMD_ENROL_SET:
        c->u.enrol_set = (struct cmd_enrol_set){
            .peer = draw_prefix(d),
            .enrolment = {
                .is_set = true, .group_id = draw_u32(d), .key = draw_wrapped(d), .expires_ms = draw_u64(d)}};
        draw_bytes(d, c->u.enrol_set.enrolment.id, ENROL_ID_LEN);
        return;
    case CMD_ENROL_USED:
        c->u.enrol_used = (struct cmd_enrol_used){.peer = draw_prefix(d), .psk = draw_wrapped(d)};
        draw_bytes(d, c->u.enrol_used.token_id, ENROL_ID_LEN);
        draw_bytes(d, c->u.enrol_used.request_mac, ENROL_MAC_LEN);
        return;
    case CMD_NODE_PRIORITY:
        draw_bytes(d, c->u.node_priority.id, NODE_ID_LEN);
        c->u.node_priority.priority = (uint8_t)draw_u32(d);
        return;
    case CMD_NODE_CERT:
        draw_bytes(d, c->u.node_cert.id, NODE_ID_LEN);
        c->u.node_cert.cert = draw_node(d).cert;
        return;
    case CMD_CLUSTER_LEVEL_SET:
        c->u.cluster_level_set = (struct cmd_cluster_level_set){
            .level = draw_u32(d), .asked_count = draw_below(d, KS_NODE_MAX + 1)};
        for (size_t i = 0; i < c->u.cluster_level_set.asked_count; i++)
            draw_bytes(d, c->u.cluster_level_set.asked[i], NODE_ID_LEN);
        return;
    case CMD_STATE_MARK:
        return;
    }
}

static inline void random_command_close(struct command *c)
{
    if (c->type == CMD_REKEY)
        free((void *)(uintptr_t)c->u.rekey.push.data);
    if (c->type == CMD_PUSH_DONE)
        free((void *)(uintptr_t)c->u.push_done.silent);
}

#endif
