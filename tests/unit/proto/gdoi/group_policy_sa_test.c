/* What a member takes from an SA payload, and how a key server writes one. */
#include "tests/lib/gdoi_fixture.h"
#include "tests/lib/test.h"

static struct group_policy policy, got;
static uint8_t buf[2 * MESSAGE_CAP];

static struct bytes encode(const struct gdoi_dialect *dialect)
{
    struct writer w = writer_over(buf, sizeof(buf));
    must(group_policy_encode_sa(&policy, dialect, &w));
    return writer_bytes(&w);
}

/* The SA of the fixture as its parts, to be bent; views buf. */
static struct gdoi_sa sa;

static int setup(void **state)
{
    (void)state;
    fixture_policy_gcm(&policy);
    memset(&got, 0, sizeof(got));
    must(gdoi_sa_decode(&sa, encode(NULL)));
    return 0;
}

static err_t take_as(bool any_dialect)
{
    static uint8_t bent[2 * MESSAGE_CAP];
    struct writer w = writer_over(bent, sizeof(bent));
    gdoi_sa_encode(&w, &sa);
    must(writer_end(&w));
    group_policy_close(&got);
    err_t err = group_policy_from_sa(&got, writer_bytes(&w), any_dialect);
    if (err != E_OK)
        assert_true(fixture_is_zero(&got, sizeof(got)));
    return err;
}

static err_t take(void)
{
    return take_as(false);
}

static void one_sat_stands_for_one_key_and_one_selector(void **state)
{
    (void)state;
    assert_int_equal(sa.sat_count, 4); /* two TEKs, two selectors */
    assert_int_equal(sa.sats[0].spi, sa.sats[1].spi);
    assert_int_not_equal(sa.sats[1].spi, sa.sats[2].spi);
    assert_int_equal(sa.sats[2].spi, sa.sats[3].spi);
    for (size_t i = 0; i < sa.sat_count; i++) {
        assert_int_equal(sa.sats[i].encapsulation, ENCAP_TUNNEL);
        assert_int_equal(sa.sats[i].preservation, PRESERVE_BOTH);
        assert_int_equal(sa.sats[i].key_bits, 256); /* always for AES */
    }
    assert_int_equal(sa.sats[0].src.type, ID_IPV4_ADDR_SUBNET);
    assert_bytes(sa.sats[0].src.data, "0a010000ffff0000");
    assert_int_equal(sa.sats[1].src.type, ID_IPV4_ADDR); /* a host */
    assert_bytes(sa.sats[1].src.data, "0a090007");
    assert_int_equal(sa.sats[1].ip_protocol, 17);
    assert_int_equal(sa.sats[1].dst.port, 5060);
}

static void a_sak_says_where_rekeys_come_from_and_how(void **state)
{
    (void)state;
    assert_true(sa.has_sak);
    assert_int_equal(sa.sak.protocol, 17);
    assert_int_equal(sa.sak.src.port, GDOI_PORT);
    assert_bytes(sa.sak.src.data, "c0000201");
    assert_int_equal(sa.sak.dst.port, GDOI_PORT);
    assert_bytes(sa.sak.dst.data, "00000000");
    assert_int_equal(sa.sak.algorithm, KEK_ALG_AES);
    assert_int_equal(sa.sak.key_bits, 256);
    assert_int_equal(sa.sak.sig_key_bits, 2048); /* of the modulus, not of its DER form */
    assert_int_equal(sa.sak.ack, KEK_ACK_SHA256);
    assert_int_equal(sa.sak.management, 0);
    assert_int_equal(sa.gap.activation_s, 15);
    assert_int_equal(sa.gap.deactivation_s, 60);
}

