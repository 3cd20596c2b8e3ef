/* raft_transport_hub_test.c - two hubs over memory instead of sockets, in virtual time. */
#include "tests/unit/cluster/raft_transport_pair.h"

static void a_pair_stays_up_for_an_hour_of_silence(void **state)
{
    struct pair *p = *state;
    pass(p, 10);
    assert_true(is_up(p));
    pass(p, 3600 * 1000);
    assert_true(is_up(p));
    assert_int_equal(p->sides[0].ups + p->sides[1].ups, 2);
    assert_int_equal(p->sides[0].downs + p->sides[1].downs, 0);
    struct transport_peer_stats stats;
    assert_ok(hub_peer_stats(p->sides[0].hub, p->sides[1].self.id, &stats));
    assert_true(p->now - stats.heard_ms <= TRANSPORT_KEEPALIVE_MS);
}

static void a_cut_is_noticed_by_both_and_healed(void **state)
{
    struct pair *p = *state;
    pass(p, 5000);
    p->cut = true;
    pass(p, TRANSPORT_SILENT_MS - TRANSPORT_KEEPALIVE_MS - 1);
    assert_true(is_up(p));
    pass(p, TRANSPORT_KEEPALIVE_MS + 2);
    assert_int_equal(p->sides[0].downs, 1);
    assert_int_equal(p->sides[1].downs, 1);
    assert_int_equal(p->sides[0].last_down, REASON_SILENT);
    pass(p, 60000);
    assert_false(is_up(p));
    p->cut = false;
    pass(p, TRANSPORT_HANDSHAKE_MS + TRANSPORT_BACKOFF_MAX_MS + 1);
    assert_true(is_up(p));
    assert_ok(say(p, 0));
    assert_ok(say(p, 1));
    settle(p);
    assert_int_equal(p->sides[0].messages, 1);
    assert_int_equal(p->sides[1].messages, 1);
}

/* When each dial happened, for as many as asked. */
static void dial_times(struct pair *p, uint64_t *out, int count)
{
    for (int i = 0; i < count;) {
        uint64_t before = p->sides[0].hub->peers[0].stats.dial_failures;
        pass(p, 1);
        if (p->sides[0].hub->peers[0].stats.dial_failures != before)
            out[i++] = p->now;
    }
}

static void dials_back_off_with_jitter_up_to_a_bound(void **state)
{
    struct pair *p = *state;
    uint64_t times[12];
    bool differs = false;
    p->deaf = true;
    dial_times(p, times, ARRAY_LEN(times));
    for (unsigned i = 1; i < ARRAY_LEN(times); i++) {
        uint64_t gap = times[i] - times[i - 1], full = (uint64_t)TRANSPORT_BACKOFF_MIN_MS << (i - 1);
        if (full > TRANSPORT_BACKOFF_MAX_MS)
            full = TRANSPORT_BACKOFF_MAX_MS;
        assert_true(gap + 2 >= full / 2 && gap <= full + 2);
        differs = differs || (i > 6 && gap != times[i - 1] - times[i - 2]);
    }
    assert_true(differs);
    p->deaf = false;
    pass(p, TRANSPORT_BACKOFF_MAX_MS + 1);
    assert_true(is_up(p));
}

static void a_dial_without_an_answer_ends_with_the_handshake_timer(void **state)
{
    struct pair *p = *state;
    p->hanging = true;
    pass(p, TRANSPORT_HANDSHAKE_MS - 1);
    assert_int_equal(p->sides[0].hub->peers[0].stats.dial_failures, 0);
    pass(p, 2);
    assert_int_equal(p->sides[0].hub->peers[0].stats.dial_failures, 1);
    assert_int_equal(p->sides[0].hub->peers[0].stats.last, REASON_HANDSHAKE_TIMEOUT);
}

static void our_own_sleep_is_not_the_peers_silence(void **state)
{
    struct pair *p = *state;
    pass(p, 5000);
    p->now += 3600 * 1000; /* stopped, or suspended: no tick meanwhile */
    hub_tick(p->sides[0].hub, p->now);
    hub_tick(p->sides[1].hub, p->now);
    assert_true(is_up(p));
    pass(p, 60000);
    assert_true(is_up(p));
    assert_int_equal(p->sides[0].downs, 0);
}

static void keys_are_updated_on_a_long_connection(void **state)
{
    struct pair *p = *state;
    pass(p, 10);
    for (int i = 0; i < 2; i++)
        p->sides[i].hub->slots[p->sides[i].hub->peers[0].slot].link->key_records = LINK_KEY_RECORDS - 3;
    for (int i = 0; i < 10; i++) {
        assert_ok(say(p, 0));
        assert_ok(say(p, 1));
        settle(p);
    }
    assert_int_equal(p->sides[0].messages, 10);
    assert_int_equal(p->sides[1].messages, 10);
    for (int i = 0; i < 2; i++)
        assert_true(p->sides[i].hub->slots[p->sides[i].hub->peers[0].slot].link->key_records < 10);
}

