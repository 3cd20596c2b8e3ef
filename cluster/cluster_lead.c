/* cluster_lead.c - who leads and who is primary, on purpose: leadership follows the primary or an operator's
 * word, the primary's role is given up by command, and a leader whose process is gone is followed at once.
 *
 * Where leadership lies is only a matter of speed: a registration at the primary then is one round of
 * messages and not two. Nothing depends on it. */
#include <string.h>

#include "cluster/cluster_internal.h"

enum {
    LEAD_VERSION = 1,
    LEAD_ASK = 1,  /* to the leader: hand over to that server */
    LEAD_HOLD = 2, /* to the one that is to lead: an operator wants it so */
    LEAD_LEN = 2 + NODE_ID_LEN,
    FOLLOW_AFTER_MS = 1000, /* leadership that is that young stays: the primary may be about to change */
    FOLLOW_AGAIN_MS = 5000, /* after a hand-over that came to nothing */
    FOLLOW_BEHIND_MAX = 64, /* entries that a primary may lack and still be given leadership */
    LOST_FIRST_MS = 20,     /* until the best of the others stands for election, so that all have noticed */
    LOST_STEP_MS = 60,      /* and each next one of them */
};

unsigned cluster_dead_ms(const struct cluster *c)
{
    return c->options.dead_ms != 0 ? c->options.dead_ms : COOP_DEAD_MS;
}

unsigned cluster_election_ms(const struct cluster *c)
{
    return c->options.election_ms != 0 ? c->options.election_ms : CLUSTER_ELECTION_MS;
}

bool cluster_is_well(const struct cluster *c)
{
    return c->have_key && !c->disk_slow && !c->diverged &&
           (c->options.is_healthy == NULL || c->options.is_healthy(c->options.context));
}

/* ---- what this server knows of all ---- */

size_t cluster_signs(const struct cluster *c, uint64_t now_ms, struct coop_sign out[KS_NODE_MAX + 1])
{
    size_t count = 1;
    unsigned limit_ms = 2 * cluster_election_ms(c);
    if (limit_ms < 4 * HEALTH_MS)
        limit_ms = 4 * HEALTH_MS;
    out[0] = (struct coop_sign){.connected = true, .healthy_ms = cluster_is_well(c) ? now_ms : 0};
    memcpy(out[0].id, c->node_id, NODE_ID_LEN);
    for (size_t i = 0; i < c->peer_count; i++) {
        const struct peer *peer = &c->peers[i];
        struct coop_sign *sign = &out[count++];
        *sign = (struct coop_sign){
            .connected = peer->up, .healthy_ms = peer->healthy_ms, .gone_ms = peer->gone_ms};
        if (cluster_leads(c) && peer->raft_id == c->leader_before && limit_ms < cluster_dead_ms(c))
            sign->limit_ms = limit_ms;
        memcpy(sign->id, peer->id, NODE_ID_LEN);
    }
    return count;
}

/* ---- a leader that is gone ---- */

/* Key servers before witnesses, then as the primary's role is given: whoever leads next is to be primary too.
 */
static bool precedes(const struct node_record *a, const struct node_record *b)
{
    return a->role != b->role ? a->role < b->role : coop_compare(a, b) > 0;
}

static unsigned rank(const struct cluster *c, uint64_t gone)
{
    const struct node_record *self = ks_state_node(&c->state, c->node_id);
    unsigned before = 0;
    for (size_t i = 0; i < c->peer_count && self != NULL; i++) {
        const struct node_record *node = ks_state_node(&c->state, c->peers[i].id);
        if (c->peers[i].raft_id != gone && c->peers[i].up && node != NULL && node->role != NODE_STANDBY)
            before += precedes(node, self);
    }
    return before;
}

void cluster_peer_gone(struct cluster *c, struct peer *peer)
{
    uint64_t now_ms = cluster_mono_ms(c);
    peer->gone_ms = now_ms;
    if (c->dead || c->stopping || !c->started)
        return;
    raft_node_leader_lost(c->node, now_ms, peer->raft_id,
                          LOST_FIRST_MS + LOST_STEP_MS * rank(c, peer->raft_id));
    c->health_ms = 0; /* looked at again soon */
}

/* ---- leadership by hand ---- */

static void end_handover(struct cluster *c, err_t err)
{
    struct handover handover = c->handover;
    struct apply_result result = {.err = err};
    c->handover = (struct handover){0};
    if (handover.to != 0 && handover.done != NULL)
        handover.done(handover.context, &result);
}

static void send_lead(struct cluster *c, const struct peer *to, uint8_t what, const uint8_t id[NODE_ID_LEN])
{
    uint8_t buf[LEAD_LEN];
    struct writer w = writer_over(buf, sizeof(buf));
    write_u8(&w, LEAD_VERSION);
    write_u8(&w, what);
    write_bytes(&w, (struct bytes){id, NODE_ID_LEN});
    if (to->up && raft_transport_send(c->transport, to->id, MSG_LEAD, writer_bytes(&w)) != E_OK)
        return; /* whoever wants it says it again */
}

static void hand_over(struct cluster *c, const struct peer *to, bool hold)
{
    struct raft_node_update update;
    if (!cluster_peer_fresh(c, to) || raft_node_transferee(c->node) != 0)
        return;
    if (hold) /* before Raft's word, on the same connection */
        send_lead(c, to, LEAD_HOLD, to->id);
    err_t err = raft_node_transfer(c->node, cluster_mono_ms(c), to->raft_id, &update);
    if (err == E_OK)
        cluster_take(c, &update);
    else if (err != E_STATE && err != E_NOT_FOUND && err != E_NOT_PRIMARY)
        cluster_fatal(c, err, "the consensus core fails");
}

