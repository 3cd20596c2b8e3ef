/* main_mode_refusal_test.c - what main mode does not take, and how it says so: with a clear notify for an
 * offer that cannot be met, else with silence. Messages 5 and 6 have a file of their own:
 * main_mode_auth_test.c. */
#include "tests/unit/proto/ike/refusal.h"

static void an_offer_without_a_suite_of_ours_is_answered_no_proposal(void **state)
{
    (void)state;
    exchange_defaults(&ex, "aes128-sha256-ecp256", 1);
    ex.policy_r.count = 0;
    assert_ok(ike_policy_add(&ex.policy_r, "aes256-sha256-ecp256"));
    exchange_start(&ex);
    assert_ok(exchange_run(&ex, messages, 1));
    assert_err(exchange_feed(&ex.r, datagram_view(&messages[1]), &reply, &out), E_NO_PROPOSAL);
    assert_true(out.failed && out.send);
    assert_int_equal(out.reason, E_NO_PROPOSAL);
    assert_clear_notify(NOTIFY_NO_PROPOSAL_CHOSEN, &messages[1]);
    assert_int_equal(ex.r.state, MM_FAILED);
    assert_err(exchange_feed(&ex.r, datagram_view(&messages[1]), &reply, &out), E_STATE);
}

static void a_weak_suite_needs_legacy_at_the_responder(void **state)
{
    (void)state;
    exchange_defaults(&ex, "3des-sha1-modp1024", 1);
    ex.policy_r.legacy = false; /* it stands in the list all the same */
    exchange_start(&ex);
    assert_ok(exchange_run(&ex, messages, 1));
    assert_err(exchange_feed(&ex.r, datagram_view(&messages[1]), &reply, &out), E_NO_PROPOSAL);
    ex.policy_i.legacy = false;
    struct mm_event start = {.kind = MM_EVENT_START};
    main_mode_close(&ex.i);
    assert_ok(main_mode_initiator_init(&ex.i, &ex.params_i));
    assert_err(exchange_event(&ex.i, &start, &reply, &out),
               E_NO_PROPOSAL); /* nor does the initiator offer it */
}

static void an_unknown_doi_is_answered(void **state)
{
    (void)state;
    bring_to(1);
    messages[1].data[35] = 3;
    assert_err(exchange_feed(&ex.r, datagram_view(&messages[1]), &reply, &out), E_BAD_DOI);
    assert_true(out.failed);
    assert_clear_notify(NOTIFY_DOI_NOT_SUPPORTED, &messages[1]);
}

static void an_offer_beyond_what_is_kept_is_a_limit(void **state)
{
    (void)state;
    static uint8_t body[SA_BODY_MAX + 1];
    bring_to(1);
    memcpy(body, messages[1].data + 32, 48);
    messages[1].len = ISAKMP_HEADER_LEN;
    messages[1].data[16] = PAYLOAD_NONE;
    datagram_add(&messages[1], PAYLOAD_SA, BYTES_OF(body));
    assert_dropped(1, &messages[1], E_LIMIT);
}

static void flags_must_fit_the_message(void **state)
{
    (void)state;
    for (int n = 1; n <= 6; n++) {
        bring_to(n);
        for (unsigned bit = 0; bit < 8; bit++) {
            struct datagram flipped = messages[n];
            if (1u << bit == ISAKMP_FLAG_COMMIT)
                continue;
            flipped.data[19] ^=
                (uint8_t)(1u << bit); /* E where it may not be, or missing; A; reserved ones */
            assert_dropped(n, &flipped, E_UNEXPECTED);
        }
        finish(n);
    }
}

static void the_message_id_is_zero(void **state)
{
    (void)state;
    for (int n = 1; n <= 6; n++) {
        bring_to(n);
        struct datagram other = messages[n];
        other.data[23] = 1;
        assert_dropped(n, &other, E_BAD_MESSAGE_ID);
        finish(n);
    }
}

