/* main_mode_damage_test.c - every message cut at each octet and flipped at each bit, in both directions, and
 * every allocation failing once: nothing crashes, nothing establishes with differing keys, and a refused
 * message leaves no trace, so that the good one works afterwards. */
#include "tests/lib/test.h"

#include "tests/unit/proto/ike/exchange.h"

static struct exchange ex;
static struct datagram messages[7];
static struct datagram damaged;
static struct datagram reply;
static struct mm_effects out;
static struct main_mode before;

static int teardown(void **state)
{
    (void)state;
    heap_fault_after(-1);
    exchange_close(&ex);
    return 0;
}

static struct main_mode *taker_of(int n)
{
    return n % 2 == 1 ? &ex.r : &ex.i;
}

/* An exchange in which message n is made and not yet delivered. */
static void bring_to(const char *suite, int n)
{
    exchange_close(&ex);
    exchange_defaults(&ex, suite, (uint64_t)n);
    exchange_start(&ex);
    assert_ok(exchange_run(&ex, messages, n));
}

/* Deliver messages n.. 6 undisturbed. */
static err_t finish(int n)
{
    err_t err = E_OK;
    for (; n <= 6 && err == E_OK; n++)
        err =
            exchange_feed(taker_of(n), datagram_view(&messages[n]), n < 6 ? &messages[n + 1] : &reply, &out);
    return err;
}

static void assert_established(void)
{
    assert_int_equal(ex.i.state, MM_ESTABLISHED);
    assert_int_equal(ex.r.state, MM_ESTABLISHED);
    assert_true(exchange_agrees(&ex.i, &ex.r));
}

/* Bit for bit as before, but for the counter. */
static void assert_untouched(const struct main_mode *mm)
{
    before.bad_messages = mm->bad_messages;
    assert_memory_equal(&before, mm, sizeof(before));
}

static void a_message_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (int n = 1; n <= 6; n++) {
        bring_to("aes128-sha256-ecp256", n);
        struct main_mode *taker = taker_of(n);
        before = *taker;
        for (size_t len = 0; len < messages[n].len; len++) {
            damaged = messages[n];
            damaged.len = len;
            assert_true(exchange_feed(taker, datagram_view(&damaged), &reply, &out) != E_OK);
            assert_int_equal(reply.len, 0);
            assert_untouched(taker);
            if (len < ISAKMP_HEADER_LEN)
                continue;
            struct writer w = writer_over(damaged.data, sizeof(damaged.data)); /* with its length corrected */
            w.len = len;
            isakmp_message_end(&w, 0);
            assert_true(exchange_feed(taker, datagram_view(&damaged), &reply, &out) != E_OK);
            assert_int_equal(reply.len, 0);
            assert_untouched(taker);
        }
        assert_ok(finish(n));
        assert_established();
    }
}

/* What a flipped message that was taken may lead to: SAs that agree, or none at the initiator. Flips in
 * vendor ids, in padding or in a nonce are of that kind: no HASH covers the first, and the others show at
 * messages 5 and 6. */
static void check_outcome(int n)
{
    assert_true(exchange_feed(taker_of(n), datagram_view(&messages[n]), &reply, &out) != E_OK); /* too late */
    memcpy(messages[n].data, damaged.data, damaged.len);
    for (int next = n + 1; next <= 6; next++)
        if (exchange_feed(taker_of(next), datagram_view(&messages[next]),
                          next < 6 ? &messages[next + 1] : &reply, &out) != E_OK)
            break;
    if (ex.i.state == MM_ESTABLISHED)
        assert_established();
    if (ex.r.state == MM_ESTABLISHED)
        assert_true(secret_equal(secret_view(&ex.i.sa.key), secret_view(&ex.r.sa.key)));
}

/* Was the refused message at least not answered, but for the notify that ends an exchange before it has
 * begun? */
static void check_refusal(int n, const struct main_mode *taker)
{
    if (!out.failed) {
        assert_int_equal(reply.len, 0);
        return;
    }
    assert_int_equal(n, 1);
    assert_int_equal(taker->state, MM_FAILED);
    assert_true(reply.len <= messages[n].len);
}

static void flip_every_bit(const char *suite)
{
    for (int n = 1; n <= 6; n++) {
        bring_to(suite, n);
        size_t bits = messages[n].len * 8;
        size_t taken = 0, refused = 0;
        before = *taker_of(n);
        for (size_t bit = 0; bit < bits; bit++) {
            struct main_mode *taker = taker_of(n);
            damaged = messages[n];
            damaged.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            struct writer w = writer_over(reply.data, sizeof(reply.data));
            struct mm_event event = {.kind = MM_EVENT_DATAGRAM, .datagram = datagram_view(&damaged)};
            err_t err = main_mode_step(taker, &event, &w, &out);
            bool computed = out.compute;
            if (computed) {
                struct dh_job job = out.job;
                dh_job_run(&job);
                struct mm_event done = {.kind = MM_EVENT_DH_DONE, .job = &job};
                err = main_mode_step(taker, &done, &w, &out);
            }
            reply.len = out.send ? w.len : 0;
            if (err != E_OK) {
                check_refusal(n, taker);
                if (!computed && !out.failed)
                    assert_untouched(taker);
                refused++;
                if (computed)
                    before = *taker; /* it waits for the same message, but has seen another KE */
                if (!out.failed && !(computed && bit % 16 == 0))
                    continue;
                if (!out.failed) { /* the good message after a bad KE, now and then */
                    assert_ok(finish(n));
                    assert_established();
                }
            } else {
                taken++;
                if (n < 6)
                    messages[n + 1] = reply;
                check_outcome(n);
            }
            bring_to(suite, n);
            before = *taker_of(n);
        }
        assert_true(refused > 0);
        assert_ok(finish(n)); /* after all the refused ones */
        assert_established();
        print_message("%s message %d: %zu flips refused, %zu taken\n", suite, n, refused, taken);
    }
}