static void dialect_3_the_kek_lifetime_is_tlv_by_default_and_tv_on_request(void **state)
{
    (void)state;
    static const uint8_t tlv[] = {0x00, 0x04, 0x00, 0x04, 0x00, 0x00, 0x0e, 0x10},
                         tv[] = {0x80, 0x04, 0x0e, 0x10};
    const struct gdoi_dialect basic = {.lifetime_basic = true};
    policy.kek.lifetime_s = 3600;
    struct bytes body = encode(NULL);
    size_t len = body.len;
    assert_non_null(memmem(body.data, body.len, tlv, sizeof(tlv)));
    assert_ok(group_policy_from_sa(&got, body, false));
    assert_int_equal(got.kek.lifetime_s, 3600);
    group_policy_close(&got);
    body = encode(&basic);
    assert_int_equal(body.len + 4, len);
    assert_non_null(memmem(body.data, body.len, tv, sizeof(tv)));
    assert_ok(group_policy_from_sa(&got, body, false));
    assert_int_equal(got.kek.lifetime_s, 3600);
    policy.kek.lifetime_s = 86400; /* fits no TV */
    assert_int_equal(encode(&basic).len, len);
}

static void trap_1_reserved2_of_the_sak_may_hold_what_rfc_3547_put_there(void **state)
{
    (void)state;
    struct bytes body = encode(NULL);
    size_t reserved2 = 12 + 4 + 1 + 2 * (1 + 2 + 1 + 4) + KEK_SPI_LEN;
    assert_bytes(bytes_slice(body, reserved2, 4), "00000000");
    memset(buf + reserved2, 0x77, 4);
    assert_ok(group_policy_from_sa(&got, body, false));
    assert_memory_equal(got.kek.spi, policy.kek.spi, KEK_SPI_LEN);
}

static void an_acknowledgement_that_we_do_not_know_is_no_reason_to_refuse(void **state)
{
    (void)state;
    sa.sak.ack = 130; /* private use: "continues with protocol exchange", RFC 8263 4 */
    assert_ok(take());
    assert_int_equal(got.kek.ack, KEK_ACK_NONE);
    sa.sak.ack = LKH_ACK_SHA512;
    assert_ok(take());
    assert_int_equal(got.kek.ack, LKH_ACK_SHA512);
}

static void ecdsa_implies_its_hash(void **state)
{
    (void)state;
    sa.sak.sig_hash = 0;
    sa.sak.sig_algorithm = SIG_ALG_ECDSA_256;
    assert_ok(take());
    assert_int_equal(got.kek.sig_hash, HASH_SHA256);
    sa.sak.sig_algorithm = SIG_ALG_ECDSA_384;
    assert_ok(take());
    assert_int_equal(got.kek.sig_hash, HASH_SHA384);
    sa.sak.sig_algorithm = SIG_ALG_RSA;
    assert_err(take(), E_UNSUPPORTED);
}

/* One change to the fixture's SA, and what it gives. */
#define REFUSED(change, wanted)                                                                              \
    do {                                                                                                     \
        setup(NULL);                                                                                         \
        change;                                                                                              \
        assert_err(take(), wanted);                                                                          \
    } while (0)

static void rekey_sas_that_cannot_be_kept_are_refused(void **state)
{
    (void)state;
    REFUSED(sa.sak.algorithm = KEK_ALG_DES, E_UNSUPPORTED);
    REFUSED(sa.sak.algorithm = 77, E_UNSUPPORTED);
    REFUSED(sa.sak.key_bits = 0, E_UNSUPPORTED);
    REFUSED(sa.sak.key_bits = 512, E_UNSUPPORTED);
    REFUSED(sa.sak.sig_hash = SIG_HASH_MD5, E_UNSUPPORTED);
    REFUSED(sa.sak.sig_algorithm = SIG_ALG_DSS, E_UNSUPPORTED);
    REFUSED(sa.sak.sig_algorithm = SIG_ALG_ECDSA_521, E_UNSUPPORTED);
    REFUSED(sa.sak.management = 1, E_UNSUPPORTED); /* LKH */
    REFUSED(sa.sak.lifetime_s = 0, E_RANGE);
    REFUSED(memset(sa.sak.spi, 0, 4), E_RANGE); /* would look like a non-ESP marker */
    REFUSED(memset(sa.sak.spi + 8, 0, 8), E_RANGE);
}

