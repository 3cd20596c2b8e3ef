/* check_wire.c - every datagram of a server is held against what is committed before it leaves (I1, I4), and
 * nowhere outside a struct secret stands a key (I7). */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/product/sim.h"

/* ---- keys where they must not be ---- */

static void secret_add(struct sim *sim, struct bytes key)
{
    struct sim_secret *s = &sim->secrets[sim->secret_count];
    if (key.len < sizeof(s->data) || sim->secret_count == SIM_SECRET_MAX)
        return;
    for (size_t i = 0; i < sim->secret_count; i++)
        if (memcmp(sim->secrets[i].data, key.data, sizeof(s->data)) == 0)
            return;
    memcpy(s->data, key.data, sizeof(s->data));
    sim->secret_count++;
}

bool check_has_secret(const struct sim *sim, struct bytes where)
{
    for (size_t i = 0; i < sim->secret_count; i++)
        if (memmem(where.data, where.len, sim->secrets[i].data, sizeof(sim->secrets[i].data)) != NULL)
            return true;
    return false;
}

static void add_runway(struct sim_server *s, const struct ks_group *group)
{
    const struct ks_state *state = cluster_state(s->cluster);
    for (size_t i = 0; i < group->record.runway_count; i++) {
        const struct tek_record *tek = &group->record.runway[i];
        uint8_t context[WRAP_CONTEXT_MAX], name[4];
        struct secret key = {0};
        struct writer w = writer_over(name, sizeof(name));
        write_u32(&w, tek->spi);
        err_t err = keywrap_open(
            cluster_wrap_key(s->cluster),
            wrap_context(state, group->record.id, WRAP_TEK_KEY, writer_bytes(&w), context), &tek->key, &key);
        SIM_CHECK(s->sim, "keys", err == E_OK, "a key of the runway cannot be opened: %s", err_text(err));
        secret_add(s->sim, secret_view(&key));
        secret_close(&key);
    }
}

/* What a rekey brought is opened once, so that it can be looked for everywhere. */
void check_commit_secrets(struct sim_server *s, struct bytes encoded)
{
    struct sim *sim = s->sim;
    struct group_policy policy = {0};
    const struct ks_state *state = cluster_state(s->cluster);
    const struct ks_group *group = ks_state_group_by_name(state, SIM_GROUP);
    secret_add(sim, secret_view(&sim->psk.secret));
    if (group != NULL)
        add_runway(s, group);
    if (group != NULL && group->record.generation != sim->secret_generation &&
        ks_group_policy(state, group, cluster_wrap_key(s->cluster), NULL, cluster_now_ms(s->cluster),
                        &policy) == E_OK) {
        sim->secret_generation = group->record.generation;
        for (size_t i = 0; i < policy.tek_count; i++)
            secret_add(sim, secret_view(&policy.teks[i].key));
        struct bytes kek = secret_view(&policy.kek.iv_key);
        if (kek.len > 16) /* behind its IV, which is none */
            secret_add(sim, (struct bytes){kek.data + 16, kek.len - 16});
    }
    group_policy_close(&policy);
    SIM_CHECK(sim, "I7", !check_has_secret(sim, encoded), "a command holds a clear key");
}

static void check_file(struct sim *sim, const char *path)
{
    uint8_t *data;
    size_t len;
    if (disk_read(path, (size_t)64 << 20, &data, &len) != E_OK)
        return;
    SIM_CHECK(sim, "I7", !check_has_secret(sim, (struct bytes){data, len}), "a clear key stands in %s", path);
    free(data);
}

/* Log, snapshots and store of the first server. */
void check_files(struct sim *sim)
{
    static const char *const folders[] = {"wal", "store"};
    for (size_t i = 0; i < 2; i++) {
        char folder[SIM_PATH_MAX + 16], path[SIM_PATH_MAX + 300];
        snprintf(folder, sizeof(folder), "%s/%s", sim->servers[0].dir, folders[i]);
        DIR *dir = opendir(folder);
        for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
            snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
            if (e->d_name[0] != '.')
                check_file(sim, path);
        }
        if (dir != NULL)
            closedir(dir);
    }
}

/* Two members must never hold different keys under one SPI. */
void check_member_keys(struct sim_member *m)
{
    struct sim *sim = m->sim;
    struct datapath_state state;
    agent_datapath_state(&m->agent, &state);
    for (size_t i = 0; i < state.in_count; i++) {
        const struct tek *tek = state.in[i];
        uint64_t hash = sim_hash(tek->key.data, tek->key.len, 5);
        struct sim_spi *spi = NULL;
        for (size_t j = 0; j < sim->spi_count; j++)
            if (!sim->spis[j].kek && sim->spis[j].spi == tek->spi)
                spi = &sim->spis[j];
        SIM_CHECK(sim, "I1", spi != NULL, "member %d has SPI %08x, which nobody committed", m->index,
                  tek->spi);
        SIM_CHECK(sim, "keys", spi->key_hash == 0 || spi->key_hash == hash, "two keys under SPI %08x",
                  tek->spi);
        spi->key_hash = hash;
    }
}

/* ---- datagrams ---- */

