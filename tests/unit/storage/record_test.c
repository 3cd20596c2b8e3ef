#include "storage/record.h"

#include "storage/crc32c.h"
#include "tests/lib/test.h"
#include "tests/unit/storage/random_record.h"

enum { ROUNDS = 200 };

/* For each kind of row: encoded, decoded and encoded again gives the same bytes; one octet less or more is
 * refused, and so is another version. */
#define ROUND_TRIP(kind, record, draw_one)                                                                   \
    static void a_##kind##_row_survives_encoding(void **state)                                               \
    {                                                                                                        \
        (void)state;                                                                                         \
        struct draw d;                                                                                       \
        draw_init(&d, 0x51 + sizeof(record));                                                                \
        for (int round = 0; round < ROUNDS; round++) {                                                       \
            static uint8_t first[RECORD_LEN_MAX], second[RECORD_LEN_MAX];                                    \
            static record in, out;                                                                           \
            in = draw_one(&d);                                                                               \
            struct writer a = writer_over(first, sizeof(first));                                             \
            kind##_record_encode(&a, &in);                                                                   \
            assert_ok(writer_end(&a));                                                                       \
            assert_ok(kind##_record_decode(&out, writer_bytes(&a)));                                         \
            struct writer b = writer_over(second, sizeof(second));                                           \
            kind##_record_encode(&b, &out);                                                                  \
            assert_true(bytes_equal(writer_bytes(&a), writer_bytes(&b)));                                    \
            if (round > 10)                                                                                  \
                continue;                                                                                    \
            for (size_t len = 0; len < a.len; len += 1 + a.len / 300) {                                      \
                uint8_t *cut = malloc(len + 1);                                                              \
                memcpy(cut, first, len);                                                                     \
                assert_int_not_equal(kind##_record_decode(&out, (struct bytes){cut, len}), E_OK);            \
                free(cut);                                                                                   \
            }                                                                                                \
            first[a.len] = 0;                                                                                \
            assert_err(kind##_record_decode(&out, (struct bytes){first, a.len + 1}), E_TRAILING);            \
            first[0]++;                                                                                      \
            assert_err(kind##_record_decode(&out, writer_bytes(&a)), E_BAD_VERSION);                         \
        }                                                                                                    \
    }

static struct psk_record draw_psk(struct draw *d)
{
    struct psk_record r = {.peer = draw_prefix(d), .psk = draw_wrapped(d)};
    r.enrolment = (struct enrolment){.is_set = true,
                                     .group_id = draw_u32(d),
                                     .key = draw_wrapped(d),
                                     .expires_ms = draw_u64(d),
                                     .used = draw_below(d, 2) == 1};
    draw_bytes(d, r.enrolment.id, ENROL_ID_LEN);
    draw_bytes(d, r.enrolment.used_by, ENROL_MAC_LEN);
    return r;
}

ROUND_TRIP(group, struct group_record, draw_group)
ROUND_TRIP(member, struct member_record, draw_member)
ROUND_TRIP(rekey, struct rekey_record, draw_rekey)
ROUND_TRIP(psk, struct psk_record, draw_psk)
ROUND_TRIP(signing, struct signing_record, draw_signing)
ROUND_TRIP(cluster, struct cluster_record, draw_cluster)

/* As it was before there was quarantine. */
static void a_member_without_complaint_is_a_row_of_version_1(void **state)
{
    (void)state;
    struct draw d;
    draw_init(&d, 12);
    struct member_record in = draw_member(&d), out;
    uint8_t row[1024];
    struct writer w = writer_over(row, sizeof(row));
    in.quarantined_ms = 0;
    in.quarantine = NULL;
    member_record_encode(&w, &in);
    assert_int_equal(row[0], 1);
    assert_ok(member_record_decode(&out, writer_bytes(&w)));
    assert_int_equal(out.quarantined_ms, 0);
    assert_int_equal(out.first_sid, in.first_sid);
}

/* As it was before there were tokens: the state's hash stays what it was. */
static void a_key_of_a_configuration_is_a_row_of_version_1(void **state)
{
    (void)state;
    struct draw d;
    draw_init(&d, 11);
    struct psk_record in = {.peer = draw_prefix(&d), .psk = draw_wrapped(&d)}, out;
    uint8_t row[512];
    struct writer w = writer_over(row, sizeof(row));
    psk_record_encode(&w, &in);
    assert_int_equal(row[0], 1);
    assert_ok(psk_record_decode(&out, writer_bytes(&w)));
    assert_false(out.enrolment.is_set);
    assert_int_equal(out.psk.len, in.psk.len);
    assert_true(prefix_equal(&out.peer, &in.peer));
}

static void the_largest_group_fits_into_a_row(void **state)
{
    (void)state;
    struct draw d;
    draw_init(&d, 7);
    static struct group_record g;
    g = draw_group(&d);
    g.has_kek = g.has_previous_kek = true;
    g.kek = g.previous_kek = draw_kek(&d);
    g.kek.iv_key.len = WRAPPED_MAX;
    g.tek_count = GROUP_TEK_MAX;
    for (size_t i = 0; i < GROUP_TEK_MAX; i++) {
        g.teks[i] = draw_tek(&d);
        g.teks[i].key.len = g.teks[i].integrity.len = WRAPPED_MAX;
    }
    g.runway_count = RUNWAY_MAX;
    for (size_t i = 0; i < RUNWAY_MAX; i++)
        g.runway[i] = g.teks[i];
    g.config.selector_count = POLICY_SELECTOR_MAX;
    for (size_t i = 0; i < POLICY_SELECTOR_MAX; i++)
        g.config.selectors[i].src.addr.family = g.config.selectors[i].dst.addr.family = AF_INET6;
    g.config.rule_count = GROUP_RULE_MAX;
    for (size_t i = 0; i < GROUP_RULE_MAX; i++)
        g.config.rules[i] = (struct member_rule){.identity = {.type = ID_FQDN, .len = ID_DATA_MAX}};
    static uint8_t row[RECORD_LEN_MAX];
    struct writer w = writer_over(row, sizeof(row));
    group_record_encode(&w, &g);
    assert_ok(writer_end(&w));
}

/* Offsets of fields that have a range, found by changing them in the struct. */
static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    struct draw d;
    draw_init(&d, 8);
    static uint8_t row[RECORD_LEN_MAX];
    struct member_record m = draw_member(&d), out;
    m.sid_count = MEMBER_SID_MAX + 1;
    struct writer w = writer_over(row, sizeof(row));
    member_record_encode(&w, &m);
    assert_err(member_record_decode(&out, writer_bytes(&w)), E_RANGE);

    struct rekey_record r = draw_rekey(&d), r_out;
    r.kind = REKEY_POLICY + 1;
    w = writer_over(row, sizeof(row));
    rekey_record_encode(&w, &r);
    assert_err(rekey_record_decode(&r_out, writer_bytes(&w)), E_RANGE);

    static struct group_record g, g_out;
    g = draw_group(&d);
    g.config.sid_bits = 17;
    w = writer_over(row, sizeof(row));
    group_record_encode(&w, &g);
    assert_err(group_record_decode(&g_out, writer_bytes(&w)), E_RANGE);
}

/* Version 1 ended behind rekeys_sent: 8 octets of pseudotime base, and one each for the two counts, came
 * later. */
static void a_group_row_of_the_first_version_is_read_without_a_runway(void **state)
{
    (void)state;
    struct draw d;
    draw_init(&d, 10);
    static uint8_t row[RECORD_LEN_MAX];
    static struct group_record g, out;
    g = draw_group(&d);
    g.runway_count = 0;
    struct writer w = writer_over(row, sizeof(row));
    group_record_encode(&w, &g);
    row[0] = 1;
    assert_err(group_record_decode(&out, writer_bytes(&w)), E_TRAILING);
    assert_ok(group_record_decode(&out, (struct bytes){row, w.len - 10}));
    assert_int_equal(out.runway_count, 0);
    assert_int_equal(out.config.runway, 0);
    assert_int_equal(out.rekeys_sent, g.rekeys_sent);
    assert_int_equal(out.sid_epoch, g.sid_epoch);
}

static void host_bits_in_a_prefix_are_refused(void **state)
{
    (void)state;
    uint8_t row[64];
    struct psk_record in = {.peer = {addr_v4(10, 1, 0, 1), 16}}, out;
    struct writer w = writer_over(row, sizeof(row));
    psk_record_encode(&w, &in);
    assert_err(psk_record_decode(&out, writer_bytes(&w)), E_RANGE);
}

static void configs_differ_if_any_field_does(void **state)
{
    (void)state;
    struct draw d;
    draw_init(&d, 9);
    static struct group_config a, b;
    for (int round = 0; round < ROUNDS; round++) {
        a = draw_config(&d);
        b = a;
        assert_true(group_config_equal(&a, &b));
        switch (round % 8) {
        case 0:
            b.name[0] ^= 1;
            break;
        case 1:
            b.deactivation_s ^= 1;
            break;
        case 2:
            b.dialect.ack_short_length = !b.dialect.ack_short_length;
            break;
        case 3:
            b.suite.key_bits ^= 64;
            break;
        case 4:
            b.identity.data[0] ^= 1;
            break;
        case 5:
            b.selector_count = a.selector_count == 0 ? 1 : a.selector_count - 1;
            break;
        case 6:
            b.rule_count = a.rule_count == 0 ? 1 : a.rule_count - 1;
            break;
        default:
            b.tek_lifetime_s++;
        }
        assert_false(group_config_equal(&a, &b));
    }
}

static void keys_sort_as_numbers_do(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 100000; n += 255) {
        struct row_key low = rekey_row_key(n, 7), high = rekey_row_key(n + 1, 0);
        assert_int_equal(low.len, 8);
        assert_true(memcmp(low.data, high.data, low.len) < 0);
    }
}

static void two_members_never_share_a_key(void **state)
{
    (void)state;
    struct identity a = {.type = ID_FQDN, .len = 2, .data = {'a', 'b'}};
    struct identity b = {.type = ID_FQDN, .len = 1, .data = {'a'}};
    struct row_key x = member_row_key(1, &a), y = member_row_key(1, &b), z = member_row_key(2, &a);
    assert_false(x.len == y.len && memcmp(x.data, y.data, x.len) == 0);
    assert_int_equal(x.len, z.len);
    assert_int_not_equal(memcmp(x.data, z.data, x.len), 0);
}

static void a_level_is_a_number_from_1_and_nothing_else(void **state)
{
    (void)state;
    uint8_t buf[5] = {0};
    uint32_t level;
    struct writer w = writer_over(buf, sizeof(buf));
    level_record_encode(&w, 7);
    assert_int_equal(w.len, 4);
    assert_ok(level_record_decode(&level, writer_bytes(&w)));
    assert_int_equal(level, 7);
    assert_err(level_record_decode(&level, (struct bytes){buf, 3}), E_TRUNCATED);
    assert_err(level_record_decode(&level, (struct bytes){buf, 5}), E_TRAILING);
    memset(buf, 0, sizeof(buf));
    assert_err(level_record_decode(&level, (struct bytes){buf, 4}), E_RANGE);
}

static void the_checksum_is_castagnoli_s(void **state)
{
    (void)state;
    /* RFC 3720 B.4: 32 octets of zeros, of ones, and counting up; and the usual check value. */
    uint8_t data[32] = {0};
    assert_int_equal(crc32c(0, BYTES_OF(data)), 0x8a9136aa);
    memset(data, 0xff, sizeof(data));
    assert_int_equal(crc32c(0, BYTES_OF(data)), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        data[i] = i;
    assert_int_equal(crc32c(0, BYTES_OF(data)), 0x46dd794e);
    assert_int_equal(crc32c(0, bytes_of_text("123456789")), 0xe3069283);
    uint32_t whole = crc32c(0, BYTES_OF(data));
    for (size_t cut = 0; cut <= sizeof(data); cut++)
        assert_int_equal(
            crc32c(crc32c(0, bytes_slice(BYTES_OF(data), 0, cut)), bytes_slice(BYTES_OF(data), cut, 32)),
            whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_row_survives_encoding),
        cmocka_unit_test(a_member_row_survives_encoding),
        cmocka_unit_test(a_rekey_row_survives_encoding),
        cmocka_unit_test(a_psk_row_survives_encoding),
        cmocka_unit_test(a_member_without_complaint_is_a_row_of_version_1),
        cmocka_unit_test(a_key_of_a_configuration_is_a_row_of_version_1),
        cmocka_unit_test(a_signing_row_survives_encoding),
        cmocka_unit_test(a_cluster_row_survives_encoding),
        cmocka_unit_test(the_largest_group_fits_into_a_row),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(a_group_row_of_the_first_version_is_read_without_a_runway),
        cmocka_unit_test(host_bits_in_a_prefix_are_refused),
        cmocka_unit_test(configs_differ_if_any_field_does),
        cmocka_unit_test(keys_sort_as_numbers_do),
        cmocka_unit_test(two_members_never_share_a_key),
        cmocka_unit_test(a_level_is_a_number_from_1_and_nothing_else),
        cmocka_unit_test(the_checksum_is_castagnoli_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
