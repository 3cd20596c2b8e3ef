#include "tests/lib/test.h"
#include <stdio.h>

#include "proto/wire/vendor_id.h"
#include "tests/unit/proto/ike/exchange.h"

static struct exchange ex;
static struct datagram messages[7];

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(both_ends_establish_under_every_suite, teardown),
        cmocka_unit_test_teardown(the_responder_mirrors_doi_and_situation, teardown),
    };
    return cmocka_run_group_tests_name("proto/ike/main_mode", tests, NULL, NULL);
}
