/* cluster_member.c - who belongs to the cluster: the node table drives Raft's configuration, one change at a
 * time; the authority, its certificates, tokens and join requests. */
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/hex.h"
#include "cluster/cluster_internal.h"

enum {
    CAUGHT_UP = 64,        /* entries behind that a new voter may be */
    SHOWN_LEN = 8,         /* octets of an id in an event */
    JOIN_NOTICE_MS = 1000, /* between two events of refused requests */
};

/* ---- Raft's configuration follows the node table ---- */

/* Would a majority of the voters be live, with id as a voter or not? */
static bool keeps_quorum(struct cluster *c, uint64_t id, bool votes)
{
    uint64_t ids[RAFT_MEMBER_MAX];
    enum raft_member roles[RAFT_MEMBER_MAX];
    size_t count = raft_node_members(c->node, ids, roles), voters = 0, live = 0;
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        bool voter = ids[i] == id ? votes : roles[i] == MEMBER_VOTER;
        found |= ids[i] == id;
        if (!voter)
            continue;
        voters++;
        if (ids[i] == c->raft_id) {
            live++;
            continue;
        }
        for (size_t j = 0; j < c->peer_count; j++)
            live += c->peers[j].raft_id == ids[i] && cluster_peer_fresh(c, &c->peers[j]);
    }
    return live > voters / 2 || (!found && voters == 0);
}

static enum raft_member member_role(struct cluster *c, uint64_t id)
{
    uint64_t ids[RAFT_MEMBER_MAX];
    enum raft_member roles[RAFT_MEMBER_MAX];
    size_t count = raft_node_members(c->node, ids, roles);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return roles[i];
    }
    return MEMBER_NONE;
}

static bool change(struct cluster *c, uint64_t id, enum raft_member role)
{
    struct raft_node_update update;
    err_t err = raft_node_change(c->node, cluster_mono_ms(c), id, role, &update);
    if (err == E_OK)
        cluster_take(c, &update);
    else if (err != E_STATE && err != E_LIMIT && err != E_NOT_PRIMARY && err != E_AGAIN)
        cluster_fatal(c, err, "the configuration cannot be changed");
    return err == E_OK;
}

/* Does it answer the leader now, and not merely live? A leader that makes a voter of a server whose answers
 * it has not had steps down for want of them, and cannot come back: the newcomer gives no vote, for it has
 * not heard that it has one. */
static bool answers(const struct cluster *c, const struct peer *peer)
{
    unsigned election_ms = c->options.election_ms != 0 ? c->options.election_ms : CLUSTER_ELECTION_MS;
    return peer->answered_ms != 0 && cluster_mono_ms(c) - peer->answered_ms < election_ms / 2;
}

/* A newcomer gets the log first, as a standby, and votes when it has caught up. */
static bool raise_one(struct cluster *c)
{
    for (size_t i = 0; i < c->peer_count; i++) {
        struct peer *peer = &c->peers[i];
        const struct node_record *node = ks_state_node(&c->state, peer->id);
        if (node == NULL || !cluster_peer_fresh(c, peer))
            continue;
        enum raft_member role = member_role(c, peer->raft_id);
        if (role == MEMBER_NONE)
            return change(c, peer->raft_id, MEMBER_STANDBY);
        bool ready = peer->applied != 0 && peer->applied + CAUGHT_UP >= raft_node_commit(c->node);
        if (role == MEMBER_STANDBY && node->role != NODE_STANDBY && ready && answers(c, peer) &&
            keeps_quorum(c, peer->raft_id, true))
            return change(c, peer->raft_id, MEMBER_VOTER);
        if (role == MEMBER_VOTER && node->role == NODE_STANDBY && keeps_quorum(c, peer->raft_id, false))
            return change(c, peer->raft_id, MEMBER_STANDBY);
    }
    return false;
}

static bool drop_one(struct cluster *c)
{
    uint64_t ids[RAFT_MEMBER_MAX];
    enum raft_member roles[RAFT_MEMBER_MAX];
    size_t count = raft_node_members(c->node, ids, roles);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] != c->raft_id && ks_state_node_by_raft(&c->state, ids[i]) == NULL &&
            keeps_quorum(c, ids[i], false))
            return change(c, ids[i], MEMBER_NONE);
    }
    return false;
}

