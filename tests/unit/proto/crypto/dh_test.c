/* RFC 5903 8 for the curves; for MODP both sides must agree, with a second computation by hand for g^x. */
#include "proto/crypto/dh.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/numbers.h"
#include "tests/lib/test.h"

static const uint16_t all_groups[] = {2, 5, 14, 15, 16, 19, 20, 21};
static const uint16_t modp_groups[] = {2, 5, 14, 15, 16};
static const uint16_t ecp_groups[] = {19, 20, 21};

struct ecp_case {
    uint16_t group;
    const char *i;
    const char *gi;
    const char *r;
    const char *gr;
    const char *shared;
};

static const struct ecp_case rfc_5903[] = {
    {19, "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
     "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180"
     "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
     "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
     "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63"
     "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
     "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE"},
    {20, "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194",
     "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4C88732AEE95F41AA"
     "9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38EEB9FCFF3C2C947DAE69B4C634573A81C",
     "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942E0308312916B8ED2960E4BD55A7448FC",
     "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF96FDA41D0774A3571"
     "DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C",
     "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746"},
    {21,
     "0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A0"
     "95AA85A30FE1C2952C6771D937BA9777F5957B2639BAB072462F68C27A57382D4A52",
     "0015417E84DBF28C0AD3C278713349DC7DF153C897A1891BD98BAB4357C9ECBE"
     "E1E3BF42E00B8E380AEAE57C2D107564941885942AF5A7F4601723C4195D176CED3E"
     "017CAE20B6641D2EEB695786D8C946146239D099E18E1D5A514C739D7CB4A10A"
     "D8A788015AC405D7799DC75E7B7D5B6CF2261A6A7F1507438BF01BEB6CA3926F9582",
     "0145BA99A847AF43793FDD0E872E7CDFA16BE30FDC780F97BCCC3F078380201E"
     "9C677D600B343757A3BDBF2A3163E4C2F869CCA7458AA4A4EFFC311F5CB151685EB9",
     "00D0B3975AC4B799F5BEA16D5E13E9AF971D5E9B984C9F39728B5E5739735A21"
     "9B97C356436ADC6E95BB0352F6BE64A6C2912D4EF2D0433CED2B6171640012D9460F"
     "015C68226383956E3BD066E797B623C27CE0EAC2F551A10C2C724D9852077B87"
     "220B6536C5C408A1D2AEBB8E86D678AE49CB57091F4732296579AB44FCD17F0FC56A",
     "01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04"
     "D1427E73CA4BAA240A34786859810C06B3C715A3A8CC3151F2BEE417996D19F3DDEA"},
};

static struct bytes public_view(const struct dh_public *p)
{
    return (struct bytes){p->data, p->len};
}

static struct bytes shared_view(const struct dh_shared *s)
{
    return (struct bytes){s->data, s->len};
}

static struct dh_key *key_from_hex(uint16_t group, const char *private_hex, struct dh_public *out_public)
{
    uint8_t buf[DH_PUBLIC_MAX];
    struct dh_key *key = NULL;
    assert_ok(dh_key_from_private(group, hex(private_hex, buf, sizeof(buf)), &key, out_public));
    return key;
}

static void the_curves_give_the_answers_of_rfc_5903(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(rfc_5903); n++) {
        const struct ecp_case *c = &rfc_5903[n];
        struct dh_public gi;
        struct dh_public gr;
        struct dh_shared shared;
        struct dh_key *i = key_from_hex(c->group, c->i, &gi);
        struct dh_key *r = key_from_hex(c->group, c->r, &gr);
        assert_bytes(public_view(&gi), c->gi);
        assert_bytes(public_view(&gr), c->gr);
        assert_ok(dh_derive(i, public_view(&gr), &shared));
        assert_bytes(shared_view(&shared), c->shared);
        dh_shared_close(&shared);
        assert_ok(dh_derive(r, public_view(&gi), &shared));
        assert_bytes(shared_view(&shared), c->shared);
        dh_shared_close(&shared);
        dh_key_free(i);
        dh_key_free(r);
    }
}

static void both_sides_agree_in_every_group(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(all_groups); n++) {
        uint16_t group = all_groups[n];
        struct dh_key *a = NULL;
        struct dh_key *b = NULL;
        struct dh_public ga;
        struct dh_public gb;
        struct dh_shared sa;
        struct dh_shared sb;
        assert_true(dh_group_known(group));
        assert_ok(dh_generate(group, &a, &ga));
        assert_ok(dh_generate(group, &b, &gb));
        assert_int_equal(ga.len, dh_public_len(group));
        assert_memory_not_equal(ga.data, gb.data, ga.len);
        assert_ok(dh_derive(a, public_view(&gb), &sa));
        assert_ok(dh_derive(b, public_view(&ga), &sb));
        assert_int_equal(sa.len, group < 19 ? ga.len : ga.len / 2u);
        assert_true(secret_equal(shared_view(&sa), shared_view(&sb)));
        dh_shared_close(&sa);
        assert_int_equal(sa.len, 0);
        dh_shared_close(&sb);
        dh_key_free(a);
        dh_key_free(b);
    }
}

