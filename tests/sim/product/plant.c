/* plant.c - bugs put between the product and its world, one for each invariant, so that the simulator can
 * show that it would find them. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/product/sim.h"

static const char *const names[PLANT_COUNT] = {
    "none",     "I1",    "I2",       "I3",      "I4",         "I5",         "I6",   "I7", "linearizability",
    "minority", "bound", "schedule", "primary", "pseudotime", "shared-key", "level"};

const char *plant_name(enum sim_plant plant)
{
    return names[plant];
}

enum sim_plant plant_by_name(const char *name)
{
    int i = 0;
    while (i < PLANT_COUNT && strcmp(names[i], name) != 0)
        i++;
    return (enum sim_plant)i;
}

/* ---- I1: a registration is answered before it is committed ---- */

struct hasty {
    struct sim_server *server;
    uint32_t group_id;
    cluster_done_fn done;
    void *context;
    struct ks_member member; /* without its key, which stands behind it */
};

static void on_hasty(struct sim *sim, void *arg, bool live)
{
    struct hasty *h = arg;
    struct apply_result result = {.err = E_CANCELED};
    (void)sim;
    if (live) {
        result.group = ks_state_group(cluster_state(h->server->cluster), h->group_id);
        result.member = &h->member;
        result.err = result.group != NULL ? E_OK : E_NOT_FOUND;
        h->done(h->context, &result);
    }
    free(h);
}

static void ignore(void *context, const struct apply_result *result)
{
    (void)context;
    (void)result;
}

err_t plant_propose(struct sim_server *s, const struct command *command, cluster_done_fn done, void *context)
{
    const struct cmd_member_registered *r = &command->u.member_registered;
    bool alone = s->sim->plant == PLANT_MINORITY && s->lost_ms != 0;
    if ((s->sim->plant != PLANT_I1 && !alone) || command->type != CMD_MEMBER_REGISTERED)
        return server_propose(s, command, done, context);
    err_t err = alone ? E_OK : server_propose(s, command, ignore, NULL);
    if (err != E_OK)
        return err;
    struct hasty *h = sim_alloc(sizeof(*h));
    *h = (struct hasty){.server = s, .group_id = r->group_id, .done = done, .context = context};
    h->member.record.group_id = r->group_id;
    h->member.record.identity = r->identity;
    h->member.record.endpoint = r->endpoint;
    sim_at(s->sim, s->sim->now_ms, s->index, on_hasty, h);
    return E_OK;
}

/* ---- I2: a push is sealed with the number before ---- */

void plant_job(struct sim_server *s, struct job *job, bool before)
{
    if (s->sim->plant == PLANT_I2 && job->kind == JOB_SEAL && job->draft->needs_push)
        job->draft->command.seq += before ? -1u : 1u;
}

/* ---- I3: applying reads the clock ---- */

void plant_applied(struct sim_server *s, const struct command *command, const struct apply_result *result)
{
    if (s->sim->plant == PLANT_I3 && command->type == CMD_MEMBER_REGISTERED && result->err == E_OK)
        ((struct ks_member *)(uintptr_t)result->member)->record.last_ms = clock_wall_ms(&s->clock);
}

/* ---- minority: the core is not told that the quorum is gone, and takes its own word for a commit;
 * shared-key: not that others are away, and lets new keys take over at once ---- */

enum ks_contact plant_contact(struct sim_server *s, enum ks_contact contact)
{
    bool hides = (s->sim->plant == PLANT_MINORITY && contact == CONTACT_MINORITY) ||
                 (s->sim->plant == PLANT_SHARED_KEY && contact == CONTACT_SPLIT);
    return hides ? CONTACT_WHOLE : contact;
}

/* ---- I4, primary: whose role is over goes on ---- */

bool plant_is_primary(struct sim_server *s, bool primary)
{
    const uint8_t *committed = cluster_state(s->cluster)->cluster.primary_id;
    if (s->sim->plant == PLANT_I4)
        return s->ready;
    return primary || (s->sim->plant == PLANT_PRIMARY && memcmp(committed, s->node_id, NODE_ID_LEN) == 0);
}

