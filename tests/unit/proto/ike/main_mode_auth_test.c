/* main_mode_auth_test.c - messages 5 and 6: wrong keys and forgeries are met with silence, an identity that
 * is proven and not wanted with a notify. */
#include "tests/unit/proto/ike/refusal.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_wrong_pre_shared_key_is_met_with_silence, teardown),
        cmocka_unit_test_teardown(a_forged_message_5_or_6_is_dropped_and_the_good_one_works, teardown),
        cmocka_unit_test_teardown(an_identity_that_is_not_expected_ends_the_exchange, teardown),
        cmocka_unit_test_teardown(a_wrong_hash_is_dropped_in_silence, teardown),
        cmocka_unit_test_teardown(the_selector_of_an_identity_is_checked, teardown),
        cmocka_unit_test_teardown(an_identity_that_cannot_be_read_is_refused_though_its_hash_is_right,
                                  teardown),
        cmocka_unit_test_teardown(what_stands_behind_the_hash_of_message_5_is_read_with_care, teardown),
    };
    return cmocka_run_group_tests_name("proto/ike/main_mode_auth", tests, NULL, NULL);
}
