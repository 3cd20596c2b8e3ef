#include "tests/lib/test.h"

#include "proto/ike/informational.h"
#include "tests/unit/proto/ike/exchange.h"

static struct exchange ex;
static struct datagram messages[7];
static struct datagram sent;
static struct informational info;
static uint8_t plain[ISAKMP_MESSAGE_MAX];

enum { MESSAGE_ID = 0x1a2b3c4d };

static int setup(void **state)
{
    (void)state;
    heap_fault_after(-1);
    exchange_defaults(&ex, "aes256-sha256-ecp256", 77);
    exchange_start(&ex);
    return exchange_complete(&ex, messages);
}

static int teardown(void **state)
{
    (void)state;
    exchange_close(&ex);
    return 0;
}

static err_t opened(const struct isakmp_sa *sa, const struct datagram *datagram)
{
    struct isakmp_header header;
    struct bytes body;
    err_t err = isakmp_header_decode(&header, &body, datagram_view(datagram));
    if (err != E_OK) {
        info = (struct informational){0};
        return err;
    }
    memset(&info, 0xee, sizeof(info)); /* must be overwritten, whatever comes */
    return informational_open(sa, &header, body, plain, &info);
}

static struct writer begin(void)
{
    return writer_over(sent.data, sizeof(sent.data));
}

static void a_notify_arrives(void **state)
{
    (void)state;
    struct writer w = begin();
    assert_ok(
        informational_notify(&ex.r.sa, MESSAGE_ID, NOTIFY_INVALID_ID_INFORMATION, bytes_of_text("why"), &w));
    sent.len = w.len;
    assert_ok(opened(&ex.i.sa, &sent));
    assert_int_equal(info.kind, INFO_NOTIFY);
    assert_int_equal(info.notify_type, NOTIFY_INVALID_ID_INFORMATION);
    assert_true(info.protected);
    assert_int_equal(sent.data[18], EXCHANGE_INFORMATIONAL);
    assert_int_equal(sent.data[19], ISAKMP_FLAG_ENCRYPTED);
}

static void the_sa_is_deleted_by_its_cookies_only(void **state)
{
    (void)state;
    struct writer w = begin();
    assert_ok(informational_delete_sa(&ex.i.sa, MESSAGE_ID, &w));
    sent.len = w.len;
    assert_ok(opened(&ex.r.sa, &sent));
    assert_int_equal(info.kind, INFO_DELETE_SA);
    assert_true(info.protected);
}

static void dpd_asks_and_answers(void **state)
{
    (void)state;
    for (int ack = 0; ack <= 1; ack++) {
        struct writer w = begin();
        assert_ok(informational_dpd(&ex.i.sa, MESSAGE_ID + (uint32_t)ack, ack, 0xfffffffe, &w));
        sent.len = w.len;
        assert_ok(opened(&ex.r.sa, &sent));
        assert_int_equal(info.kind, ack ? INFO_DPD_ACK : INFO_DPD_REQUEST);
        assert_int_equal(info.dpd_seq, 0xfffffffe);
    }
}

static void a_message_id_of_zero_is_neither_made_nor_taken(void **state)
{
    (void)state;
    struct writer w = begin();
    assert_err(informational_delete_sa(&ex.i.sa, 0, &w), E_BAD_MESSAGE_ID);
    w = begin();
    assert_ok(informational_delete_sa(&ex.i.sa, MESSAGE_ID, &w));
    sent.len = w.len;
    memset(sent.data + 20, 0, 4);
    assert_err(opened(&ex.r.sa, &sent), E_BAD_MESSAGE_ID);
}

static void made_into_too_small_a_buffer_it_fails(void **state)
{
    (void)state;
    struct writer w = begin();
    assert_ok(informational_delete_sa(&ex.i.sa, MESSAGE_ID, &w));
    for (size_t cap = 0; cap < w.len; cap++) {
        struct writer small = writer_over(sent.data, cap);
        assert_err(informational_delete_sa(&ex.i.sa, MESSAGE_ID, &small), E_FULL);
        assert_int_equal(writer_bytes(&small).len, 0);
    }
}

