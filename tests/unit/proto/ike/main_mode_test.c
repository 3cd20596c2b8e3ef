#include "tests/lib/test.h"

#include <stdio.h>

#include "proto/wire/notify.h"
#include "proto/wire/vendor_id.h"
#include "tests/unit/proto/ike/exchange.h"

static struct exchange ex;
static struct datagram messages[7];
static struct datagram reply;
static struct mm_effects out;

static int teardown(void **state)
{
    (void)state;
    heap_fault_after(-1);
    exchange_close(&ex);
    return 0;
}

static void complete(const char *suite, uint64_t seed)
{
    exchange_defaults(&ex, suite, seed);
    exchange_start(&ex);
    assert_ok(exchange_complete(&ex, messages));
}

static void assert_established(void)
{
    assert_int_equal(ex.i.state, MM_ESTABLISHED);
    assert_int_equal(ex.r.state, MM_ESTABLISHED);
    assert_true(ex.i.sa.established && ex.r.sa.established);
    assert_true(ex.i.sa.initiator && !ex.r.sa.initiator);
    assert_true(exchange_agrees(&ex.i, &ex.r));
    assert_int_equal(ex.i.sa.key.len, cipher_key_len(ex.i.sa.suite.cipher));
}

static void both_ends_establish_under_every_suite(void **state)
{
    (void)state;
    static const char *const ciphers[] = {"aes128", "aes256", "3des"};
    static const char *const hashes[] = {"sha1", "sha256", "sha384", "sha512"};
    static const char *const groups[] = {"modp1024", "modp1536", "modp2048", "modp3072",
                                         "modp4096", "ecp256",   "ecp384",   "ecp521"};
    uint64_t seed = 0;
    for (size_t c = 0; c < ARRAY_LEN(ciphers); c++) {
        for (size_t h = 0; h < ARRAY_LEN(hashes); h++) {
            for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
                char text[IKE_SUITE_TEXT_MAX];
                snprintf(text, sizeof(text), "%s-%s-%s", ciphers[c], hashes[h], groups[g]);
                complete(text, ++seed);
                assert_established();
                exchange_close(&ex);
            }
        }
    }
}

static void the_responder_mirrors_doi_and_situation(void **state)
{
    (void)state;
    for (uint32_t doi = DOI_IPSEC; doi <= DOI_GDOI; doi++) {
        exchange_defaults(&ex, "aes128-sha256-ecp256", 7);
        ex.params_i.doi = doi;
        exchange_start(&ex);
        assert_ok(exchange_complete(&ex, messages));
        assert_established();
        assert_int_equal(ex.r.sa.doi, doi);
        assert_int_equal(ex.i.sa.doi, doi);
        assert_int_equal(ex.r.situation, doi == DOI_GDOI ? SITUATION_GDOI : SITUATION_IDENTITY_ONLY);
        /* header 28, generic header 4, then DOI and situation, in both messages */
        assert_memory_equal(messages[1].data + 32, messages[2].data + 32, 8);
        exchange_close(&ex);
    }
}

/* PROTOCOL 11, 4: charon answers an offer with DOI 2 by DOI 1, and goes on. */
static void the_initiator_takes_the_doi_of_the_answer(void **state)
{
    (void)state;
    exchange_defaults(&ex, "aes128-sha256-ecp256", 8);
    exchange_start(&ex);
    assert_ok(exchange_run(&ex, messages, 2));
    messages[2].data[35] = DOI_IPSEC;
    messages[2].data[39] = SITUATION_IDENTITY_ONLY;
    assert_ok(exchange_feed(&ex.i, datagram_view(&messages[2]), &messages[3], &out));
    assert_int_equal(ex.i.sa.doi, DOI_IPSEC);
    for (int n = 3; n <= 6; n++)
        assert_ok(exchange_feed(n % 2 ? &ex.r : &ex.i, datagram_view(&messages[n]),
                                n < 6 ? &messages[n + 1] : &reply, &out));
    assert_established(); /* SAi_b is what was offered: the hashes agree */
}

