/* crypto_bench.c - what our crypto costs beside the bare OpenSSL operation, in CPU time, both in turn in one
 * run. Usage: crypto_bench [seconds per line, default 0.5]. One line of JSON per operation, a table on
 * stderr. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/dh.h"
#include "proto/crypto/esp.h"
#include "proto/crypto/sign.h"
#include "tests/bench/bench.h"

enum { PACKET = 1408, BUFFER = PACKET + ESP_OVERHEAD_MAX };

/* Diffie-Hellman: both operations of one side. Bare is a modular exponentiation or point multiplication each.
 */
struct dh_bench {
    uint16_t group;
    struct dh_public peer;
    BIGNUM *p, *g, *y, *x, *r;
    BN_MONT_CTX *mont;
    BN_CTX *scratch;
    EC_GROUP *curve;
    EC_POINT *point, *result;
};

static void ours_exchange(void *context)
{
    struct dh_bench *b = context;
    struct dh_key *key = NULL;
    struct dh_public own;
    struct dh_shared shared;
    need(dh_generate(b->group, &key, &own) == E_OK, "dh_generate");
    need(dh_derive(key, (struct bytes){b->peer.data, b->peer.len}, &shared) == E_OK, "dh_derive");
    dh_shared_close(&shared);
    dh_key_free(key);
}

static void bare_modp(void *context)
{
    struct dh_bench *b = context;
    need(BN_priv_rand(b->x, 225, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY), "BN_priv_rand");
    need(BN_mod_exp_mont_consttime(b->r, b->g, b->x, b->p, b->scratch, b->mont), "BN_mod_exp");
    need(BN_mod_exp_mont_consttime(b->r, b->y, b->x, b->p, b->scratch, b->mont), "BN_mod_exp");
}

static void bare_ecp(void *context)
{
    struct dh_bench *b = context;
    need(BN_priv_rand_range(b->x, EC_GROUP_get0_order(b->curve)), "BN_priv_rand_range");
    need(EC_POINT_mul(b->curve, b->result, b->x, NULL, NULL, b->scratch), "EC_POINT_mul");
    need(EC_POINT_mul(b->curve, b->result, NULL, b->point, b->x, b->scratch), "EC_POINT_mul");
}

static void make_peer(struct dh_bench *b, uint16_t group)
{
    struct dh_key *key = NULL;
    memset(b, 0, sizeof(*b));
    b->group = group;
    need(dh_generate(group, &key, &b->peer) == E_OK, "dh_generate");
    dh_key_free(key);
    b->scratch = BN_CTX_secure_new();
    b->x = BN_new();
    b->r = BN_new();
    need(b->scratch != NULL && b->x != NULL && b->r != NULL, "memory");
}

static void drop_peer(struct dh_bench *b)
{
    BN_free(b->p);
    BN_free(b->g);
    BN_free(b->y);
    BN_free(b->x);
    BN_free(b->r);
    BN_MONT_CTX_free(b->mont);
    EC_POINT_free(b->point);
    EC_POINT_free(b->result);
    EC_GROUP_free(b->curve);
    BN_CTX_free(b->scratch);
}

static void bench_modp_2048(void)
{
    struct dh_bench b;
    make_peer(&b, 14);
    b.p = BN_get_rfc3526_prime_2048(NULL);
    b.g = BN_new();
    b.y = BN_bin2bn(b.peer.data, b.peer.len, NULL);
    b.mont = BN_MONT_CTX_new();
    need(b.g != NULL && BN_set_word(b.g, 2) && BN_MONT_CTX_set(b.mont, b.p, b.scratch), "BN_MONT_CTX_set");
    compare("dh 14 generate+derive", ours_exchange, bare_modp, &b);
    drop_peer(&b);
}

static void bench_ecp(uint16_t group, int nid, const char *name)
{
    struct dh_bench b;
    make_peer(&b, group);
    uint8_t point[1 + DH_PUBLIC_MAX] = {0x04};
    memcpy(point + 1, b.peer.data, b.peer.len);
    b.curve = EC_GROUP_new_by_curve_name(nid);
    b.point = EC_POINT_new(b.curve);
    b.result = EC_POINT_new(b.curve);
    need(EC_POINT_oct2point(b.curve, b.point, point, b.peer.len + 1u, b.scratch), "EC_POINT_oct2point");
    compare(name, ours_exchange, bare_ecp, &b);
    drop_peer(&b);
}

struct sign_bench {
    struct sign_key *key;
    struct verify_key *public;
    EVP_PKEY *bare;
    EVP_PKEY_CTX *signer, *verifier;
    uint8_t digest[32];
    uint8_t signature[SIGNATURE_MAX];
    size_t len;
    uint8_t bare_signature[SIGNATURE_MAX];
    size_t bare_len;
};