/* PROTOCOL 7, 22: nothing is believed but under a good HASH. */
static void flips_and_cuts_are_not_believed(void **state)
{
    (void)state;
    struct writer w = begin();
    assert_ok(informational_delete_sa(&ex.i.sa, MESSAGE_ID, &w));
    sent.len = w.len;
    for (size_t bit = 0; bit < sent.len * 8; bit++) {
        struct datagram flipped = sent;
        flipped.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        /* Not covered by anything: the minor version, commit, authentication-only and reserved flags. */
        bool free_bit = (bit / 8 == 17 && bit % 8 < 4) || (bit / 8 == 19 && bit % 8 != 0);
        err_t err = opened(&ex.r.sa, &flipped);
        if (err == E_OK && info.kind == INFO_DELETE_SA && free_bit)
            continue;
        /* The next-payload octet of the last payload and reserved octets are covered; padding is not. */
        if (err == E_OK)
            fail_msg("bit %zu of octet %zu was believed", bit % 8, bit / 8);
        assert_int_equal(info.protected, false);
        assert_int_equal(info.kind, 0);
    }
    for (size_t len = 0; len < sent.len; len++) {
        struct datagram cut = sent;
        cut.len = len;
        assert_true(opened(&ex.r.sa, &cut) != E_OK);
        if (len < ISAKMP_HEADER_LEN)
            continue;
        w = begin();
        w.len = len;
        w.buf = cut.data;
        isakmp_message_end(&w, 0);
        assert_true(opened(&ex.r.sa, &cut) != E_OK);
    }
}

static void a_message_under_another_sa_is_not_opened(void **state)
{
    (void)state;
    struct writer w = begin();
    assert_ok(informational_delete_sa(&ex.i.sa, MESSAGE_ID, &w));
    sent.len = w.len;
    struct isakmp_sa other = ex.r.sa;
    other.cookie_r[0] ^= 1;
    assert_err(opened(&other, &sent), E_BAD_COOKIE);
    other = ex.r.sa;
    other.skeyid_a.data[0] ^= 1;
    assert_err(opened(&other, &sent), E_BAD_HASH);
    other = (struct isakmp_sa){0}; /* one without keys yet */
    memcpy(other.cookie_i, ex.r.sa.cookie_i, COOKIE_LEN);
    memcpy(other.cookie_r, ex.r.sa.cookie_r, COOKIE_LEN);
    assert_true(opened(&other, &sent) != E_OK);
    sent.data[18] = EXCHANGE_MAIN;
    assert_err(opened(&ex.r.sa, &sent), E_BAD_EXCHANGE);
}

static void an_sa_takes_nothing_in_clear(void **state)
{
    (void)state;
    struct isakmp_header header = {
        .version = ISAKMP_VERSION, .exchange = EXCHANGE_INFORMATIONAL, .length = 200};
    memcpy(header.cookie_i, ex.r.sa.cookie_i, COOKIE_LEN);
    memcpy(header.cookie_r, ex.r.sa.cookie_r, COOKIE_LEN);
    struct writer w = begin();
    assert_ok(informational_clear_notify(&header, DOI_GDOI, NOTIFY_INITIAL_CONTACT, &w));
    sent.len = w.len;
    assert_err(opened(&ex.r.sa, &sent), E_BAD_MESSAGE_ID);
    sent.data[23] = 1;
    assert_err(opened(&ex.r.sa, &sent), E_UNEXPECTED);
    sent.data[23] = 0;
    assert_ok(opened(NULL, &sent)); /* as a hint without an SA */
    assert_false(info.protected);
    assert_int_equal(info.kind, INFO_NOTIFY); /* not INITIAL-CONTACT: that would be believed */
    assert_int_equal(info.notify_type, NOTIFY_INITIAL_CONTACT);
    sent.data[19] = ISAKMP_FLAG_ENCRYPTED;
    assert_err(opened(NULL, &sent), E_UNEXPECTED);
}

static void a_clear_delete_or_dpd_is_a_hint_only(void **state)
{
    (void)state;
    uint8_t spi[16];
    memcpy(spi, ex.r.sa.cookie_i, 8);
    memcpy(spi + 8, ex.r.sa.cookie_r, 8);
    struct isakmp_header header = {.version = ISAKMP_VERSION, .exchange = EXCHANGE_INFORMATIONAL};
    for (int with_hash = 0; with_hash <= 1; with_hash++) {
        struct writer w = begin();
        isakmp_header_encode(&w, &header);
        struct payload_chain chain = payload_chain_over(&w, 16);
        if (with_hash)
            payload_put(&chain, PAYLOAD_HASH, BYTES_OF(spi));
        size_t begun = payload_begin(&chain, PAYLOAD_DELETE);
        struct delete_payload del = {DOI_GDOI, PROTO_ISAKMP, 16, 1, BYTES_OF(spi)};
        delete_encode(&w, &del);
        payload_end(&chain, begun);
        isakmp_message_end(&w, 0);
        sent.len = w.len;
        if (with_hash) {
            assert_err(opened(NULL, &sent), E_UNEXPECTED);
            continue;
        }
        assert_ok(opened(NULL, &sent));
        assert_int_equal(info.kind, INFO_DELETE_OTHER);
        assert_false(info.protected);
    }
}

