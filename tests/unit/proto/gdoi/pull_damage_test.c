/* A GROUPKEY-PULL under attack: whoever has no keys changes nothing, and whoever has them is refused what RFC
 * 6407 does not allow. After each refusal the good message is still taken. */
#include "tests/lib/gdoi_forge.h"
#include "tests/unit/proto/gdoi/pull_ends.h"

static struct group_policy policy;

/* What the taking end is, to see that nothing of it changed. */
static uint8_t before[sizeof(struct pull_member)];

static void remember(int n)
{
    memcpy(before, n % 2 == 1 ? (void *)&ends.server : (void *)&ends.member,
           n % 2 == 1 ? sizeof(ends.server) : sizeof(ends.member));
}

static void assert_unchanged(int n)
{
    assert_memory_equal(before, n % 2 == 1 ? (void *)&ends.server : (void *)&ends.member,
                        n % 2 == 1 ? sizeof(ends.server) : sizeof(ends.member));
}

static void wait_for(int n)
{
    setup(NULL);
    fixture_policy_gcm(&policy);
    run_until(n, &policy, 2, 1);
    remember(n);
}

static void assert_taken(int n)
{
    assert_ok(take(n, ends.sent[n]));
    teardown(NULL);
}

static void a_message_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        wait_for(n);
        for (size_t len = 0; len < ends.sent[n].len; len++) {
            uint8_t *cut =
                malloc(len != 0 ? len : 1); /* its own size, so that AddressSanitizer sees the end */
            assert_non_null(cut);
            memcpy(cut, ends.sent[n].data, len);
            assert_err(take(n, (struct bytes){cut, len}), E_TRUNCATED);
            if (len >= ISAKMP_HEADER_LEN) { /* the same with a length that fits */
                cut[24] = 0;
                cut[25] = 0;
                cut[26] = (uint8_t)(len >> 8);
                cut[27] = (uint8_t)len;
                err_t err = take(n, (struct bytes){cut, len});
                assert_true(err == E_BAD_LENGTH || err == E_BAD_PADDING || err == E_BAD_HASH);
            }
            free(cut);
            assert_unchanged(n);
        }
        assert_taken(n);
    }
}

static void a_message_with_any_bit_flipped_is_refused(void **state)
{
    (void)state;
    enum { MINOR_VERSION_BITS = 4 };
    for (int n = 1; n <= 4; n++) {
        wait_for(n);
        uint8_t *raw = ends.messages[n];
        for (size_t bit = 0; bit < 8 * ends.sent[n].len; bit++) {
            if (bit / 8 == 17 && bit % 8 < MINOR_VERSION_BITS)
                continue; /* RFC 2408 3.1: a minor version is not looked at */
            raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_not_equal(take(n, ends.sent[n]), E_OK);
            raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_unchanged(n);
        }
        assert_taken(n);
    }
}

static void bytes_behind_the_message_are_ignored(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        wait_for(n);
        ends.sent[n].len += 5;
        assert_taken(n);
    }
}

static void another_key_opens_nothing(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        wait_for(n);
        struct isakmp_sa *sa = n % 2 == 1 ? &ends.server_sa : &ends.member_sa;
        struct isakmp_sa good = *sa;
        fixture_fill(&sa->key, 0x99, 32);
        assert_err(take(n, ends.sent[n]), E_BAD_PADDING);
        *sa = good;
        fixture_fill(&sa->skeyid_a, 0x99, 32);
        assert_err(take(n, ends.sent[n]), E_BAD_HASH);
        *sa = good;
        assert_unchanged(n);
        assert_taken(n);
    }
}

static void headers_of_other_exchanges_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        err_t err;
    } cases[] = {
        {0, 'X', E_BAD_COOKIE},   {15, 'X', E_BAD_COOKIE}, {17, 0x20, E_BAD_VERSION},
        {18, 33, E_BAD_EXCHANGE}, {18, 5, E_BAD_EXCHANGE}, {19, 0, E_UNEXPECTED},
        {19, 3, E_UNEXPECTED},    {16, 0, E_BAD_PADDING},  {16, PAYLOAD_NONCE, E_BAD_PADDING},
        {16, 200, E_BAD_PADDING}, {24, 1, E_BAD_LENGTH},
    };
    for (int n = 1; n <= 4; n++) {
        wait_for(n);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            uint8_t *at = &ends.messages[n][cases[i].at];
            uint8_t old = *at;
            *at = cases[i].value;
            assert_err(take(n, ends.sent[n]), cases[i].err);
            *at = old;
        }
        assert_unchanged(n);
        memset(ends.messages[n] + 20, 0, 4);
        assert_err(take(n, ends.sent[n]), E_BAD_MESSAGE_ID);
        assert_unchanged(n);
        teardown(NULL);
    }
}

