#include "cluster/raft_node_internal.h"
#include "tests/unit/cluster/raft_trio.h"

static void an_entry_is_applied_once_a_majority_has_it(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    uint64_t before = raft_node_last(t->nodes[0]);
    t->cut[2] = true;
    submit(t, 0, 0xaa);
    assert_true(t->applied[0] < before + 1); /* alone it is no majority */
    deliver_all(t);
    assert_int_equal(t->applied[0], before + 1);
    wake(t, 0); /* the next heartbeat tells the follower */
    assert_int_equal(t->applied[1], before + 1);
    assert_int_equal(mark_at(t, 1, before + 1), 0xaa);
    assert_true(t->applied[2] <= before);
}

static void nothing_is_applied_before_it_is_on_disk(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    uint64_t before = t->applied[0];
    t->slow_disk[0] = t->slow_disk[1] = t->slow_disk[2] = true;
    submit(t, 0, 1);
    deliver_all(t);
    wake(t, 0);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_true(t->applied[i] <= before);
    t->slow_disk[1] = t->slow_disk[2] =
        false; /* two disks are a majority, though the leader's is not among them */
    struct raft_node_update none = {0};
    carry_out(t, 1, &none);
    carry_out(t, 2, &none);
    deliver_all(t);
    wake(t, 0);
    assert_int_equal(t->applied[1], before + 1);
}

static void only_the_leader_takes_entries(void **state)
{
    struct trio *t = *state;
    struct raft_node_update u;
    uint8_t data[8] = {0};
    make_leader(t, 1);
    assert_err(raft_node_submit(t->nodes[0], t->now_ms, ENTRY_COMMAND, BYTES_OF(data), &u), E_NOT_PRIMARY);
    assert_err(raft_node_submit(t->nodes[1], t->now_ms, ENTRY_COMMAND, (struct bytes){data, 7}, &u), E_LIMIT);
    assert_err(raft_node_submit(t->nodes[1], t->now_ms, ENTRY_COMMAND, (struct bytes){data, 0}, &u), E_LIMIT);
    assert_string_equal(raft_node_role(t->nodes[1]), "leader");
    assert_string_equal(raft_node_role(t->nodes[0]), "follower");
    assert_int_equal(raft_node_leader(t->nodes[0]), t->ids[1]);
    assert_int_equal(raft_node_voters(t->nodes[0]), 3);
}

static void a_cut_off_leader_steps_down_and_its_entry_gives_way(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    uint64_t index = raft_node_last(t->nodes[0]) + 1;
    t->cut[0] = true;
    submit(t, 0, 0x0f);
    deliver_all(t);
    for (int i = 0; i < 10 && raft_node_is_leader(t->nodes[0]); i++)
        wake(t, 0);
    assert_false(raft_node_is_leader(t->nodes[0]));
    make_leader(t, 1);
    submit(t, 1, 0xf0);
    uint64_t newer = raft_node_last(t->nodes[1]);
    deliver_all(t);
    t->cut[0] = false;
    for (int i = 0; i < 5; i++)
        wake(t, 1);
    assert_int_equal(mark_at(t, 0, newer), 0xf0);
    assert_int_not_equal(mark_at(t, 0, index), 0x0f); /* the new leader's own first entry is there */
    assert_int_equal(t->applied[0], t->applied[1]);
}

/* Trap: the report "index 7 is on disk" may come when another index 7 has taken its place in memory. */
static void a_write_that_was_replaced_on_its_way_counts_for_nothing(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    uint64_t index = raft_node_last(t->nodes[0]) + 1;
    t->cut[0] = t->slow_disk[0] = true;
    submit(t, 0, 0x0f);
    deliver_all(t);
    make_leader(t, 1);
    submit(t, 1, 0xf0);
    uint64_t newer = raft_node_last(t->nodes[1]);
    deliver_all(t);
    t->cut[0] = false;
    for (int i = 0; i < 5; i++)
        wake(t, 1);
    assert_int_equal(mark_at(t, 0, newer), 0xf0);
    assert_int_not_equal(mark_at(t, 0, index), 0x0f);
    uint64_t before = t->applied[0];
    struct raft_node_update u;
    assert_true(t->writes[0] >= 2);
    assert_ok(raft_node_persisted(t->nodes[0], t->now_ms, &u)); /* the old one arrives */
    assert_int_equal(u.message_count, 0);                       /* and is reported to nobody */
    t->writes[0]--;
    mail(t, 0, &u);
    apply_ready(t, 0);
    deliver_all(t);
    assert_int_equal(t->applied[0], before);
    t->slow_disk[0] = false;
    struct raft_node_update none = {0};
    carry_out(t, 0, &none);
    deliver_all(t);
    wake(t, 1);
    assert_int_equal(t->applied[0], t->applied[1]);
}

