/* gdoi_fixture.h - what tests and fuzz targets of GDOI share: an established phase-1 SA seen from both ends,
 * signing keys, a group's policy. All fixed, so that every run and every fuzz input mean the same. Needs no
 * cmocka: a failure aborts. */
#ifndef TESTS_LIB_GDOI_FIXTURE_H
#define TESTS_LIB_GDOI_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "proto/gdoi/pull_member.h"
#include "proto/gdoi/pull_server.h"
#include "proto/gdoi/push.h"
#include "proto/gdoi/push_ack.h"
#include "tests/lib/gdoi_keys.h"

enum { FIXTURE_GROUP = 3333, FIXTURE_TEK_SPI = 0x11220000, MESSAGE_CAP = ISAKMP_MESSAGE_MAX };

UNUSED static void must(err_t err)
{
    if (err != E_OK)
        abort();
}

UNUSED static void fixture_sa(struct isakmp_sa *sa, bool initiator, enum cipher_alg cipher,
                              enum hash_alg hash)
{
    uint8_t ni[32], nr[32], shared[256];
    memset(ni, 0x4e, sizeof(ni));
    memset(nr, 0x6e, sizeof(nr));
    memset(shared, 0x5a, sizeof(shared));
    memset(sa, 0, sizeof(*sa));
    memcpy(sa->cookie_i, "initiatr", COOKIE_LEN);
    memcpy(sa->cookie_r, "respondr", COOKIE_LEN);
    memset(sa->last_block, 0x17, sizeof(sa->last_block));
    sa->initiator = initiator;
    sa->established = true;
    sa->doi = DOI_GDOI;
    sa->suite =
        (struct ike_suite){.cipher = cipher, .hash = hash, .group = IKE_GROUP_ECP256, .auth = IKE_AUTH_PSK};
    must(isakmp_sa_derive(sa, bytes_of_text("a pre-shared key of tests"), BYTES_OF(ni), BYTES_OF(nr),
                          BYTES_OF(shared)));
}

UNUSED static void fixture_fill(struct secret *out, uint8_t value, size_t len)
{
    uint8_t raw[SECRET_LEN_MAX];
    for (size_t i = 0; i < len; i++)
        raw[i] = (uint8_t)(value + i);
    must(secret_set(out, (struct bytes){raw, len}));
}

struct fixture_key {
    struct bytes private_der;
    struct bytes public_der;
    enum sign_alg alg;
    enum hash_alg hash;
};

UNUSED static struct fixture_key fixture_key(enum sign_alg alg)
{
    switch (alg) {
    case SIGN_ECDSA_256:
        return (struct fixture_key){BYTES_OF(test_p256_private), BYTES_OF(test_p256_public), alg,
                                    HASH_SHA256};
    case SIGN_ECDSA_384:
        return (struct fixture_key){BYTES_OF(test_p384_private), BYTES_OF(test_p384_public), alg,
                                    HASH_SHA384};
    default:
        return (struct fixture_key){BYTES_OF(test_rsa_private), BYTES_OF(test_rsa_public), SIGN_RSA,
                                    HASH_SHA256};
    }
}

UNUSED static struct sign_key *fixture_sign_key(enum sign_alg alg)
{
    struct sign_key *key = NULL;
    must(sign_key_open(fixture_key(alg).private_der, &key));
    return key;
}

/* KEK number n: another n gives another SPI and other keys. */
UNUSED static void fixture_kek(struct kek *kek, uint8_t n, enum cipher_alg cipher, enum sign_alg alg)
{
    struct fixture_key key = fixture_key(alg);
    memset(kek, 0, sizeof(*kek));
    memset(kek->spi, 0xc0 + n, KEK_SPI_LEN);
    kek->cipher = cipher;
    kek->lifetime_s = 86400;
    kek->sig_hash = key.hash;
    kek->sig_alg = alg;
    kek->sig_key_bits = alg == SIGN_RSA ? 2048 : alg == SIGN_ECDSA_256 ? 256 : 384;
    kek->ack = KEK_ACK_SHA256;
    fixture_fill(&kek->iv_key, (uint8_t)(0x40 + 3 * n), cipher_block_len(cipher) + cipher_key_len(cipher));
    kek->public_len = (uint16_t)key.public_der.len;
    memcpy(kek->public_key, key.public_der.data, key.public_der.len);
}