static void a_message_id_of_another_exchange_is_refused(void **state)
{
    (void)state;
    for (int n = 2; n <= 4; n++) {
        wait_for(n);
        ends.messages[n][23] ^= 1;
        assert_err(take(n, ends.sent[n]), E_BAD_MESSAGE_ID);
        ends.messages[n][23] ^= 1;
        assert_taken(n);
    }
    wait_for(1); /* message 1 opens an exchange of any id, but not one sealed for another */
    ends.messages[1][23] ^= 1;
    assert_err(take(1, ends.sent[1]), E_BAD_PADDING);
    teardown(NULL);
}

static void repeated_messages_change_nothing(void **state)
{
    (void)state;
    wait_for(4);
    err_t err = take(2, ends.sent[2]); /* message 2 again, unasked: as the reference implementation does */
    assert_true(err == E_BAD_PADDING || err == E_BAD_HASH);
    assert_unchanged(4);
    assert_ok(take(4, ends.sent[4]));
    assert_err(take(4, ends.sent[4]), E_STATE);
    assert_err(take(2, ends.sent[2]), E_STATE);
    assert_err(take(1, ends.sent[1]), E_STATE);
    assert_err(take(3, ends.sent[3]), E_STATE);
    teardown(NULL);
}

static void messages_are_not_taken_for_one_another(void **state)
{
    (void)state;
    wait_for(3);
    assert_int_not_equal(take(3, ends.sent[1]), E_OK);
    assert_int_not_equal(take(3, ends.sent[2]), E_OK);
    assert_unchanged(3);
    assert_ok(take(3, ends.sent[3]));
    teardown(NULL);
    wait_for(2);
    assert_int_not_equal(take(2, ends.sent[1]), E_OK); /* reflected */
    assert_unchanged(2);
    teardown(NULL);
}

/* --- from here on the sender has all keys --- */

static struct pull_nonces nonces_for(int n)
{
    struct pull_nonces nonces = {0};
    if (n >= 2)
        nonces.ni_b = (struct bytes){ends.server.ni, ends.server.ni_len};
    if (n >= 3)
        nonces.nr_b = (struct bytes){ends.server.nr, ends.server.nr_len};
    return nonces;
}

/* The clear payloads of the good message n, without HASH and padding, taken apart; the views are of `clear`.
 */
static uint8_t clear[MESSAGE_CAP];
static struct payload_list parts;

static void open_good(int n)
{
    uint8_t iv[CIPHER_BLOCK_MAX];
    struct isakmp_header header;
    struct bytes body, plain;
    must(isakmp_header_decode(&header, &body, ends.sent[n]));
    if (n == 1)
        must(isakmp_sa_exchange_iv(&ends.server_sa, header.message_id, iv));
    else
        memcpy(iv, n == 3 ? ends.server.iv : ends.member.iv, sizeof(iv));
    must(isakmp_sa_open(&ends.server_sa, iv, body, clear, &plain));
    must(payload_list_decode(&parts, header.next_payload, plain));
}

static uint8_t forged_clear[MESSAGE_CAP], forged[MESSAGE_CAP];
static struct forge forge;

static void forge_begin(void)
{
    forge = (struct forge){.w = writer_over(forged_clear, sizeof(forged_clear))};
}

/* All payloads of the good message behind HASH, but for those of type without. */
static void forge_copy(uint8_t without)
{
    for (size_t i = 1; i < parts.count; i++)
        if (parts.items[i].type != without)
            forge_add(&forge, parts.items[i].type, parts.items[i].body);
}

static err_t take_forged(int n)
{
    uint8_t iv[CIPHER_BLOCK_MAX];
    struct isakmp_header header;
    struct bytes body;
    must(isakmp_header_decode(&header, &body, ends.sent[n]));
    if (n == 1)
        must(isakmp_sa_exchange_iv(&ends.server_sa, header.message_id, iv));
    else
        memcpy(iv, n == 3 ? ends.server.iv : ends.member.iv, sizeof(iv));
    struct pull_nonces nonces = nonces_for(n);
    struct bytes datagram = forge_pull(forged, sizeof(forged), &ends.server_sa, header.message_id, &nonces,
                                       iv, forge.first, writer_bytes(&forge.w));
    err_t err = take(n, datagram);
    if (err != E_OK)
        assert_unchanged(n);
    return err;
}

