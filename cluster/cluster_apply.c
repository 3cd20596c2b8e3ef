#include <stdlib.h>
#include <string.h>

#include "cluster/cluster_internal.h"

static struct proposal *head_proposal(struct cluster *c)
{
    return &c->proposals[c->proposal_head];
}

static void pop_proposal(struct cluster *c)
{
    c->proposal_head = (c->proposal_head + 1) % PROPOSAL_MAX;
    c->proposal_count--;
    c->proposal_flying--;
}

/* An applied entry is ours if index and term are: then its commands and the proposals go in step. */
static bool is_ours(struct cluster *c, uint64_t index, uint64_t term)
{
    return c->proposal_flying > 0 && head_proposal(c)->index == index && head_proposal(c)->term == term;
}

static void on_removed(void *context, const struct ks_group *group, const struct ks_member *member)
{
    struct cluster *c = context;
    if (c->options.on_member_removed != NULL)
        c->options.on_member_removed(c->options.context, group, member);
}

/* request: the number that this server gave it, 0 if it did not. command NULL: it was applied before. */
static void tell(struct cluster *c, const struct command *command, const struct apply_result *result,
                 bool ours, uint64_t request)
{
    if (ours) {
        struct proposal proposal = *head_proposal(c);
        pop_proposal(c);
        if (proposal.house)
            c->housekeeping = false;
        if (proposal.done != NULL)
            proposal.done(proposal.context, result);
    }
    if (request != 0)
        cluster_forward_applied(c, request, result);
    if (command == NULL)
        return;
    if (c->options.on_applied != NULL)
        c->options.on_applied(c->options.context, command, result);
}

/* Who forwarded the next command, if somebody did; else node is NULL. */
struct origin {
    struct bytes node;
    uint64_t request;
};

static struct origin read_origin(struct reader *r, uint8_t version)
{
    struct origin origin = {0};
    uint8_t has = version >= 2 ? read_u8(r) : 0;
    reader_require(r, has <= 1);
    if (has == 0 || r->err != E_OK)
        return origin;
    origin.node = read_bytes(r, NODE_ID_LEN);
    origin.request = read_u64(r);
    return origin;
}

static err_t apply_one(struct cluster *c, const struct command *command, const struct origin *origin,
                       struct store_txn *txn, bool ours)
{
    struct apply_result result = {.err = E_REPLAY};
    struct cluster_record before = c->state.cluster;
    bool from_here = origin->node.len > 0 && bytes_equal(origin->node, BYTES_OF(c->node_id));
    if (origin->node.len > 0 && !ks_state_take_request(&c->state, txn, origin->node.data, origin->request)) {
        tell(c, NULL, &result, ours, 0);
        return store_error(txn);
    }
    err_t err = ks_state_apply(&c->state, command, txn, &result, on_removed, c);
    if (err == E_OK)
        err = store_error(txn);
    if (err != E_OK)
        return err;
    cluster_note_applied(c, command, &result, &before);
    if (result.err == E_UNSUPPORTED && !level_knows(c->build, command->type))
        command = NULL; /* whoever is told could not read it */
    tell(c, command, &result, ours, from_here ? origin->request : 0);
    return E_OK;
}

static err_t apply_batch(struct cluster *c, uint64_t index, const struct raft_node_entry *entry,
                         struct store_txn *txn)
{
    struct reader r = reader_over(entry->data);
    uint8_t version = read_u8(&r);
    reader_require(&r, read_u8(&r) == 0);
    uint16_t count = read_u16(&r);
    struct reader body = reader_over(read_bytes(&r, read_u32(&r)));
    if (r.err != E_OK || version < 1 || version > BATCH_VERSION || count > BATCH_MAX)
        return E_CORRUPT;
    for (uint16_t i = 0; i < count; i++) {
        struct command command;
        struct origin origin = read_origin(&body, version);
        err_t err = body.err != E_OK ? E_CORRUPT : command_decode(&body, &command);
        if (err != E_OK && err != E_UNSUPPORTED) /* a type that this build does not know is refused below */
            return err;
        err = apply_one(c, &command, &origin, txn, is_ours(c, index, entry->term));
        command_close(&command);
        if (err != E_OK)
            return err;
    }
    return reader_end(&body) == E_OK ? E_OK : E_CORRUPT;
}

/* Applies up to APPLY_MAX entries in one transaction. Configurations are told to raft_node only after it,
 * since the entries that it lends do not survive its next event. */
static err_t apply_some(struct cluster *c, uint64_t target, struct store_txn *txn, uint64_t *conf_index)
{
    uint64_t last = target - c->applied_index > APPLY_MAX ? c->applied_index + APPLY_MAX : target;
    *conf_index = 0;
    for (uint64_t index = c->applied_index + 1; index <= last && *conf_index == 0; index++) {
        const struct raft_node_entry *entry = raft_node_entry(c->node, index);
        if (entry == NULL)
            return E_INTERNAL;
        if (entry->kind == ENTRY_CHANGE)
            *conf_index = index;
        err_t err = entry->kind == ENTRY_COMMAND ? apply_batch(c, index, entry, txn) : E_OK;
        if (err != E_OK)
            return err;
        c->applied_index = index;
        store_set_applied(txn, index, entry->term);
    }
    return store_error(txn);
}

static err_t apply_round(struct cluster *c, uint64_t target)
{
    uint64_t conf_index;
    struct store_txn *txn;
    err_t err = store_begin_write(c->store, &txn);
    if (err != E_OK)
        return err;
    err = apply_some(c, target, txn, &conf_index);
    if (err != E_OK) {
        store_abort(txn);
        return err;
    }
    err = store_commit(txn);
    if (err != E_OK || conf_index == 0)
        return err;
    struct raft_node_update update;
    err = raft_node_applied(c->node, cluster_mono_ms(c), conf_index, &update);
    if (err == E_OK)
        cluster_take(c, &update);
    return err;
}