/* A notify without spi and data in answer, never longer than what is answered. */
static void a_clear_notify_is_no_amplifier(void **state)
{
    (void)state;
    struct isakmp_header header = {
        .exchange = EXCHANGE_AGGRESSIVE, .message_id = 5, .flags = 1, .length = 40};
    header.cookie_i[3] = 9;
    struct writer w = begin();
    assert_ok(informational_clear_notify(&header, DOI_GDOI, NOTIFY_INVALID_EXCHANGE_TYPE, &w));
    assert_int_equal(w.len, 40);
    sent.len = w.len;
    assert_ok(opened(NULL, &sent));
    assert_int_equal(info.notify_type, NOTIFY_INVALID_EXCHANGE_TYPE);
    header.length = 39;
    w = begin();
    assert_err(informational_clear_notify(&header, DOI_GDOI, NOTIFY_INVALID_EXCHANGE_TYPE, &w), E_LIMIT);
    assert_int_equal(w.len, 0);
}

/* A protected message with payloads of the test's choice behind its HASH. */
struct part {
    uint8_t type;
    struct bytes body;
};

static void seal_parts(const struct part *parts, size_t count, bool hash_first)
{
    uint8_t clear[1024], iv[CIPHER_BLOCK_MAX];
    struct isakmp_header header = {
        .version = ISAKMP_VERSION, .exchange = EXCHANGE_INFORMATIONAL, .message_id = MESSAGE_ID};
    memcpy(header.cookie_i, ex.i.sa.cookie_i, COOKIE_LEN);
    memcpy(header.cookie_r, ex.i.sa.cookie_r, COOKIE_LEN);
    struct writer w = writer_over(clear, sizeof(clear));
    write_u8(&w, PAYLOAD_NONE);
    struct payload_chain chain = payload_chain_over(&w, 0);
    static const uint8_t zeros[32];
    if (hash_first)
        payload_put(&chain, PAYLOAD_HASH, BYTES_OF(zeros));
    size_t covered_at = w.len;
    for (size_t i = 0; i < count; i++)
        payload_put(&chain, parts[i].type, parts[i].body);
    struct bytes covered = {clear + covered_at, w.len - covered_at};
    if (hash_first)
        assert_ok(isakmp_sa_hash(&ex.i.sa, MESSAGE_ID, &covered, 1, clear + 1 + 4));
    header.next_payload = clear[0];
    assert_ok(isakmp_sa_exchange_iv(&ex.i.sa, MESSAGE_ID, iv));
    datagram_seal(&sent, &ex.i.sa, iv, &header, (struct bytes){clear + 1, w.len - 1});
    assert_true(sent.len != 0);
}

static struct bytes notify_body(uint8_t *out, uint32_t doi, uint8_t protocol, uint16_t type, struct bytes spi,
                                struct bytes data)
{
    struct writer w = writer_over(out, 128);
    struct notify_payload notify = {doi, protocol, type, spi, data};
    notify_encode(&w, &notify);
    return writer_bytes(&w);
}