static void ours_sign(void *context)
{
    struct sign_bench *b = context;
    need(sign_digest(b->key, HASH_SHA256, false, BYTES_OF(b->digest), b->signature, &b->len) == E_OK,
         "sign_digest");
}

static void ours_verify(void *context)
{
    struct sign_bench *b = context;
    need(verify_digest(b->public, HASH_SHA256, false, BYTES_OF(b->digest),
                       (struct bytes){b->signature, b->len}) == E_OK,
         "verify_digest");
}

static void bare_sign(void *context)
{
    struct sign_bench *b = context;
    b->bare_len = sizeof(b->bare_signature);
    need(EVP_PKEY_sign(b->signer, b->bare_signature, &b->bare_len, b->digest, sizeof(b->digest)) == 1,
         "EVP_PKEY_sign");
}

static void bare_verify(void *context)
{
    struct sign_bench *b = context;
    need(EVP_PKEY_verify(b->verifier, b->bare_signature, b->bare_len, b->digest, sizeof(b->digest)) == 1,
         "EVP_PKEY_verify");
}

static void bench_sign(enum sign_alg alg, unsigned bits, const char *sign_name, const char *verify_name)
{
    static struct sign_bench b;
    static uint8_t priv[SIGN_PRIVATE_MAX];
    static uint8_t pub[SIGN_PUBLIC_MAX];
    size_t priv_len = 0;
    size_t pub_len = 0;
    need(sign_key_make(alg, bits, priv, &priv_len, pub, &pub_len) == E_OK, "sign_key_make");
    need(sign_key_open((struct bytes){priv, priv_len}, &b.key) == E_OK, "sign_key_open");
    need(verify_key_open((struct bytes){pub, pub_len}, &b.public) == E_OK, "verify_key_open");
    const unsigned char *at = priv;
    b.bare = d2i_AutoPrivateKey(NULL, &at, (long)priv_len);
    b.signer = EVP_PKEY_CTX_new_from_pkey(NULL, b.bare, NULL);
    b.verifier = EVP_PKEY_CTX_new_from_pkey(NULL, b.bare, NULL);
    need(EVP_PKEY_sign_init(b.signer) == 1 && EVP_PKEY_CTX_set_signature_md(b.signer, EVP_sha256()) == 1,
         "sign_init");
    need(EVP_PKEY_verify_init(b.verifier) == 1 &&
             EVP_PKEY_CTX_set_signature_md(b.verifier, EVP_sha256()) == 1,
         "verify_init");
    compare(sign_name, ours_sign, bare_sign, &b);
    compare(verify_name, ours_verify, bare_verify, &b);
    EVP_PKEY_CTX_free(b.signer);
    EVP_PKEY_CTX_free(b.verifier);
    EVP_PKEY_free(b.bare);
    sign_key_free(b.key);
    verify_key_free(b.public);
}

/* ESP of a 1408-octet packet. Bare is the cipher (and one HMAC for CBC) over as much text, contexts keyed
 * before. */
struct esp_bench {
    struct esp_context *context;
    EVP_CIPHER_CTX *sealer, *opener;
    EVP_MAC_CTX *mac;
    size_t iv_len, icv_len, len, bare_len;
    uint8_t inner[PACKET], packet[BUFFER], opened[BUFFER], bare[BUFFER], iv[ESP_IV_MAX];
};

static void ours_seal(void *context)
{
    struct esp_bench *b = context;
    need(esp_seal(b->context, 1, 2, b->iv, 4, BYTES_OF(b->inner), b->packet, sizeof(b->packet), &b->len) ==
             E_OK,
         "esp_seal");
}

static void ours_open(void *context)
{
    struct esp_bench *b = context;
    size_t len = 0;
    uint8_t next_header = 0;
    need(esp_open(b->context, (struct bytes){b->packet, b->len}, b->opened, &len, &next_header) == E_OK,
         "esp_open");
}

static void bare_mac(struct esp_bench *b, uint8_t *out)
{
    size_t len = 0;
    need(EVP_MAC_init(b->mac, NULL, 0, NULL) == 1 && EVP_MAC_update(b->mac, b->bare, b->bare_len) == 1 &&
             EVP_MAC_final(b->mac, out, &len, 32) == 1,
         "EVP_MAC");
}

