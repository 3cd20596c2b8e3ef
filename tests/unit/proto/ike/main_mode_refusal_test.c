/* main_mode_refusal_test.c - what main mode does not take, and how it says so: with a clear notify for an
 * offer that cannot be met and for an identity that is proven and not wanted, else with silence. */
#include "tests/lib/test.h"

#include "proto/wire/notify.h"
#include "tests/unit/proto/ike/exchange.h"

static struct exchange ex;
static struct datagram messages[7];
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

static void bring_to(int n)
{
    exchange_close(&ex);
    exchange_defaults(&ex, "aes128-sha256-ecp256", (uint64_t)n);
    exchange_start(&ex);
    assert_ok(exchange_run(&ex, messages, n));
    before = *taker_of(n);
}

static void finish(int n)
{
    for (; n <= 6; n++)
        assert_ok(
            exchange_feed(taker_of(n), datagram_view(&messages[n]), n < 6 ? &messages[n + 1] : &reply, &out));
    assert_int_equal(ex.i.state, MM_ESTABLISHED);
    assert_true(exchange_agrees(&ex.i, &ex.r));
}

/* Refused in silence, without a trace. */
static void assert_dropped(int n, const struct datagram *datagram, err_t wanted)
{
    struct main_mode *mm = taker_of(n);
    assert_err(exchange_feed(mm, datagram_view(datagram), &reply, &out), wanted);
    assert_int_equal(reply.len, 0);
    assert_false(out.failed || out.send || out.established || out.compute);
    assert_int_equal(out.notify, 0);
    assert_int_equal(mm->bad_messages, before.bad_messages + 1);
    before.bad_messages++;
    assert_memory_equal(mm, &before, sizeof(before));
}

/* Clear notify of a type, no longer than the request, without spi and data. */
static void assert_clear_notify(uint16_t type, const struct datagram *request)
{
    struct isakmp_header header;
    struct bytes body;
    struct payload_list list;
    struct notify_payload notify;
    assert_true(reply.len != 0 && reply.len <= request->len);
    assert_int_equal(out.notify, type);
    assert_ok(isakmp_header_decode(&header, &body, datagram_view(&reply)));
    assert_int_equal(header.exchange, EXCHANGE_INFORMATIONAL);
    assert_int_equal(header.flags, 0);
    assert_memory_equal(header.cookie_i, request->data, COOKIE_LEN);
    assert_ok(payload_list_decode(&list, header.next_payload, body));
    assert_int_equal(list.count, 1);
    assert_ok(notify_decode(&notify, payload_find(&list, PAYLOAD_NOTIFY, 0)->body));
    assert_int_equal(notify.type, type);
    assert_int_equal(notify.spi.len + notify.data.len, 0);
}

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

static void a_wrong_pre_shared_key_is_met_with_silence(void **state)
{
    (void)state;
    exchange_defaults(&ex, "aes128-sha256-ecp256", 2);
    ex.params_i.psk = bytes_of_text("another");
    exchange_start(&ex);
    assert_ok(exchange_run(&ex, messages, 5));
    before = ex.r;
    err_t err = exchange_feed(&ex.r, datagram_view(&messages[5]), &reply, &out);
    assert_true(err == E_BAD_PADDING || err == E_BAD_HASH);
    assert_int_equal(reply.len, 0);
    assert_false(out.failed || out.send);
    assert_int_equal(out.notify, 0);
    assert_int_equal(ex.r.state, MM_R_AWAIT_5);
    assert_int_equal(ex.r.bad_messages, 1);
}