/* Does the operator's hand-over, or asks the leader for it. */
static void push_handover(struct cluster *c)
{
    const struct peer *to = cluster_peer_by_raft(c, c->handover.to);
    const struct peer *leader = cluster_peer_by_raft(c, raft_node_leader(c->node));
    if (cluster_leads(c) && to != NULL)
        hand_over(c, to, true);
    else if (leader != NULL)
        send_lead(c, leader, LEAD_ASK, c->handover.id);
}

err_t cluster_transfer(struct cluster *c, const uint8_t *id, cluster_done_fn done, void *context)
{
    const uint8_t *to = id != NULL ? id : c->state.cluster.primary_id;
    const struct node_record *node = ks_state_node(&c->state, to);
    if (node == NULL)
        return E_NOT_FOUND;
    if (!c->ready || c->dead || c->transport == NULL || c->handover.to != 0 || node->role != NODE_VOTER)
        return E_STATE;
    c->handover = (struct handover){
        .to = node_raft_id(to), .limit_ms = cluster_mono_ms(c) + HANDOVER_LIMIT_MS, done, context};
    memcpy(c->handover.id, to, NODE_ID_LEN);
    push_handover(c);
    return E_OK;
}

void cluster_lead_take(struct cluster *c, const struct peer *from, struct bytes body)
{
    struct reader r = reader_over(body);
    uint8_t version = read_u8(&r), what = read_u8(&r);
    struct bytes id = read_bytes(&r, NODE_ID_LEN);
    if (reader_end(&r) != E_OK || version != LEAD_VERSION)
        return;
    if (what == LEAD_HOLD && from->raft_id == raft_node_leader(c->node) &&
        bytes_equal(id, BYTES_OF(c->node_id))) {
        c->hold_ms = cluster_mono_ms(c) + LEAD_HOLD_MS;
        return;
    }
    if (what != LEAD_ASK || !cluster_leads(c))
        return;
    const struct node_record *node = ks_state_node(&c->state, id.data);
    const struct peer *to = cluster_peer(c, id.data);
    if (bytes_equal(id, BYTES_OF(c->node_id)))
        c->hold_ms = cluster_mono_ms(c) + LEAD_HOLD_MS;
    else if (node != NULL && node->role == NODE_VOTER && to != NULL)
        hand_over(c, to, true);
}

/* ---- leadership by itself ---- */

static void note_leader(struct cluster *c)
{
    uint64_t leader = raft_node_leader(c->node);
    if (leader == c->leader_known)
        return;
    if (c->leader_known != 0)
        c->leader_before = c->leader_known;
    c->leader_known = leader;
    c->health_ms = 0; /* the others hear at once what this server is now */
    if (leader != 0)
        cluster_forward_again(c);
}

static void follow_primary(struct cluster *c, uint64_t now_ms)
{
    struct peer *primary = cluster_peer(c, c->state.cluster.primary_id);
    bool slow = c->disk_slow; /* then anybody is better */
    if (!cluster_leads(c) || c->applied_index < c->ready_index || now_ms < c->follow_ms ||
        (!slow && (primary == NULL || now_ms < c->hold_ms || now_ms - c->leader_since_ms < FOLLOW_AFTER_MS)))
        return;
    for (size_t i = 0; i < c->peer_count && slow && primary == NULL; i++) {
        const struct node_record *node = ks_state_node(&c->state, c->peers[i].id);
        if (node != NULL && node->role == NODE_VOTER && cluster_peer_fresh(c, &c->peers[i]))
            primary = &c->peers[i];
    }
    if (primary == NULL || !cluster_peer_fresh(c, primary) || now_ms - primary->healthy_ms > 2 * HEALTH_MS ||
        primary->applied + FOLLOW_BEHIND_MAX < raft_node_commit(c->node))
        return;
    c->follow_ms = now_ms + FOLLOW_AGAIN_MS;
    hand_over(c, primary, false);
}

void cluster_lead_watch(struct cluster *c)
{
    note_leader(c);
    if (c->handover.to != 0 && raft_node_leader(c->node) == c->handover.to)
        end_handover(c, E_OK);
}

void cluster_lead_tick(struct cluster *c, uint64_t now_ms)
{
    if (c->handover.to != 0 && now_ms >= c->handover.limit_ms)
        end_handover(c, E_TIMEOUT);
    else if (c->handover.to != 0 && raft_node_transferee(c->node) == 0)
        push_handover(c);
    else
        follow_primary(c, now_ms);
}

void cluster_lead_drop(struct cluster *c, err_t err)
{
    end_handover(c, err);
}

/* ---- the primary's role ---- */

err_t cluster_step_down(struct cluster *c, cluster_done_fn done, void *context)
{
    struct coop_sign signs[KS_NODE_MAX + 1];
    struct command command = {.type = CMD_ELECT, .time_ms = cluster_now_ms(c)};
    uint64_t now_ms = cluster_mono_ms(c);
    size_t count = cluster_signs(c, now_ms, signs);
    command.u.elect.epoch = c->state.cluster.coop_epoch + 1;
    if (!c->ready || !coop_next(&c->state, signs, count, now_ms, cluster_dead_ms(c),
                                c->state.cluster.primary_id, command.u.elect.primary_id))
        return E_STATE;
    return cluster_propose(c, &command, done, context);
}

err_t cluster_priority(struct cluster *c, const uint8_t id[NODE_ID_LEN], uint8_t priority,
                       cluster_done_fn done, void *context)
{
    struct command command = {.type = CMD_NODE_PRIORITY, .time_ms = cluster_now_ms(c)};
    if (ks_state_node(&c->state, id) == NULL)
        return E_NOT_FOUND;
    memcpy(command.u.node_priority.id, id, NODE_ID_LEN);
    command.u.node_priority.priority = priority;
    return cluster_propose(c, &command, done, context);
}
