/* Counters of sending: never one twice, also over restarts. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gm-agent/send_store.h"
#include "tests/lib/test.h"

struct folder {
    char path[64];
    char file[128];
};

static struct folder make_folder(void)
{
    struct folder f;
    strcpy(f.path, "/tmp/quorate-ledger-XXXXXX");
    assert_non_null(mkdtemp(f.path));
    snprintf(f.file, sizeof(f.file), "%s/counters", f.path);
    return f;
}

static void drop_folder(const struct folder *f)
{
    static const char *const ends[] = {"", ".lock", ".new"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char name[160];
        snprintf(name, sizeof(name), "%s%s", f->file, ends[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(f->path), 0);
}

static void the_ssiv_follows_the_pseudotime_and_never_stands_still(void **state)
{
    (void)state;
    struct send_ledger ledger = {0};
    struct send_counter *c = &ledger.counters[send_ledger_find(&ledger, 0x1001, 7, 8)];
    uint64_t ssiv = 0;
    assert_ok(send_counter_next_ssiv(c, 5000, &ssiv));
    assert_int_equal(ssiv, 5000);
    assert_ok(send_counter_next_ssiv(c, 5000, &ssiv));
    assert_int_equal(ssiv, 5001);
    assert_ok(send_counter_next_ssiv(c, 100, &ssiv)); /* the clock went back: whoever it is, not we */
    assert_int_equal(ssiv, 5002);
    assert_ok(send_counter_next_ssiv(c, 9000, &ssiv));
    assert_int_equal(ssiv, 9000);
}

static void it_stops_at_the_end_of_its_width_and_without_a_fitting_sender_id(void **state)
{
    (void)state;
    struct send_ledger ledger = {0};
    uint64_t ssiv = 0;
    struct send_counter *c = &ledger.counters[send_ledger_find(&ledger, 1, 0xffff, 16)];
    c->ssiv = (UINT64_C(1) << 48) - 2;
    assert_ok(send_counter_next_ssiv(c, 0, &ssiv));
    assert_err(send_counter_next_ssiv(c, 0, &ssiv), E_LIMIT);
    c = &ledger.counters[send_ledger_find(&ledger, 1, 0x100, 8)];
    assert_err(send_counter_next_ssiv(c, 0, &ssiv), E_LIMIT);
    c = &ledger.counters[send_ledger_find(&ledger, 1, 1, 16)];
    assert_err(send_counter_next_ssiv(c, UINT64_C(1) << 48, &ssiv), E_LIMIT);
}

static void sequence_numbers_wrap_only_where_nobody_checks_them(void **state)
{
    (void)state;
    struct send_ledger ledger = {0};
    uint32_t seq = 0;
    struct send_counter *c = &ledger.counters[send_ledger_find(&ledger, 1, 0, 0)];
    c->seq = UINT32_MAX - 1;
    assert_ok(send_counter_next_seq(c, false, &seq));
    assert_int_equal(seq, UINT32_MAX);
    assert_err(send_counter_next_seq(c, false, &seq), E_LIMIT);
    assert_ok(send_counter_next_seq(c, true, &seq));
    assert_int_equal(seq, 0);
}

static void a_key_and_sender_id_that_come_back_go_on_where_they_stopped(void **state)
{
    (void)state;
    struct send_ledger ledger = {0};
    uint64_t ssiv = 0;
    size_t first = send_ledger_find(&ledger, 1, 7, 8);
    assert_ok(send_counter_next_ssiv(&ledger.counters[first], 0, &ssiv));
    assert_int_not_equal(send_ledger_find(&ledger, 1, 8, 8), first); /* another sender id */
    assert_int_not_equal(send_ledger_find(&ledger, 2, 7, 8), first); /* another key */
    assert_int_equal(send_ledger_find(&ledger, 1, 7, 8), first);
    assert_ok(send_counter_next_ssiv(&ledger.counters[first], 0, &ssiv));
    assert_int_equal(ssiv, 2);
}

static void the_one_used_longest_ago_makes_room(void **state)
{
    (void)state;
    struct send_ledger ledger = {0};
    for (uint32_t spi = 1; spi <= SEND_LEDGER_MAX; spi++)
        send_ledger_find(&ledger, spi, 0, 0);
    size_t at = send_ledger_find(&ledger, 1, 0, 0);
    assert_int_equal(ledger.counters[at].spi, 1);
    at = send_ledger_find(&ledger, 1000, 0, 0);
    assert_int_equal(ledger.count, SEND_LEDGER_MAX);
    assert_int_equal(ledger.counters[at].spi, 1000);
    for (size_t i = 0; i < ledger.count; i++)
        assert_int_not_equal(ledger.counters[i].spi, 2);
}

static void beyond_the_reservation_nothing_is_used_before_it_is_written_down(void **state)
{
    (void)state;
    struct send_ledger ledger = {.kept = true};
    uint64_t ssiv = 0;
    uint32_t seq = 0;
    struct send_counter *c = &ledger.counters[send_ledger_find(&ledger, 1, 7, 8)];
    assert_err(send_counter_next_ssiv(c, 1000, &ssiv), E_AGAIN);
    assert_err(send_counter_next_seq(c, true, &seq), E_AGAIN);
    send_counter_reserve(c, 1000);
    assert_ok(send_counter_next_ssiv(c, 1000, &ssiv));
    assert_ok(send_counter_next_seq(c, true, &seq));
    assert_ok(send_counter_next_ssiv(c, 1000 + SEND_LEDGER_RESERVE, &ssiv));
    assert_err(send_counter_next_ssiv(c, 0, &ssiv), E_AGAIN);
}