static void teks_that_cannot_be_kept_are_refused(void **state)
{
    (void)state;
    REFUSED(sa.sats[3].spi = 0, E_RANGE);
    REFUSED(sa.sats[3].spi = 255, E_RANGE);
    REFUSED(sa.sats[0].lifetime_s = 0, E_RANGE);
    REFUSED(sa.sats[0].protocol = SAT_AH, E_UNSUPPORTED);
    REFUSED(sa.sats[0].transform = ESP_AES_CTR, E_UNSUPPORTED);
    REFUSED(sa.sats[0].transform = ESP_3DES, E_UNSUPPORTED);
    REFUSED(sa.sats[0].auth = AUTH_HMAC_SHA1, E_UNSUPPORTED);
    REFUSED(sa.sats[0].auth = AUTH_NONE, E_UNSUPPORTED); /* CBC without integrity */
    REFUSED(sa.sats[0].key_bits = 0, E_UNSUPPORTED);
    REFUSED(sa.sats[2].key_bits = 100, E_UNSUPPORTED);
    REFUSED(sa.sats[0].encapsulation = ENCAP_TRANSPORT, E_UNSUPPORTED);
    REFUSED(sa.sats[0].encapsulation = 0, E_UNSUPPORTED);
    REFUSED(sa.sats[0].preservation = PRESERVE_NONE, E_UNSUPPORTED);
    REFUSED(sa.sats[0].direction = DIRECTION_SENDER_ONLY, E_UNSUPPORTED);
    REFUSED(sa.sats[0].esn = true, E_UNSUPPORTED);
    setup(NULL);
    sa.sats[0].preservation = 0; /* the default is what we do, RFC 6407 5.5.1.1 */
    sa.sats[0].direction = DIRECTION_SYMMETRIC;
    assert_ok(take());
}

static void one_spi_says_one_thing(void **state)
{
    (void)state;
    REFUSED(sa.sats[1].lifetime_s++, E_RANGE);
    REFUSED(sa.sats[1].key_bits = 128, E_RANGE);
    REFUSED(sa.sats[1].auth = AUTH_HMAC_SHA512, E_RANGE);
    REFUSED(sa.sats[2].spi = sa.sats[0].spi, E_RANGE); /* two keys under one SPI */
    REFUSED(sa.sats[1].src = sa.sats[0].src; sa.sats[1].dst = sa.sats[0].dst;
            sa.sats[1].ip_protocol = 0, E_DUPLICATE);
}

static void selectors_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    static const uint8_t holes[] = {10, 0, 0, 0, 255, 0, 255, 0}, host_bits[] = {10, 1, 2, 3, 255, 0, 0, 0};
    static const uint8_t v6[16] = {0x20, 1};
    const struct gdoi_id six = {ID_IPV6_ADDR, 0, BYTES_OF(v6)};
    REFUSED(sa.sats[0].src.data = BYTES_OF(holes), E_RANGE);
    REFUSED(sa.sats[0].src.data = BYTES_OF(host_bits), E_RANGE);
    REFUSED(sa.sats[0].src.port = 5; sa.sats[0].dst.port = 0, E_RANGE); /* a port without TCP or UDP */
    REFUSED(sa.sats[0].src.type = ID_IPV4_ADDR_RANGE, E_UNSUPPORTED);
    REFUSED(sa.sats[0].src.type = ID_FQDN, E_UNSUPPORTED);
    REFUSED(sa.sats[0].dst = six, E_RANGE); /* from IPv4 to IPv6 */
    setup(NULL);
    sa.sats[0].src = six;
    sa.sats[0].dst = six;
    assert_ok(take());
    assert_int_equal(got.selectors[0].src.bits, 128);
}

