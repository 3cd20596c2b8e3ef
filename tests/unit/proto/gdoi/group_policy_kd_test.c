/* What a member takes from a KD payload, and how a key server writes one. */
#include "tests/lib/gdoi_fixture.h"
#include "tests/lib/test.h"

static struct group_policy policy, got;
static uint8_t buf[2 * MESSAGE_CAP];

static int setup(void **state)
{
    (void)state;
    fixture_policy_gcm(&policy);
    return 0;
}

/* The SA that the keys are for. */
static struct bytes encode_sa(void)
{
    struct writer w = writer_over(buf, sizeof(buf));
    must(group_policy_encode_sa(&policy, NULL, &w));
    return writer_bytes(&w);
}

static err_t add_keys(struct group_policy *keys, const uint8_t *spi, const uint8_t *old_spi)
{
    static uint8_t kd[MESSAGE_CAP];
    struct group_policy before;
    struct writer w = writer_over(kd, sizeof(kd));
    must(group_policy_encode_kd(keys, spi, &w));
    group_policy_close(&got);
    must(group_policy_from_sa(&got, encode_sa(), false));
    memcpy(&before, &got, sizeof(before));
    err_t err = group_policy_add_kd(&got, writer_bytes(&w), old_spi);
    if (err != E_OK)
        assert_memory_equal(&before, &got, sizeof(got));
    return err;
}

static void dialect_1_a_kek_packet_under_the_old_spi_is_taken_in_a_push(void **state)
{
    (void)state;
    uint8_t old[KEK_SPI_LEN], other[KEK_SPI_LEN];
    memset(old, 0x0d, sizeof(old));
    memset(other, 0x0e, sizeof(other));
    struct group_policy keys = policy;
    assert_ok(add_keys(&keys, old, old));
    assert_true(fixture_same_policy(&got, &policy));
    assert_memory_equal(got.kek.spi, policy.kek.spi, KEK_SPI_LEN); /* the SAK's, all the same */
    assert_ok(add_keys(&keys, policy.kek.spi, old));               /* RFC 6407 5.6 */
    assert_err(add_keys(&keys, other, old), E_UNKNOWN_SPI);
    assert_err(add_keys(&keys, old, NULL), E_UNKNOWN_SPI); /* in a PULL there is no old one */
}

static void a_push_may_leave_the_signing_key_out(void **state)
{
    (void)state;
    struct group_policy keys = policy;
    keys.kek.public_len = 0;
    assert_ok(add_keys(&keys, keys.kek.spi, keys.kek.spi));
    assert_int_equal(got.kek.public_len, 0);
    assert_err(add_keys(&keys, keys.kek.spi, NULL), E_MISSING);
}

/* A KD payload by its parts. */
static err_t add_kd(const struct gdoi_kd *kd)
{
    static uint8_t raw[MESSAGE_CAP];
    struct writer w = writer_over(raw, sizeof(raw));
    gdoi_kd_encode(&w, kd);
    must(writer_end(&w));
    group_policy_close(&got);
    must(group_policy_from_sa(&got, encode_sa(), false));
    return group_policy_add_kd(&got, writer_bytes(&w), NULL);
}

static struct gdoi_kd good_kd(void)
{
    struct gdoi_kd kd = {.has_kek = true, .has_sid = true, .sid_bits = 8, .sids = {7}, .sid_count = 1};
    memcpy(kd.kek.spi, policy.kek.spi, KEK_SPI_LEN);
    kd.kek.iv_and_key = secret_view(&policy.kek.iv_key);
    kd.kek.sig_key = (struct bytes){policy.kek.public_key, policy.kek.public_len};
    for (size_t i = 0; i < policy.tek_count; i++)
        kd.teks[kd.tek_count++] = (struct kd_tek){4, policy.teks[i].spi, secret_view(&policy.teks[i].key),
                                                  secret_view(&policy.teks[i].integrity)};
    return kd;
}