static void every_payload_is_needed_once(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        wait_for(n);
        open_good(n);
        for (size_t i = 1; i < parts.count; i++) {
            const struct payload *part = &parts.items[i];
            forge_begin();
            forge_copy(0);
            forge_add(&forge, part->type, part->body);
            assert_err(take_forged(n), E_DUPLICATE);
            if (part->type == PAYLOAD_GAP)
                continue; /* may be missing */
            forge_begin();
            forge_copy(part->type);
            assert_err(take_forged(n), E_MISSING); /* SEQ too, beside a KEK */
        }
        forge_begin();
        forge_copy(0);
        forge_add(&forge, PAYLOAD_HASH, parts.items[0].body);
        assert_err(take_forged(n), E_DUPLICATE);
        forge_begin();
        forge_copy(0);
        forge_add(&forge, PAYLOAD_NOTIFY, parts.items[0].body);
        assert_err(take_forged(n), E_UNEXPECTED);
        forge_begin();
        forge_copy(0);
        forge_add(&forge, PAYLOAD_FRAGMENT, parts.items[0].body);
        assert_err(take_forged(n), E_UNEXPECTED);
        forge_begin();
        forge_add(&forge, PAYLOAD_VENDOR, parts.items[0].body); /* unknown vendor ids may stand anywhere */
        forge_copy(0);
        forge_add(&forge, PAYLOAD_VENDOR, parts.items[0].body);
        assert_ok(take_forged(n));
        teardown(NULL);
    }
}

static void nonces_of_8_to_128_octets_are_taken_and_no_others(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        err_t err;
    } cases[] = {{0, E_BAD_LENGTH}, {7, E_BAD_LENGTH}, {129, E_BAD_LENGTH}, {128, E_OK}, {8, E_OK}};
    static const uint8_t zeros[256];
    for (int n = 1; n <= 2; n++)
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            wait_for(n);
            open_good(n);
            forge_begin();
            forge_add(&forge, PAYLOAD_NONCE, (struct bytes){zeros, cases[i].len});
            forge_copy(PAYLOAD_NONCE);
            assert_err(take_forged(n), cases[i].err);
            teardown(NULL);
        }
}

static err_t ask_for_group(struct bytes id)
{
    wait_for(1);
    open_good(1);
    forge_begin();
    forge_copy(PAYLOAD_ID);
    forge_add(&forge, PAYLOAD_ID, id);
    err_t err = take_forged(1);
    teardown(NULL);
    return err;
}

static void group_identities_of_every_kind_are_read_and_broken_ones_refused(void **state)
{
    (void)state;
    uint8_t raw[400] = {ID_KEY_ID, 0, 0, 0, 1, 2, 3, 4};
    assert_ok(ask_for_group((struct bytes){raw, 8}));
    raw[1] = 17; /* what stands in the three zero octets says nothing about the group */
    assert_ok(ask_for_group((struct bytes){raw, 8}));
    assert_ok(ask_for_group((struct bytes){raw, 4 + 255}));
    raw[0] = ID_IPV4_ADDR;
    assert_ok(ask_for_group((struct bytes){raw, 8}));
    assert_err(ask_for_group((struct bytes){raw, 9}), E_BAD_LENGTH);
    raw[0] = ID_FQDN;
    assert_ok(ask_for_group((struct bytes){raw, 20}));
    raw[0] = ID_KEY_ID;
    assert_err(ask_for_group((struct bytes){raw, 3}), E_TRUNCATED);
    assert_err(ask_for_group((struct bytes){raw, 4}), E_BAD_LENGTH);
    assert_err(ask_for_group((struct bytes){raw, 4 + 256}), E_BAD_LENGTH);
    raw[0] = 0;
    assert_err(ask_for_group((struct bytes){raw, 8}), E_RANGE);
}

static void a_gap_with_anything_unknown_aborts(void **state)
{
    (void)state;
    static const uint8_t unknown[] = {0x80, 0x80, 0, 1};
    wait_for(3);
    open_good(3);
    forge_begin();
    forge_add(&forge, PAYLOAD_GAP, BYTES_OF(unknown));
    assert_err(take_forged(3), E_UNKNOWN_CRITICAL);
    static const uint8_t many[] = {0x80, 3, 0xff, 0xff};
    forge_begin();
    forge_add(&forge, PAYLOAD_GAP, BYTES_OF(many));
    assert_ok(take_forged(3));
    assert_int_equal(ends.server.sid_request, 0xffff); /* for the caller to bound */
    teardown(NULL);
}

/* Message 2 with another policy than ours. */
static err_t offered(const struct group_policy *offer)
{
    static uint8_t body[MESSAGE_CAP];
    struct writer w = writer_over(body, sizeof(body));
    wait_for(2);
    open_good(2);
    forge_begin();
    forge_copy(PAYLOAD_SA);
    must(group_policy_encode_sa(offer, NULL, &w));
    forge_add(&forge, PAYLOAD_SA, writer_bytes(&w));
    err_t err = take_forged(2);
    teardown(NULL);
    return err;
}