/* A forged message 5 looks the same, and does not kill the exchange of the honest peer. */
static void a_forged_message_5_or_6_is_dropped_and_the_good_one_works(void **state)
{
    (void)state;
    for (int n = 5; n <= 6; n++) {
        bring_to(n);
        struct datagram forged = messages[n];
        memset(forged.data + ISAKMP_HEADER_LEN, 0x3c, forged.len - ISAKMP_HEADER_LEN);
        assert_dropped(n, &forged, E_BAD_PADDING);
        forged.len -= 8; /* half a block */
        struct writer w = writer_over(forged.data, sizeof(forged.data));
        w.len = forged.len;
        isakmp_message_end(&w, 0);
        assert_dropped(n, &forged, E_BAD_LENGTH);
        finish(n);
    }
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

static void an_identity_that_is_not_expected_ends_the_exchange(void **state)
{
    (void)state;
    for (int n = 5; n <= 6; n++) {
        bring_to(n);
        struct main_mode *mm = taker_of(n);
        mm->expect_peer_id = true;
        mm->expected_id = identity_from_number(3333);
        assert_err(exchange_feed(mm, datagram_view(&messages[n]), &reply, &out), E_BAD_ID);
        assert_true(out.failed);
        assert_false(out.established || mm->sa.established);
        assert_clear_notify(NOTIFY_INVALID_ID_INFORMATION, &messages[n]);
        assert_int_equal(mm->state, MM_FAILED);
    }
}

/* Message 5 anew from the initiator's own keys: ID body as given, its HASH right, then a payload of any kind.
 */
static struct datagram sealed_5(struct bytes id_body, uint8_t extra, struct bytes extra_body)
{
    uint8_t plain[1024], hash[HASH_LEN_MAX], first = PAYLOAD_NONE;
    struct writer w = writer_over(plain, sizeof(plain));
    write_u8(&w, first); /* what payload_begin patches */
    struct payload_chain chain = payload_chain_over(&w, 0);
    payload_put(&chain, PAYLOAD_ID, id_body);
    assert_ok(isakmp_sa_auth_hash(&ex.r.sa, true, (struct bytes){ex.r.g_xi.data, ex.r.g_xi.len},
                                  (struct bytes){ex.r.g_xr.data, ex.r.g_xr.len},
                                  (struct bytes){ex.r.sa_body, ex.r.sa_body_len}, id_body, hash));
    payload_put(&chain, PAYLOAD_HASH, (struct bytes){hash, hash_len(ex.r.sa.suite.hash)});
    if (extra != PAYLOAD_NONE)
        payload_put(&chain, extra, extra_body);
    assert_ok(writer_end(&w));

    struct isakmp_header header;
    struct bytes body;
    struct datagram made;
    assert_ok(isakmp_header_decode(&header, &body, datagram_view(&messages[5])));
    datagram_seal(&made, &ex.r.sa, ex.r.iv, &header, (struct bytes){plain + 1, w.len - 1});
    assert_true(made.len != 0);
    return made;
}

/* Decrypts well, decodes well, and the HASH is another. */
static void a_wrong_hash_is_dropped_in_silence(void **state)
{
    (void)state;
    static const uint8_t id[] = {ID_IPV4_ADDR, 0, 0, 0, 10, 1, 13, 2};
    bring_to(5);
    struct secret skeyid = ex.r.sa.skeyid;
    ex.r.sa.skeyid.data[0] ^= 1;
    struct datagram made = sealed_5(BYTES_OF(id), PAYLOAD_NONE, (struct bytes){0});
    ex.r.sa.skeyid = skeyid;
    assert_dropped(5, &made, E_BAD_HASH);
    made = sealed_5(BYTES_OF(id), PAYLOAD_NONE, (struct bytes){0});
    assert_ok(exchange_feed(&ex.r, datagram_view(&made), &reply, &out));
    assert_true(out.established);
}

/* RFC 2407 4.6.2, RFC 3947 4: protocol and port are 0, or UDP and 500 or 4500; with GDOI 848. */
static void the_selector_of_an_identity_is_checked(void **state)
{
    (void)state;
    static const struct {
        uint8_t protocol;
        uint16_t port;
        bool good;
    } cases[] = {
        {0, 0, true},  {17, 500, true}, {17, 4500, true}, {17, 848, true},
        {17, 0, true}, {6, 500, false}, {17, 501, false},
    };
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        uint8_t id[] = {ID_IPV4_ADDR,
                        cases[c].protocol,
                        (uint8_t)(cases[c].port >> 8),
                        (uint8_t)cases[c].port,
                        10,
                        1,
                        13,
                        2};
        bring_to(5);
        struct datagram made = sealed_5(BYTES_OF(id), PAYLOAD_NONE, (struct bytes){0});
        assert_err(exchange_feed(&ex.r, datagram_view(&made), &reply, &out), cases[c].good ? E_OK : E_BAD_ID);
        assert_int_equal(out.established, cases[c].good);
        assert_int_equal(out.failed, !cases[c].good);
    }
}

static void an_identity_that_cannot_be_read_is_refused_though_its_hash_is_right(void **state)
{
    (void)state;
    static const uint8_t bodies[][8] = {
        {ID_IPV6_ADDR, 0, 0, 0, 10, 1, 13, 2}, {0, 0, 0, 0, 10, 1, 13, 2}, {200, 0, 0, 0, 10, 1, 13, 2}};
    for (size_t c = 0; c < ARRAY_LEN(bodies) + 1; c++) {
        bring_to(5);
        struct bytes id = c < ARRAY_LEN(bodies) ? BYTES_OF(bodies[c]) : (struct bytes){0};
        struct datagram made = sealed_5(id, PAYLOAD_NONE, (struct bytes){0});
        assert_err(exchange_feed(&ex.r, datagram_view(&made), &reply, &out), E_BAD_ID);
        assert_false(ex.r.sa.established);
    }
}