static void keys_of_wrong_lengths_are_refused(void **state)
{
    (void)state;
    static const uint8_t long_key[700];
    struct gdoi_kd kd = good_kd();
    assert_ok(add_kd(&kd));
    kd.teks[0].key.len--;
    assert_err(add_kd(&kd), E_BAD_KEY);
    kd = good_kd();
    kd.teks[0].integrity.len--;
    assert_err(add_kd(&kd), E_BAD_KEY);
    kd = good_kd();
    kd.teks[0].integrity.len = 0;
    assert_err(add_kd(&kd), E_BAD_KEY);
    kd = good_kd();
    kd.teks[1].key.len -= 4; /* AES-GCM without its salt */
    assert_err(add_kd(&kd), E_BAD_KEY);
    kd = good_kd();
    kd.teks[1].integrity = kd.teks[0].integrity; /* an integrity key beside AEAD */
    assert_err(add_kd(&kd), E_BAD_KEY);
    kd = good_kd();
    kd.kek.iv_and_key.len -= 16; /* a KEK without its IV */
    assert_err(add_kd(&kd), E_BAD_KEY);
    kd = good_kd();
    kd.kek.iv_and_key = (struct bytes){long_key, sizeof(long_key)};
    assert_err(add_kd(&kd), E_BAD_KEY);
    kd = good_kd();
    kd.kek.sig_key = (struct bytes){long_key, sizeof(long_key)};
    assert_err(add_kd(&kd), E_BAD_KEY);
}

static void every_key_comes_exactly_once(void **state)
{
    (void)state;
    struct gdoi_kd kd = good_kd();
    kd.tek_count = 1;
    assert_err(add_kd(&kd), E_MISSING);
    kd = good_kd();
    kd.teks[kd.tek_count] = kd.teks[0];
    kd.teks[kd.tek_count++].spi ^= 1;
    assert_err(add_kd(&kd), E_UNKNOWN_SPI);
    kd = good_kd();
    kd.teks[kd.tek_count++] = kd.teks[0];
    assert_err(add_kd(&kd), E_DUPLICATE);
    kd = good_kd();
    kd.has_kek = false;
    assert_err(add_kd(&kd), E_MISSING);
    kd = good_kd();
    policy.has_kek = false;
    assert_err(add_kd(&kd), E_UNEXPECTED);
}

static void keys_that_do_not_fit_are_not_encoded(void **state)
{
    (void)state;
    struct writer w = writer_over(buf, sizeof(buf));
    struct group_policy keys = policy;
    keys.teks[0].key.len--;
    assert_err(group_policy_encode_kd(&keys, keys.kek.spi, &w), E_BAD_KEY);
    keys = policy;
    secret_close(&keys.teks[1].key);
    assert_err(group_policy_encode_kd(&keys, keys.kek.spi, &w), E_BAD_KEY);
    keys = policy;
    keys.kek.iv_key.len -= 16;
    assert_err(group_policy_encode_kd(&keys, keys.kek.spi, &w), E_BAD_KEY);
    keys = policy;
    keys.sid_count = POLICY_SID_MAX + 1;
    assert_err(group_policy_encode_kd(&keys, keys.kek.spi, &w), E_LIMIT);
}

static void an_spi_that_would_be_mistaken_is_not_usable(void **state)
{
    (void)state;
    uint8_t spi[KEK_SPI_LEN];
    memset(spi, 1, sizeof(spi));
    assert_true(kek_spi_usable(spi));
    memset(spi, 0, 4);
    assert_false(kek_spi_usable(spi)); /* a non-ESP marker */
    spi[3] = 1;
    assert_true(kek_spi_usable(spi));
    memset(spi + 8, 0, 8);
    assert_false(kek_spi_usable(spi)); /* a first main-mode message */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(dialect_1_a_kek_packet_under_the_old_spi_is_taken_in_a_push),
        T(a_push_may_leave_the_signing_key_out),
        T(keys_of_wrong_lengths_are_refused),
        T(every_key_comes_exactly_once),
        T(keys_that_do_not_fit_are_not_encoded),
        T(an_spi_that_would_be_mistaken_is_not_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