/* TEK number n: SPI 0x11220000 + n. */
UNUSED static void fixture_tek(struct tek *tek, uint8_t n, struct esp_suite suite)
{
    memset(tek, 0, sizeof(*tek));
    tek->spi = FIXTURE_TEK_SPI + n;
    tek->suite = suite;
    tek->lifetime_s = 3600;
    fixture_fill(&tek->key, (uint8_t)(0x80 + n), tek_key_len(&suite));
    fixture_fill(&tek->integrity, (uint8_t)(0x20 + n), tek_integrity_len(&suite));
}

static const struct esp_suite fixture_gcm = {.transform = ESP_AES_GCM_16, .key_bits = 256};
static const struct esp_suite fixture_cbc = {
    .transform = ESP_AES_CBC, .key_bits = 256, .auth = AUTH_HMAC_SHA256};

UNUSED static struct prefix fixture_prefix(const char *text)
{
    struct prefix prefix;
    must(prefix_parse(&prefix, text));
    return prefix;
}

/* A KEK, one AES-CBC TEK, two selectors, delays, no SIDs. */
UNUSED static void fixture_policy(struct group_policy *policy)
{
    memset(policy, 0, sizeof(*policy));
    policy->has_kek = true;
    fixture_kek(&policy->kek, 1, CIPHER_AES_CBC_256, SIGN_RSA);
    policy->rekey_src = (struct endpoint){addr_v4(192, 0, 2, 1), GDOI_PORT};
    policy->rekey_dst = (struct endpoint){addr_v4(0, 0, 0, 0), GDOI_PORT};
    policy->has_delays = true;
    policy->activation_s = 15;
    policy->deactivation_s = 60;
    fixture_tek(&policy->teks[policy->tek_count++], 1, fixture_cbc);
    policy->selectors[policy->selector_count++] =
        (struct selector){.src = fixture_prefix("10.1.0.0/16"), .dst = fixture_prefix("10.1.0.0/16")};
    policy->selectors[policy->selector_count++] = (struct selector){.src = fixture_prefix("10.9.0.7"),
                                                                    .dst = fixture_prefix("10.8.0.0/13"),
                                                                    .protocol = 17,
                                                                    .dst_port = 5060};
}

/* The same with a second TEK, of AES-GCM, and two sender ids. */
UNUSED static void fixture_policy_gcm(struct group_policy *policy)
{
    fixture_policy(policy);
    fixture_tek(&policy->teks[policy->tek_count++], 2, fixture_gcm);
    policy->sid_bits = 12;
    policy->sids[policy->sid_count++] = 0x0a5;
    policy->sids[policy->sid_count++] = 0xfff;
}

/* Two policies say the same, keys included: compared as they go onto the wire. */
UNUSED static bool fixture_same_policy(const struct group_policy *a, const struct group_policy *b)
{
    static uint8_t room[2][2 * MESSAGE_CAP];
    const struct group_policy *both[2] = {a, b};
    struct writer w[2];
    for (int i = 0; i < 2; i++) {
        w[i] = writer_over(room[i], sizeof(room[i]));
        if (group_policy_encode_sa(both[i], NULL, &w[i]) != E_OK ||
            group_policy_encode_kd(both[i], both[i]->kek.spi, &w[i]) != E_OK)
            return false;
    }
    return bytes_equal(writer_bytes(&w[0]), writer_bytes(&w[1]));
}

UNUSED static bool fixture_is_zero(const void *data, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++)
        any |= ((const uint8_t *)data)[i];
    return any == 0;
}

#endif