bool cluster_keep_members(struct cluster *c)
{
    if (c->state.node_count == 0)
        return false;
    return drop_one(c) || raise_one(c);
}

err_t cluster_node_remove(struct cluster *c, const uint8_t id[NODE_ID_LEN], cluster_done_fn done,
                          void *context)
{
    const struct node_record *node = ks_state_node(&c->state, id);
    uint64_t raft_id = node_raft_id(id);
    if (node == NULL)
        return E_NOT_FOUND;
    if (memcmp(c->state.cluster.primary_id, id, NODE_ID_LEN) == 0 || raft_id == raft_node_leader(c->node))
        return E_STATE;
    if (!keeps_quorum(c, raft_id, false))
        return E_NO_QUORUM;
    struct command command = {.type = CMD_NODE_REMOVE, .time_ms = cluster_now_ms(c)};
    memcpy(command.u.node_remove.id, id, NODE_ID_LEN);
    return cluster_propose(c, &command, done, context);
}

/* ---- authority and certificates ---- */

err_t cluster_make_authority(struct cluster *c, struct command *command)
{
    struct cert_key *key = NULL;
    struct cert *cert = NULL;
    uint8_t pkcs8[CERT_KEY_MAX];
    size_t len = 0;
    err_t err = cert_key_make(&key);
    if (err == E_OK)
        err = cert_make_ca(key, c->state.cluster.cluster_id, c->options.rng,
                           clock_wall_ms(c->options.clock) / 1000, CERT_CA_DAYS, &cert);
    if (err == E_OK)
        err = cert_key_encode(key, pkcs8, &len);
    command->type = CMD_CA_SET;
    if (err == E_OK)
        err = ks_ca_seal(&c->state, c->wrap, c->options.rng, cert_der(cert), (struct bytes){pkcs8, len},
                         &command->u.ca_set.ca);
    secret_wipe(pkcs8, sizeof(pkcs8));
    cert_key_free(key);
    cert_free(cert);
    return err;
}

err_t cluster_issue(struct cluster *c, struct bytes csr, const uint8_t node_id[NODE_ID_LEN], struct cert **ca,
                    struct cert **out)
{
    struct cert_name name;
    struct cert_key *key = NULL;
    uint8_t pkcs8[CERT_KEY_MAX];
    size_t len = 0;
    memcpy(name.cluster_id, c->state.cluster.cluster_id, CLUSTER_ID_LEN);
    memcpy(name.node_id, node_id, NODE_ID_LEN);
    uint64_t life_s = c->options.cert_life_s != 0 ? c->options.cert_life_s : (uint64_t)CERT_NODE_DAYS * 86400;
    *ca = *out = NULL;
    err_t err = ks_ca_open(&c->state, c->wrap, pkcs8, &len);
    if (err == E_OK)
        err = cert_key_open((struct bytes){pkcs8, len}, &key);
    secret_wipe(pkcs8, sizeof(pkcs8));
    if (err == E_OK)
        err = cert_open((struct bytes){c->state.ca.cert, c->state.ca.cert_len}, ca);
    if (err == E_OK)
        err = cert_issue_for(key, *ca, csr, &name, c->options.rng, clock_wall_ms(c->options.clock) / 1000,
                             life_s, out);
    cert_key_free(key);
    return err;
}

/* The certificate comes last: where it is, the others are. */
static err_t store_certificate(struct cluster *c, const struct cert_key *key, const struct cert *ca,
                               const struct cert *cert)
{
    err_t err = cert_key_store(key, c->disk, c->data_dir, "cluster.key");
    if (err == E_OK)
        err = cert_store(ca, c->disk, c->data_dir, "ca.crt");
    return err == E_OK ? cert_store(cert, c->disk, c->data_dir, "cluster.crt") : err;
}