static void compact(struct trio *t, unsigned i, unsigned trailing)
{
    struct snapshot_meta meta;
    struct raft_node_update u;
    assert_ok(raft_node_snapshot_meta(t->nodes[i], t->applied[i], &meta));
    assert_ok(raft_node_snapshot_done(t->nodes[i], t->now_ms, &meta, trailing, &u));
    carry_out(t, i, &u);
}

static void a_server_that_fell_behind_is_given_a_snapshot(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    t->cut[2] = true;
    for (uint8_t i = 0; i < 50; i++) {
        submit(t, 0, i);
        deliver_all(t);
    }
    compact(t, 0, 2);
    assert_true(raft_node_first(t->nodes[0]) > 40);
    submit(t, 0, 0xee);
    deliver_all(t);
    t->cut[2] = false;
    for (int i = 0; i < 20 && t->applied[2] < t->applied[0]; i++)
        wake(t, 0);
    assert_int_equal(t->applied[2], t->applied[0]);
    assert_true(t->installed[2].index > 40);
    assert_int_equal(t->installed[2].conf_index, 1);
    assert_int_equal(mark_at(t, 2, t->applied[2]), 0xee);
    assert_int_equal(raft_node_voters(t->nodes[2]), 3);
}

static void a_snapshot_is_taken_only_of_what_is_applied_and_new(void **state)
{
    struct trio *t = *state;
    struct snapshot_meta meta;
    make_leader(t, 0);
    submit(t, 0, 1);
    deliver_all(t);
    assert_err(raft_node_snapshot_meta(t->nodes[0], raft_node_last(t->nodes[0]) + 1, &meta), E_STATE);
    t->slow_disk[0] = t->slow_disk[1] = t->slow_disk[2] = true;
    submit(t, 0, 2);
    assert_err(raft_node_snapshot_meta(t->nodes[0], raft_node_last(t->nodes[0]), &meta),
               E_STATE); /* third rule */
    compact(t, 0, 0);
    assert_err(raft_node_snapshot_meta(t->nodes[0], t->applied[0], &meta), E_STATE);
}

/* Fourth rule: libraft would append them at the end of the log. */
static void a_late_copy_of_the_first_append_does_no_harm(void **state)
{
    struct trio *t = *state;
    raft_node_free(t->nodes[2]);
    start_one(t, 2, true); /* a server that joins with nothing: it gets everything from index 1 */
    t->keeping = true;
    make_leader(t, 0);
    for (int i = 0; i < 8; i++) {
        submit(t, 0, (uint8_t)i);
        wake(t, 0);
    }
    t->keeping = false;
    for (uint8_t i = 0; i < 20; i++) {
        submit(t, 0, i);
        deliver_all(t);
    }
    wake(t, 0);
    compact(t, 2, 0);
    uint64_t last = raft_node_last(t->nodes[2]), commit = raft_node_commit(t->nodes[2]);
    assert_int_equal(commit, last);
    assert_true(t->kept_count > 8);
    for (size_t i = 0; i < t->kept_count; i++) {
        struct raft_node_update u;
        struct bytes body = {t->kept[i].body, t->kept[i].len};
        assert_ok(raft_node_receive(t->nodes[2], t->now_ms, t->ids[0], body, (struct bytes){0}, &u));
        assert_int_equal(u.first_index, 0);
        free(t->kept[i].body);
    }
    assert_int_equal(raft_node_last(t->nodes[2]), last);
    assert_int_equal(raft_node_commit(t->nodes[2]), commit);
    submit(t, 0, 0x77);
    deliver_all(t);
    wake(t, 0);
    assert_int_equal(mark_at(t, 2, raft_node_last(t->nodes[2])), 0x77);
}

/* Fifth rule: a leader that does not know yet how far a follower is sends such ones. */
static void an_append_that_ends_before_the_commit_index_does_not_lower_it(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    for (uint8_t i = 0; i < 5; i++) {
        submit(t, 0, i);
        deliver_all(t);
    }
    wake(t, 0);
    uint64_t commit = raft_node_commit(t->nodes[1]);
    assert_true(commit > 4);
    uint8_t buf[64];
    struct writer w = writer_over(buf, sizeof(buf));
    write_u8(&w, 1); /* version, append, libraft's version */
    write_u8(&w, 1);
    write_u8(&w, 0);
    write_u64(&w, raft_node_term(t->nodes[1]));
    write_u64(&w, 1); /* previous index and term */
    write_u64(&w, 1);
    write_u64(&w, commit + 5);
    write_u32(&w, 0);
    struct raft_node_update u;
    assert_ok(raft_node_receive(t->nodes[1], t->now_ms, t->ids[0], writer_bytes(&w), (struct bytes){0}, &u));
    assert_int_equal(raft_node_commit(t->nodes[1]), commit);
}