/* A heartbeat waits behind a chunk, not behind all that fits the marks. */
static void a_snapshot_is_not_encrypted_far_ahead_of_the_socket(void **state)
{
    struct pair *p = *state;
    struct snapshot_source source = {.total = 8 << 20, .read = read_zeros};
    uint8_t octet;
    pass(p, 10);
    int slot = p->sides[0].hub->peers[0].slot;
    struct transport_link *link = p->sides[0].hub->slots[slot].link;
    assert_ok(hub_send_snapshot(p->sides[0].hub, p->sides[1].self.id, 3, bytes_of_text("m"), &source));
    assert_int_equal(hub_output(p->sides[0].hub, p->now, slot, &octet, 1), 1);
    assert_true(BIO_ctrl_pending(link->to_peer) < TRANSPORT_WRITE_LOW + TRANSPORT_CHUNK + 16384);
    for (int i = 0; i < 100; i++) /* messages go up to the high mark, and then it is enough */
        assert_ok(hub_send(p->sides[0].hub, p->sides[1].self.id, KIND, BYTES_OF(zeros)));
    assert_int_equal(hub_output(p->sides[0].hub, p->now, slot, &octet, 1), 1);
    size_t pending = BIO_ctrl_pending(link->to_peer);
    assert_true(pending >= TRANSPORT_WRITE_HIGH - 1 && pending < TRANSPORT_WRITE_HIGH + 2 * 16384);
}

static void a_handler_may_remove_the_peer_whose_message_it_got(void **state)
{
    struct pair *p = *state;
    pass(p, 10);
    p->sides[1].removes_all = true;
    for (int i = 0; i < 5; i++)
        assert_ok(say(p, 0));
    settle(p);
    assert_int_equal(p->sides[1].messages, 1); /* and none after it */
    assert_int_equal(p->sides[1].downs, 1);
    assert_int_equal(p->sides[0].downs, 1);
    assert_int_equal(p->sides[0].last_down, REASON_REMOVED);
}

static void stopping_says_goodbye(void **state)
{
    struct pair *p = *state;
    pass(p, 10);
    hub_stop(p->sides[1].hub, p->now);
    settle(p);
    assert_true(hub_is_idle(p->sides[1].hub));
    assert_int_equal(p->sides[0].last_down, REASON_STOPPED);
    pass(p, 10000);
    assert_int_equal(p->sides[0].ups, 1); /* it is not let in again */
}

/* The certificates of this test live for 30 days. */
static void a_certificate_near_its_end_is_reported_once_a_day(void **state)
{
    struct pair *p = *state;
    uint64_t events = event_count(EV_CERT_EXPIRES);
    pass(p, 10000);
    assert_int_equal(event_count(EV_CERT_EXPIRES), events);
    wall_offset_s = 17 * 86400;
    pass(p, 10000);
    assert_int_equal(event_count(EV_CERT_EXPIRES), events + 2); /* each node its own */
    p->now += HUB_CERT_WARN_MS;
    pass(p, 10000);
    assert_int_equal(event_count(EV_CERT_EXPIRES), events + 4);
    wall_offset_s = 0;
    struct transport_stats stats;
    hub_stats(p->sides[0].hub, &stats);
    assert_true(stats.cert_expires_s == (int64_t)wall_s + 30 * 86400);
}

/* The whole life of a pair, as far as it gets. */
static void live(struct pair *p)
{
    struct snapshot_source source = {.total = 300000, .read = read_zeros};
    if (open_side(p, 0) != E_OK || open_side(p, 1) != E_OK)
        return;
    pass(p, 10);
    if (say(p, 0) == E_OK)
        settle(p);
    if (hub_send_snapshot(p->sides[0].hub, p->sides[1].self.id, 3, bytes_of_text("m"), &source) == E_OK)
        settle(p);
}

static void every_allocation_failure_is_survived(void **state)
{
    struct pair *p = *state;
    for (long n = 0;; n++) {
        assert_true(n < 1000);
        heap_fault_after(n);
        live(p);
        int hit = heap_fault_hit();
        heap_fault_after(-1);
        /* With memory it works again, on what is left or anew. */
        if (p->sides[0].hub == NULL || p->sides[1].hub == NULL) {
            close_sides(p);
            assert_ok(open_side(p, 0));
            assert_ok(open_side(p, 1));
        }
        pass(p, 20000);
        assert_true(is_up(p));
        unsigned before = p->sides[1].messages;
        assert_ok(say(p, 0));
        settle(p);
        assert_int_equal(p->sides[1].messages, before + 1);
        close_sides(p);
        if (!hit) {
            assert_true(n > 10);
            break;
        }
    }
    assert_true(p->sides[1].snapshots != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pair_stays_up_for_an_hour_of_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_is_noticed_by_both_and_healed, setup, teardown),
        cmocka_unit_test_setup_teardown(dials_back_off_with_jitter_up_to_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dial_without_an_answer_ends_with_the_handshake_timer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(our_own_sleep_is_not_the_peers_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_updated_on_a_long_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_is_not_encrypted_far_ahead_of_the_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(a_handler_may_remove_the_peer_whose_message_it_got, setup, teardown),
        cmocka_unit_test_setup_teardown(stopping_says_goodbye, setup, teardown),
        cmocka_unit_test_setup_teardown(a_certificate_near_its_end_is_reported_once_a_day, setup, teardown),
        cmocka_unit_test_setup_teardown(every_allocation_failure_is_survived, setup_bare, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
