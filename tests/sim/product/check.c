/* check.c - what must hold after every step, and at the end when everything is whole again. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/product/sim.h"

int check_member_by_identity(const struct sim *sim, const struct identity *identity)
{
    for (int i = 0; i < (int)sim->member_count; i++) {
        struct identity own = identity_from_addr(&sim->members[i].addr);
        if (identity_equal(identity, &own))
            return i;
    }
    return -1;
}

int check_server_by_id(const struct sim *sim, const uint8_t *id)
{
    for (int i = 0; i < (int)sim->server_count; i++)
        if (memcmp(sim->servers[i].node_id, id, NODE_ID_LEN) == 0)
            return i;
    return -1;
}

/* ---- the log, seen by whoever applies a place of it first ---- */

/* ahead: of the key runway, to be used by a rekey later, once. */
static void note_spi(struct sim_server *s, uint32_t spi, bool kek, bool ahead)
{
    struct sim *sim = s->sim;
    for (size_t i = 0; i < sim->spi_count; i++) {
        struct sim_spi *known = &sim->spis[i];
        if (known->spi != spi || known->kek != kek)
            continue;
        SIM_CHECK(sim, "SPI", known->ahead, "SPI %08x is given twice", spi);
        known->ahead = ahead;
        return;
    }
    SIM_CHECK(sim, "I5", sim->spi_count < 2 * SIM_PUSH_MAX, "more rekeys than a run can hold");
    sim->spis[sim->spi_count++] =
        (struct sim_spi){.spi = spi, .kek = kek, .ahead = ahead, .index = s->at_index};
}

static uint32_t short_spi(const uint8_t *spi)
{
    return (uint32_t)spi[0] << 24 | (uint32_t)spi[1] << 16 | (uint32_t)spi[2] << 8 | spi[3];
}

/* The sequence number stands in the sealed datagram too: both must be the next one. Returns the activation
 * delay that it tells. */
static unsigned check_sealed(struct sim_server *s, const struct cmd_rekey *r, const struct ks_group *group)
{
    struct sim *sim = s->sim;
    const struct kek_record *record = &group->record.kek;
    struct kek kek = {0};
    struct push_member under = {0};
    struct push_received message = {0};
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    if (memcmp(record->spi, r->kek_spi, KEK_SPI_LEN) != 0)
        record = &group->record.previous_kek;
    SIM_CHECK(sim, "I2", memcmp(record->spi, r->kek_spi, KEK_SPI_LEN) == 0,
              "a push under no KEK of the group");
    err_t err = ks_kek_open(cluster_state(s->cluster), group, record, cluster_wrap_key(s->cluster),
                            cluster_now_ms(s->cluster), &kek);
    if (err == E_OK)
        err = push_member_open(&under, &kek, 0, false);
    if (err == E_OK)
        err = push_member_open_message(&under, r->push, plain, &message);
    SIM_CHECK(sim, "I2", err == E_OK && message.seq == r->seq, "push %u of the log holds number %u (%s)",
              r->seq, message.seq, err_text(err));
    unsigned activation_s = message.policy.activation_s;
    time_pushed(sim, &message.policy.time);
    push_received_close(&message);
    push_member_close(&under);
    secret_close(&kek.iv_key);
    return activation_s;
}

