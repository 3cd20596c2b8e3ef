#include "proto/crypto/dh_group.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <pthread.h>
#include <string.h>

#include "proto/wire/numbers.h"

/* Exponents are as short as the strength of the group allows, twice the bits of security (RFC 3526 8). For
 * its named groups OpenSSL does that by itself (225 bits for group 14). */
static const struct dh_group groups[] = {
    {IKE_GROUP_MODP1024, false, 128, 128, 192, NID_undef, BN_get_rfc2409_prime_1024},
    {IKE_GROUP_MODP1536, false, 192, 192, 0, NID_modp_1536, BN_get_rfc3526_prime_1536},
    {IKE_GROUP_MODP2048, false, 256, 256, 0, NID_modp_2048, BN_get_rfc3526_prime_2048},
    {IKE_GROUP_MODP3072, false, 384, 384, 0, NID_modp_3072, BN_get_rfc3526_prime_3072},
    {IKE_GROUP_MODP4096, false, 512, 512, 0, NID_modp_4096, BN_get_rfc3526_prime_4096},
    {IKE_GROUP_ECP256, true, 64, 32, 0, NID_X9_62_prime256v1, NULL},
    {IKE_GROUP_ECP384, true, 96, 48, 0, NID_secp384r1, NULL},
    {IKE_GROUP_ECP521, true, 132, 66, 0, NID_secp521r1, NULL},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_PKEY *templates[ARRAY_LEN(groups)];
static uint8_t primes[ARRAY_LEN(groups)][DH_PUBLIC_MAX];

static EVP_PKEY *template_of(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (context == NULL || params == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEY_PARAMETERS, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *named_template(const struct dh_group *group)
{
    char name[32];
    OPENSSL_strlcpy(name, OBJ_nid2sn(group->nid), sizeof(name));
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
        OSSL_PARAM_construct_end(),
    };
    return template_of(group->curve ? "EC" : "DH", params);
}

/* A MODP group without a name in OpenSSL (that is group 2): p and g = 2. With q as well OpenSSL would insist
 * on the sizes of FIPS 186, which no safe prime has. */
static EVP_PKEY *explicit_template(const struct dh_group *group)
{
    EVP_PKEY *key = NULL;
    BIGNUM *p = group->prime(NULL);
    BIGNUM *g = BN_new();
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (p != NULL && g != NULL && build != NULL && BN_set_word(g, 2) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_FFC_P, p) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_FFC_G, g) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    key = template_of("DH", params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(g);
    BN_free(p);
    return key;
}

static void make_all(void)
{
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        const struct dh_group *group = &groups[i];
        templates[i] = group->nid != NID_undef ? named_template(group) : explicit_template(group);
        if (group->curve)
            continue;
        BIGNUM *p = group->prime(NULL);
        if (p == NULL || BN_bn2binpad(p, primes[i], group->public_len) != group->public_len) {
            EVP_PKEY_free(templates[i]);
            templates[i] = NULL; /* without p no value can be checked */
        }
        BN_free(p);
    }
    ERR_clear_error();
}

const struct dh_group *dh_group_find(uint16_t number)
{
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        if (groups[i].number == number)
            return &groups[i];
    return NULL;
}

EVP_PKEY *dh_group_template(const struct dh_group *group)
{
    pthread_once(&once, make_all);
    return templates[group - groups];
}

bool dh_group_value_ok(const struct dh_group *group, const uint8_t *y)
{
    pthread_once(&once, make_all);
    const uint8_t *p = primes[group - groups];
    size_t last = group->public_len - 1u;
    size_t zeros = 0;
    while (zeros < last && y[zeros] == 0)
        zeros++;
    if (zeros == last && y[last] <= 1)
        return false; /* 0 or 1 */
    int order = memcmp(y, p, last);
    /* p is odd, so p-1 differs from it in the last octet only */
    return order < 0 || (order == 0 && y[last] < p[last] - 1);
}