/* RFC 2407 4.6.2.7 and 4.6.2.9; the rest of them would be many selectors. */
static void a_range_is_taken_if_it_is_a_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *first, *last;
        unsigned bits; /* 255: refused */
    } rows[] = {
        {"10.1.0.0", "10.1.255.255", 16},    {"10.1.2.3", "10.1.2.3", 32},
        {"0.0.0.0", "255.255.255.255", 0},   {"10.1.0.0", "10.1.255.254", 255},
        {"10.1.0.1", "10.1.255.255", 255},   {"10.1.255.255", "10.1.0.0", 255}, /* backwards */
        {"10.1.64.0", "10.1.191.255", 255},  {"2001:db8:13::", "2001:db8:13:ffff:ffff:ffff:ffff:ffff", 48},
        {"2001:db8::5", "2001:db8::5", 128}, {"2001:db8::5", "2001:db8::6", 255},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr first, last;
        uint8_t both[32];
        setup(NULL);
        assert_ok(addr_parse(&first, rows[i].first));
        assert_ok(addr_parse(&last, rows[i].last));
        size_t len = addr_len(&first);
        memcpy(both, first.bytes, len);
        memcpy(both + len, last.bytes, len);
        uint8_t type = len == 4 ? ID_IPV4_ADDR_RANGE : ID_IPV6_ADDR_RANGE;
        sa.sats[0].src = sa.sats[0].dst = (struct gdoi_id){type, 0, {both, 2 * len}};
        sa.sats[0].ip_protocol = 0;
        if (rows[i].bits == 255) {
            assert_err(take(), E_UNSUPPORTED);
            continue;
        }
        assert_ok(take());
        assert_int_equal(got.selectors[0].src.bits, rows[i].bits);
        assert_true(addr_equal(&got.selectors[0].src.addr, &first));
        sa.sats[0].src.data.len--;
        assert_true(take() != E_OK);
    }
}

static void a_source_of_many_senders_is_any_address(void **state)
{
    (void)state;
    sa.sats[0].src.data = (struct bytes){0}; /* RFC 6407 5.5.1 */
    assert_ok(take());
    assert_int_equal(got.selectors[0].src.bits, 0);
    assert_int_equal(got.selectors[0].src.addr.family, AF_INET);
}

static void more_keys_than_a_member_keeps_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i <= POLICY_TEK_MAX; i++) {
        sa.sats[i] = sa.sats[0];
        sa.sats[i].spi = 0x1000 + (uint32_t)i;
    }
    sa.sat_count = POLICY_TEK_MAX;
    assert_ok(take());
    assert_int_equal(got.tek_count, POLICY_TEK_MAX);
    sa.sat_count++;
    assert_err(take(), E_LIMIT);
}

static void any_dialect_takes_what_the_reference_implementation_sends(void **state)
{
    (void)state;
    sa.sak.lifetime_s = 0;
    for (size_t i = 0; i < 2; i++) {
        sa.sats[i].transform = ESP_3DES;
        sa.sats[i].key_bits = 0;
        sa.sats[i].auth = AUTH_HMAC_SHA1;
        sa.sats[i].encapsulation = ENCAP_TRANSPORT;
    }
    static const uint8_t host_order[] = {0, 0, 1, 10, 0, 0, 255, 255}, to[] = {1, 1, 192, 239};
    sa.sats[0].src.data = BYTES_OF(host_order);
    sa.sats[0].dst = (struct gdoi_id){ID_IPV4_ADDR, 0, BYTES_OF(to)};
    assert_err(take(), E_RANGE);
    assert_ok(take_as(true));
    struct prefix src = fixture_prefix("10.1.0.0/16"), dst = fixture_prefix("239.192.1.1");
    assert_true(prefix_equal(&got.selectors[0].src, &src));
    assert_true(prefix_equal(&got.selectors[0].dst, &dst));
    assert_int_equal(got.kek.lifetime_s, KEK_LIFETIME_DEFAULT_S);
    assert_int_equal(tek_key_len(&got.teks[0].suite), 24);
    assert_int_equal(tek_integrity_len(&got.teks[0].suite), 20);
}