static void our_order_of_preference_decides(void **state)
{
    (void)state;
    exchange_defaults(&ex, "aes128-sha256-modp2048", 9);
    assert_ok(ike_policy_add(&ex.policy_i, "aes256-sha512-ecp384"));
    ike_policy_default(&ex.policy_r); /* aes256 stands before aes128 with sha256 only */
    ex.policy_r.count = 0;
    assert_ok(ike_policy_add(&ex.policy_r, "aes256-sha512-ecp384"));
    assert_ok(ike_policy_add(&ex.policy_r, "aes128-sha256-modp2048"));
    exchange_start(&ex);
    assert_ok(exchange_complete(&ex, messages));
    assert_established();
    char text[IKE_SUITE_TEXT_MAX];
    assert_string_equal(ike_suite_format(&ex.r.sa.suite, text), "aes256-sha512-ecp384");
    assert_string_equal(ike_suite_format(&ex.i.sa.suite, text), "aes256-sha512-ecp384");
}

static void the_lower_lifetime_is_kept(void **state)
{
    (void)state;
    static const uint32_t lifetimes[][2] = {{600, 86400}, {86400, 600}, {100000, 200000}, {0xffffffff, 300}};
    for (size_t n = 0; n < ARRAY_LEN(lifetimes); n++) {
        exchange_defaults(&ex, "aes128-sha256-ecp256", 10 + n);
        ex.policy_i.lifetime_s = lifetimes[n][0];
        ex.policy_r.lifetime_s = lifetimes[n][1];
        exchange_start(&ex);
        assert_ok(exchange_complete(&ex, messages));
        uint32_t lower = lifetimes[n][0] < lifetimes[n][1] ? lifetimes[n][0] : lifetimes[n][1];
        assert_int_equal(ex.r.sa.lifetime_s, lower);
        assert_int_equal(ex.i.sa.lifetime_s, lifetimes[n][0]); /* the answer echoes what was offered */
        exchange_close(&ex);
    }
}

static void initial_contact_is_sent_when_asked_and_noted(void **state)
{
    (void)state;
    for (int wanted = 0; wanted <= 1; wanted++) {
        exchange_defaults(&ex, "aes128-sha256-ecp256", 20);
        ex.params_i.send_initial_contact = wanted;
        exchange_start(&ex);
        assert_ok(exchange_complete(&ex, messages));
        assert_int_equal(ex.r.peer_initial_contact, wanted);
        assert_false(ex.i.peer_initial_contact);
        exchange_close(&ex);
    }
}

static void the_sa_moves_out_and_nothing_stays(void **state)
{
    (void)state;
    complete("aes256-sha384-ecp384", 21);
    struct isakmp_sa sa;
    struct secret key = {0};
    secret_copy(&key, &ex.r.sa.key);
    main_mode_take_sa(&ex.r, &sa);
    assert_true(secret_equal(secret_view(&key), secret_view(&sa.key)));
    assert_true(sa.established);
    const uint8_t *left = (const uint8_t *)&ex.r;
    for (size_t i = 0; i < sizeof(ex.r); i++)
        assert_int_equal(left[i], 0);
    isakmp_sa_close(&sa);
    assert_int_equal(sa.key.len, 0);
    main_mode_take_sa(&ex.r, &sa); /* nothing to take: an empty one */
    assert_false(sa.established);
}

static void known_vendor_ids_are_noted_and_answered_not_volunteered(void **state)
{
    (void)state;
    exchange_defaults(&ex, "aes128-sha256-ecp256", 22);
    exchange_start(&ex);
    assert_ok(exchange_run(&ex, messages, 2));
    assert_int_equal(ex.r.sa.peer_vendors, VENDOR_DPD | VENDOR_QUORATE);
    assert_ok(exchange_feed(&ex.i, datagram_view(&messages[2]), &reply, &out));
    assert_int_equal(ex.i.sa.peer_vendors, VENDOR_DPD | VENDOR_QUORATE);

    /* The same offer without vendor ids: header, SA. */
    main_mode_close(&ex.r);
    assert_ok(main_mode_responder_init(&ex.r, &ex.params_r));
    size_t sa_len = (size_t)messages[1].data[30] << 8 | messages[1].data[31];
    messages[1].data[28] = PAYLOAD_NONE;
    messages[1].len = ISAKMP_HEADER_LEN + sa_len;
    struct writer w = writer_over(messages[1].data, messages[1].len);
    w.len = messages[1].len;
    isakmp_message_end(&w, 0);
    assert_ok(exchange_feed(&ex.r, datagram_view(&messages[1]), &reply, &out));
    assert_int_equal(ex.r.sa.peer_vendors, 0);
    assert_int_equal(reply.len, messages[1].len);
}

