/* cluster_forward.c - commands of a server that does not lead: sent to the leader, told done when applied
 * here.
 *
 * A node numbers its forwarded commands, rising also over restarts, and sends them in order; the state
 * remembers the last number applied (ks_state_take_request). So a command that is sent again after a change
 * of leader is applied once, and one whose successor was applied without it will never be. */
#include <stdlib.h>
#include <string.h>

#include "cluster/cluster_internal.h"

static struct forward *at(struct cluster *c, size_t i)
{
    return c->forwards[(c->forward_head + i) % FORWARD_MAX];
}

static struct forward *pop(struct cluster *c)
{
    struct forward *f = at(c, 0);
    c->forward_head = (c->forward_head + 1) % FORWARD_MAX;
    c->forward_count--;
    return f;
}

static void end(struct forward *f, const struct apply_result *result)
{
    cluster_done_fn done = f->done;
    void *context = f->context;
    free(f->command);
    free(f);
    if (done != NULL)
        done(context, result);
}

static void send_one(struct cluster *c, struct forward *f, uint64_t now_ms)
{
    const struct peer *leader = cluster_peer_by_raft(c, raft_node_leader(c->node));
    if (leader == NULL || !leader->up)
        return;
    uint8_t *buf = malloc(8 + f->len);
    if (buf == NULL)
        return; /* the next tick tries again */
    struct writer w = writer_over(buf, 8 + f->len);
    write_u64(&w, f->request);
    write_bytes(&w, (struct bytes){f->command, f->len});
    if (raft_transport_send(c->transport, leader->id, MSG_FORWARD, writer_bytes(&w)) == E_OK)
        f->sent_ms = now_ms;
    secret_wipe(buf, 8 + f->len);
    free(buf);
}

static void first_number(struct cluster *c)
{
    const struct node_record *self = ks_state_node(&c->state, c->node_id);
    uint64_t least = cluster_now_ms(c)
                     << 20; /* a million commands a millisecond would be needed to repeat one */
    if (c->request == 0)
        c->request = least;
    if (self != NULL && self->request > c->request)
        c->request = self->request;
}

err_t cluster_forward(struct cluster *c, const struct command *command, cluster_done_fn done, void *context)
{
    err_t err = cluster_level_gate(c, command->type);
    if (err != E_OK)
        return err;
    uint8_t *buf = malloc(BATCH_LEN_MAX);
    struct forward *f = calloc(1, sizeof(*f));
    if (buf == NULL || f == NULL || c->forward_count == FORWARD_MAX) {
        err_t why = buf == NULL || f == NULL ? E_NO_MEMORY : E_FULL;
        free(buf);
        free(f);
        return why;
    }
    struct writer w = writer_over(buf, BATCH_LEN_MAX - BATCH_HEAD - ORIGIN_LEN - 8);
    err = command_encode(&w, command);
    uint8_t *fit = err == E_OK ? realloc(buf, w.len) : NULL;
    if (err == E_OK && fit == NULL)
        err = E_NO_MEMORY;
    if (err != E_OK) {
        free(buf);
        free(f);
        return err == E_FULL ? E_LIMIT : err;
    }
    first_number(c);
    uint64_t now_ms = cluster_mono_ms(c);
    *f = (struct forward){++c->request, fit, w.len, done, context, now_ms + FORWARD_LIMIT_MS, 0};
    c->forwards[(c->forward_head + c->forward_count++) % FORWARD_MAX] = f;
    send_one(c, f, now_ms);
    return E_OK;
}

/* On the leader. Whatever does not fit now comes again. */
void cluster_forward_take(struct cluster *c, const uint8_t from[NODE_ID_LEN], struct bytes body)
{
    struct command command;
    struct reader r = reader_over(body);
    uint64_t request = read_u64(&r);
    struct bytes encoded = read_rest(&r);
    const struct node_record *node = ks_state_node(&c->state, from);
    if (r.err != E_OK || !cluster_leads(c) || node == NULL || request <= node->request)
        return;
    struct reader check = reader_over(encoded);
    if (command_decode(&check, &command) != E_OK)
        return;
    unsigned type = command.type;
    command_close(&command);
    if (cluster_level_gate(c, type) != E_OK)
        return; /* whoever sent it has applied more than we: it comes again */
    if (reader_end(&check) == E_OK && cluster_queue_bytes(c, from, request, encoded, NULL, NULL) != E_OK)
        return;
    cluster_flush(c);
}

void cluster_forward_applied(struct cluster *c, uint64_t request, const struct apply_result *result)
{
    struct apply_result lost = {.err = E_NO_QUORUM};
    while (c->forward_count > 0 && at(c, 0)->request <= request) {
        struct forward *f = pop(c);
        end(f, f->request == request ? result : &lost);
    }
}

/* Those that are over, by time or because a snapshot passed them; the others go again if nothing came of
 * them. */
void cluster_forward_tick(struct cluster *c, uint64_t now_ms)
{
    struct apply_result lost = {.err = E_NO_QUORUM};
    const struct node_record *self = ks_state_node(&c->state, c->node_id);
    while (c->forward_count > 0 &&
           (now_ms >= at(c, 0)->limit_ms || (self != NULL && at(c, 0)->request <= self->request)))
        end(pop(c), &lost);
    bool again = c->forward_count > 0 && now_ms - at(c, 0)->sent_ms >= FORWARD_AGAIN_MS;
    for (size_t i = 0; i < c->forward_count && again; i++) {
        struct forward *f = at(c, i);
        if (cluster_leads(c)) /* we became it */
            again = cluster_queue_bytes(c, c->node_id, f->request, (struct bytes){f->command, f->len}, NULL,
                                        NULL) == E_OK;
        else
            send_one(c, f, now_ms);
        f->sent_ms = now_ms;
    }
}

void cluster_forward_again(struct cluster *c)
{
    if (c->forward_count == 0)
        return;
    at(c, 0)->sent_ms = 0;
    cluster_forward_tick(c, cluster_mono_ms(c));
}

void cluster_forward_drop(struct cluster *c, err_t err)
{
    struct apply_result result = {.err = err};
    for (size_t count = c->forward_count; count > 0; count--)
        end(pop(c), &result);
}
