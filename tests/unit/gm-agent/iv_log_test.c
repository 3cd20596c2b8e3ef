/* Eight members, ten million packets, restarts and clock steps: no IV twice under a key. Every other member
 * comes back from a restart with a new sender id; the rest keep theirs and have only what they wrote down. */
#include "iv_log.h"

enum { RESTART_EVERY = 4999 };

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
    struct datapath_state state = state_of(g, &box->sid, pseudotime);
    assert_ok(esp_path_apply(path, &state));
}

static size_t run(const struct group *g, uint64_t *ivs, bool pseudotime)
{
    struct box boxes[MEMBERS] = {0};
    uint32_t next_sid = MEMBERS;
    unsigned restarts = 0;
    uint8_t clear[CAP];
    struct bytes sent = good_packet(clear, PACKET_LEN);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        boxes[i].sid = i;
        boxes[i].keeps_sid = i % 2 == 0;
        boxes[i].disk.kept = true;
        box_start(&boxes[i], g, pseudotime);
    }
    for (size_t i = 0; i < TOTAL; i++) {
        struct box *box = &boxes[i % MEMBERS];
        pass(i);
        if (i % RESTART_EVERY == RESTART_EVERY - 1) {
            side_close(box->side);
            if (!box->keeps_sid && next_sid < 1u << SID_BITS)
                box->sid = next_sid++;
            box_start(box, g, pseudotime);
            restarts++;
        }
        assert_true(log_one(&box->side->path, sent, &ivs[i]));
    }
    assert_int_equal(restarts, TOTAL / RESTART_EVERY);
    for (size_t i = 0; i < MEMBERS; i++)
        side_close(boxes[i].side);
    return TOTAL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_iv_comes_twice_with_plain_counters),
        cmocka_unit_test(no_iv_comes_twice_with_pseudotime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
