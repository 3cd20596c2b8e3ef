/* raft_trio.h - three consensus cores, their disks and the mail between them, by hand. */
#ifndef TESTS_UNIT_CLUSTER_RAFT_TRIO_H
#define TESTS_UNIT_CLUSTER_RAFT_TRIO_H

#include "cluster/raft_node.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

/* Three servers, messages carried by hand, a disk that is done at once unless a test holds it back. */
enum { SERVERS = 3, QUEUE_MAX = 256 };

struct letter {
    unsigned from;
    uint64_t to;
    uint8_t *body;
    size_t len;
    bool with_snapshot;
};

struct trio {
    struct raft_node *nodes[SERVERS];
    uint64_t ids[SERVERS];
    bool cut[SERVERS];
    bool slow_disk[SERVERS]; /* writes are not reported */
    unsigned writes[SERVERS];
    uint64_t applied[SERVERS];
    struct snapshot_meta installed[SERVERS];
    struct letter queue[QUEUE_MAX];
    size_t count;
    struct letter kept[QUEUE_MAX]; /* copies of all that was sent to server 2, when keeping */
    size_t kept_count;
    bool keeping;
    uint64_t now_ms;
    uint8_t *conf;
    size_t conf_len;
};

static inline void carry_out(struct trio *t, unsigned i, struct raft_node_update *u);

static inline void mail(struct trio *t, unsigned from, const struct raft_node_update *u)
{
    for (size_t i = 0; i < u->message_count; i++) {
        const struct raft_node_message *m = &u->messages[i];
        assert_true(t->count < QUEUE_MAX);
        struct letter *letter = &t->queue[t->count++];
        *letter = (struct letter){from, m->to, malloc(m->body.len), m->body.len, m->with_snapshot};
        memcpy(letter->body, m->body.data, m->body.len);
        if (!t->keeping || m->to != t->ids[2] || t->kept_count == QUEUE_MAX)
            continue;
        struct letter *kept = &t->kept[t->kept_count++];
        *kept = *letter;
        kept->body = malloc(m->body.len);
        memcpy(kept->body, m->body.data, m->body.len);
    }
}

static inline void apply_ready(struct trio *t, unsigned i)
{
    while (raft_node_applicable(t->nodes[i]) > t->applied[i]) {
        struct raft_node_update u;
        const struct raft_node_entry *e = raft_node_entry(t->nodes[i], t->applied[i] + 1);
        assert_non_null(e);
        t->applied[i]++;
        if (e->kind == ENTRY_CHANGE) {
            assert_ok(raft_node_applied(t->nodes[i], t->now_ms, t->applied[i], &u));
            carry_out(t, i, &u);
        }
    }
}

static inline void carry_out(struct trio *t, unsigned i, struct raft_node_update *u)
{
    mail(t, i, u);
    if (u->install) {
        t->installed[i] = u->install_meta;
        assert_int_equal(raft_node_applicable(t->nodes[i]), 0); /* first rule */
        assert_true(bytes_equal(u->install_stream, bytes_of_text("the state")));
        t->applied[i] = u->install_meta.index;
        assert_ok(raft_node_installed(t->nodes[i], t->now_ms, u));
        carry_out(t, i, u);
    }
    if (u->first_index != 0)
        t->writes[i]++;
    while (t->writes[i] > 0 && !t->slow_disk[i]) {
        struct raft_node_update after;
        t->writes[i]--;
        assert_ok(raft_node_persisted(t->nodes[i], t->now_ms, &after));
        carry_out(t, i, &after);
    }
    apply_ready(t, i);
}

static inline unsigned at_id(const struct trio *t, uint64_t id)
{
    for (unsigned i = 0; i < SERVERS; i++) {
        if (t->ids[i] == id)
            return i;
    }
    fail_msg("no server %llu", (unsigned long long)id);
    return 0;
}

