/* client.c - operators at all servers: they set and remove groups of their own, and read. Each call is
 * recorded; at the end linear.c is asked whether the answers can be true. Beside that, every look at a
 * server's state must show exactly what the log holds up to the index that the answer names (X-Applied-Index
 * of the API). */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/product/sim.h"

enum { CLIENTS = 3, OPERATOR_GROUP = 9000, VALUE_BASE_S = 7200 };

struct sim_client {
    bool busy;
};

struct sim_value {
    uint64_t index;
    unsigned object;
    uint32_t value;
};

struct call {
    struct sim *sim;
    struct sim_client *client;
    struct sim_server *server;
    uint32_t lifetime;
    unsigned object;
    size_t at; /* in the history */
};

const char *client_object(unsigned object)
{
    static const char *const names[SIM_OBJECTS] = {"op0", "op1", "op2"};
    return names[object];
}

static uint32_t value_at(const struct sim_server *s, unsigned object)
{
    const struct ks_group *g = ks_state_group_by_name(cluster_state(s->cluster), client_object(object));
    return g != NULL ? g->record.config.tek_lifetime_s - VALUE_BASE_S : 0;
}

static void on_answer(void *context, const struct apply_result *result)
{
    struct call *call = context;
    struct sim *sim = call->sim;
    struct linear_call *c = &sim->history[call->object].calls[call->at];
    call->client->busy = false;
    c->ended = ++sim->order;
    if (result->err == E_CANCELED || result->err == E_NO_QUORUM) {
        sim->counts.unknown++;
        free(call);
        return;
    }
    c->done = true;
    SIM_CHECK(sim, "answers",
              result->err == E_OK || (c->kind == LINEAR_REMOVE && result->err == E_UNKNOWN_GROUP),
              "a call of kind %d on %s is refused: %s", (int)c->kind, client_object(call->object),
              err_text(result->err));
    if (c->kind == LINEAR_SET)
        c->was_absent = result->created;
    else if (c->kind == LINEAR_REMOVE)
        c->was_absent = result->err == E_UNKNOWN_GROUP;
    else
        c->value = value_at(call->server, call->object);
    free(call);
}

static void make_set(struct sim *sim, struct command *command, unsigned object, uint32_t value)
{
    command->type = CMD_GROUP_SET;
    struct group_config *config = &command->u.group_set.config;
    *config = sim->group;
    memset(config->name, 0, sizeof(config->name));
    snprintf(config->name, sizeof(config->name), "%s", client_object(object));
    config->identity = identity_from_number(OPERATOR_GROUP + object);
    config->short_lifetimes = false;
    config->kek_lifetime_s = 86400;
    config->retransmit_s = 10;
    config->tek_lifetime_s = VALUE_BASE_S + value;
}

/* A read goes through the log, behind a command that changes nothing of what is read. */
static err_t make_command(struct sim_server *s, struct command *command, const struct linear_call *c,
                          unsigned object)
{
    command->time_ms = cluster_now_ms(s->cluster);
    if (c->kind == LINEAR_SET) {
        make_set(s->sim, command, object, c->value);
        return E_OK;
    }
    if (c->kind == LINEAR_REMOVE) {
        command->type = CMD_GROUP_DELETE;
        snprintf(command->u.group_delete.name, GROUP_NAME_MAX, "%s", client_object(object));
        return E_OK;
    }
    struct prefix nobody;
    command->type = CMD_PSK_SET;
    err_t err = prefix_parse(&nobody, "10.99.0.0/16");
    return err != E_OK ? err
                       : ks_psk_seal(cluster_state(s->cluster), cluster_wrap_key(s->cluster), &s->rng,
                                     &nobody, bytes_of_text("nobody has this one"), &command->u.psk_set.psk);
}