/* g = 2, so g^x for a small x is one bit; and (2^3)^5 = 2^15. */
static void small_exponents_give_powers_of_two_with_leading_zeros(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(modp_groups); n++) {
        struct dh_public three;
        struct dh_public five;
        struct dh_shared shared;
        struct dh_key *a = key_from_hex(modp_groups[n], "03", &three);
        struct dh_key *b = key_from_hex(modp_groups[n], "05", &five);
        uint8_t want[DH_SHARED_MAX] = {0};
        size_t len = dh_public_len(modp_groups[n]);
        assert_int_equal(three.len, len);
        want[len - 1] = 8;
        assert_memory_equal(three.data, want, len);
        assert_ok(dh_derive(a, public_view(&five), &shared));
        want[len - 2] = 0x80;
        want[len - 1] = 0;
        assert_int_equal(shared.len, len);
        assert_memory_equal(shared.data, want, len);
        dh_shared_close(&shared);
        dh_key_free(a);
        dh_key_free(b);
    }
}

/* 2^1024 mod p of group 2 is 2^1024 - p: the two's complement of the prime of RFC 2409 6.2. */
static void the_prime_of_group_2_is_that_of_rfc_2409(void **state)
{
    (void)state;
    uint8_t p[128];
    hex("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"
        "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
        "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
        "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
        p, sizeof(p));
    struct dh_public got;
    struct dh_key *key = key_from_hex(2, "0400", &got);
    unsigned borrow = 1;
    for (size_t i = sizeof(p); i-- > 0;) {
        unsigned v = (uint8_t)~p[i] + borrow;
        assert_int_equal(got.data[i], v & 0xff);
        borrow = v >> 8;
    }
    dh_key_free(key);
}

static void refuse_value(const struct dh_key *key, const uint8_t *value, size_t len)
{
    struct dh_shared shared;
    assert_err(dh_derive(key, (struct bytes){value, len}, &shared), E_BAD_KE);
    assert_int_equal(shared.len, 0);
}

static void zero_one_and_the_top_of_a_modp_group_are_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(modp_groups); n++) {
        size_t len = dh_public_len(modp_groups[n]);
        struct dh_key *key = NULL;
        struct dh_public own;
        struct dh_shared shared;
        uint8_t value[DH_PUBLIC_MAX + 1] = {0};
        assert_ok(dh_generate(modp_groups[n], &key, &own));
        refuse_value(key, value, len);
        value[len - 1] = 1;
        refuse_value(key, value, len);
        value[len - 1] = 2;
        assert_ok(dh_derive(key, (struct bytes){value, len}, &shared));
        refuse_value(key, value, len - 1);
        refuse_value(key, value, len + 1);
        refuse_value(key, value, 0);
        memset(value, 0xff, len);
        refuse_value(key, value, len);
        dh_key_free(key);
    }
}

static void p_and_its_neighbours_are_refused(void **state)
{
    (void)state;
    /* the prime of group 14, RFC 3526 3 */
    uint8_t p[256];
    hex("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"
        "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
        "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
        "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05"
        "98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB"
        "9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
        "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718"
        "3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF",
        p, sizeof(p));
    struct dh_key *key = NULL;
    struct dh_public own;
    struct dh_shared shared;
    assert_ok(dh_generate(14, &key, &own));
    refuse_value(key, p, sizeof(p)); /* p */
    p[255] = 0xfe;
    refuse_value(key, p, sizeof(p)); /* p-1 */
    p[255] = 0xfd;
    assert_ok(dh_derive(key, BYTES_OF(p), &shared)); /* p-2 */
    dh_shared_close(&shared);
    p[255] = 0xff;
    p[10] = 0xff;
    refuse_value(key, p, sizeof(p)); /* more than p */
    dh_key_free(key);
}