static void a_flipped_bit_never_leads_to_differing_keys(void **state)
{
    (void)state;
    flip_every_bit("aes128-sha256-ecp256");
}

static void nor_does_it_with_modp_and_small_blocks(void **state)
{
    (void)state;
    flip_every_bit("3des-sha1-modp1024");
}

static void every_allocation_may_fail_once(void **state)
{
    (void)state;
    for (long fault = 0;; fault++) {
        exchange_close(&ex);
        exchange_defaults(&ex, "aes256-sha256-modp2048", 5);
        exchange_start(&ex);
        struct mm_event start = {.kind = MM_EVENT_START};
        heap_fault_after(fault);
        err_t err = exchange_event(&ex.i, &start, &messages[1], &out);
        if (err != E_OK)
            assert_ok(exchange_event(&ex.i, &start, &messages[1], &out));
        for (int n = 1; n <= 6; n++) {
            struct datagram *next = n < 6 ? &messages[n + 1] : &reply;
            err = exchange_feed(taker_of(n), datagram_view(&messages[n]), next, &out);
            if (err == E_OK)
                continue;
            assert_true(heap_fault_hit());
            assert_int_equal(next->len, 0);
            assert_ok(exchange_feed(taker_of(n), datagram_view(&messages[n]), next, &out)); /* the repeat */
        }
        assert_established();
        if (!heap_fault_hit())
            break;
    }
    heap_fault_after(-1);
}

static err_t broken_fill(void *context, uint8_t *data, size_t len)
{
    int *left = context;
    memset(data, 0x5a, len);
    if ((*left)-- > 0)
        return E_OK;
    memset(data, 0, len);
    return E_CRYPTO;
}

static void without_randomness_nothing_is_sent(void **state)
{
    (void)state;
    int left = 0;
    struct rng broken = {broken_fill, &left};
    exchange_defaults(&ex, "aes128-sha256-ecp256", 1);
    ex.params_i.rng = ex.params_r.rng = &broken;
    assert_err(main_mode_initiator_init(&ex.i, &ex.params_i), E_CRYPTO);
    assert_err(main_mode_responder_init(&ex.r, &ex.params_r), E_CRYPTO);
    left = 2; /* two cookies, no nonce */
    exchange_start(&ex);
    assert_ok(exchange_run(&ex, messages, 2));
    assert_err(exchange_feed(&ex.i, datagram_view(&messages[2]), &reply, &out), E_CRYPTO);
    assert_int_equal(reply.len, 0);
    left = 1; /* the initiator's nonce, not the responder's */
    assert_ok(exchange_feed(&ex.i, datagram_view(&messages[2]), &messages[3], &out));
    assert_err(exchange_feed(&ex.r, datagram_view(&messages[3]), &reply, &out), E_CRYPTO);
    assert_int_equal(reply.len, 0);
    left = 1;
    assert_ok(finish(3));
    assert_established();
}

/* A reply that does not fit is not half sent, and the step can be repeated. */
static void a_short_reply_buffer_changes_nothing(void **state)
{
    (void)state;
    for (int n = 1; n <= 5; n += 2) {
        bring_to("aes128-sha256-ecp256", n);
        if (n == 3)
            continue; /* answered after the computation, see below */
        uint8_t small[40];
        struct writer w = writer_over(small, sizeof(small));
        struct mm_event event = {.kind = MM_EVENT_DATAGRAM, .datagram = datagram_view(&messages[n])};
        before = ex.r;
        assert_err(main_mode_step(&ex.r, &event, &w, &out), E_FULL);
        assert_untouched(&ex.r);
        assert_false(out.send || out.established);
        assert_ok(finish(n));
        assert_established();
    }
    for (int n = 2; n <= 4; n++) { /* 2: message 3, 3: message 4, 4: message 5 */
        bring_to("aes128-sha256-ecp256", n);
        uint8_t small[40];
        struct writer w = writer_over(small, sizeof(small));
        struct mm_event event = {.kind = MM_EVENT_DATAGRAM, .datagram = datagram_view(&messages[n])};
        assert_ok(main_mode_step(taker_of(n), &event, &w, &out));
        assert_true(out.compute);
        struct dh_job job = out.job;
        dh_job_run(&job);
        struct mm_event done = {.kind = MM_EVENT_DH_DONE, .job = &job};
        assert_err(main_mode_step(taker_of(n), &done, &w, &out), E_FULL);
        assert_null(job.key);
        assert_false(out.send);
        assert_ok(finish(n));
        assert_established();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_message_cut_anywhere_is_refused, teardown),
        cmocka_unit_test_teardown(a_flipped_bit_never_leads_to_differing_keys, teardown),
        cmocka_unit_test_teardown(nor_does_it_with_modp_and_small_blocks, teardown),
        cmocka_unit_test_teardown(every_allocation_may_fail_once, teardown),
        cmocka_unit_test_teardown(without_randomness_nothing_is_sent, teardown),
        cmocka_unit_test_teardown(a_short_reply_buffer_changes_nothing, teardown),
    };
    return cmocka_run_group_tests_name("proto/ike/main_mode_damage", tests, NULL, NULL);
}