static void what_a_notify_says_of_the_sa_is_checked(void **state)
{
    (void)state;
    uint8_t body[128], spi[16], seq[4] = {0, 0, 1, 2};
    memcpy(spi, ex.i.sa.cookie_i, 8);
    memcpy(spi + 8, ex.i.sa.cookie_r, 8);
    const struct bytes none = {0}, ours = BYTES_OF(spi), four = BYTES_OF(seq), three = {seq, 3};
    uint8_t foreign[16] = {1};
    const struct {
        uint32_t doi;
        uint8_t protocol;
        uint16_t type;
        struct bytes spi, data;
        err_t err;
        enum informational_kind kind;
    } cases[] = {
        {1, PROTO_ISAKMP, NOTIFY_INITIAL_CONTACT, ours, none, E_OK, INFO_INITIAL_CONTACT},
        {2, PROTO_ISAKMP, NOTIFY_INITIAL_CONTACT, none, none, E_OK, INFO_INITIAL_CONTACT},
        {2, PROTO_ISAKMP, NOTIFY_INITIAL_CONTACT, BYTES_OF(foreign), none, E_BAD_COOKIE, 0},
        {2, 3, NOTIFY_INITIAL_CONTACT, ours, none, E_RANGE, 0},
        {1, PROTO_ISAKMP, NOTIFY_DPD_R_U_THERE, ours, four, E_OK, INFO_DPD_REQUEST},
        {1, PROTO_ISAKMP, NOTIFY_DPD_R_U_THERE, none, four, E_OK, INFO_DPD_REQUEST},
        {1, PROTO_ISAKMP, NOTIFY_DPD_R_U_THERE_ACK, ours, four, E_OK, INFO_DPD_ACK},
        {1, PROTO_ISAKMP, NOTIFY_DPD_R_U_THERE, BYTES_OF(foreign), four, E_BAD_COOKIE, 0},
        {1, PROTO_ISAKMP, NOTIFY_DPD_R_U_THERE, ours, three, E_BAD_LENGTH, 0},
        {1, PROTO_ISAKMP, NOTIFY_DPD_R_U_THERE, ours, none, E_BAD_LENGTH, 0},
        {1, PROTO_ISAKMP, NOTIFY_DPD_R_U_THERE_ACK, ours, ours, E_BAD_LENGTH, 0},
        {1, 3, NOTIFY_NO_PROPOSAL_CHOSEN, four, none, E_OK, INFO_NOTIFY},
        {0, 0, 65535, none, ours, E_OK, INFO_NOTIFY},
    };
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        struct part part = {PAYLOAD_NOTIFY, notify_body(body, cases[c].doi, cases[c].protocol, cases[c].type,
                                                        cases[c].spi, cases[c].data)};
        seal_parts(&part, 1, true);
        assert_err(opened(&ex.r.sa, &sent), cases[c].err);
        assert_int_equal(info.kind, cases[c].kind);
        assert_int_equal(info.protected, cases[c].err == E_OK);
    }
}

static void deletes_of_other_things_are_told_apart(void **state)
{
    (void)state;
    uint8_t spis[32] = {1}, body[64];
    memcpy(spis + 16, ex.i.sa.cookie_i, 8);
    memcpy(spis + 24, ex.i.sa.cookie_r, 8);
    const struct {
        uint8_t protocol, spi_len;
        uint16_t count;
        struct bytes spis;
        enum informational_kind kind;
    } cases[] = {
        {3, 4, 1, {spis, 4}, INFO_DELETE_OTHER},
        {PROTO_ISAKMP, 16, 1, {spis, 16}, INFO_DELETE_OTHER},
        {PROTO_ISAKMP, 8, 4, {spis, 32}, INFO_DELETE_OTHER},
        {PROTO_ISAKMP, 16, 2, {spis, 32}, INFO_DELETE_SA},
    };
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        struct writer w = writer_over(body, sizeof(body));
        struct delete_payload del = {DOI_IPSEC, cases[c].protocol, cases[c].spi_len, cases[c].count,
                                     cases[c].spis};
        delete_encode(&w, &del);
        struct part part = {PAYLOAD_DELETE, writer_bytes(&w)};
        seal_parts(&part, 1, true);
        assert_ok(opened(&ex.r.sa, &sent));
        assert_int_equal(info.kind, cases[c].kind);
    }
}

static void of_several_payloads_the_delete_of_the_sa_counts(void **state)
{
    (void)state;
    uint8_t body[128], del_body[64], spi[16];
    memcpy(spi, ex.i.sa.cookie_i, 8);
    memcpy(spi + 8, ex.i.sa.cookie_r, 8);
    struct writer w = writer_over(del_body, sizeof(del_body));
    struct delete_payload del = {DOI_IPSEC, PROTO_ISAKMP, 16, 1, BYTES_OF(spi)};
    delete_encode(&w, &del);
    struct bytes notify = notify_body(body, 1, 3, 77, (struct bytes){0}, (struct bytes){0});
    struct part parts[] = {
        {PAYLOAD_VENDOR, notify}, {PAYLOAD_NOTIFY, notify}, {PAYLOAD_DELETE, writer_bytes(&w)}};
    seal_parts(parts, 3, true);
    assert_ok(opened(&ex.r.sa, &sent));
    assert_int_equal(info.kind, INFO_DELETE_SA);
    seal_parts(parts, 2, true);
    assert_ok(opened(&ex.r.sa, &sent));
    assert_int_equal(info.notify_type, 77);
    seal_parts(parts, 1, true);
    assert_err(opened(&ex.r.sa, &sent), E_MISSING); /* neither notify nor delete */
    seal_parts(parts + 1, 2, false);
    assert_err(opened(&ex.r.sa, &sent), E_BAD_HASH); /* no HASH */
    parts[0].type = PAYLOAD_HASH;
    seal_parts(parts, 3, true);
    assert_err(opened(&ex.r.sa, &sent), E_DUPLICATE);
    parts[0].type = PAYLOAD_SA;
    seal_parts(parts, 3, true);
    assert_err(opened(&ex.r.sa, &sent), E_UNEXPECTED);
    seal_parts(parts, 0, true);
    assert_err(opened(&ex.r.sa, &sent), E_MISSING);
}