static void on_rekey(struct sim_server *s, const struct cmd_rekey *r, const struct ks_group *group)
{
    struct sim *sim = s->sim;
    if (r->has_tek)
        note_spi(s, r->tek.spi, false, false);
    if (r->has_kek)
        note_spi(s, short_spi(r->kek.spi), true, false);
    SIM_CHECK(sim, "I4", r->epoch == cluster_state(s->cluster)->cluster.coop_epoch,
              "a rekey of epoch %u in %u", r->epoch, cluster_state(s->cluster)->cluster.coop_epoch);
    if (strcmp(group->record.config.name, SIM_GROUP) != 0)
        return;
    sim->counts.rekeys++;
    sim->group_id = group->record.id;
    bool pushes = r->kind != REKEY_INITIAL;
    SIM_CHECK(sim, "I2", r->seq == sim->group_seq + pushes, "sequence number %u after %u", r->seq,
              sim->group_seq);
    sim->group_seq = r->seq;
    unsigned activation_s = pushes ? check_sealed(s, r, group) : 0;
    SIM_CHECK(sim, "I5", sim->push_count < SIM_PUSH_MAX, "more rekeys than a run can hold");
    sim->pushes[sim->push_count++] =
        (struct sim_push){.hash = pushes ? sim_hash(r->push.data, r->push.len, 1) : 0,
                          .seq = r->seq,
                          .tek_spi = r->has_tek ? r->tek.spi : 0,
                          .at_ms = sim->now_ms,
                          .activation_s = activation_s};
    sim_trace(sim, "committed: rekey %u kind %d, SPI %08x, in %u s", r->seq, (int)r->kind, r->tek.spi,
              activation_s);
}

static void on_runway(struct sim_server *s, const struct cmd_runway_set *r)
{
    SIM_CHECK(s->sim, "I4", r->epoch == cluster_state(s->cluster)->cluster.coop_epoch, "a runway of epoch %u",
              r->epoch);
    s->sim->counts.runways++;
    for (size_t i = 0; i < r->count; i++)
        note_spi(s, r->teks[i].spi, false, true);
}

static void on_registered(struct sim_server *s, const struct cmd_member_registered *r,
                          const struct apply_result *result)
{
    struct sim *sim = s->sim;
    int member = check_member_by_identity(sim, &r->identity), server = check_server_by_id(sim, r->key_server);
    SIM_CHECK(sim, "members", member >= 0 && server >= 0, "a registration of nobody");
    sim->registered[server][member]++;
    sim->member_of[member] = true;
    for (uint32_t i = 0; i < result->member->record.sid_count; i++) {
        struct sim_sid sid = {result->group->record.sid_epoch, result->member->record.first_sid + i, member,
                              server};
        for (size_t j = 0; j < sim->sid_count; j++)
            SIM_CHECK(sim, "SID", sim->sids[j].epoch != sid.epoch || sim->sids[j].sid != sid.sid,
                      "sender id %u is given twice", sid.sid);
        if (sim->sid_count < SIM_SID_MAX)
            sim->sids[sim->sid_count++] = sid;
    }
    sim_trace(sim, "committed: member %d registered by server %d", member, server);
}

static void on_served(struct sim *sim, const struct cmd_member_served *c)
{
    int member = check_member_by_identity(sim, &c->identity);
    SIM_CHECK(sim, "members", member >= 0, "a registration of nobody in a minority");
    if (c->group_id != sim->group_id)
        return;
    sim->served[member]++;
    sim->member_of[member] = true;
    sim_trace(sim, "committed: member %d was served by a minority", member);
}

static void on_removed(struct sim *sim, const struct identity *identity)
{
    int member = check_member_by_identity(sim, identity);
    if (member >= 0)
        sim->member_of[member] = false;
}

void check_member_removed(struct sim_server *s, const struct ks_group *group, const struct ks_member *member)
{
    struct sim *sim = s->sim;
    /* Only who sees a place of the log first changes the picture of it. */
    const struct sim_commit *last = sim->commit_count > 0 ? &sim->commits[sim->commit_count - 1] : NULL;
    if (last != NULL && s->cluster->applied_index + 1 <= last->index &&
        !(s->cluster->applied_index + 1 == last->index && s->at_index == last->index && s->at_k >= last->k))
        return;
    if (group->record.id == sim->group_id)
        on_removed(sim, &member->record.identity);
}

static void on_elected(struct sim *sim, const struct ks_state *state)
{
    sim->counts.primaries++;
    sim->epoch = state->cluster.coop_epoch;
    sim->epoch_ms = sim->now_ms;
    sim_trace(sim, "committed: epoch %u, primary is server %d", sim->epoch,
              check_server_by_id(sim, state->cluster.primary_id));
}