/* PROTOCOL 7, 7: what a spoofed source is sent for its message 1 is never more than it sent. */
static void message_2_is_never_longer_than_message_1(void **state)
{
    (void)state;
    static const char *const suites[] = {"3des-sha1-modp1024", "aes128-sha256-modp2048",
                                         "aes256-sha512-ecp521"};
    for (size_t n = 0; n < ARRAY_LEN(suites); n++) {
        exchange_defaults(&ex, suites[n], 23);
        exchange_start(&ex);
        assert_ok(exchange_run(&ex, messages, 2));
        assert_true(messages[2].len <= messages[1].len);
        exchange_close(&ex);
    }
}

/* Vendor ids, CERTREQ, NAT-D and private payloads stand where peers send them; they change nothing. */
static void extra_payloads_are_tolerated(void **state)
{
    (void)state;
    static const uint8_t junk[24] = {1, 2, 3};
    exchange_defaults(&ex, "aes128-sha256-ecp256", 24);
    exchange_start(&ex);
    struct mm_event start = {.kind = MM_EVENT_START};
    assert_ok(exchange_event(&ex.i, &start, &messages[1], &out));
    for (int n = 1; n <= 4; n++) {
        for (int twice = 0; twice < 2; twice++) {
            datagram_add(&messages[n], PAYLOAD_VENDOR, BYTES_OF(junk));
            datagram_add(&messages[n], PAYLOAD_CERTREQ, BYTES_OF(junk));
            datagram_add(&messages[n], 130, BYTES_OF(junk)); /* NAT-D of the drafts */
            datagram_add(&messages[n], 255, BYTES_OF(junk));
            if (n >= 3)
                datagram_add(&messages[n], PAYLOAD_NATD, BYTES_OF(junk));
        }
        assert_ok(exchange_feed(n % 2 ? &ex.r : &ex.i, datagram_view(&messages[n]), &messages[n + 1], &out));
    }
    assert_ok(exchange_feed(&ex.r, datagram_view(&messages[5]), &messages[6], &out));
    assert_ok(exchange_feed(&ex.i, datagram_view(&messages[6]), &reply, &out));
    assert_established();
}

static void a_commit_bit_is_tolerated(void **state)
{
    (void)state;
    exchange_defaults(&ex, "aes128-sha256-ecp256", 25);
    exchange_start(&ex);
    assert_ok(exchange_run(&ex, messages, 4));
    messages[4].data[19] |= ISAKMP_FLAG_COMMIT;
    assert_ok(exchange_feed(&ex.i, datagram_view(&messages[4]), &messages[5], &out));
    messages[5].data[19] |= ISAKMP_FLAG_COMMIT;
    assert_ok(exchange_feed(&ex.r, datagram_view(&messages[5]), &messages[6], &out));
    assert_ok(exchange_feed(&ex.i, datagram_view(&messages[6]), &reply, &out));
    assert_established();
}

static void octets_behind_the_length_are_dropped(void **state)
{
    (void)state;
    exchange_defaults(&ex, "aes128-sha256-ecp256", 26);
    exchange_start(&ex);
    struct mm_event start = {.kind = MM_EVENT_START};
    assert_ok(exchange_event(&ex.i, &start, &messages[1], &out));
    for (int n = 1; n <= 6; n++) {
        memset(messages[n].data + messages[n].len, 0xa5, 7);
        messages[n].len += 7;
        assert_ok(exchange_feed(n % 2 ? &ex.r : &ex.i, datagram_view(&messages[n]),
                                n < 6 ? &messages[n + 1] : &reply, &out));
    }
    assert_established();
}

