/* The IV log of members with several threads: eight members of four lanes each, ten million packets, sender
 * ids that change lanes while the member runs, and restarts that know only what was written down: no IV twice
 * under a key. */
#include "iv_log.h"

enum { LANES = 4, RESTARTS = 8, HANDOVERS = 4 };
enum { PART = TOTAL / (MEMBERS * LANES * RESTARTS * HANDOVERS) }; /* packets of a lane between two changes */

struct lane {
    struct esp_path path;
    uint64_t *log;
    pthread_t thread;
};

struct member {
    struct rng_seeded seeded;
    struct rng rng;
    struct lane *lanes;
    uint8_t disk[SEND_LEDGER_FILE_MAX];
    size_t disk_len;
    unsigned kept;
    uint32_t first_sid;
};

static err_t keep(void *context, const struct send_ledger *ledger)
{
    struct member *m = context;
    struct writer w = writer_over(m->disk, sizeof(m->disk));
    send_ledger_encode(&w, ledger);
    m->disk_len = writer_bytes(&w).len;
    m->kept++;
    return writer_end(&w);
}

static void start(struct member *m)
{
    m->rng = rng_seeded_init(&m->seeded, m->first_sid + 1);
    m->lanes = calloc(LANES, sizeof(*m->lanes));
    assert_non_null(m->lanes);
    for (size_t i = 0; i < LANES; i++) {
        esp_path_init(&m->lanes[i].path, &m->rng, &moving);
        if (i != 0)
            esp_path_share(&m->lanes[i].path, &m->lanes[0].path);
    }
    struct esp_path *first = &m->lanes[0].path;
    first->keep = keep;
    first->keep_context = m;
    first->ledger = (struct send_ledger){.kept = true};
    if (m->disk_len != 0)
        assert_ok(send_ledger_decode(&first->ledger, (struct bytes){m->disk, m->disk_len}));
}

static void stop(struct member *m)
{
    for (size_t i = LANES; i-- > 0;)
        esp_path_close(&m->lanes[i].path);
    free(m->lanes);
}

/* As the data path does: all let go, then each takes its own; the sender ids move on by one lane each time.
 */
static void hand_over(struct member *m, const struct group *g, unsigned turn, bool pseudotime)
{
    for (size_t i = 1; i < LANES; i++)
        esp_path_mute(&m->lanes[i].path);
    esp_path_mute(&m->lanes[0].path);
    for (size_t i = 0; i < LANES; i++) {
        uint32_t sid = m->first_sid + (uint32_t)(i + turn) % LANES;
        struct datapath_state state = state_of(g, &sid, pseudotime);
        assert_ok(esp_path_apply(&m->lanes[i].path, &state));
    }
}

static void *send_all(void *context)
{
    struct lane *lane = context;
    uint8_t clear[CAP];
    struct bytes sent = good_packet(clear, PACKET_LEN);
    for (size_t i = 0; i < PART; i++) {
        pass(i);
        if (!log_one(&lane->path, sent, &lane->log[i]))
            return lane; /* cmocka's checks are the main thread's */
    }
    return NULL;
}

/* PART packets of each lane; returns where their log ends. */
static uint64_t *run_threads(struct member *members, uint64_t *log)
{
    for (size_t i = 0; i < MEMBERS * LANES; i++) {
        struct lane *lane = &members[i / LANES].lanes[i % LANES];
        lane->log = log;
        log += PART;
        assert_int_equal(pthread_create(&lane->thread, NULL, send_all, lane), 0);
    }
    for (size_t i = 0; i < MEMBERS * LANES; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(members[i / LANES].lanes[i % LANES].thread, &failed), 0);
        assert_null(failed);
    }
    return log;
}

static size_t run(const struct group *g, uint64_t *ivs, bool pseudotime)
{
    static struct member members[MEMBERS];
    uint64_t *log = ivs;
    memset(members, 0, sizeof(members));
    for (unsigned restart = 0; restart < RESTARTS; restart++) {
        for (uint32_t i = 0; i < MEMBERS; i++) {
            members[i].first_sid = i * LANES;
            start(&members[i]);
        }
        for (unsigned turn = 0; turn < HANDOVERS; turn++) {
            for (size_t i = 0; i < MEMBERS; i++)
                hand_over(&members[i], g, turn + restart, pseudotime);
            log = run_threads(members, log);
        }
        for (size_t i = 0; i < MEMBERS; i++)
            stop(&members[i]);
    }
    for (size_t i = 0; i < MEMBERS; i++)
        assert_true(members[i].kept >= RESTARTS);
    return (size_t)(log - ivs);
}

/* A server that gives two members, or two lanes of one, the same sender id: the second one does not send. */
static void two_lanes_never_send_by_one_sender_id(void **state)
{
    (void)state;
    struct group g = group_gcm();
    static struct member m;
    uint32_t sid = 9;
    uint8_t clear[CAP], esp[CAP];
    struct bytes sent = good_packet(clear, PACKET_LEN);
    struct esp_note note;
    size_t len = 0;
    struct datapath_state state_of_both = state_of(&g, &sid, false);
    start(&m);
    for (size_t i = 0; i < 2; i++)
        assert_ok(esp_path_apply(&m.lanes[i].path, &state_of_both));
    assert_int_equal(esp_path_encapsulate(&m.lanes[0].path, sent, esp, CAP, &len, &note), ESP_TO_WAN);
    assert_int_equal(esp_path_encapsulate(&m.lanes[1].path, sent, esp, CAP, &len, &note), ESP_DROP);
    assert_int_equal(note.why, DP_NO_KEY);
    esp_path_mute(&m.lanes[0].path);
    assert_ok(esp_path_apply(&m.lanes[1].path, &state_of_both));
    assert_int_equal(esp_path_encapsulate(&m.lanes[1].path, sent, esp, CAP, &len, &note), ESP_TO_WAN);
    assert_int_equal(esp_path_encapsulate(&m.lanes[0].path, sent, esp, CAP, &len, &note), ESP_DROP);
    stop(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_iv_comes_twice_with_plain_counters),
        cmocka_unit_test(no_iv_comes_twice_with_pseudotime),
        cmocka_unit_test(two_lanes_never_send_by_one_sender_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
