#include "tests/lib/test.h"

#include <stdio.h>

#include "proto/ike/ike_policy.h"

static struct ike_policy policy;
static struct ike_offer offer;
static struct ike_suite suite;
static struct ike_transform chosen;

static int setup(void **state)
{
    (void)state;
    heap_fault_after(-1);
    policy = (struct ike_policy){.lifetime_s = 3600};
    offer = (struct ike_offer){.doi = DOI_GDOI};
    return 0;
}

static void words_become_suites_and_back(void **state)
{
    (void)state;
    static const char *const words[] = {
        "aes128-sha256-modp2048", "aes256-sha384-ecp384", "aes256-sha512-ecp521", "aes256-sha256-modp3072",
        "aes128-sha512-modp4096", "aes256-sha256-ecp256", "3des-sha1-modp1024",   "aes128-sha1-modp1536"};
    char text[IKE_SUITE_TEXT_MAX];
    policy.legacy = true;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        assert_ok(ike_policy_add(&policy, words[i]));
        assert_int_equal(policy.count, i + 1);
        assert_string_equal(ike_suite_format(&policy.suites[i], text), words[i]);
        assert_int_equal(policy.suites[i].auth, IKE_AUTH_PSK);
        assert_ok(ike_policy_add(&policy, words[i])); /* again: not a second time */
        assert_int_equal(policy.count, i + 1);
    }
    struct ike_suite odd = {CIPHER_AES_CBC_192, HASH_NONE, 77, 0};
    assert_string_equal(ike_suite_format(&odd, text), "?-?-?");
    assert_true(ike_suite_is_weak(&odd));
}

