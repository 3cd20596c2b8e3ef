/* cluster_house.c - commands of the cluster's own: its name, its authority, its primary, its members; and
 * whether this server may serve. */
#include <string.h>

#include "base/event.h"
#include "cluster/cluster_internal.h"

static bool is_self(const struct cluster *c, const uint8_t id[NODE_ID_LEN])
{
    return memcmp(id, c->node_id, NODE_ID_LEN) == 0;
}

/* Was there ever an election? Not in a new cluster, whose epoch is 0, and not in a restored one. */
static bool has_primary(const struct cluster *c)
{
    static const uint8_t nobody[NODE_ID_LEN];
    return memcmp(c->state.cluster.primary_id, nobody, NODE_ID_LEN) != 0;
}

/* Is another primary due, and who? */
static bool next_primary(struct cluster *c, uint8_t out[NODE_ID_LEN])
{
    const struct cluster_record *cluster = &c->state.cluster;
    uint64_t now_ms = cluster_mono_ms(c);
    memcpy(out, c->node_id, NODE_ID_LEN);
    if (!cluster_has_peers(c))
        return !is_self(c, cluster->primary_id) && raft_node_voters(c->node) == 1;
    if (!has_primary(c))
        return true; /* the first one, before there are others to choose from */
    struct coop_sign signs[KS_NODE_MAX + 1];
    size_t count = cluster_signs(c, now_ms, signs);
    return coop_elect(&c->state, signs, count, c->leader_since_ms, now_ms, cluster_dead_ms(c), out);
}

/* What this server's own row should say. */
static bool self_differs(const struct cluster *c, struct node_record *out)
{
    const struct node_record *row = ks_state_node(&c->state, c->node_id);
    *out = row != NULL ? *row : (struct node_record){.role = NODE_VOTER};
    memcpy(out->id, c->node_id, NODE_ID_LEN);
    if (row == NULL || !row->priority_set)
        out->priority = c->options.priority != 0 ? c->options.priority : CLUSTER_PRIORITY;
    out->cluster = (struct endpoint){cluster_own_address(c), c->options.listen.port};
    out->address = cluster_own_address(c);
    return row == NULL || row->priority != out->priority || !endpoint_equal(&row->cluster, &out->cluster) ||
           !addr_equal(&row->address, &out->address);
}

static void open_transport(struct cluster *c)
{
    err_t err = cluster_has_certificate(c) ? E_OK : cluster_make_own_certificate(c);
    if (err == E_OK)
        err = cluster_transport_open(c);
    if (err != E_OK)
        cluster_fatal(c, err, "the port for other key servers cannot be opened");
}

static void on_self(void *context, const struct apply_result *result)
{
    struct cluster *c = context;
    (void)result; /* looked at again */
    c->self_proposed = false;
}

/* On every server that is ready: its row, as its configuration says. A server that was removed does not come
 * back. */
static void keep_self(struct cluster *c)
{
    bool founder = !c->joined && c->state.node_count == 0;
    struct node_record row;
    if (!cluster_has_peers(c) || !c->ready || c->self_proposed || c->state.ca.cert_len == 0 ||
        (ks_state_node(&c->state, c->node_id) == NULL && !founder) || !self_differs(c, &row))
        return;
    struct command command = {.type = CMD_NODE_SET, .time_ms = cluster_now_ms(c), .u.node_set.node = row};
    c->self_proposed = cluster_propose(c, &command, on_self, c) == E_OK;
}

static void on_cert(void *context, const struct apply_result *result)
{
    struct cluster *c = context;
    (void)result; /* looked at again */
    c->cert_proposed = false;
}

/* The certificate in its row is the one that it shows. */
static void keep_cert(struct cluster *c)
{
    const struct node_record *row = ks_state_node(&c->state, c->node_id);
    if (!c->ready || c->cert_proposed || row == NULL || c->own_cert.not_after_s == 0 ||
        memcmp(row->cert.fingerprint, c->own_cert.fingerprint, NODE_FINGERPRINT_LEN) == 0)
        return;
    struct command command = {.type = CMD_NODE_CERT, .time_ms = cluster_now_ms(c)};
    memcpy(command.u.node_cert.id, c->node_id, NODE_ID_LEN);
    command.u.node_cert.cert = c->own_cert;
    c->cert_proposed = cluster_propose(c, &command, on_cert, c) == E_OK;
}

/* The leader's part: the cluster's name, its authority, its primary, its members. A command is 22 kB, so nothing
 * is built before it is due: this runs in every turn. */
static void lead_house(struct cluster *c)
{
    uint8_t primary[NODE_ID_LEN];
    bool has_authority = !cluster_has_peers(c) || c->state.ca.cert_len != 0;
    if (c->state.initialised && has_authority && !next_primary(c, primary)) {
        bool changes = cluster_has_peers(c) && cluster_keep_members(c);
        if (changes || !cluster_level_raise(c))
            return;
        c->housekeeping = true;
        cluster_flush(c);
        return;
    }
    struct command command = {.time_ms = cluster_now_ms(c)};
    err_t err = E_OK;
    if (!c->state.initialised) {
        command.type = CMD_CLUSTER_INIT;
        err = rng_fill(c->options.rng, command.u.cluster_init.cluster_id, CLUSTER_ID_LEN);
    } else if (!has_authority) {
        err = cluster_make_authority(c, &command);
    } else {
        command.type = CMD_ELECT;
        command.u.elect.epoch = c->state.cluster.coop_epoch + 1;
        memcpy(command.u.elect.primary_id, primary, NODE_ID_LEN);
    }
    if (err == E_OK)
        err = cluster_queue(c, &command, NULL, NULL);
    if (err == E_FULL)
        return; /* the next turn tries again */
    if (err != E_OK) {
        cluster_fatal(c, err, "the cluster cannot be named");
        return;
    }
    c->housekeeping = true;
    cluster_flush(c);
}