static void a_member_refuses_an_offer_that_protects_no_traffic(void **state)
{
    (void)state;
    struct group_policy offer;
    fixture_policy(&offer);
    assert_ok(offered(&offer));
    offer.tek_count = 0;
    assert_err(offered(&offer), E_MISSING);
}

/* Message 4 with other keys than the ones that were offered. */
static err_t delivered(const struct group_policy *keys, const uint8_t kek_spi[KEK_SPI_LEN])
{
    static uint8_t body[MESSAGE_CAP];
    struct writer w = writer_over(body, sizeof(body));
    wait_for(4);
    open_good(4);
    forge_begin();
    forge_copy(PAYLOAD_KD);
    must(group_policy_encode_kd(keys, kek_spi, &w));
    forge_add(&forge, PAYLOAD_KD, writer_bytes(&w));
    err_t err = take_forged(4);
    if (err == E_OK)
        assert_int_equal(ends.member.state, PULL_M_DONE);
    teardown(NULL);
    return err;
}

static void a_member_refuses_keys_that_do_not_fit_the_offer(void **state)
{
    (void)state;
    struct group_policy keys;
    fixture_policy_gcm(&keys);
    assert_ok(delivered(&keys, keys.kek.spi));
    keys.sid_count = 0;
    assert_err(delivered(&keys, keys.kek.spi), E_MISSING); /* GCM without a sender id, RFC 6407 5.6.4.4 */
    fixture_policy_gcm(&keys);
    keys.tek_count = 1;
    assert_err(delivered(&keys, keys.kek.spi), E_MISSING);
    fixture_policy_gcm(&keys);
    keys.teks[1].spi ^= 1;
    assert_err(delivered(&keys, keys.kek.spi), E_MISSING);
    fixture_policy_gcm(&keys);
    fixture_tek(&keys.teks[keys.tek_count++], 3, fixture_cbc);
    assert_err(delivered(&keys, keys.kek.spi), E_UNKNOWN_SPI);
    fixture_policy_gcm(&keys);
    fixture_tek(&keys.teks[1], 2, (struct esp_suite){.transform = ESP_AES_GCM_16, .key_bits = 128});
    assert_err(delivered(&keys, keys.kek.spi), E_BAD_KEY);
    fixture_policy_gcm(&keys);
    keys.has_kek = false;
    assert_err(delivered(&keys, keys.kek.spi), E_MISSING);
    fixture_policy_gcm(&keys);
    fixture_kek(&keys.kek, 1, CIPHER_AES_CBC_128, SIGN_RSA);
    assert_err(delivered(&keys, keys.kek.spi), E_BAD_KEY);
    fixture_policy_gcm(&keys);
    assert_err(delivered(&keys, (const uint8_t *)"another SPI 16 o"), E_UNKNOWN_SPI);
    keys.kek.public_len = 0;
    assert_err(delivered(&keys, keys.kek.spi), E_MISSING);
}

static void a_sequence_without_a_kek_is_refused(void **state)
{
    (void)state;
    static const uint8_t seq[4];
    setup(NULL);
    fixture_policy(&policy);
    policy.has_kek = false;
    run_until(4, &policy, 0, 1);
    remember(4);
    open_good(4);
    forge_begin();
    forge_add(&forge, PAYLOAD_SEQ, BYTES_OF(seq));
    forge_copy(0);
    assert_err(take_forged(4), E_UNEXPECTED);
    assert_taken(4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_cut_anywhere_is_refused),
        cmocka_unit_test(a_message_with_any_bit_flipped_is_refused),
        cmocka_unit_test(bytes_behind_the_message_are_ignored),
        cmocka_unit_test(another_key_opens_nothing),
        cmocka_unit_test(headers_of_other_exchanges_are_refused),
        cmocka_unit_test(a_message_id_of_another_exchange_is_refused),
        cmocka_unit_test(repeated_messages_change_nothing),
        cmocka_unit_test(messages_are_not_taken_for_one_another),
        cmocka_unit_test(every_payload_is_needed_once),
        cmocka_unit_test(nonces_of_8_to_128_octets_are_taken_and_no_others),
        cmocka_unit_test(group_identities_of_every_kind_are_read_and_broken_ones_refused),
        cmocka_unit_test(a_gap_with_anything_unknown_aborts),
        cmocka_unit_test(a_member_refuses_an_offer_that_protects_no_traffic),
        cmocka_unit_test(a_member_refuses_keys_that_do_not_fit_the_offer),
        cmocka_unit_test(a_sequence_without_a_kek_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