static void what_stands_behind_the_hash_of_message_5_is_read_with_care(void **state)
{
    (void)state;
    static const uint8_t id[] = {ID_IPV4_ADDR, 0, 0, 0, 10, 1, 13, 2};
    static const uint8_t initial_contact[] = {0, 0, 0, 1, PROTO_ISAKMP, 0, 0x60, 0x02};
    static const uint8_t foreign_spi[] = {0, 0, 0, 1, PROTO_ISAKMP, 4, 0x60, 0x02, 1, 2, 3, 4};
    static const uint8_t foreign_sa[24] = {0, 0, 0, 1, PROTO_ISAKMP, 16, 0x60, 0x02, 1};
    static const uint8_t esp[] = {0, 0, 0, 1, 3, 0, 0x60, 0x02};
    static const uint8_t cut[] = {0, 0, 0, 1, PROTO_ISAKMP, 16, 0x60, 0x02, 1};
    static const struct {
        uint8_t type;
        const uint8_t *body;
        size_t len;
        err_t err;
        bool contact;
    } cases[] = {
        {PAYLOAD_NOTIFY, initial_contact, sizeof(initial_contact), E_OK, true},
        {PAYLOAD_NOTIFY, foreign_spi, sizeof(foreign_spi), E_OK, false},
        {PAYLOAD_NOTIFY, foreign_sa, sizeof(foreign_sa), E_OK, false},
        {PAYLOAD_NOTIFY, esp, sizeof(esp), E_OK, false},
        {PAYLOAD_NOTIFY, cut, sizeof(cut), E_BAD_PADDING, false},
        {PAYLOAD_VENDOR, cut, sizeof(cut), E_OK, false},
        {PAYLOAD_CERTREQ, cut, sizeof(cut), E_OK, false},
        {200, cut, sizeof(cut), E_OK, false},
        {PAYLOAD_HASH, cut, sizeof(cut), E_BAD_PADDING, false},
        {PAYLOAD_CERT, cut, sizeof(cut), E_BAD_PADDING, false},
        {PAYLOAD_SA, cut, sizeof(cut), E_BAD_PADDING, false},
    };
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        bring_to(5);
        struct datagram made =
            sealed_5(BYTES_OF(id), cases[c].type, (struct bytes){cases[c].body, cases[c].len});
        if (cases[c].err != E_OK) {
            assert_dropped(5, &made, cases[c].err);
            finish(5);
            continue;
        }
        assert_ok(exchange_feed(&ex.r, datagram_view(&made), &reply, &out));
        assert_true(out.established);
        assert_int_equal(ex.r.peer_initial_contact, cases[c].contact);
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
        cmocka_unit_test_teardown(a_wrong_pre_shared_key_is_met_with_silence, teardown),
        cmocka_unit_test_teardown(a_forged_message_5_or_6_is_dropped_and_the_good_one_works, teardown),
        cmocka_unit_test_teardown(flags_must_fit_the_message, teardown),
        cmocka_unit_test_teardown(the_message_id_is_zero, teardown),
        cmocka_unit_test_teardown(cookies_must_be_those_of_the_exchange, teardown),
        cmocka_unit_test_teardown(aggressive_mode_and_other_exchanges_are_refused, teardown),
        cmocka_unit_test_teardown(payloads_out_of_place_are_refused, teardown),
        cmocka_unit_test_teardown(a_message_without_its_payloads_is_refused, teardown),
        cmocka_unit_test_teardown(a_message_3_of_odd_lengths_is_refused_and_allocates_nothing, teardown),
        cmocka_unit_test_teardown(nonces_of_8_and_of_128_octets_are_taken, teardown),
        cmocka_unit_test_teardown(a_public_value_that_is_none_is_refused, teardown),
        cmocka_unit_test_teardown(an_identity_that_is_not_expected_ends_the_exchange, teardown),
        cmocka_unit_test_teardown(a_wrong_hash_is_dropped_in_silence, teardown),
        cmocka_unit_test_teardown(the_selector_of_an_identity_is_checked, teardown),
        cmocka_unit_test_teardown(an_identity_that_cannot_be_read_is_refused_though_its_hash_is_right,
                                  teardown),
        cmocka_unit_test_teardown(what_stands_behind_the_hash_of_message_5_is_read_with_care, teardown),
        cmocka_unit_test_teardown(the_initiator_takes_only_what_it_offered, teardown),
        cmocka_unit_test_teardown(events_that_do_not_fit_the_state_are_refused, teardown),
        cmocka_unit_test_teardown(a_computing_exchange_takes_only_its_job, teardown),
        cmocka_unit_test_teardown(parameters_are_checked, teardown),
    };
    return cmocka_run_group_tests_name("proto/ike/main_mode_refusal", tests, NULL, NULL);
}