static inline void deliver_all(struct trio *t)
{
    for (int rounds = 0; t->count > 0; rounds++) {
        assert_true(rounds < 10000);
        struct letter letter = t->queue[0];
        memmove(t->queue, t->queue + 1, --t->count * sizeof(t->queue[0]));
        unsigned to = at_id(t, letter.to);
        if (!t->cut[letter.from] && !t->cut[to] && t->nodes[to] != NULL) {
            struct raft_node_update u;
            struct bytes stream = letter.with_snapshot ? bytes_of_text("the state") : (struct bytes){0};
            assert_ok(raft_node_receive(t->nodes[to], t->now_ms, t->ids[letter.from],
                                        (struct bytes){letter.body, letter.len}, stream, &u));
            carry_out(t, to, &u);
        }
        free(letter.body);
    }
}

static inline void start_one(struct trio *t, unsigned i, bool empty)
{
    struct raft_node_options options = {
        .id = t->ids[i], .seed = i + 1, .election_ms = 300, .heartbeat_ms = 60};
    struct raft_node_update u;
    bool dropped;
    assert_ok(raft_node_open(&t->nodes[i], &options));
    struct raft_node_entry first = {1, ENTRY_CHANGE, {t->conf, t->conf_len}};
    if (!empty)
        assert_ok(raft_node_load(t->nodes[i], 1, &first));
    assert_ok(raft_node_start(t->nodes[i], t->now_ms, 1, 0, NULL, &dropped, &u));
    assert_false(dropped);
    carry_out(t, i, &u);
}

static inline int setup(void **state)
{
    struct trio *t = calloc(1, sizeof(*t));
    t->now_ms = 1000;
    for (unsigned i = 0; i < SERVERS; i++)
        t->ids[i] = 0x8000000000000001u + i;
    if (raft_node_bootstrap(t->ids, SERVERS, &t->conf, &t->conf_len) != E_OK)
        return -1;
    for (unsigned i = 0; i < SERVERS; i++)
        start_one(t, i, false);
    *state = t;
    return 0;
}

static inline int teardown(void **state)
{
    struct trio *t = *state;
    for (unsigned i = 0; i < SERVERS; i++)
        raft_node_free(t->nodes[i]);
    for (size_t i = 0; i < t->count; i++)
        free(t->queue[i].body);
    free(t->conf);
    free(t);
    return 0;
}

/* Time passes for one server only, so that it is the one that stands for election or sends. */
static inline void wake(struct trio *t, unsigned i)
{
    struct raft_node_update u;
    if (raft_node_deadline(t->nodes[i]) > t->now_ms)
        t->now_ms = raft_node_deadline(t->nodes[i]);
    assert_ok(raft_node_timeout(t->nodes[i], t->now_ms, &u));
    carry_out(t, i, &u);
    deliver_all(t);
}

static inline void make_leader(struct trio *t, unsigned i)
{
    t->now_ms += 700;
    for (unsigned other = 0; other < SERVERS;
         other++) { /* who has a leader refuses even pre-votes: let them forget it, unheard */
        bool cut = t->cut[other];
        t->cut[other] = true;
        if (other != i)
            wake(t, other);
        t->cut[other] = cut;
    }
    for (int tries = 0; tries < 20 && !raft_node_is_leader(t->nodes[i]); tries++)
        wake(t, i);
    assert_true(raft_node_is_leader(t->nodes[i]));
}

static inline void submit(struct trio *t, unsigned i, uint8_t mark)
{
    struct raft_node_update u;
    uint8_t data[8] = {mark};
    assert_ok(raft_node_submit(t->nodes[i], t->now_ms, ENTRY_COMMAND, BYTES_OF(data), &u));
    carry_out(t, i, &u);
}

static inline uint8_t mark_at(const struct trio *t, unsigned i, uint64_t index)
{
    const struct raft_node_entry *e = raft_node_entry(t->nodes[i], index);
    return e != NULL ? e->data.data[0] : 0;
}

#endif
