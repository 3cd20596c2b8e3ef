/* The IV log of members with several threads: eight members of four lanes each, ten million packets, sender
 * ids that change lanes while the member runs, and restarts that know only what was written down: no IV twice
 * under a key. Under a sanitizer fewer packets. The log is one sorted array, 8 octets for each packet. */
#include <stdatomic.h>

#include "esp_side.h"

enum { MEMBERS = 8, LANES = 4, RESTARTS = 8, HANDOVERS = 4, SID_BITS = 12 };
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
enum { TOTAL = 10000000 };
#else
enum { TOTAL = 300000 };
#endif
enum { PART = TOTAL / (MEMBERS * LANES * RESTARTS * HANDOVERS) }; /* packets of a lane between two changes */

static _Atomic uint64_t now_ms;

static uint64_t shared_time(void *context)
{
    (void)context;
    return atomic_load_explicit(&now_ms, memory_order_relaxed);
}
static const struct clock moving = {shared_time, shared_time, NULL};

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

static uint64_t *ivs;
static size_t taken;
static bool pseudotime;

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
static void hand_over(struct member *m, const struct group *g, unsigned turn)
{
    struct datapath_state state = {.selectors = g->selectors,
                                   .selector_count = g->selector_count,
                                   .in = {&g->teks[0]},
                                   .in_count = 1,
                                   .out = &g->teks[0],
                                   .sid_bits = SID_BITS,
                                   .sid_count = 1};
    uint64_t at_ms = atomic_load(&now_ms);
    if (pseudotime)
        group_clock_pull(&state.clock, at_ms * 1000 - 400000, at_ms, at_ms);
    for (size_t i = 1; i < LANES; i++)
        esp_path_mute(&m->lanes[i].path);
    esp_path_mute(&m->lanes[0].path);
    for (size_t i = 0; i < LANES; i++) {
        uint32_t sid = m->first_sid + (uint32_t)(i + turn) % LANES;
        state.sids = &sid;
        assert_ok(esp_path_apply(&m->lanes[i].path, &state));
    }
}

static void *send_all(void *context)
{
    struct lane *lane = context;
    uint8_t clear[CAP], esp[CAP];
    struct bytes sent = good_packet(clear, 40);
    for (size_t i = 0; i < PART; i++) {
        struct esp_note note;
        size_t len = 0;
        if (i % 50 == 0)
            atomic_fetch_add_explicit(&now_ms, 1, memory_order_relaxed);
        if (esp_path_encapsulate(&lane->path, sent, esp, CAP, &len, &note) != ESP_TO_WAN)
            return lane; /* cmocka's checks are the main thread's */
        struct reader r = reader_over((struct bytes){esp + IP_HEADER_LEN + ESP_HEADER_LEN, 8});
        lane->log[i] = read_u64(&r);
    }
    return NULL;
}

static void run_threads(struct member *members)
{
    for (size_t i = 0; i < MEMBERS * LANES; i++) {
        struct lane *lane = &members[i / LANES].lanes[i % LANES];
        lane->log = ivs + taken;
        taken += PART;
        assert_int_equal(pthread_create(&lane->thread, NULL, send_all, lane), 0);
    }
    for (size_t i = 0; i < MEMBERS * LANES; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(members[i / LANES].lanes[i % LANES].thread, &failed), 0);
        assert_null(failed);
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void run(bool with_pseudotime)
{
    struct group g = group_gcm();
    static struct member members[MEMBERS];
    memset(members, 0, sizeof(members));
    ivs = malloc((size_t)TOTAL * sizeof(*ivs));
    assert_non_null(ivs);
    taken = 0;
    pseudotime = with_pseudotime;
    atomic_store(&now_ms, 100000);
    for (unsigned restart = 0; restart < RESTARTS; restart++) {
        for (uint32_t i = 0; i < MEMBERS; i++) {
            members[i].first_sid = i * LANES;
            start(&members[i]);
        }
        for (unsigned turn = 0; turn < HANDOVERS; turn++) {
            for (size_t i = 0; i < MEMBERS; i++)
                hand_over(&members[i], &g, turn + restart);
            run_threads(members);
        }
        for (size_t i = 0; i < MEMBERS; i++)
            stop(&members[i]);
    }
    qsort(ivs, taken, sizeof(*ivs), by_value);
    for (size_t i = 1; i < taken; i++)
        if (ivs[i] == ivs[i - 1])
            fail_msg("IV %016llx twice", (unsigned long long)ivs[i]);
    assert_true(taken > TOTAL - TOTAL / 100);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_true(members[i].kept >= RESTARTS);
    free(ivs);
}

static void no_iv_comes_twice_with_plain_counters(void **state)
{
    (void)state;
    run(false);
}

static void no_iv_comes_twice_with_pseudotime(void **state)
{
    (void)state;
    run(true);
}

/* A server that gives two members, or two lanes of one, the same sender id: the second one does not send. */
static void two_lanes_never_send_by_one_sender_id(void **state)
{
    (void)state;
    struct group g = group_gcm();
    static struct member m;
    uint32_t sid = 9;
    uint8_t clear[CAP], esp[CAP];
    struct bytes sent = good_packet(clear, 40);
    struct esp_note note;
    size_t len = 0;
    struct datapath_state state_of_both = {.selectors = g.selectors,
                                           .selector_count = g.selector_count,
                                           .in = {&g.teks[0]},
                                           .in_count = 1,
                                           .out = &g.teks[0],
                                           .sid_bits = SID_BITS,
                                           .sids = &sid,
                                           .sid_count = 1};
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
