/* Eight members, ten million packets, restarts and clock steps: no IV twice under a key. Every other member
 * comes back from a restart with a new sender id; the rest keep theirs and have only what they wrote down.
 * Under a sanitizer fewer packets. The log is one sorted array, 8 octets for each packet. */
#include "esp_side.h"

enum { MEMBERS = 8, RESTART_EVERY = 4999, SID_BITS = 12 };
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
enum { TOTAL = 10000000 };
#else
enum { TOTAL = 400000 };
#endif

static uint64_t now_ms;

static uint64_t shared_time(void *context)
{
    (void)context;
    return now_ms;
}
static const struct clock moving = {shared_time, shared_time, NULL};

struct box {
    struct side *side;
    struct send_ledger disk;
    uint32_t sid;
    bool keeps_sid;
};

static err_t keep(void *context, const struct send_ledger *ledger)
{
    ((struct box *)context)->disk = *ledger;
    return E_OK;
}

static void box_start(struct box *box, const struct group *g, bool pseudotime)
{
    box->side = side_open(g, box->sid);
    struct esp_path *path = &box->side->path;
    uint8_t raw[SEND_LEDGER_FILE_MAX];
    struct writer w = writer_over(raw, sizeof(raw));
    path->clock = &moving;
    path->keep = keep;
    path->keep_context = box;
    send_ledger_encode(&w, &box->disk);
    assert_ok(send_ledger_decode(&path->ledger, writer_bytes(&w)));
    struct datapath_state state = {.selectors = g->selectors,
                                   .selector_count = g->selector_count,
                                   .in = {&g->teks[0]},
                                   .in_count = 1,
                                   .out = &g->teks[0],
                                   .sid_bits = SID_BITS,
                                   .sids = &box->sid,
                                   .sid_count = 1};
    /* A key server that is a little behind after each restart: its pseudotime alone would repeat. */
    if (pseudotime)
        group_clock_pull(&state.clock, now_ms * 1000 - 400000, now_ms, now_ms);
    assert_ok(esp_path_apply(path, &state));
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void run(bool pseudotime)
{
    struct group g = group_gcm();
    struct box boxes[MEMBERS] = {0};
    uint64_t *ivs = malloc((size_t)TOTAL * sizeof(*ivs));
    uint32_t next_sid = MEMBERS;
    unsigned restarts = 0;
    uint8_t clear[CAP], esp[CAP];
    struct bytes sent = good_packet(clear, 40);
    assert_non_null(ivs);
    now_ms = 100000;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        boxes[i].sid = i;
        boxes[i].keeps_sid = i % 2 == 0;
        boxes[i].disk.kept = true;
        box_start(&boxes[i], &g, pseudotime);
    }
    for (size_t i = 0; i < TOTAL; i++) {
        struct box *box = &boxes[i % MEMBERS];
        struct esp_note note;
        size_t len = 0;
        if (i % 50 == 0)
            now_ms++;
        if (i % RESTART_EVERY == RESTART_EVERY - 1) {
            side_close(box->side);
            if (!box->keeps_sid && next_sid < 1u << SID_BITS)
                box->sid = next_sid++;
            box_start(box, &g, pseudotime);
            restarts++;
        }
        assert_int_equal(esp_path_encapsulate(&box->side->path, sent, esp, CAP, &len, &note), ESP_TO_WAN);
        struct reader r = reader_over((struct bytes){esp + IP_HEADER_LEN + ESP_HEADER_LEN, 8});
        ivs[i] = read_u64(&r);
    }
    qsort(ivs, TOTAL, sizeof(*ivs), by_value);
    for (size_t i = 1; i < TOTAL; i++)
        if (ivs[i] == ivs[i - 1])
            fail_msg("IV %016llx twice", (unsigned long long)ivs[i]);
    assert_int_equal(restarts, TOTAL / RESTART_EVERY);
    for (size_t i = 0; i < MEMBERS; i++)
        side_close(boxes[i].side);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_iv_comes_twice_with_plain_counters),
        cmocka_unit_test(no_iv_comes_twice_with_pseudotime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