/* A leader whose clock is a guess first hears all whom it reaches: one of them may know better. */
static bool knows_time(const struct cluster *c)
{
    for (size_t i = 0; i < c->peer_count && c->clock.trust != CLOCK_SET; i++)
        if (c->peers[i].up && c->peers[i].heard_ms == 0)
            return false;
    return true;
}

void cluster_keep_house(struct cluster *c)
{
    if (c->peers_stale)
        cluster_peers_refresh(c);
    if (cluster_leads(c) && c->applied_index >= c->ready_index && knows_time(c))
        cluster_clock_lead(&c->clock, cluster_mono_ms(c));
    cluster_time_mark(c);
    keep_self(c);
    keep_cert(c);
    if (cluster_has_peers(c) && c->transport == NULL && c->state.ca.cert_len != 0 && !c->dead)
        open_transport(c);
    if (!c->housekeeping && !c->dead && cluster_leads(c) && c->applied_index >= c->ready_index &&
        c->clock.trust == CLOCK_SET)
        lead_house(c);
}

static const struct peer *leader_peer(const struct cluster *c)
{
    return cluster_peer_by_raft(c, raft_node_leader(c->node));
}

/* Is the leader's word fresh? libraft's leader steps down when it has not heard a majority for one election
 * time-out. */
bool cluster_in_contact(const struct cluster *c)
{
    const struct peer *leader = leader_peer(c);
    return cluster_leads(c) || (leader != NULL && cluster_peer_fresh(c, leader));
}

void cluster_judge_ready(struct cluster *c)
{
    if (c->dead || c->stopping)
        return;
    if (c->ready && !cluster_in_contact(c)) {
        cluster_set_ready(c, false, "no quorum of key servers");
        return;
    }
    if (c->ready || c->diverged || !c->have_key || !c->state.initialised || !has_primary(c))
        return;
    const struct peer *leader = leader_peer(c);
    bool follows = leader != NULL && cluster_peer_fresh(c, leader) && leader->leads &&
                   c->applied_index >= leader->commit && ks_state_node(&c->state, c->node_id) != NULL;
    bool leads = cluster_leads(c) && c->applied_index >= c->ready_index && c->clock.trust == CLOCK_SET &&
                 (cluster_has_peers(c) || is_self(c, c->state.cluster.primary_id));
    if (leads)
        cluster_set_ready(c, true, "the log is replayed and this server leads");
    else if (follows)
        cluster_set_ready(c, true, "the log is replayed and there is a leader");
}

/* ---- what was applied ---- */

static const char *address_of(const struct cluster *c, const uint8_t id[NODE_ID_LEN], char out[ADDR_TEXT_MAX])
{
    const struct node_record *node = ks_state_node(&c->state, id);
    return node != NULL ? addr_format(&node->address, out) : "Unknown";
}

static void tell_election(struct cluster *c, const struct cluster_record *before)
{
    char now[ADDR_TEXT_MAX], old[ADDR_TEXT_MAX];
    address_of(c, c->state.cluster.primary_id, now);
    const char *now_text = address_of(c, c->state.cluster.primary_id, now);
    const char *old_text = address_of(c, before->primary_id, old);
    for (size_t i = 0; i < c->state.group_count; i++) {
        const char *group = c->state.groups[i]->record.config.name;
        event(COOP_KS_ELECTION, group, old_text);
        event(COOP_KS_TRANS_TO_PRI, now_text, group, old_text);
    }
}

void cluster_note_applied(struct cluster *c, const struct command *command, const struct apply_result *result,
                          const struct cluster_record *before)
{
    char text[ADDR_TEXT_MAX];
    bool live = c->ready; /* not what the log replays */
    if (result->err != E_OK)
        return;
    switch (command->type) {
    case CMD_STATE_MARK:
        cluster_mark_applied(c);
        break;
    case CMD_CLUSTER_LEVEL_SET:
        if (live)
            event(CLUSTER_LEVEL, c->state.level);
        break;
    case CMD_ELECT:
        if (live && cluster_has_peers(c))
            tell_election(c, before);
        break;
    case CMD_NODE_SET:
        c->peers_stale = true;
        break;
    case CMD_NODE_REMOVE:
        c->peers_stale = true;
        for (size_t i = 0; i < c->peer_count; i++) {
            if (memcmp(c->peers[i].id, command->u.node_remove.id, NODE_ID_LEN) != 0)
                continue;
            addr_format(&c->peers[i].at.addr, text);
            for (size_t j = 0; j < c->state.group_count && live; j++)
                event(COOP_KS_REMOVE, text, c->state.groups[j]->record.config.name);
        }
        break;
    case CMD_JOIN_TOKEN_USED:
        c->peers_stale = true;
        addr_format(&command->u.join_token_used.node.address, text);
        for (size_t i = 0; i < c->state.group_count && live; i++)
            event(COOP_KS_ADD, text, c->state.groups[i]->record.config.name);
        break;
    default:
        break;
    }
}