err_t cluster_make_own_certificate(struct cluster *c)
{
    struct cert_key *key = NULL;
    struct cert *ca = NULL, *cert = NULL;
    struct cert_name name;
    uint8_t csr[CERT_DER_MAX];
    size_t len = 0;
    memcpy(name.cluster_id, c->state.cluster.cluster_id, CLUSTER_ID_LEN);
    memcpy(name.node_id, c->node_id, NODE_ID_LEN);
    err_t err = cert_key_make(&key);
    if (err == E_OK)
        err = cert_request_make(key, &name, csr, &len);
    if (err == E_OK)
        err = cluster_issue(c, (struct bytes){csr, len}, c->node_id, &ca, &cert);
    if (err == E_OK)
        err = store_certificate(c, key, ca, cert);
    cert_key_free(key);
    cert_free(ca);
    cert_free(cert);
    return err;
}

/* ---- tokens and join requests, on a member ---- */

err_t cluster_token_make(struct cluster *c, enum join_role role, char out[JOIN_TOKEN_TEXT_MAX],
                         cluster_done_fn done, void *context)
{
    struct command command = {.type = CMD_JOIN_TOKEN_SET, .time_ms = cluster_now_ms(c)};
    struct join_token token = {0};
    struct cert *ca = NULL;
    char text[2 * SHOWN_LEN + 1];
    if (!c->ready || c->state.ca.cert_len == 0)
        return E_STATE;
    err_t err = cert_open((struct bytes){c->state.ca.cert, c->state.ca.cert_len}, &ca);
    if (err == E_OK)
        err = join_token_make(&token, ca, c->options.rng);
    if (err == E_OK)
        err = join_record_make(&command.u.join_token_set.token, &token, role,
                               command.time_ms + JOIN_TOKEN_MINUTES * 60000u, c->wrap, c->options.rng);
    if (err == E_OK)
        err = cluster_propose(c, &command, done, context);
    if (err == E_OK) {
        join_token_format(&token, out);
        event(JOIN_TOKEN_MADE, hex_text(text, command.u.join_token_set.token.id, SHOWN_LEN),
              role == JOIN_VOTER     ? "voter"
              : role == JOIN_WITNESS ? "witness"
                                     : "standby",
              (unsigned)JOIN_TOKEN_MINUTES);
    }
    join_token_close(&token);
    cert_free(ca);
    return err;
}

/* A request on its way through the log. */
struct joining {
    struct cluster *c;
    cluster_join_fn answer;
    void *context;
    char remote[ADDR_TEXT_MAX];
    size_t len;
    uint8_t request[JOIN_REQUEST_MAX];
};

bool cluster_tell_refusal(struct cluster *c)
{
    uint64_t now_ms = cluster_mono_ms(c);
    if (c->join_refused++ != 0 && now_ms - c->join_told_ms < JOIN_NOTICE_MS)
        return false;
    c->join_told_ms = now_ms;
    return true;
}

static void refuse(const struct joining *j, err_t why)
{
    uint8_t answer[JOIN_ANSWER_MAX];
    size_t len = 0;
    if (cluster_tell_refusal(j->c))
        event(JOIN_REFUSED, j->remote, err_text(why));
    if (join_refusal_make(why, answer, &len) != E_OK)
        len = 0;
    j->answer(j->context, (struct bytes){answer, len});
}

static size_t list_members(const struct cluster *c, const uint8_t without[NODE_ID_LEN],
                           struct transport_peer out[KS_NODE_MAX])
{
    size_t count = 0;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < c->state.node_count; i++) {
        const struct node_record *node = &c->state.nodes[i];
        if (memcmp(node->id, without, NODE_ID_LEN) == 0)
            continue;
        struct transport_peer *peer = &out[count++];
        *peer = (struct transport_peer){.port = node->cluster.port};
        memcpy(peer->id, node->id, NODE_ID_LEN);
        addr_format(&node->cluster.addr, text);
        memcpy(peer->host, text, strlen(text) + 1);
    }
    return count;
}