static void points_that_are_not_on_the_curve_are_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(ecp_groups); n++) {
        struct dh_key *key = NULL;
        struct dh_public own;
        size_t len = dh_public_len(ecp_groups[n]);
        uint8_t value[DH_PUBLIC_MAX + 1] = {0};
        assert_ok(dh_generate(ecp_groups[n], &key, &own));
        refuse_value(key, value, len); /* (0, 0) */
        memcpy(value, own.data, len);
        value[len - 1] ^= 1;
        refuse_value(key, value, len);
        memcpy(value, own.data, len);
        memset(value, 0xff, len / 2); /* x beyond the field */
        refuse_value(key, value, len);
        memcpy(value, own.data, len);
        refuse_value(key, value, len - 1);
        refuse_value(key, value, len / 2);
        refuse_value(key, value, 0);
        value[0] = 0x04; /* with OpenSSL's prefix octet */
        memcpy(value + 1, own.data, len);
        refuse_value(key, value, len + 1);
        dh_key_free(key);
    }
}

static void unknown_groups_are_refused(void **state)
{
    (void)state;
    const uint16_t unknown[] = {0, 1, 3, 4, 17, 18, 22, 24, 31, 65535};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        struct dh_key *key = NULL;
        struct dh_public own;
        assert_false(dh_group_known(unknown[i]));
        assert_int_equal(dh_public_len(unknown[i]), 0);
        assert_err(dh_generate(unknown[i], &key, &own), E_BAD_GROUP_MODE);
        assert_null(key);
        assert_err(dh_key_from_private(unknown[i], bytes_of_text("x"), &key, &own), E_BAD_GROUP_MODE);
    }
}

static void private_numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    uint8_t huge[DH_PUBLIC_MAX + 1];
    memset(huge, 0xff, sizeof(huge));
    for (size_t n = 0; n < ARRAY_LEN(all_groups); n++) {
        struct dh_key *key = NULL;
        struct dh_public own;
        const uint8_t zero[] = {0, 0};
        assert_err(dh_key_from_private(all_groups[n], BYTES_OF(zero), &key, &own), E_BAD_KEY);
        assert_err(dh_key_from_private(all_groups[n], (struct bytes){NULL, 0}, &key, &own), E_BAD_KEY);
        assert_err(dh_key_from_private(all_groups[n], BYTES_OF(huge), &key, &own), E_BAD_KEY);
        assert_err(dh_key_from_private(all_groups[n], (struct bytes){huge, DH_PUBLIC_MAX}, &key, &own),
                   E_BAD_KEY);
        assert_null(key);
    }
}

static void a_failed_allocation_is_reported(void **state)
{
    (void)state;
    struct dh_key *key = NULL;
    struct dh_public own;
    assert_ok(dh_generate(19, &key, &own));
    dh_key_free(key);
    heap_fault_after(0);
    err_t err = dh_generate(19, &key, &own);
    assert_int_equal(heap_fault_hit(), 1);
    heap_fault_after(-1);
    assert_err(err, E_NO_MEMORY);
    assert_null(key);
    const uint8_t seven[] = {7};
    heap_fault_after(0);
    err = dh_key_from_private(14, BYTES_OF(seven), &key, &own);
    assert_int_equal(heap_fault_hit(), 1);
    heap_fault_after(-1);
    assert_err(err, E_NO_MEMORY);
    assert_null(key);
    dh_key_free(NULL);
}

enum { THREADS = 4, ROUNDS = 20 };

static void *exchange(void *failures)
{
    for (int i = 0; i < ROUNDS; i++) {
        uint16_t group = i % 2 == 0 ? 14 : 19;
        struct dh_key *a = NULL;
        struct dh_key *b = NULL;
        struct dh_public ga;
        struct dh_public gb;
        struct dh_shared sa = {0};
        struct dh_shared sb = {0};
        if (dh_generate(group, &a, &ga) != E_OK || dh_generate(group, &b, &gb) != E_OK ||
            dh_derive(a, public_view(&gb), &sa) != E_OK || dh_derive(b, public_view(&ga), &sb) != E_OK ||
            sa.len == 0 || !secret_equal(shared_view(&sa), shared_view(&sb)))
            ++*(int *)failures;
        dh_key_free(a);
        dh_key_free(b);
    }
    return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int failures[THREADS] = {0};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, exchange, &failures[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failures[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            threads_do_not_disturb_each_other), /* first, so that the threads meet at the one-time set-up */
        cmocka_unit_test(the_curves_give_the_answers_of_rfc_5903),
        cmocka_unit_test(both_sides_agree_in_every_group),
        cmocka_unit_test(small_exponents_give_powers_of_two_with_leading_zeros),
        cmocka_unit_test(the_prime_of_group_2_is_that_of_rfc_2409),
        cmocka_unit_test(zero_one_and_the_top_of_a_modp_group_are_refused),
        cmocka_unit_test(p_and_its_neighbours_are_refused),
        cmocka_unit_test(points_that_are_not_on_the_curve_are_refused),
        cmocka_unit_test(unknown_groups_are_refused),
        cmocka_unit_test(private_numbers_out_of_range_are_refused),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