/* RFC 2409 5.7: HASH comes first. A right value in another payload is none. */
static void a_hash_in_another_payload_is_none(void **state)
{
    (void)state;
    uint8_t body[128], zeros[32] = {0}, value[HASH_LEN_MAX], clear[512], iv[CIPHER_BLOCK_MAX];
    struct bytes notify = notify_body(body, 1, 3, 77, (struct bytes){0}, (struct bytes){0});
    struct isakmp_header header = {
        .version = ISAKMP_VERSION, .exchange = EXCHANGE_INFORMATIONAL, .message_id = MESSAGE_ID};
    memcpy(header.cookie_i, ex.i.sa.cookie_i, COOKIE_LEN);
    memcpy(header.cookie_r, ex.i.sa.cookie_r, COOKIE_LEN);
    for (int vendor_first = 0; vendor_first <= 1; vendor_first++) {
        struct writer w = writer_over(clear, sizeof(clear));
        write_u8(&w, PAYLOAD_NONE);
        struct payload_chain chain = payload_chain_over(&w, 0);
        payload_put(&chain, vendor_first ? PAYLOAD_VENDOR : PAYLOAD_HASH, BYTES_OF(zeros));
        size_t covered_at = w.len;
        if (vendor_first)
            payload_put(&chain, PAYLOAD_HASH, BYTES_OF(zeros));
        payload_put(&chain, PAYLOAD_NOTIFY, notify);
        struct bytes covered = {clear + covered_at, w.len - covered_at};
        assert_ok(isakmp_sa_hash(&ex.i.sa, MESSAGE_ID, &covered, 1, value));
        memcpy(clear + 1 + PAYLOAD_HEADER_LEN, value, sizeof(zeros));
        header.next_payload = clear[0];
        assert_ok(isakmp_sa_exchange_iv(&ex.i.sa, MESSAGE_ID, iv));
        datagram_seal(&sent, &ex.i.sa, iv, &header, (struct bytes){clear + 1, w.len - 1});
        assert_err(opened(&ex.r.sa, &sent), vendor_first ? E_BAD_HASH : E_OK);
    }
}

static void wrong_keys_and_floods_are_met_with_silence(void **state)
{
    (void)state;
    static const err_t silent[] = {E_OK,        E_BAD_HASH, E_BAD_PADDING, E_BAD_COOKIE, E_LIMIT,
                                   E_NO_MEMORY, E_CRYPTO,   E_STATE,       E_REPLAY,     E_AUTH};
    for (size_t i = 0; i < ARRAY_LEN(silent); i++)
        assert_int_equal(notify_for_error(silent[i]), 0);
    assert_int_equal(notify_for_error(E_NO_PROPOSAL), NOTIFY_NO_PROPOSAL_CHOSEN);
    assert_int_equal(notify_for_error(E_AGGRESSIVE), NOTIFY_INVALID_EXCHANGE_TYPE);
    assert_int_equal(notify_for_error(E_TRUNCATED), NOTIFY_PAYLOAD_MALFORMED);
    /* Which groups there are, and who is in them, is not to be had by asking. */
    assert_int_equal(notify_for_error(E_UNKNOWN_GROUP), notify_for_error(E_NOT_AUTHORIZED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_notify_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(the_sa_is_deleted_by_its_cookies_only, setup, teardown),
        cmocka_unit_test_setup_teardown(dpd_asks_and_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_id_of_zero_is_neither_made_nor_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(made_into_too_small_a_buffer_it_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(flips_and_cuts_are_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_under_another_sa_is_not_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(an_sa_takes_nothing_in_clear, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clear_delete_or_dpd_is_a_hint_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clear_notify_is_no_amplifier, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_notify_says_of_the_sa_is_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(deletes_of_other_things_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(of_several_payloads_the_delete_of_the_sa_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hash_in_another_payload_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_keys_and_floods_are_met_with_silence, setup, teardown),
    };
    return cmocka_run_group_tests_name("proto/ike/informational", tests, NULL, NULL);
}