/* ---- bound: the configuration's is not heeded ---- */

uint32_t plant_serve_s(const struct sim *sim, uint32_t serve_s)
{
    return sim->plant == PLANT_BOUND ? MINORITY_SERVE_DEFAULT : serve_s;
}

/* ---- schedule: a minority's clock runs ahead ---- */

uint64_t plant_time(struct sim_server *s, uint64_t now_ms)
{
    return s->sim->plant == PLANT_SCHEDULE && s->lost_ms != 0 ? now_ms + 4000 : now_ms;
}

/* ---- pseudotime: a step of the wall clock is one of the cluster's ---- */

uint64_t plant_wall(const struct sim_server *s, uint64_t now_ms)
{
    return s->sim->plant == PLANT_PSEUDOTIME ? now_ms + (uint64_t)s->wall_shift : now_ms;
}

/* ---- level: raised in the name of all, without asking them ---- */

void plant_level(struct sim_server *s)
{
    struct command command = {.type = CMD_CLUSTER_LEVEL_SET, .time_ms = cluster_now_ms(s->cluster)};
    struct cmd_cluster_level_set *set = &command.u.cluster_level_set;
    const struct ks_state *state = cluster_state(s->cluster);
    if (s->sim->plant != PLANT_LEVEL || s->build->level == state->level)
        return;
    set->level = s->build->level;
    for (size_t i = 0; i < state->node_count; i++)
        memcpy(set->asked[set->asked_count++], state->nodes[i].id, NODE_ID_LEN);
    if (server_propose(s, &command, ignore, NULL) == E_OK)
        sim_trace(s->sim, "planted: level %u", set->level);
}

/* ---- I5: a push is repeated until somebody answers, however long ---- */

struct repeated {
    struct sim_server *server;
    int to;
    size_t len;
    uint8_t *data;
};

static void on_repeated(struct sim *sim, void *arg, bool live)
{
    struct repeated *r = arg;
    bool primary = live && !r->server->dying && cluster_is_primary(r->server->cluster);
    if (!primary) {
        free(r->data);
        free(r);
        return;
    }
    check_sent(r->server, r->to, (struct bytes){r->data, r->len});
    net_send(sim, r->server->index, r->to, (struct bytes){r->data, r->len});
    sim_at(sim, sim->now_ms + 1000, r->server->index, on_repeated, r);
}

void plant_pushed(struct sim_server *s, int to, struct bytes datagram)
{
    if (s->sim->plant != PLANT_I5 || datagram.len < ISAKMP_HEADER_LEN || datagram.data[18] != EXCHANGE_PUSH)
        return;
    struct repeated *r = sim_alloc(sizeof(*r));
    *r = (struct repeated){s, to, datagram.len, sim_copy(datagram)};
    sim_at(s->sim, s->sim->now_ms + 1000, s->index, on_repeated, r);
}

/* ---- I6: a peer's octet reaches an assert ---- */

void plant_datagram(struct sim_server *s, struct bytes datagram)
{
    if (s->sim->plant == PLANT_I6 && datagram.len >= ISAKMP_HEADER_LEN && datagram.data[17] != 0x10)
        abort();
}

/* ---- I7: a key stands in clear behind a message ---- */

size_t plant_sending(struct sim_server *s, struct bytes datagram, uint8_t *out, size_t cap)
{
    struct group_policy policy = {0};
    struct writer w = writer_over(out, cap);
    const struct ks_group *group = ks_state_group_by_name(cluster_state(s->cluster), SIM_GROUP);
    write_bytes(&w, datagram);
    if (s->sim->plant == PLANT_I7 && datagram.len > 18 && datagram.data[18] == EXCHANGE_PULL &&
        group != NULL &&
        ks_group_policy(cluster_state(s->cluster), group, cluster_wrap_key(s->cluster), NULL,
                        cluster_now_ms(s->cluster), &policy) == E_OK)
        write_bytes(&w, secret_view(&policy.teks[0].key));
    group_policy_close(&policy);
    return w.len;
}