static void cookies_must_be_those_of_the_exchange(void **state)
{
    (void)state;
    for (int n = 1; n <= 6; n++) {
        bring_to(n);
        struct datagram other = messages[n];
        other.data[15] ^= 0x40;
        if (n != 2) /* message 2 brings the responder's cookie */
            assert_dropped(n, &other, E_BAD_COOKIE);
        other = messages[n];
        other.data[0] ^= 0x40;
        if (n != 1) /* message 1 brings the initiator's */
            assert_dropped(n, &other, E_BAD_COOKIE);
        other = messages[n];
        memset(other.data + (n == 2 ? 8 : 0), 0, COOKIE_LEN);
        assert_dropped(n, &other, E_BAD_COOKIE);
        finish(n);
    }
}

static void aggressive_mode_and_other_exchanges_are_refused(void **state)
{
    (void)state;
    bring_to(1);
    for (unsigned type = 0; type <= 255; type++) {
        struct datagram other = messages[1];
        other.data[18] = (uint8_t)type;
        if (type != EXCHANGE_MAIN)
            assert_dropped(1, &other, type == EXCHANGE_AGGRESSIVE ? E_AGGRESSIVE : E_BAD_EXCHANGE);
    }
    finish(1);
}

static void payloads_out_of_place_are_refused(void **state)
{
    (void)state;
    static const uint8_t junk[32] = {0};
    static const struct {
        int n;
        uint8_t type;
        err_t err;
    } cases[] = {
        {1, PAYLOAD_SA, E_DUPLICATE},
        {1, PAYLOAD_NOTIFY, E_UNEXPECTED},
        {1, PAYLOAD_KE, E_UNEXPECTED},
        {1, PAYLOAD_NATD, E_UNEXPECTED},
        {2, PAYLOAD_SA, E_DUPLICATE},
        {2, PAYLOAD_HASH, E_UNEXPECTED},
        {3, PAYLOAD_KE, E_DUPLICATE},
        {3, PAYLOAD_NONCE, E_DUPLICATE},
        {3, PAYLOAD_ID, E_UNEXPECTED},
        {3, PAYLOAD_SA, E_UNEXPECTED},
        {4, PAYLOAD_KE, E_DUPLICATE},
        {4, PAYLOAD_CERT, E_UNEXPECTED},
        {4, PAYLOAD_DELETE, E_UNEXPECTED},
        {3, 64, E_UNEXPECTED},
        {3, 127, E_UNEXPECTED},
    };
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        bring_to(cases[c].n);
        struct datagram more = messages[cases[c].n];
        datagram_add(&more, cases[c].type, BYTES_OF(junk));
        assert_dropped(cases[c].n, &more, cases[c].err);
        finish(cases[c].n);
    }
}

static void a_message_without_its_payloads_is_refused(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        bring_to(n);
        struct datagram empty = messages[n];
        empty.len = ISAKMP_HEADER_LEN;
        empty.data[16] = PAYLOAD_NONE;
        struct writer w = writer_over(empty.data, sizeof(empty.data));
        w.len = empty.len;
        isakmp_message_end(&w, 0);
        assert_dropped(n, &empty, E_MISSING);
        finish(n);
    }
}

/* Message 3 or 4 anew, with KE and nonce of given lengths. */
static struct datagram key_exchange(int n, size_t ke_len, size_t nonce_len)
{
    static uint8_t bytes[8192];
    struct datagram made = messages[n];
    memset(bytes, 0x11, sizeof(bytes));
    made.len = ISAKMP_HEADER_LEN;
    made.data[16] = PAYLOAD_NONE;
    datagram_add(&made, PAYLOAD_KE, (struct bytes){bytes, ke_len});
    datagram_add(&made, PAYLOAD_NONCE, (struct bytes){bytes, nonce_len});
    assert_true(made.len != 0);
    return made;
}

/* PROTOCOL 11, 5: mutated lengths of message 3 made the reference implementation grow without bound. */
static void a_message_3_of_odd_lengths_is_refused_and_allocates_nothing(void **state)
{
    (void)state;
    for (int n = 3; n <= 4; n++) {
        bring_to(n);
        static const size_t ke_lens[] = {0, 1, 63, 65, 128, 512, 513, 8000};
        static const size_t nonce_lens[] = {0, 1, NONCE_MIN - 1, NONCE_MAX + 1, 4000, 8000};
        for (size_t k = 0; k < ARRAY_LEN(ke_lens); k++) {
            struct datagram odd = key_exchange(n, ke_lens[k], NONCE_LEN);
            heap_fault_after(0);
            assert_dropped(n, &odd, E_BAD_KE);
            assert_false(heap_fault_hit());
        }
        for (size_t k = 0; k < ARRAY_LEN(nonce_lens); k++) {
            struct datagram odd = key_exchange(n, 64, nonce_lens[k]);
            heap_fault_after(0);
            assert_dropped(n, &odd, E_BAD_LENGTH);
            assert_false(heap_fault_hit());
        }
        heap_fault_after(-1);
        finish(n);
    }
}