static void after_a_restart_it_goes_on_behind_all_that_was_reserved(void **state)
{
    (void)state;
    struct folder f = make_folder();
    struct send_ledger ledger, again;
    struct send_store store, second;
    uint64_t ssiv = 0, last = 0;
    uint32_t seq = 0, last_seq = 0;
    assert_ok(send_store_open(&store, f.file, &ledger));
    struct send_counter *c = &ledger.counters[send_ledger_find(&ledger, 1, 7, 8)];
    send_counter_reserve(c, 0);
    assert_ok(send_store_write(&store, &ledger));
    for (unsigned i = 0; i < 1000; i++) {
        assert_ok(send_counter_next_ssiv(c, 0, &last));
        assert_ok(send_counter_next_seq(c, false, &last_seq));
    }
    assert_err(send_store_open(&second, f.file, &again), E_EXISTS); /* one agent per file */
    send_store_close(&store);
    assert_ok(send_store_open(&store, f.file, &again));
    c = &again.counters[send_ledger_find(&again, 1, 7, 8)];
    assert_err(send_counter_next_ssiv(c, 0, &ssiv), E_AGAIN);
    send_counter_reserve(c, 0);
    assert_ok(send_counter_next_ssiv(c, 0, &ssiv));
    assert_ok(send_counter_next_seq(c, false, &seq));
    assert_true(ssiv > last && seq > last_seq);
    send_store_close(&store);
    drop_folder(&f);
}

static void a_damaged_file_is_never_taken_for_an_empty_one(void **state)
{
    (void)state;
    struct folder f = make_folder();
    struct send_ledger ledger;
    struct send_store store;
    uint8_t data[4096];
    assert_ok(send_store_open(&store, f.file, &ledger));
    for (uint32_t spi = 1; spi < 5; spi++)
        send_counter_reserve(&ledger.counters[send_ledger_find(&ledger, spi, 7, 8)], 0);
    assert_ok(send_store_write(&store, &ledger));
    send_store_close(&store);
    int fd = open(f.file, O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, data, sizeof(data));
    close(fd);
    assert_true(len > 32);
    for (ssize_t cut = 0; cut < len; cut++) {
        assert_int_equal(truncate(f.file, cut), 0);
        assert_err(send_store_open(&store, f.file, &ledger), E_CORRUPT);
        fd = open(f.file, O_WRONLY | O_CLOEXEC);
        data[cut] ^= 1;
        assert_int_equal(write(fd, data, (size_t)len), len);
        close(fd);
        assert_err(send_store_open(&store, f.file, &ledger), E_CORRUPT);
        data[cut] ^= 1;
    }
    drop_folder(&f);
}

static void where_it_cannot_be_written_it_says_so_at_the_start(void **state)
{
    (void)state;
    struct send_ledger ledger;
    struct send_store store;
    char longer[2 * SEND_STORE_PATH_MAX];
    assert_err(send_store_open(&store, "/nowhere/at/all/counters", &ledger), E_IO);
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_err(send_store_open(&store, longer, &ledger), E_RANGE);
}

static void one_that_is_sent_by_is_held_and_never_makes_room(void **state)
{
    (void)state;
    struct send_ledger ledger = {0};
    size_t at = 0, again = 0;
    uint64_t ssiv = 0;
    assert_ok(send_ledger_hold(&ledger, 1, 7, 12, &at));
    assert_int_equal(send_ledger_hold(&ledger, 1, 7, 12, &again), E_EXISTS);
    assert_ok(send_counter_next_ssiv(&ledger.counters[at], 500, &ssiv));
    for (uint32_t i = 0; i < 3 * SEND_LEDGER_MAX; i++)
        (void)send_ledger_find(&ledger, 100 + i, 7, 12);
    assert_int_equal(ledger.counters[at].ssiv, 500);
    send_ledger_release(&ledger, at);
    assert_ok(send_ledger_hold(&ledger, 1, 7, 12, &again));
    assert_int_equal(again, at);
    send_ledger_release(&ledger, at);
    for (uint32_t i = 0; i < 3 * SEND_LEDGER_MAX; i++)
        (void)send_ledger_find(&ledger, 100 + i, 7, 12);
    assert_int_not_equal(ledger.counters[at].spi, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ssiv_follows_the_pseudotime_and_never_stands_still),
        cmocka_unit_test(it_stops_at_the_end_of_its_width_and_without_a_fitting_sender_id),
        cmocka_unit_test(sequence_numbers_wrap_only_where_nobody_checks_them),
        cmocka_unit_test(a_key_and_sender_id_that_come_back_go_on_where_they_stopped),
        cmocka_unit_test(the_one_used_longest_ago_makes_room),
        cmocka_unit_test(beyond_the_reservation_nothing_is_used_before_it_is_written_down),
        cmocka_unit_test(after_a_restart_it_goes_on_behind_all_that_was_reserved),
        cmocka_unit_test(a_damaged_file_is_never_taken_for_an_empty_one),
        cmocka_unit_test(where_it_cannot_be_written_it_says_so_at_the_start),
        cmocka_unit_test(one_that_is_sent_by_is_held_and_never_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
