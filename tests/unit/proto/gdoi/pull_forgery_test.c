/* A GROUPKEY-PULL with a peer that has all keys and says what RFC 6407 does not allow. */
#include "tests/lib/gdoi_forge.h"
#include "tests/unit/proto/gdoi/pull_ends.h"

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
    fixture_policy(&told);
    told.has_kek = false;
    run_until(4, &told, 0, 1);
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