void cluster_apply(struct cluster *c)
{
    uint64_t target;
    while (!c->dead && (target = raft_node_applicable(c->node)) > c->applied_index) {
        err_t err = apply_round(c, target);
        if (err != E_OK) {
            cluster_fatal(c, err, "an entry cannot be applied");
            return;
        }
    }
    cluster_clock_floor(&c->clock, c->state.cluster.time_ms, cluster_mono_ms(c));
}

static err_t queue_room(struct cluster *c)
{
    if (c->proposal_count == PROPOSAL_MAX)
        return E_FULL;
    if (c->queue_cap - c->queue_len >= BATCH_LEN_MAX)
        return E_OK;
    size_t cap = c->queue_cap * 2 + BATCH_LEN_MAX;
    uint8_t *queue = realloc(c->queue, cap);
    if (queue == NULL)
        return E_NO_MEMORY;
    c->queue = queue;
    c->queue_cap = cap;
    return E_OK;
}

static void queue_add(struct cluster *c, const struct proposal *proposal)
{
    c->queue_len += proposal->len;
    c->proposals[(c->proposal_head + c->proposal_count++) % PROPOSAL_MAX] = *proposal;
}

err_t cluster_queue(struct cluster *c, const struct command *command, cluster_done_fn done, void *context)
{
    err_t err = cluster_level_gate(c, command->type);
    if (err == E_OK)
        err = queue_room(c);
    if (err != E_OK)
        return err;
    struct writer w = writer_over(c->queue + c->queue_len, BATCH_LEN_MAX - BATCH_HEAD - 8);
    write_u8(&w, 0); /* no origin */
    err = command_encode(&w, command);
    if (err != E_OK)
        return err == E_FULL ? E_LIMIT : err;
    queue_add(c, &(struct proposal){
                     .done = done, .context = context, .len = (uint32_t)w.len, .house = done == NULL});
    return E_OK;
}

err_t cluster_queue_bytes(struct cluster *c, const uint8_t *origin, uint64_t request, struct bytes command,
                          cluster_done_fn done, void *context)
{
    err_t err = queue_room(c);
    if (err != E_OK)
        return err;
    struct writer w = writer_over(c->queue + c->queue_len, BATCH_LEN_MAX - BATCH_HEAD - 8);
    write_u8(&w, 1);
    write_bytes(&w, (struct bytes){origin, NODE_ID_LEN});
    write_u64(&w, request);
    write_bytes(&w, command);
    if (writer_end(&w) != E_OK)
        return E_LIMIT;
    queue_add(c, &(struct proposal){.done = done, .context = context, .len = (uint32_t)w.len});
    return E_OK;
}

/* As many waiting commands as one entry holds. */
static size_t fill_entry(struct cluster *c, size_t *count, size_t *taken)
{
    *count = *taken = 0;
    while (c->proposal_flying + *count < c->proposal_count && *count < BATCH_MAX) {
        size_t len = c->proposals[(c->proposal_head + c->proposal_flying + *count) % PROPOSAL_MAX].len;
        if (BATCH_HEAD + *taken + len > BATCH_LEN_MAX)
            break;
        *taken += len;
        (*count)++;
    }
    struct writer w = writer_over(c->entry, BATCH_LEN_MAX);
    write_u8(&w, BATCH_VERSION);
    write_u8(&w, 0);
    write_u16(&w, (uint16_t)*count);
    write_u32(&w, (uint32_t)*taken);
    write_bytes(&w, (struct bytes){c->queue, *taken});
    write_zeros(&w, (8 - w.len % 8) % 8);
    return w.len;
}

void cluster_flush(struct cluster *c)
{
    while (!c->dead && c->proposal_flying < c->proposal_count) {
        size_t count, taken;
        struct raft_node_update update;
        size_t len = fill_entry(c, &count, &taken);
        err_t err = raft_node_submit(c->node, cluster_mono_ms(c), ENTRY_COMMAND,
                                     (struct bytes){c->entry, len}, &update);
        if (err == E_LIMIT || err == E_AGAIN)
            return; /* the disk is behind, or leadership is being handed over: the next turn tries again */
        if (err == E_NOT_PRIMARY) {
            cluster_drop_proposals(c, E_NO_QUORUM);
            return;
        }
        if (err != E_OK) {
            cluster_fatal(c, err, "the consensus core refuses an entry");
            return;
        }
        for (size_t i = 0; i < count; i++) {
            struct proposal *p = &c->proposals[(c->proposal_head + c->proposal_flying++) % PROPOSAL_MAX];
            p->index = update.first_index;
            p->term = update.term;
        }
        memmove(c->queue, c->queue + taken, c->queue_len - taken);
        c->queue_len -= taken;
        cluster_take(c, &update);
    }
}

void cluster_drop_proposals(struct cluster *c, err_t err)
{
    c->queue_len = 0;
    size_t count = c->proposal_count; /* a callback may propose again; that one is refused or waits */
    for (size_t i = 0; i < count; i++) {
        struct proposal proposal = *head_proposal(c);
        struct apply_result result = {.err = err};
        c->proposal_head = (c->proposal_head + 1) % PROPOSAL_MAX;
        c->proposal_count--;
        if (c->proposal_flying > 0)
            c->proposal_flying--;
        if (proposal.house)
            c->housekeeping = false;
        if (proposal.done != NULL)
            proposal.done(proposal.context, &result);
    }
}