/* A peer that pads a whole block (PROTOCOL 11, 4), or with other octets than zeros, is understood. */
static void padding_of_any_kind_is_tolerated(void **state)
{
    (void)state;
    static const uint8_t fills[] = {0x00, 0x10, 0xff};
    for (size_t n = 0; n < ARRAY_LEN(fills); n++) {
        exchange_defaults(&ex, "aes128-sha256-ecp256", 27);
        exchange_start(&ex);
        assert_ok(exchange_run(&ex, messages, 5));
        struct isakmp_header header;
        struct bytes body, clear;
        uint8_t plain[256], iv[CIPHER_BLOCK_MAX], copy[CIPHER_BLOCK_MAX];
        memcpy(iv, ex.r.iv, sizeof(iv));
        memcpy(copy, iv, sizeof(iv));
        assert_ok(isakmp_header_decode(&header, &body, datagram_view(&messages[5])));
        assert_ok(isakmp_sa_open(&ex.r.sa, copy, body, plain, &clear));
        memset(plain + clear.len, fills[n], 16);
        datagram_seal(&messages[5], &ex.r.sa, iv, &header, (struct bytes){plain, clear.len + 16});
        assert_ok(exchange_feed(&ex.r, datagram_view(&messages[5]), &messages[6], &out));
        assert_true(out.established);
        exchange_close(&ex);
    }
}

static void identities_of_every_kind_pass(void **state)
{
    (void)state;
    exchange_defaults(&ex, "aes256-sha256-ecp256", 28);
    assert_ok(identity_from_text(&ex.params_i.local_id, ID_FQDN, "branch7.example.net"));
    assert_ok(identity_from_text(&ex.params_r.local_id, ID_USER_FQDN, "ks@example.net"));
    ex.params_i.peer_id = ex.params_r.local_id;
    ex.params_r.peer_id = ex.params_i.local_id;
    ex.params_r.expect_peer_id = true;
    exchange_start(&ex);
    assert_ok(exchange_complete(&ex, messages));
    assert_established();
    char text[ID_TEXT_MAX];
    assert_string_equal(identity_format(&ex.r.sa.peer_id, text), "branch7.example.net");
    assert_string_equal(identity_format(&ex.i.sa.peer_id, text), "ks@example.net");
}

/* Zeros for the first draws, then a cookie. */
static err_t zeros_fill(void *context, uint8_t *data, size_t len)
{
    int *zeros = context;
    memset(data, (*zeros)-- > 0 ? 0 : 0x5a, len);
    data[len - 1] = 7;
    return E_OK;
}

static void our_cookies_are_never_a_non_esp_marker(void **state)
{
    (void)state;
    int zeros = 3;
    struct rng rng = {zeros_fill, &zeros};
    exchange_defaults(&ex, "aes128-sha256-ecp256", 29);
    ex.params_i.rng = ex.params_r.rng = &rng;
    assert_ok(main_mode_initiator_init(&ex.i, &ex.params_i));
    assert_int_equal(ex.i.sa.cookie_i[0], 0x5a);
    zeros = 1;
    assert_ok(main_mode_responder_init(&ex.r, &ex.params_r));
    assert_int_equal(ex.r.sa.cookie_r[0], 0x5a);
    exchange_close(&ex);
    zeros = 1000; /* a generator that is broken */
    assert_err(main_mode_initiator_init(&ex.i, &ex.params_i), E_CRYPTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(both_ends_establish_under_every_suite, teardown),
        cmocka_unit_test_teardown(the_responder_mirrors_doi_and_situation, teardown),
        cmocka_unit_test_teardown(the_initiator_takes_the_doi_of_the_answer, teardown),
        cmocka_unit_test_teardown(our_order_of_preference_decides, teardown),
        cmocka_unit_test_teardown(the_lower_lifetime_is_kept, teardown),
        cmocka_unit_test_teardown(initial_contact_is_sent_when_asked_and_noted, teardown),
        cmocka_unit_test_teardown(the_sa_moves_out_and_nothing_stays, teardown),
        cmocka_unit_test_teardown(known_vendor_ids_are_noted_and_answered_not_volunteered, teardown),
        cmocka_unit_test_teardown(message_2_is_never_longer_than_message_1, teardown),
        cmocka_unit_test_teardown(extra_payloads_are_tolerated, teardown),
        cmocka_unit_test_teardown(a_commit_bit_is_tolerated, teardown),
        cmocka_unit_test_teardown(octets_behind_the_length_are_dropped, teardown),
        cmocka_unit_test_teardown(padding_of_any_kind_is_tolerated, teardown),
        cmocka_unit_test_teardown(identities_of_every_kind_pass, teardown),
        cmocka_unit_test_teardown(our_cookies_are_never_a_non_esp_marker, teardown),
    };
    return cmocka_run_group_tests_name("proto/ike/main_mode", tests, NULL, NULL);
}