static void check_push(struct sim_server *s, int to, struct bytes datagram)
{
    struct sim *sim = s->sim;
    struct sim_push *push = NULL;
    uint64_t hash = sim_hash(datagram.data, datagram.len, 1);
    const struct cluster_record *cluster = &cluster_state(s->cluster)->cluster;
    for (size_t i = sim->push_count; i-- > 0 && push == NULL;)
        if (sim->pushes[i].hash == hash)
            push = &sim->pushes[i];
    SIM_CHECK(sim, "I1", push != NULL, "server %d pushes what nobody committed", s->index);
    SIM_CHECK(sim, "I4", memcmp(cluster->primary_id, s->node_id, NODE_ID_LEN) == 0,
              "server %d pushes and is not primary", s->index);
    /* It may take a moment to hear of its successor, or to learn that it was stopped for a while. */
    uint64_t since_ms = sim->epoch_ms > s->paused_until_ms ? sim->epoch_ms : s->paused_until_ms;
    SIM_CHECK(sim, "I4", cluster->coop_epoch == sim->epoch || sim->now_ms - since_ms <= SIM_STALE_PRIMARY_MS,
              "server %d pushes in epoch %u, %llu ms after epoch %u began", s->index, cluster->coop_epoch,
              (unsigned long long)(sim->now_ms - sim->epoch_ms), sim->epoch);
    uint64_t sender =
        (uint64_t)s->lifetime << 32 | (uint64_t)cluster->coop_epoch << 8 | (uint64_t)(s->index + 1);
    if (sender != push->last_sender) {
        push->last_sender = sender;
        push->primaries++;
    }
    unsigned *sent = &push->sent[to - SIM_SERVER_MAX];
    unsigned registered = sim->served[to - SIM_SERVER_MAX];
    for (unsigned i = 0; i < sim->server_count; i++)
        registered += sim->registered[i][to - SIM_SERVER_MAX];
    ++*sent;
    SIM_CHECK(sim, "I5", *sent <= (SIM_RETRANSMITS + 2) * (push->primaries + registered),
              "push %u goes to member %d for the %u. time", push->seq, to - SIM_SERVER_MAX, *sent);
    sim->counts.pushes++;
}

static bool is_committed(const struct sim *sim, uint32_t spi, bool kek)
{
    for (size_t i = 0; i < sim->spi_count; i++)
        if (sim->spis[i].kek == kek && sim->spis[i].spi == spi)
            return true;
    return false;
}

static bool sid_is_of(const struct sim *sim, uint32_t sid, int member)
{
    for (size_t i = 0; i < sim->sid_count; i++)
        if (sim->sids[i].sid == sid && sim->sids[i].member == member)
            return true;
    return false;
}

static uint64_t pull_id(const struct pull_member *pull)
{
    return (uint64_t)pull->message_id << 32 | sim_hash(pull->ni, pull->ni_len, 9) >> 32;
}

/* Message 2: which keys there are, and for how long from now. */
static void check_offer(struct sim_server *s, int member, const struct pull_member *pull)
{
    if (s->last_offer[member] == pull_id(pull))
        return; /* the same again, from the cache */
    s->last_offer[member] = pull_id(pull);
    minority_offered(s, &pull->policy);
    time_offered(s, &pull->policy.time);
}

/* Message 4, as the member will open it. */
static void check_keys_told(struct sim_server *s, int member, const struct pull_member *pull)
{
    struct sim *sim = s->sim;
    uint64_t id = pull_id(pull);
    sim->counts.pulls_checked++;
    for (size_t i = 0; i < pull->policy.tek_count; i++)
        SIM_CHECK(sim, "I1", is_committed(sim, pull->policy.teks[i].spi, false),
                  "server %d tells SPI %08x uncommitted", s->index, pull->policy.teks[i].spi);
    for (size_t i = 0; i < pull->policy.sid_count; i++)
        SIM_CHECK(sim, "I1", sid_is_of(sim, pull->policy.sids[i], member),
                  "server %d tells sender id %u uncommitted", s->index, pull->policy.sids[i]);
    SIM_CHECK(sim, "I1", pull->seq <= sim->group_seq, "sequence number %u is told before it is committed",
              pull->seq);
    if (s->last_pull[member] == id)
        return;
    s->last_pull[member] = id;
    if (minority_told(s, member, &pull->policy))
        return;
    s->pulls_told[member]++;
    SIM_CHECK(sim, "I1", s->pulls_told[member] <= sim->registered[s->index][member],
              "server %d tells member %d its keys, and the registration is not committed", s->index, member);
}

static void check_pull(struct sim_server *s, int to, struct bytes datagram)
{
    const struct sim_member *m = &s->sim->members[to - SIM_SERVER_MAX];
    const struct registration *reg = &m->agent.reg;
    uint8_t reply[ISAKMP_MESSAGE_MAX], plain[ISAKMP_MESSAGE_MAX];
    s->sim->counts.pulls++;
    if (!m->up || reg->state != REGISTRATION_PULL || !addr_equal(&reg->server.addr, &s->addr))
        return;
    struct pull_member pull = reg->pull;
    struct writer w = writer_over(reply, sizeof(reply));
    if (pull_member_step(&pull, &reg->sa, datagram, plain, &w) == E_OK && pull.state == PULL_M_DONE)
        check_keys_told(s, m->index, &pull);
    else if (pull.state == PULL_M_AWAIT_4 && reg->pull.state != PULL_M_AWAIT_4)
        check_offer(s, m->index, &pull);
    pull_member_close(&pull);
}

void check_sent(struct sim_server *s, int to, struct bytes datagram)
{
    struct sim *sim = s->sim;
    SIM_CHECK(sim, "I7", !check_has_secret(sim, datagram), "server %d sends a clear key", s->index);
    if (to < SIM_SERVER_MAX || datagram.len < ISAKMP_HEADER_LEN)
        return;
    if (datagram.data[18] == EXCHANGE_PUSH)
        check_push(s, to, datagram);
    else if (datagram.data[18] == EXCHANGE_PULL)
        check_pull(s, to, datagram);
}