static void nonces_of_8_and_of_128_octets_are_taken(void **state)
{
    (void)state;
    static const size_t lens[] = {NONCE_MIN, NONCE_MAX};
    for (size_t k = 0; k < ARRAY_LEN(lens); k++) {
        bring_to(3);
        size_t ke_len = 64;
        struct datagram other = messages[3];
        uint8_t nonce[NONCE_MAX] = {7};
        other.len = ISAKMP_HEADER_LEN;
        other.data[16] = PAYLOAD_NONE;
        datagram_add(&other, PAYLOAD_KE, (struct bytes){messages[3].data + ISAKMP_HEADER_LEN + 4, ke_len});
        datagram_add(&other, PAYLOAD_NONCE, (struct bytes){nonce, lens[k]});
        memcpy(ex.i.ni, nonce, lens[k]);
        ex.i.ni_len = lens[k];
        messages[3] = other;
        finish(3);
    }
}

/* Right length, wrong value: shown by the computation; the good message works afterwards. */
static void a_public_value_that_is_none_is_refused(void **state)
{
    (void)state;
    for (int n = 3; n <= 4; n++) {
        bring_to(n);
        struct datagram off_curve = key_exchange(n, 64, NONCE_LEN);
        for (int again = 0; again < 3; again++) {
            assert_err(exchange_feed(taker_of(n), datagram_view(&off_curve), &reply, &out), E_BAD_KE);
            assert_int_equal(reply.len, 0);
            assert_false(out.failed);
            assert_int_equal(taker_of(n)->state, before.state);
        }
        finish(n);
    }
}

/* RFC 2409 5: a responder picks one transform and does not change it. A forged answer does not end the
 * exchange. */
static void the_initiator_takes_only_what_it_offered(void **state)
{
    (void)state;
    bring_to(2);
    /* SA at 28: generic header 4, DOI 4, situation 4, proposal 8, transform header 8, then attributes of 4.
     */
    struct datagram other = messages[2];
    size_t attributes = ISAKMP_HEADER_LEN + 4 + 8 + 8 + 8;
    for (size_t at = attributes; at < attributes + 5 * 4; at += 4) {
        other = messages[2];
        other.data[at + 3] ^= 2; /* cipher, key length, hash, group, auth: another value each */
        assert_dropped(2, &other, E_NO_PROPOSAL);
    }
    /* Two transforms, both offered. */
    struct ike_offer two;
    ike_policy_offer(&ex.policy_i, DOI_GDOI, &two);
    two.transforms[1] = two.transforms[0];
    two.transforms[1].number = 2;
    two.count = 2;
    uint8_t body[2048];
    struct writer w = writer_over(body, sizeof(body));
    ike_offer_encode(&w, &two);
    other = messages[2];
    other.len = ISAKMP_HEADER_LEN;
    other.data[16] = PAYLOAD_NONE;
    datagram_add(&other, PAYLOAD_SA, writer_bytes(&w));
    assert_dropped(2, &other, E_NO_PROPOSAL);
    finish(2);
}