static void bare_seal(void *context)
{
    struct esp_bench *b = context;
    int n = 0;
    need(EVP_EncryptInit_ex2(b->sealer, NULL, NULL, b->iv, NULL) == 1, "EVP_EncryptInit");
    if (b->mac == NULL)
        need(EVP_EncryptUpdate(b->sealer, NULL, &n, b->inner, ESP_HEADER_LEN) == 1, "EVP_EncryptUpdate");
    need(EVP_EncryptUpdate(b->sealer, b->bare, &n, b->inner, (int)b->bare_len) == 1, "EVP_EncryptUpdate");
    if (b->mac != NULL)
        bare_mac(b, b->bare + b->bare_len);
    else
        need(EVP_EncryptFinal_ex(b->sealer, b->bare + b->bare_len, &n) == 1 &&
                 EVP_CIPHER_CTX_ctrl(b->sealer, EVP_CTRL_AEAD_GET_TAG, 16, b->bare + b->bare_len) == 1,
             "EVP_EncryptFinal");
}

static void bare_open(void *context)
{
    struct esp_bench *b = context;
    int n = 0;
    uint8_t mac[32];
    if (b->mac != NULL)
        bare_mac(b, mac);
    need(EVP_DecryptInit_ex2(b->opener, NULL, NULL, b->iv, NULL) == 1, "EVP_DecryptInit");
    if (b->mac == NULL)
        need(EVP_DecryptUpdate(b->opener, NULL, &n, b->inner, ESP_HEADER_LEN) == 1, "EVP_DecryptUpdate");
    need(EVP_DecryptUpdate(b->opener, b->opened, &n, b->bare, (int)b->bare_len) == 1, "EVP_DecryptUpdate");
    if (b->mac == NULL)
        need(EVP_CIPHER_CTX_ctrl(b->opener, EVP_CTRL_AEAD_SET_TAG, 16, b->bare + b->bare_len) == 1 &&
                 EVP_DecryptFinal_ex(b->opener, b->opened + b->bare_len, &n) == 1,
             "EVP_DecryptFinal");
}

static EVP_MAC_CTX *keyed_hmac(const uint8_t *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    need(EVP_MAC_init(context, key, 32, params) == 1, "EVP_MAC_init");
    return context;
}

static void bench_esp(const struct esp_suite *suite, const EVP_CIPHER *cipher, const char *seal_name,
                      const char *open_name)
{
    static struct esp_bench b;
    uint8_t key[36] = {1};
    uint8_t integrity[32] = {2};
    memset(&b, 0, sizeof(b));
    need(esp_context_open(suite, (struct bytes){key, esp_key_len(suite)},
                          (struct bytes){integrity, esp_integrity_len(suite)}, &b.context) == E_OK,
         "esp_context_open");
    bool gcm = suite->auth == AUTH_NONE;
    b.bare_len = PACKET;
    b.mac = gcm ? NULL : keyed_hmac(integrity);
    b.sealer = EVP_CIPHER_CTX_new();
    b.opener = EVP_CIPHER_CTX_new();
    need(EVP_EncryptInit_ex2(b.sealer, cipher, key, b.iv, NULL) == 1 &&
             EVP_CIPHER_CTX_set_padding(b.sealer, 0) == 1 &&
             EVP_DecryptInit_ex2(b.opener, cipher, key, b.iv, NULL) == 1 &&
             EVP_CIPHER_CTX_set_padding(b.opener, 0) == 1,
         "cipher init");
    compare(seal_name, ours_seal, bare_seal, &b);
    compare(open_name, ours_open, bare_open, &b);
    esp_context_free(b.context);
    EVP_CIPHER_CTX_free(b.sealer);
    EVP_CIPHER_CTX_free(b.opener);
    EVP_MAC_CTX_free(b.mac);
}

int main(int argc, char **argv)
{
    const struct esp_suite gcm = {ESP_AES_GCM_16, 256, AUTH_NONE};
    const struct esp_suite cbc = {ESP_AES_CBC, 256, AUTH_HMAC_SHA256};
    if (argc > 1)
        seconds_per_line = atof(argv[1]);
    need(seconds_per_line > 0, "reading the time per line");
    bench_modp_2048();
    bench_ecp(19, NID_X9_62_prime256v1, "dh 19 generate+derive");
    bench_ecp(20, NID_secp384r1, "dh 20 generate+derive");
    bench_sign(SIGN_RSA, 2048, "rsa-2048 sign", "rsa-2048 verify");
    bench_sign(SIGN_ECDSA_256, 0, "ecdsa-256 sign", "ecdsa-256 verify");
    bench_esp(&gcm, EVP_aes_256_gcm(), "esp aes-256-gcm-16 seal 1408", "esp aes-256-gcm-16 open 1408");
    bench_esp(&cbc, EVP_aes_256_cbc(), "esp aes-256-cbc sha-256-128 seal 1408",
              "esp aes-256-cbc sha-256-128 open 1408");
    return 0;
}