/* What a callee finds on its stack that sets nothing there. */
static __attribute__((noinline)) void soil_stack(void)
{
    volatile uint8_t dirt[4096];
    for (size_t i = 0; i < sizeof(dirt); i++)
        dirt[i] = 0xa5;
}

/* libraft leaves last_log_index of this answer as it was on the stack. */
static void a_leader_of_an_older_term_is_told_the_term_and_nothing_of_our_memory(void **state)
{
    struct trio *t = *state;
    struct raft_node_update u;
    uint8_t buf[128];
    make_leader(t, 0);
    submit(t, 0, 1);
    deliver_all(t);
    uint64_t old = raft_node_term(t->nodes[0]);
    make_leader(t, 2);
    deliver_all(t);
    struct writer w = writer_over(buf, sizeof(buf));
    write_u8(&w, 1); /* version, append, libraft's version */
    write_u8(&w, 1);
    write_u8(&w, 0);
    write_u64(&w, old);
    write_u64(&w, 2); /* the entry before */
    write_u64(&w, 1);
    write_u64(&w, 1); /* commit index */
    write_u32(&w, 0);
    soil_stack();
    assert_ok(raft_node_receive(t->nodes[1], t->now_ms, t->ids[0], writer_bytes(&w), (struct bytes){0}, &u));
    assert_int_equal(u.message_count, 1);
    struct reader r = reader_over(u.messages[0].body);
    (void)read_u8(&r);
    assert_int_equal(read_u8(&r), 2); /* the result of an append */
    (void)read_u8(&r);
    assert_int_equal(read_u64(&r), raft_node_term(t->nodes[2]));
    assert_int_equal(read_u64(&r), 2); /* rejected */
    assert_int_equal(read_u64(&r), 0); /* last_log_index */
}

/* libraft reads there what it keeps as a candidate, which a follower is not: the place holds a piece of the
 * leader's address. This one has a zero in it that reads as "no pre-vote". */
static void move_leader_address(struct raft_node *node)
{
    char *moved = aligned_alloc(65536, 65536);
    assert_non_null(moved);
    strcpy(moved, node->raft.follower_state.current_leader.address);
    raft_free(node->raft.follower_state.current_leader.address);
    node->raft.follower_state.current_leader.address = moved;
}

static void an_answer_to_an_election_that_is_over_changes_nothing(void **state)
{
    struct trio *t = *state;
    struct raft_node_update u;
    make_leader(t, 0);
    deliver_all(t);
    uint64_t term = raft_node_term(t->nodes[1]);
    move_leader_address(t->nodes[1]);
    for (uint8_t pre = 0; pre < 2; pre++) {
        uint8_t buf[64];
        struct writer w = writer_over(buf, sizeof(buf));
        write_u8(&w, 1); /* version, result of a vote, libraft's version */
        write_u8(&w, 4);
        write_u8(&w, 2);
        write_u64(&w, term + 1);
        write_u8(&w, 0); /* not granted */
        write_u8(&w, pre);
        write_u16(&w, 0);
        write_u16(&w, 0);
        assert_ok(
            raft_node_receive(t->nodes[1], t->now_ms, t->ids[2], writer_bytes(&w), (struct bytes){0}, &u));
        assert_int_equal(raft_node_term(t->nodes[1]), term);
        assert_false(u.term_changed);
        assert_int_equal(raft_node_leader(t->nodes[1]), t->ids[0]);
    }
}

static void a_malformed_message_changes_nothing(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    submit(t, 0, 1);
    assert_true(t->count > 0);
    struct letter *letter = &t->queue[0];
    unsigned to = at_id(t, letter->to);
    uint64_t term = raft_node_term(t->nodes[to]), last = raft_node_last(t->nodes[to]);
    struct raft_node_update u;
    for (size_t len = 0; len < letter->len; len++) {
        uint8_t *cut = malloc(len + 1);
        memcpy(cut, letter->body, len);
        assert_err(raft_node_receive(t->nodes[to], t->now_ms, t->ids[0], (struct bytes){cut, len},
                                     (struct bytes){0}, &u),
                   E_CORRUPT);
        free(cut);
    }
    struct bytes body = {letter->body, letter->len};
    assert_err(raft_node_receive(t->nodes[to], t->now_ms, 0, body, (struct bytes){0}, &u), E_CORRUPT);
    assert_err(raft_node_receive(t->nodes[to], t->now_ms, t->ids[to], body, (struct bytes){0}, &u),
               E_CORRUPT);
    assert_int_equal(raft_node_term(t->nodes[to]), term);
    assert_int_equal(raft_node_last(t->nodes[to]), last);
}

