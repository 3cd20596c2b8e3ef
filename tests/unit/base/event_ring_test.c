#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "tests/lib/test.h"

static void put(struct event_ring *ring, uint64_t seq)
{
    struct event_record record = {.seq = seq, .id = EV_STOPPED};
    snprintf(record.text, sizeof(record.text), "text %llu", (unsigned long long)seq);
    event_ring_sink(ring, &record);
}

static void an_empty_ring_gives_nothing(void **state)
{
    (void)state;
    struct event_ring *ring = NULL;
    struct event_record out[2];
    assert_ok(event_ring_open(&ring, 4));
    assert_int_equal(event_ring_read(ring, 0, out, 2), 0);
    event_ring_free(ring);
    event_ring_free(NULL);
}

static void records_come_back_oldest_first_after_a_number(void **state)
{
    (void)state;
    struct event_ring *ring = NULL;
    struct event_record out[8];
    assert_ok(event_ring_open(&ring, 8));
    for (uint64_t seq = 1; seq <= 5; seq++)
        put(ring, seq);
    assert_int_equal(event_ring_read(ring, 0, out, 8), 5);
    assert_int_equal(out[0].seq, 1);
    assert_int_equal(out[4].seq, 5);
    assert_string_equal(out[4].text, "text 5");
    assert_int_equal(event_ring_read(ring, 3, out, 8), 2);
    assert_int_equal(out[0].seq, 4);
    assert_int_equal(event_ring_read(ring, 0, out, 2), 2); /* the first page */
    assert_int_equal(out[1].seq, 2);
    assert_int_equal(event_ring_read(ring, 5, out, 8), 0);
    assert_int_equal(event_ring_read(ring, UINT64_MAX, out, 8), 0);
    assert_int_equal(event_ring_read(ring, 0, out, 0), 0);
    event_ring_free(ring);
}

static void a_full_ring_drops_the_oldest(void **state)
{
    (void)state;
    for (size_t capacity = 1; capacity <= 5; capacity++) {
        struct event_ring *ring = NULL;
        struct event_record out[8];
        assert_ok(event_ring_open(&ring, capacity));
        for (uint64_t seq = 1; seq <= 12; seq++) {
            put(ring, seq);
            size_t want = seq < capacity ? (size_t)seq : capacity;
            assert_int_equal(event_ring_read(ring, 0, out, 8), want);
            for (size_t i = 0; i < want; i++)
                assert_int_equal(out[i].seq, seq - want + 1 + i);
            assert_int_equal(event_ring_read(ring, seq - 1, out, 8), 1);
        }
        event_ring_free(ring);
    }
}

static void numbers_may_have_gaps(void **state)
{
    (void)state;
    struct event_ring *ring = NULL;
    struct event_record out[4];
    assert_ok(event_ring_open(&ring, 4));
    put(ring, 10);
    put(ring, 20);
    put(ring, 30);
    assert_int_equal(event_ring_read(ring, 15, out, 4), 2);
    assert_int_equal(out[0].seq, 20);
    event_ring_free(ring);
}

static void the_capacity_has_bounds(void **state)
{
    (void)state;
    struct event_ring *ring = NULL;
    assert_err(event_ring_open(&ring, 0), E_RANGE);
    assert_err(event_ring_open(&ring, EVENT_RING_MAX + 1), E_RANGE);
    assert_null(ring);
}

static void without_memory_there_is_no_ring(void **state)
{
    (void)state;
    long n = 0;
    for (;; n++) {
        struct event_ring *ring = NULL;
        heap_fault_after(n);
        err_t err = event_ring_open(&ring, 4);
        bool hit = heap_fault_hit();
        heap_fault_after(-1);
        event_ring_free(ring);
        assert_err(err, hit ? E_NO_MEMORY : E_OK);
        if (!hit)
            break;
        assert_null(ring);
    }
    assert_int_equal(n, 1);
}

static void *write_some(void *argument)
{
    (void)argument;
    for (int i = 0; i < 2000; i++)
        event(STOPPED, "ksd", "test");
    return NULL;
}

static void a_reader_sees_whole_records_while_others_write(void **state)
{
    (void)state;
    enum { WANTED = 2000 };
    struct event_ring *ring = NULL;
    static struct event_record out[16];
    pthread_t thread;
    uint64_t last = 0;
    uint64_t before = event_count(EV_STOPPED);
    assert_ok(event_ring_open(&ring, 64));
    assert_ok(event_add_sink(event_ring_sink, ring));
    assert_int_equal(pthread_create(&thread, NULL, write_some, NULL), 0);
    bool is_done = false;
    while (!is_done) {
        is_done = event_count(EV_STOPPED) == before + WANTED; /* then one last look */
        size_t n = event_ring_read(ring, last, out, ARRAY_LEN(out));
        for (size_t i = 0; i < n; i++) {
            assert_true(out[i].seq > last);
            assert_string_equal(out[i].text, "ksd stopped: test");
            last = out[i].seq;
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    event_remove_sink(event_ring_sink, ring);
    assert_true(last > 0);
    event_ring_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_ring_gives_nothing),
        cmocka_unit_test(records_come_back_oldest_first_after_a_number),
        cmocka_unit_test(a_full_ring_drops_the_oldest),
        cmocka_unit_test(numbers_may_have_gaps),
        cmocka_unit_test(the_capacity_has_bounds),
        cmocka_unit_test(without_memory_there_is_no_ring),
        cmocka_unit_test(a_reader_sees_whole_records_while_others_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