static err_t grant(const struct joining *j, uint8_t out[JOIN_ANSWER_MAX], size_t *len)
{
    struct cluster *c = j->c;
    struct join_request request;
    struct transport_peer members[KS_NODE_MAX];
    struct cert *ca = NULL, *cert = NULL;
    char serial[CERT_SERIAL_MAX], id[2 * SHOWN_LEN + 1], token[2 * SHOWN_LEN + 1];
    err_t err = join_request_decode(&request, (struct bytes){j->request, j->len});
    const struct join_record *record = err == E_OK ? ks_state_token(&c->state, request.token_id) : NULL;
    if (err == E_OK && record == NULL)
        err = E_AUTH;
    if (err == E_OK)
        err = cluster_issue(c, request.csr, request.node_id, &ca, &cert);
    if (err == E_OK) {
        struct join_grant granted = {
            .epoch = 1, .role = record->role, .cert = cert, .ca = ca, .members = members};
        granted.member_count = list_members(c, request.node_id, members);
        err = join_answer_make(&request, record, c->wrap, &granted, out, len);
    }
    if (err == E_OK)
        event(JOIN_GRANTED, hex_text(id, request.node_id, SHOWN_LEN), request.host, cert_serial(cert, serial),
              hex_text(token, request.token_id, SHOWN_LEN));
    cert_free(ca);
    cert_free(cert);
    return err;
}

static void answer_now(struct joining *j)
{
    uint8_t answer[JOIN_ANSWER_MAX];
    size_t len = 0;
    err_t err = grant(j, answer, &len);
    if (err == E_OK)
        j->answer(j->context, (struct bytes){answer, len});
    else
        refuse(j, err);
}

static void on_used(void *context, const struct apply_result *result)
{
    struct joining *j = context;
    if (result->err == E_OK)
        answer_now(j);
    else
        refuse(j, result->err);
    free(j);
}

static err_t use_token(struct joining *j, const struct join_request *request,
                       const struct join_record *record)
{
    struct command command = {.type = CMD_JOIN_TOKEN_USED, .time_ms = cluster_now_ms(j->c)};
    struct cmd_join_token_used *used = &command.u.join_token_used;
    memcpy(used->token_id, request->token_id, JOIN_ID_LEN);
    memcpy(used->request_mac, request->mac, JOIN_MAC_LEN);
    memcpy(used->node.id, request->node_id, NODE_ID_LEN);
    used->node.role = (enum node_role)record->role;
    used->node.priority = 1; /* until it says more itself */
    used->node.cluster.port = request->port;
    err_t err = addr_parse(&used->node.cluster.addr, request->host);
    used->node.address = used->node.cluster.addr;
    return err == E_OK ? cluster_propose(j->c, &command, on_used, j) : err;
}

void cluster_join_request(struct cluster *c, struct bytes encoded, const char *remote, cluster_join_fn answer,
                          void *context)
{
    struct joining *j = calloc(1, sizeof(*j));
    struct join_request request;
    if (j == NULL || encoded.len > JOIN_REQUEST_MAX) {
        free(j);
        answer(context, (struct bytes){0});
        return;
    }
    *j = (struct joining){.c = c, .answer = answer, .context = context, .len = encoded.len};
    memcpy(j->request, encoded.data, encoded.len);
    memcpy(j->remote, remote, strnlen(remote, ADDR_TEXT_MAX - 1));
    err_t err = join_request_decode(&request, (struct bytes){j->request, j->len});
    const struct join_record *record = err == E_OK ? ks_state_token(&c->state, request.token_id) : NULL;
    if (err == E_OK && (!c->ready || c->state.ca.cert_len == 0))
        err = E_NO_QUORUM;
    else if (err == E_OK)
        err = record == NULL ? E_AUTH
                             : join_request_check(&request, record, c->state.cluster.cluster_id, c->wrap,
                                                  cluster_now_ms(c));
    if ((err == E_OK || err == E_EXISTS) && request.level < c->state.level)
        err = E_OLD_BUILD;
    if (err == E_OK)
        err = use_token(j, &request, record);
    else if (err == E_EXISTS && record != NULL && record->used) {
        answer_now(j);
        free(j);
        return;
    }
    if (err == E_OK)
        return; /* on_used goes on */
    refuse(j, err);
    free(j);
}