static void events_that_do_not_fit_the_state_are_refused(void **state)
{
    (void)state;
    struct mm_event start = {.kind = MM_EVENT_START};
    bring_to(3);
    assert_err(exchange_event(&ex.r, &start, &reply, &out), E_STATE);
    assert_err(exchange_event(&ex.i, &start, &reply, &out), E_STATE);
    struct dh_job job = {.group = IKE_GROUP_ECP256};
    dh_job_run(&job);
    assert_non_null(job.key);
    struct mm_event done = {.kind = MM_EVENT_DH_DONE, .job = &job};
    assert_err(exchange_event(&ex.r, &done, &reply, &out), E_STATE); /* nothing was asked for */
    assert_null(job.key);                                            /* consumed all the same */
    done.job = NULL;
    assert_err(exchange_event(&ex.r, &done, &reply, &out), E_STATE);
    finish(3);
    assert_err(exchange_feed(&ex.r, datagram_view(&messages[5]), &reply, &out), E_STATE);
    struct main_mode zeroed = {0};
    assert_err(exchange_event(&zeroed, &start, &reply, &out), E_STATE);
}

/* While a job is out, other messages wait; the job of another group is not taken for it. */
static void a_computing_exchange_takes_only_its_job(void **state)
{
    (void)state;
    bring_to(3);
    struct mm_event event = {.kind = MM_EVENT_DATAGRAM, .datagram = datagram_view(&messages[3])};
    struct writer w = writer_over(reply.data, sizeof(reply.data));
    assert_ok(main_mode_step(&ex.r, &event, &w, &out));
    assert_true(out.compute && !out.send);
    struct mm_effects second;
    assert_err(main_mode_step(&ex.r, &event, &w, &second), E_STATE);
    struct dh_job job = out.job;
    dh_job_run(&job);
    job.group = IKE_GROUP_ECP384;
    struct mm_event done = {.kind = MM_EVENT_DH_DONE, .job = &job};
    assert_err(main_mode_step(&ex.r, &done, &w, &out), E_STATE);
    assert_int_equal(ex.r.state, MM_R_AWAIT_3); /* the repeat of message 3 is worked again */
    finish(3);
}

static void parameters_are_checked(void **state)
{
    (void)state;
    static uint8_t long_psk[SECRET_LEN_MAX + 1];
    exchange_defaults(&ex, "aes128-sha256-ecp256", 1);
    struct mm_params params = ex.params_i;
    params.psk = (struct bytes){0};
    assert_err(main_mode_initiator_init(&ex.i, &params), E_BAD_KEY);
    params.psk = BYTES_OF(long_psk);
    assert_err(main_mode_responder_init(&ex.r, &params), E_BAD_KEY);
    params = ex.params_i;
    params.local_id = (struct identity){0};
    assert_err(main_mode_responder_init(&ex.r, &params), E_BAD_ID);
    params = ex.params_i;
    params.doi = 3;
    assert_err(main_mode_initiator_init(&ex.i, &params), E_BAD_DOI);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_offer_without_a_suite_of_ours_is_answered_no_proposal, teardown),
        cmocka_unit_test_teardown(a_weak_suite_needs_legacy_at_the_responder, teardown),
        cmocka_unit_test_teardown(an_unknown_doi_is_answered, teardown),
        cmocka_unit_test_teardown(an_offer_beyond_what_is_kept_is_a_limit, teardown),
        cmocka_unit_test_teardown(flags_must_fit_the_message, teardown),
        cmocka_unit_test_teardown(the_message_id_is_zero, teardown),
        cmocka_unit_test_teardown(cookies_must_be_those_of_the_exchange, teardown),
        cmocka_unit_test_teardown(aggressive_mode_and_other_exchanges_are_refused, teardown),
        cmocka_unit_test_teardown(payloads_out_of_place_are_refused, teardown),
        cmocka_unit_test_teardown(a_message_without_its_payloads_is_refused, teardown),
        cmocka_unit_test_teardown(a_message_3_of_odd_lengths_is_refused_and_allocates_nothing, teardown),
        cmocka_unit_test_teardown(nonces_of_8_and_of_128_octets_are_taken, teardown),
        cmocka_unit_test_teardown(a_public_value_that_is_none_is_refused, teardown),
        cmocka_unit_test_teardown(the_initiator_takes_only_what_it_offered, teardown),
        cmocka_unit_test_teardown(events_that_do_not_fit_the_state_are_refused, teardown),
        cmocka_unit_test_teardown(a_computing_exchange_takes_only_its_job, teardown),
        cmocka_unit_test_teardown(parameters_are_checked, teardown),
    };
    return cmocka_run_group_tests_name("proto/ike/main_mode_refusal", tests, NULL, NULL);
}