static void first_sight(struct sim_server *s, const struct command *c, const struct apply_result *result)
{
    struct sim *sim = s->sim;
    sim->counts.commits++;
    client_applied(sim, c, result, s->at_index);
    if (c->type == CMD_MEMBER_SERVED)
        minority_committed(s, &c->u.member_served);
    if (result->err != E_OK)
        return;
    upgrade_committed(sim, c);
    if (c->type == CMD_REKEY)
        on_rekey(s, &c->u.rekey, result->group);
    else if (c->type == CMD_RUNWAY_SET)
        on_runway(s, &c->u.runway_set);
    else if (c->type == CMD_MEMBER_SERVED)
        on_served(sim, &c->u.member_served);
    else if (c->type == CMD_MEMBER_REGISTERED)
        on_registered(s, &c->u.member_registered, result);
    else if (c->type == CMD_MEMBER_REMOVED && c->u.member_removed.group_id == sim->group_id)
        on_removed(sim, &c->u.member_removed.identity);
    else if (c->type == CMD_ELECT)
        on_elected(sim, cluster_state(s->cluster));
    if (c->type == CMD_REKEY || c->type == CMD_RUNWAY_SET)
        minority_planned(sim, result->group);
}

static const struct sim_commit *commit_find(const struct sim *sim, uint64_t index, uint32_t k)
{
    size_t low = 0, high = sim->commit_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct sim_commit *c = &sim->commits[middle];
        if (c->index < index || (c->index == index && c->k < k))
            low = middle + 1;
        else
            high = middle;
    }
    const struct sim_commit *c = &sim->commits[low];
    return low < sim->commit_count && c->index == index && c->k == k ? c : NULL;
}

static void commit_add(struct sim *sim, const struct sim_commit *commit)
{
    if (sim->commit_count == sim->commit_cap) {
        sim->commit_cap = sim->commit_cap * 2 + 256;
        sim->commits = realloc(sim->commits, sim->commit_cap * sizeof(*sim->commits));
        if (sim->commits == NULL)
            abort();
    }
    sim->commits[sim->commit_count++] = *commit;
    uint64_t fields[] = {commit->index, commit->k, commit->hash}; /* not the padding, which holds anything */
    sim->digest = sim_hash(fields, sizeof(fields), sim->digest);
}

void check_applied(struct sim_server *s, const struct command *c, const struct apply_result *result)
{
    static uint8_t buf[BATCH_LEN_MAX];
    struct sim *sim = s->sim;
    struct writer w = writer_over(buf, sizeof(buf));
    uint64_t index = s->cluster->applied_index + 1;
    s->at_k = index == s->at_index ? s->at_k + 1 : 0;
    s->at_index = index;
    SIM_CHECK(sim, "log", command_encode(&w, c) == E_OK, "a command that cannot be encoded");
    struct sim_commit commit = {.index = index, .k = s->at_k};
    commit.hash = sim_hash(buf, w.len, (uint64_t)result->err + 1);
    upgrade_applied(s, c, result);
    const struct sim_commit *known = commit_find(sim, index, s->at_k);
    if (known != NULL) {
        SIM_CHECK(sim, "I3", known->hash == commit.hash, "entry %llu.%u differs on server %d (%s, %s)",
                  (unsigned long long)index, s->at_k, s->index, command_name(c->type), err_text(result->err));
        return;
    }
    const struct sim_commit *last = sim->commit_count > 0 ? &sim->commits[sim->commit_count - 1] : NULL;
    SIM_CHECK(sim, "log",
              last == NULL || last->index < index || (last->index == index && last->k + 1 == s->at_k),
              "server %d applies %llu.%u behind %llu.%u for the first time", s->index,
              (unsigned long long)index, s->at_k, (unsigned long long)last->index, last->k);
    check_commit_secrets(s, (struct bytes){buf, w.len});
    first_sight(s, c, result);
    commit_add(sim, &commit);
}