static struct snapshot_meta some_snapshot(const struct trio *t, uint64_t index, uint64_t term)
{
    struct snapshot_meta meta = {
        .index = index, .term = term, .conf_index = 1, .conf_len = (uint16_t)t->conf_len};
    memcpy(meta.conf, t->conf, t->conf_len);
    return meta;
}

static err_t boot(struct trio *t, uint64_t first, uint64_t last, uint64_t term,
                  const struct snapshot_meta *meta, bool *dropped)
{
    struct raft_node_options options = {.id = t->ids[0], .seed = 1};
    struct raft_node *node;
    struct raft_node_update u;
    uint8_t data[8] = {0};
    assert_ok(raft_node_open(&node, &options));
    for (uint64_t i = first; i <= last; i++) {
        struct raft_node_entry e = {term, i == 1 ? ENTRY_CHANGE : ENTRY_COMMAND, BYTES_OF(data)};
        if (i == 1)
            e.data = (struct bytes){t->conf, t->conf_len};
        assert_ok(raft_node_load(node, i, &e));
    }
    err_t err = raft_node_start(node, 1000, term, 0, meta, dropped, &u);
    if (err == E_OK && meta != NULL)
        assert_int_equal(raft_node_last(node), last > meta->index ? last : meta->index);
    raft_node_free(node);
    return err;
}

/* Second rule, and what the log and the snapshot on a disk may look like. */
static void log_and_snapshot_must_meet_at_start(void **state)
{
    struct trio *t = *state;
    bool dropped;
    struct snapshot_meta meta = some_snapshot(t, 50, 3);
    assert_ok(boot(t, 1, 10, 1, NULL, &dropped));
    assert_ok(boot(t, 40, 60, 3, &meta, &dropped));
    assert_false(dropped);
    assert_ok(boot(t, 51, 60, 3, &meta, &dropped));
    assert_false(dropped);
    assert_ok(boot(t, 20, 45, 3, &meta, &dropped)); /* ends before the snapshot */
    assert_true(dropped);
    assert_err(boot(t, 53, 60, 3, &meta, &dropped), E_CORRUPT); /* 51 and 52 are missing */
    assert_err(boot(t, 2, 10, 3, NULL, &dropped), E_CORRUPT);
}

static void a_gap_in_the_log_is_refused(void **state)
{
    struct trio *t = *state;
    struct raft_node_options options = {.id = 5, .seed = 1};
    struct raft_node *node;
    uint8_t data[8] = {0};
    struct raft_node_entry e = {1, ENTRY_COMMAND, BYTES_OF(data)};
    (void)t;
    assert_ok(raft_node_open(&node, &options));
    assert_ok(raft_node_load(node, 7, &e));
    assert_err(raft_node_load(node, 9, &e), E_CORRUPT);
    assert_err(raft_node_load(node, 0, &e), E_CORRUPT);
    e.term = 0;
    assert_err(raft_node_load(node, 8, &e), E_CORRUPT);
    raft_node_free(node);
}

/* The segment with the old 54 and before is pruned; what is left begins with entries that a new leader
 * replaced from 54 on. Found by the simulator: the server refused to start. */
static void entries_that_were_replaced_from_before_the_first_segment_on_count_for_nothing(void **state)
{
    struct trio *t = *state;
    struct raft_node_options options = {.id = t->ids[0], .seed = 1};
    struct snapshot_meta meta = some_snapshot(t, 60, 4);
    struct raft_node *node;
    struct raft_node_update u;
    bool dropped;
    uint8_t data[8] = {0};
    struct raft_node_entry e = {3, ENTRY_COMMAND, BYTES_OF(data)};
    assert_ok(raft_node_open(&node, &options));
    for (uint64_t i = 55; i <= 70; i++)
        assert_ok(raft_node_load(node, i, &e));
    e.term = 4;
    for (uint64_t i = 54; i <= 62; i++)
        assert_ok(raft_node_load(node, i, &e));
    assert_ok(raft_node_start(node, 1000, 4, 0, &meta, &dropped, &u));
    assert_false(dropped);
    assert_int_equal(raft_node_last(node), 62);
    raft_node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_entry_is_applied_once_a_majority_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_applied_before_it_is_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(only_the_leader_takes_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_off_leader_steps_down_and_its_entry_gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(a_write_that_was_replaced_on_its_way_counts_for_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_server_that_fell_behind_is_given_a_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_is_taken_only_of_what_is_applied_and_new, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_to_an_election_that_is_over_changes_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_late_copy_of_the_first_append_does_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(a_leader_of_an_older_term_is_told_the_term_and_nothing_of_our_memory,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_append_that_ends_before_the_commit_index_does_not_lower_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_malformed_message_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(log_and_snapshot_must_meet_at_start, setup, teardown),
        cmocka_unit_test_setup_teardown(a_gap_in_the_log_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            entries_that_were_replaced_from_before_the_first_segment_on_count_for_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