static void unknown_words_are_refused(void **state)
{
    (void)state;
    static const char *const words[] = {"",
                                        "-",
                                        "--",
                                        "aes256",
                                        "aes256-sha256",
                                        "aes256-sha256-",
                                        "aes256-sha256-ecp256-",
                                        "aes256-sha256-ecp256-psk",
                                        "aes192-sha256-ecp256",
                                        "aes256-md5-ecp256",
                                        "aes256-sha256-modp768",
                                        "AES256-sha256-ecp256",
                                        "sha256-aes256-ecp256",
                                        " aes256-sha256-ecp256",
                                        "aes256--ecp256",
                                        "aes2560-sha256-ecp256",
                                        "aes25-sha256-ecp256"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_err(ike_policy_add(&policy, words[i]), E_RANGE);
    assert_int_equal(policy.count, 0);
}

/* RFC 8247: not without being asked for. */
static void weak_suites_need_legacy(void **state)
{
    (void)state;
    static const char *const words[] = {"3des-sha256-ecp256", "aes256-sha1-ecp256", "aes256-sha256-modp1024",
                                        "aes256-sha256-modp1536"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        policy.legacy = false;
        assert_err(ike_policy_add(&policy, words[i]), E_NOT_AUTHORIZED);
        policy.legacy = true;
        assert_ok(ike_policy_add(&policy, words[i]));
        assert_true(ike_suite_is_weak(&policy.suites[i]));
    }
}

static void a_full_list_takes_no_more(void **state)
{
    (void)state;
    ike_policy_default(&policy);
    policy.legacy = true;
    err_t err = E_OK;
    static const char *const more[] = {"3des-sha1-modp1024", "3des-sha1-modp1536", "3des-sha256-modp1024",
                                       "3des-sha256-modp1536", "3des-sha384-modp1024"};
    for (size_t i = 0; i < ARRAY_LEN(more) && err == E_OK; i++)
        err = ike_policy_add(&policy, more[i]);
    assert_err(err, E_FULL);
    assert_int_equal(policy.count, IKE_SUITE_MAX);
}

static void the_built_in_list_has_every_strong_suite_the_best_first(void **state)
{
    (void)state;
    static const char *const ciphers[] = {"aes128", "aes256"};
    static const char *const hashes[] = {"sha256", "sha384", "sha512"};
    static const char *const groups[] = {"modp2048", "modp3072", "modp4096", "ecp256", "ecp384", "ecp521"};
    char text[IKE_SUITE_TEXT_MAX];
    ike_policy_default(&policy);
    assert_int_equal(policy.count, 36);
    assert_false(policy.legacy);
    assert_int_equal(policy.lifetime_s, 86400);
    assert_string_equal(ike_suite_format(&policy.suites[0], text), "aes256-sha256-ecp256");
    for (size_t c = 0; c < 2; c++) {
        for (size_t h = 0; h < 3; h++) {
            for (size_t g = 0; g < 6; g++) {
                snprintf(text, sizeof(text), "%s-%s-%s", ciphers[c], hashes[h], groups[g]);
                assert_ok(ike_policy_add(&policy, text));
                assert_int_equal(policy.count, 36); /* it stood there */
            }
        }
    }
    for (size_t i = 0; i < policy.count; i++)
        assert_false(ike_suite_is_weak(&policy.suites[i]));
}

static void our_offer_is_one_datagram_and_comes_back_as_it_was(void **state)
{
    (void)state;
    uint8_t body[2048];
    struct writer w = writer_over(body, sizeof(body));
    struct ike_offer back;
    ike_policy_default(&policy);
    ike_policy_offer(&policy, DOI_GDOI, &offer);
    assert_int_equal(offer.count, IKE_OFFER_MAX);
    ike_offer_encode(&w, &offer);
    assert_true(w.len + 28 + 4 + 2 * 20 < 1400);
    assert_ok(ike_offer_decode(&back, writer_bytes(&w)));
    assert_int_equal(back.doi, DOI_GDOI);
    assert_int_equal(back.situation, SITUATION_GDOI);
    for (size_t i = 0; i < IKE_OFFER_MAX; i++) {
        assert_true(ike_suite_from_transform(&suite, &back.transforms[i]));
        assert_true(ike_suite_equal(&suite, &policy.suites[i]));
        assert_int_equal(back.transforms[i].life_type, LIFE_SECONDS);
        assert_int_equal(back.transforms[i].life_duration, 86400);
    }
    ike_policy_offer(&policy, DOI_IPSEC, &offer);
    assert_int_equal(offer.situation, SITUATION_IDENTITY_ONLY);
}

static void offer_two(void)
{
    struct ike_policy theirs = {.lifetime_s = 60};
    assert_ok(ike_policy_add(&theirs, "aes128-sha256-modp2048"));
    assert_ok(ike_policy_add(&theirs, "aes256-sha512-ecp384"));
    ike_policy_offer(&theirs, DOI_GDOI, &offer);
}

static void the_first_of_ours_is_chosen(void **state)
{
    (void)state;
    offer_two();
    assert_ok(ike_policy_add(&policy, "aes256-sha256-ecp256"));
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
    assert_ok(ike_policy_add(&policy, "aes256-sha512-ecp384"));
    assert_ok(ike_policy_add(&policy, "aes128-sha256-modp2048"));
    assert_ok(ike_policy_choose(&policy, &offer, &suite, &chosen));
    assert_int_equal(suite.group, IKE_GROUP_ECP384);
    assert_int_equal(chosen.number, 2);
    policy.count = 0;
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
}

static void a_weak_suite_is_never_chosen_without_legacy(void **state)
{
    (void)state;
    policy.legacy = true;
    assert_ok(ike_policy_add(&policy, "3des-sha1-modp1024"));
    ike_policy_offer(&policy, DOI_GDOI, &offer);
    assert_ok(ike_policy_choose(&policy, &offer, &suite, &chosen));
    policy.legacy = false;
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
    ike_policy_offer(&policy, DOI_GDOI, &offer);
    assert_int_equal(offer.count, 0);
}

/* One attribute off, and it is another transform. */
static void near_misses_are_not_chosen(void **state)
{
    (void)state;
    assert_ok(ike_policy_add(&policy, "aes128-sha256-modp2048"));
    offer_two();
    offer.count = 1;
    struct ike_transform *t = &offer.transforms[0];
    const struct ike_transform good = *t;
    assert_ok(ike_policy_choose(&policy, &offer, &suite, &chosen));
    t->key_bits = 0; /* RFC 3602 5.3: AES without its key length */
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
    t->key_bits = 192;
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
    *t = good;
    t->encryption = IKE_ENC_DES;
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
    *t = good;
    t->hash = IKE_HASH_MD5;
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
    *t = good;
    t->auth = IKE_AUTH_RSA_SIG;
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
    *t = good;
    t->group = 1;
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
    *t = good;
    t->unknown = true;
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
    *t = (struct ike_transform){0};
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
}

/* RFC 2409 appendix A: a cipher of fixed key length must not have one. */
static void triple_des_has_no_key_length(void **state)
{
    (void)state;
    policy.legacy = true;
    assert_ok(ike_policy_add(&policy, "3des-sha1-modp1024"));
    ike_policy_offer(&policy, DOI_GDOI, &offer);
    offer.transforms[0].key_bits = 192;
    assert_err(ike_policy_choose(&policy, &offer, &suite, &chosen), E_NO_PROPOSAL);
}

static void the_lower_lifetime_wins_and_kilobytes_do_not_count(void **state)
{
    (void)state;
    struct ike_transform t = {.life_type = LIFE_SECONDS, .life_duration = 60};
    assert_int_equal(ike_policy_lifetime(&policy, &t), 60);
    t.life_duration = 0xffffffff;
    assert_int_equal(ike_policy_lifetime(&policy, &t), 3600);
    t.life_duration = 0;
    assert_int_equal(ike_policy_lifetime(&policy, &t), 3600);
    t = (struct ike_transform){.life_type = LIFE_KILOBYTES, .life_duration = 60};
    assert_int_equal(ike_policy_lifetime(&policy, &t), 3600);
    t = (struct ike_transform){0};
    assert_int_equal(ike_policy_lifetime(&policy, &t), 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(words_become_suites_and_back, setup),
        cmocka_unit_test_setup(unknown_words_are_refused, setup),
        cmocka_unit_test_setup(weak_suites_need_legacy, setup),
        cmocka_unit_test_setup(a_full_list_takes_no_more, setup),
        cmocka_unit_test_setup(the_built_in_list_has_every_strong_suite_the_best_first, setup),
        cmocka_unit_test_setup(our_offer_is_one_datagram_and_comes_back_as_it_was, setup),
        cmocka_unit_test_setup(the_first_of_ours_is_chosen, setup),
        cmocka_unit_test_setup(a_weak_suite_is_never_chosen_without_legacy, setup),
        cmocka_unit_test_setup(near_misses_are_not_chosen, setup),
        cmocka_unit_test_setup(triple_des_has_no_key_length, setup),
        cmocka_unit_test_setup(the_lower_lifetime_wins_and_kilobytes_do_not_count, setup),
    };
    return cmocka_run_group_tests_name("proto/ike/ike_policy", tests, NULL, NULL);
}