/* ---- after each step ---- */

static void check_leader(struct sim *sim, const struct sim_server *s)
{
    if (!raft_node_is_leader(s->cluster->node))
        return;
    uint64_t term = raft_node_term(s->cluster->node), id = s->cluster->raft_id;
    SIM_CHECK(sim, "terms", term < SIM_TERM_MAX, "term %llu", (unsigned long long)term);
    SIM_CHECK(sim, "one leader", sim->leader_of[term] == 0 || sim->leader_of[term] == id,
              "two leaders of term %llu", (unsigned long long)term);
    sim->counts.elections += sim->leader_of[term] == 0;
    sim->leader_of[term] = id;
}

static void check_primary(struct sim *sim, const struct ks_state *state)
{
    static const uint8_t nobody[NODE_ID_LEN];
    uint32_t epoch = state->cluster.coop_epoch;
    SIM_CHECK(sim, "epochs", epoch < SIM_TERM_MAX, "epoch %u", epoch);
    uint8_t *who = sim->primary_of[epoch];
    SIM_CHECK(sim, "one primary",
              memcmp(who, nobody, NODE_ID_LEN) == 0 ||
                  memcmp(who, state->cluster.primary_id, NODE_ID_LEN) == 0,
              "two primaries of epoch %u", epoch);
    memcpy(who, state->cluster.primary_id, NODE_ID_LEN);
}

static struct sim_hash *hash_at(struct sim *sim, uint64_t index)
{
    if (index >= sim->hash_cap) {
        size_t cap = (size_t)index * 2 + 64;
        sim->hashes = realloc(sim->hashes, cap * sizeof(*sim->hashes));
        if (sim->hashes == NULL)
            abort();
        memset(sim->hashes + sim->hash_cap, 0, (cap - sim->hash_cap) * sizeof(*sim->hashes));
        sim->hash_cap = cap;
    }
    return &sim->hashes[index];
}

static void check_hash(struct sim *sim, struct sim_server *s)
{
    uint8_t hash[32];
    uint64_t index = s->cluster->applied_index;
    if (index == s->hashed_index)
        return;
    s->hashed_index = index;
    SIM_CHECK(sim, "hash", ks_state_hash(cluster_state(s->cluster), hash) == E_OK, "no hash");
    struct sim_hash *h = hash_at(sim, index);
    SIM_CHECK(sim, "I3", !h->known || memcmp(h->hash, hash, sizeof(h->hash)) == 0,
              "state at %llu differs on server %d", (unsigned long long)index, s->index);
    h->known = true;
    memcpy(h->hash, hash, sizeof(h->hash));
}

static void check_bounds(struct sim *sim, const struct sim_server *s)
{
    const struct cluster *c = s->cluster;
    SIM_CHECK(sim, "I5",
              c->proposal_count <= PROPOSAL_MAX && c->forward_count <= FORWARD_MAX &&
                  c->write_count <= RAFT_PENDING_MAX && c->peer_count <= KS_NODE_MAX,
              "server %d: %zu proposals, %zu forwards, %zu writes", s->index, c->proposal_count,
              c->forward_count, c->write_count);
    SIM_CHECK(sim, "I5",
              core_half_open(s->core) <= s->config.half_open_max && core_sa_count(s->core) <= SA_MAX,
              "server %d: %zu half open, %zu SAs", s->index, core_half_open(s->core), core_sa_count(s->core));
}

void check_step(struct sim *sim, int end)
{
    sim->digest = sim->digest * 1099511628211u + sim->now_ms + (uint64_t)end;
    if (end < 0 || end >= SIM_SERVER_MAX)
        return;
    struct sim_server *s = &sim->servers[end];
    if (!s->up || s->dying || s->stopping)
        return;
    check_leader(sim, s);
    check_primary(sim, cluster_state(s->cluster));
    check_hash(sim, s);
    check_bounds(sim, s);
    minority_step(s);
    time_step(s);
}
