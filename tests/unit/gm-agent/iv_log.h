/* iv_log.h - what the IV logs of members with one thread and with several share: how much is sent, one time
 * for all, a member's state, and that no IV came twice. The file that includes it says in run how they are
 * sent. Under a sanitizer fewer packets. The log is one sorted array, 8 octets for each packet. */
#ifndef TESTS_UNIT_GM_AGENT_IV_LOG_H
#define TESTS_UNIT_GM_AGENT_IV_LOG_H

#include <stdatomic.h>

#include "esp_side.h"

enum { MEMBERS = 8, SID_BITS = 12, PACKET_LEN = 40 };
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
enum { TOTAL = 10000000 };
#else
enum { TOTAL = 400000 };
#endif

static _Atomic uint64_t now_ms;

static uint64_t shared_time(void *context)
{
    (void)context;
    return atomic_load_explicit(&now_ms, memory_order_relaxed);
}
static const struct clock moving = {shared_time, shared_time, NULL};

/* Once every 50 packets a millisecond goes by. */
static void pass(size_t packet_number)
{
    if (packet_number % 50 == 0)
        atomic_fetch_add_explicit(&now_ms, 1, memory_order_relaxed);
}

/* One key and one sender id, which is borrowed. A key server is a little behind after each restart: its
 * pseudotime alone would repeat. */
static struct datapath_state state_of(const struct group *g, const uint32_t *sid, bool pseudotime)
{
    struct datapath_state state = {.selectors = g->selectors,
                                   .selector_count = g->selector_count,
                                   .in = {&g->teks[0]},
                                   .in_count = 1,
                                   .out = &g->teks[0],
                                   .sid_bits = SID_BITS,
                                   .sids = sid,
                                   .sid_count = 1};
    uint64_t at_ms = atomic_load(&now_ms);
    if (pseudotime)
        group_clock_pull(&state.clock, at_ms * 1000 - 400000, at_ms, at_ms);
    return state;
}

/* Sends a packet and logs its IV. False: it was not sent. */
static bool log_one(struct esp_path *path, struct bytes clear, uint64_t *iv)
{
    uint8_t esp[CAP];
    struct esp_note note;
    size_t len = 0;
    if (esp_path_encapsulate(path, clear, esp, CAP, &len, &note) != ESP_TO_WAN)
        return false;
    struct reader r = reader_over((struct bytes){esp + IP_HEADER_LEN + ESP_HEADER_LEN, 8});
    *iv = read_u64(&r);
    return true;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void no_iv_twice(uint64_t *ivs, size_t count)
{
    qsort(ivs, count, sizeof(*ivs), by_value);
    for (size_t i = 1; i < count; i++)
        if (ivs[i] == ivs[i - 1])
            fail_msg("IV %016llx twice", (unsigned long long)ivs[i]);
}

/* Up to TOTAL packets of MEMBERS members over their restarts; returns how many were logged in ivs. */
static size_t run(const struct group *g, uint64_t *ivs, bool pseudotime);

static void run_and_compare(bool pseudotime)
{
    struct group g = group_gcm();
    uint64_t *ivs = malloc((size_t)TOTAL * sizeof(*ivs));
    assert_non_null(ivs);
    atomic_store(&now_ms, 100000);
    size_t count = run(&g, ivs, pseudotime);
    assert_true(count <= TOTAL && count > TOTAL - TOTAL / 100);
    no_iv_twice(ivs, count);
    free(ivs);
}

static void no_iv_comes_twice_with_plain_counters(void **state)
{
    (void)state;
    run_and_compare(false);
}

static void no_iv_comes_twice_with_pseudotime(void **state)
{
    (void)state;
    run_and_compare(true);
}

#endif