static void as_many_selectors_as_one_message_holds_are_encoded(void **state)
{
    (void)state;
    struct writer w = writer_over(buf, ISAKMP_MESSAGE_MAX - 100);
    policy.tek_count = 1;
    policy.selector_count = POLICY_SELECTOR_MAX;
    for (size_t i = 0; i < POLICY_SELECTOR_MAX; i++)
        policy.selectors[i] = (struct selector){.src = {addr_v4(10, (uint8_t)i, 0, 0), 16},
                                                .dst = fixture_prefix("10.0.0.0/8")};
    assert_ok(group_policy_encode_sa(&policy, NULL, &w));
    assert_ok(group_policy_from_sa(&got, writer_bytes(&w), false));
    assert_int_equal(got.selector_count, POLICY_SELECTOR_MAX);
    assert_true(fixture_is_zero(got.teks[0].covers, sizeof(got.teks[0].covers)));

    policy.tek_count = 2; /* twice as many SATs */
    w = writer_over(buf, sizeof(buf));
    assert_err(group_policy_encode_sa(&policy, NULL, &w), E_LIMIT);
    policy.selector_count = POLICY_SELECTOR_MAX / 2;
    w = writer_over(buf, ISAKMP_MESSAGE_MAX);
    assert_ok(group_policy_encode_sa(&policy, NULL, &w));
    w = writer_over(buf, 3000);
    assert_err(group_policy_encode_sa(&policy, NULL, &w), E_FULL);
}

#define NOT_ENCODED(change, wanted)                                                                          \
    do {                                                                                                     \
        struct writer w_ = writer_over(buf, sizeof(buf));                                                    \
        fixture_policy_gcm(&policy);                                                                         \
        change;                                                                                              \
        assert_err(group_policy_encode_sa(&policy, NULL, &w_), wanted);                                      \
    } while (0)

static void a_policy_that_its_members_must_refuse_is_not_encoded(void **state)
{
    (void)state;
    NOT_ENCODED(policy.teks[0].spi = 255, E_RANGE);
    NOT_ENCODED(policy.teks[0].lifetime_s = 0, E_RANGE);
    NOT_ENCODED(policy.kek.lifetime_s = 0, E_RANGE);
    NOT_ENCODED(policy.kek.cipher = CIPHER_NONE, E_UNSUPPORTED);
    NOT_ENCODED(policy.kek.sig_alg = SIGN_NONE, E_UNSUPPORTED);
    NOT_ENCODED(policy.kek.sig_hash = HASH_NONE, E_UNSUPPORTED);
    NOT_ENCODED(memset(policy.kek.spi, 0, 16), E_RANGE);
    NOT_ENCODED(policy.selector_count = 0, E_MISSING);
    NOT_ENCODED(policy.tek_count = POLICY_TEK_MAX + 1, E_LIMIT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(one_sat_stands_for_one_key_and_one_selector),
        T(a_sak_says_where_rekeys_come_from_and_how),
        T(dialect_3_the_kek_lifetime_is_tlv_by_default_and_tv_on_request),
        T(trap_1_reserved2_of_the_sak_may_hold_what_rfc_3547_put_there),
        T(an_acknowledgement_that_we_do_not_know_is_no_reason_to_refuse),
        T(ecdsa_implies_its_hash),
        T(rekey_sas_that_cannot_be_kept_are_refused),
        T(teks_that_cannot_be_kept_are_refused),
        T(one_spi_says_one_thing),
        T(selectors_that_mean_nothing_are_refused),
        T(a_range_is_taken_if_it_is_a_prefix),
        T(a_source_of_many_senders_is_any_address),
        T(more_keys_than_a_member_keeps_are_refused),
        T(any_dialect_takes_what_the_reference_implementation_sends),
        T(as_many_selectors_as_one_message_holds_are_encoded),
        T(a_policy_that_its_members_must_refuse_is_not_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