static void call(struct sim *sim, struct sim_client *client, struct sim_server *s)
{
    unsigned object = sim_below(sim, SIM_OBJECTS);
    struct linear_history *h = &sim->history[object];
    if (h->count == LINEAR_CALL_MAX)
        return;
    struct linear_call *c = &h->calls[h->count];
    *c = (struct linear_call){.kind = (enum linear_kind)sim_below(sim, 3),
                              .value = 1 + (uint32_t)(sim->order % 1000000)};
    if (sim->plant == PLANT_LINEAR && c->kind == LINEAR_READ) { /* as if any server's word were the newest */
        *c = (struct linear_call){.kind = LINEAR_READ, .done = true, .value = value_at(s, object)};
        c->began = ++sim->order;
        c->ended = ++sim->order;
        h->count++;
        return;
    }
    struct command command = {0};
    struct call *made = sim_alloc(sizeof(*made));
    *made = (struct call){.sim = sim, .client = client, .server = s, .object = object, .at = h->count};
    c->began = ++sim->order;
    client->busy = true; /* the answer may come at once */
    h->count++;
    err_t err = make_command(s, &command, c, object);
    if (err == E_OK)
        err = server_propose(s, &command, on_answer, made);
    if (err == E_OK) {
        sim->counts.calls++;
        return;
    }
    h->count--; /* refused at once: it never was */
    client->busy = false;
    free(made);
}

/* What a GET answers: the state as it is here, and how far that is. */
static void look(struct sim *sim, const struct sim_server *s)
{
    unsigned object = sim_below(sim, SIM_OBJECTS);
    uint64_t index = s->cluster->applied_index;
    uint32_t want = 0, got = value_at(s, object);
    for (size_t i = 0; i < sim->value_count && sim->values[i].index <= index; i++)
        if (sim->values[i].object == object)
            want = sim->values[i].value;
    sim->counts.reads++;
    SIM_CHECK(sim, "reads", got == want, "server %d shows %u for %s at %llu, the log says %u", s->index, got,
              client_object(object), (unsigned long long)index, want);
}

static void on_client(struct sim *sim, void *arg, bool live)
{
    struct sim_client *client = arg;
    if (!live)
        return;
    struct sim_server *s = &sim->servers[sim_below(sim, sim->server_count)];
    if (s->up && !s->dying && !s->stopping && s->paused_until_ms <= sim->now_ms) {
        look(sim, s);
        if (!client->busy && s->ready)
            call(sim, client, s);
    }
    if (!sim->calm)
        sim_at(sim, sim->now_ms + 20 + sim_below(sim, 600), -1, on_client, client);
}

void client_begin(struct sim *sim)
{
    if (sim->by_file) /* the file would take away what the operators make */
        return;
    sim->clients = sim_alloc(CLIENTS * sizeof(*sim->clients));
    for (int i = 0; i < CLIENTS; i++)
        sim_at(sim, sim->now_ms + sim_below(sim, 500), -1, on_client, &sim->clients[i]);
}

static void note_value(struct sim *sim, uint64_t index, const char *name, uint32_t value)
{
    for (unsigned i = 0; i < SIM_OBJECTS; i++) {
        if (strcmp(name, client_object(i)) != 0)
            continue;
        if (sim->value_count == sim->value_cap) {
            sim->value_cap = sim->value_cap * 2 + 64;
            sim->values = realloc(sim->values, sim->value_cap * sizeof(*sim->values));
            if (sim->values == NULL)
                abort();
        }
        sim->values[sim->value_count++] = (struct sim_value){index, i, value};
    }
}

void client_applied(struct sim *sim, const struct command *command, const struct apply_result *result,
                    uint64_t index)
{
    if (result->err != E_OK)
        return;
    if (command->type == CMD_GROUP_SET)
        note_value(sim, index, command->u.group_set.config.name,
                   command->u.group_set.config.tek_lifetime_s - VALUE_BASE_S);
    else if (command->type == CMD_GROUP_DELETE)
        note_value(sim, index, command->u.group_delete.name, 0);
}

void client_finish(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_OBJECTS; i++) {
        enum linear_verdict verdict = linear_check(&sim->history[i], 0);
        sim->counts.histories += verdict == LINEAR_YES;
        sim->counts.too_long += verdict == LINEAR_TOO_LONG;
        SIM_CHECK(sim, "linearizability", verdict != LINEAR_NO, "the %zu calls on %s have no order",
                  sim->history[i].count, client_object(i));
    }
}
