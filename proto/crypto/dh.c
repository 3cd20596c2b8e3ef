#include "proto/crypto/dh.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/dh_group.h"
#include "proto/crypto/provider.h"

enum { POINT_UNCOMPRESSED = 0x04, POINT_MAX = 1 + 132 };

struct dh_key {
    const struct dh_group *group;
    EVP_PKEY *pair;
};

bool dh_group_known(uint16_t group)
{
    return dh_group_find(group) != NULL;
}

size_t dh_public_len(uint16_t group)
{
    const struct dh_group *found = dh_group_find(group);
    return found != NULL ? found->public_len : 0;
}

void dh_key_free(struct dh_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pair); /* clears the private number */
    free(key);
}

void dh_shared_close(struct dh_shared *shared)
{
    secret_wipe(shared, sizeof(*shared));
}

static int keygen_init(EVP_PKEY_CTX *context, int private_bits)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_PKEY_PARAM_DH_PRIV_LEN, &private_bits),
        OSSL_PARAM_construct_end(),
    };
    return EVP_PKEY_keygen_init(context) == 1 &&
           (private_bits == 0 || EVP_PKEY_CTX_set_params(context, params) == 1);
}

static EVP_PKEY *generate_pair(const struct dh_group *group)
{
    EVP_PKEY *template = dh_group_template(group);
    EVP_PKEY *pair = NULL;
    if (template == NULL)
        return NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, template, NULL);
    if (context == NULL || !keygen_init(context, group->private_bits) ||
        EVP_PKEY_generate(context, &pair) != 1)
        pair = NULL;
    EVP_PKEY_CTX_free(context);
    return pair;
}

/* On the wire an ECP value goes without the octet 04 that OpenSSL puts in front (RFC 5903 7). */
static err_t public_of(const struct dh_group *group, EVP_PKEY *pair, struct dh_public *out)
{
    uint8_t encoded[DH_PUBLIC_MAX + 1];
    size_t prefix = group->curve ? 1 : 0;
    size_t len = 0;
    if (EVP_PKEY_get_octet_string_param(pair, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, encoded, sizeof(encoded),
                                        &len) != 1)
        return provider_failed();
    if (len != prefix + group->public_len || (group->curve && encoded[0] != POINT_UNCOMPRESSED))
        return E_CRYPTO;
    out->len = group->public_len;
    memcpy(out->data, encoded + prefix, group->public_len);
    return E_OK;
}

/* Takes the pair over, also on failure. */
static err_t wrap_pair(const struct dh_group *group, EVP_PKEY *pair, struct dh_key **out,
                       struct dh_public *out_public)
{
    struct dh_key *key = calloc(1, sizeof(*key));
    err_t err = key == NULL ? E_NO_MEMORY : public_of(group, pair, out_public);
    if (err != E_OK) {
        EVP_PKEY_free(pair);
        free(key);
        return err;
    }
    key->group = group;
    key->pair = pair;
    *out = key;
    return E_OK;
}

err_t dh_generate(uint16_t group, struct dh_key **out, struct dh_public *out_public)
{
    *out = NULL;
    const struct dh_group *found = dh_group_find(group);
    if (found == NULL)
        return E_BAD_GROUP_MODE;
    EVP_PKEY *pair = generate_pair(found);
    if (pair == NULL)
        return provider_failed();
    return wrap_pair(found, pair, out, out_public);
}

/* The peer's value as a key. OpenSSL checks that a point is on the curve when it reads it; that is all there
 * is to check on curves of cofactor 1, where the point at infinity has no encoding as x || y. */
static err_t read_peer(const struct dh_group *group, struct bytes value, EVP_PKEY **out)
{
    if (value.len != group->public_len || (!group->curve && !dh_group_value_ok(group, value.data)))
        return E_BAD_KE;
    uint8_t point[POINT_MAX];
    if (group->curve) {
        point[0] = POINT_UNCOMPRESSED;
        memcpy(point + 1, value.data, value.len);
        value = (struct bytes){point, value.len + 1};
    }
    EVP_PKEY *peer = EVP_PKEY_new();
    if (peer == NULL)
        return provider_refused(E_NO_MEMORY);
    err_t err = E_OK;
    if (EVP_PKEY_copy_parameters(peer, dh_group_template(group)) != 1)
        err = provider_failed();
    else if (EVP_PKEY_set1_encoded_public_key(peer, value.data, value.len) != 1)
        err = provider_refused(E_BAD_KE);
    if (err != E_OK) {
        EVP_PKEY_free(peer);
        return err;
    }
    *out = peer;
    return E_OK;
}

static int derive_init(EVP_PKEY_CTX *context, bool modp)
{
    unsigned pad = 1; /* leading zeros of a MODP secret stay (RFC 2409 5) */
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_uint(OSSL_EXCHANGE_PARAM_PAD, &pad),
        OSSL_PARAM_construct_end(),
    };
    return EVP_PKEY_derive_init_ex(context, modp ? params : NULL) == 1;
}

err_t dh_derive(const struct dh_key *key, struct bytes peer_public, struct dh_shared *out)
{
    const struct dh_group *group = key->group;
    out->len = 0;
    EVP_PKEY *peer = NULL;
    err_t err = read_peer(group, peer_public, &peer);
    if (err != E_OK)
        return err;
    size_t len = sizeof(out->data);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->pair, NULL);
    /* No second validation of the peer (the 0): it would raise y to q, five times the work of the derivation.
     */
    int good = context != NULL && derive_init(context, !group->curve) &&
               EVP_PKEY_derive_set_peer_ex(context, peer, 0) == 1 &&
               EVP_PKEY_derive(context, out->data, &len) == 1 && len == group->shared_len;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(peer);
    if (!good) {
        dh_shared_close(out);
        return provider_failed();
    }
    out->len = group->shared_len;
    return E_OK;
}

/* g^x mod p, padded. */
static int modp_public(const struct dh_group *group, const BIGNUM *x, uint8_t *out)
{
    BN_CTX *scratch = BN_CTX_secure_new();
    BIGNUM *p = group->prime(NULL);
    BIGNUM *y = BN_new();
    BIGNUM *g = BN_new();
    int good = scratch != NULL && p != NULL && y != NULL && g != NULL && BN_set_word(g, 2) == 1 &&
               BN_cmp(x, p) < 0 && BN_mod_exp_mont_consttime(y, g, x, p, scratch, NULL) == 1 &&
               BN_bn2binpad(y, out, group->public_len) == group->public_len;
    BN_free(g);
    BN_free(y);
    BN_free(p);
    BN_CTX_free(scratch);
    return good;
}

/* x * G as 04 || x || y. */
static int curve_public(const struct dh_group *group, const BIGNUM *x, uint8_t *out)
{
    EC_GROUP *curve = EC_GROUP_new_by_curve_name(group->nid);
    EC_POINT *point = curve != NULL ? EC_POINT_new(curve) : NULL;
    size_t want = group->public_len + 1u;
    int good = point != NULL && BN_cmp(x, EC_GROUP_get0_order(curve)) < 0 &&
               EC_POINT_mul(curve, point, x, NULL, NULL, NULL) == 1 &&
               EC_POINT_point2oct(curve, point, POINT_CONVERSION_UNCOMPRESSED, out, want, NULL) == want;
    EC_POINT_free(point);
    EC_GROUP_free(curve);
    return good;
}

static EVP_PKEY *pair_from(const struct dh_group *group, const BIGNUM *x, struct bytes encoded)
{
    EVP_PKEY *pair = NULL;
    BIGNUM *y = BN_bin2bn(encoded.data, (int)encoded.len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *values = NULL;
    OSSL_PARAM *group_values = NULL;
    OSSL_PARAM *all = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, group->curve ? "EC" : "DH", NULL);
    if (y != NULL && build != NULL && context != NULL &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, x) == 1 &&
        (group->curve
             ? OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, encoded.data, encoded.len)
             : OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PUB_KEY, y)) == 1 &&
        EVP_PKEY_todata(dh_group_template(group), EVP_PKEY_KEY_PARAMETERS, &group_values) == 1)
        values = OSSL_PARAM_BLD_to_param(build);
    if (values != NULL)
        all = OSSL_PARAM_merge(group_values, values);
    if (all == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &pair, EVP_PKEY_KEYPAIR, all) != 1)
        pair = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(all);
    OSSL_PARAM_free(values);
    OSSL_PARAM_free(group_values);
    OSSL_PARAM_BLD_free(build);
    BN_free(y);
    return pair;
}

err_t dh_key_from_private(uint16_t group, struct bytes private_octets, struct dh_key **out,
                          struct dh_public *out_public)
{
    *out = NULL;
    const struct dh_group *found = dh_group_find(group);
    if (found == NULL)
        return E_BAD_GROUP_MODE;
    if (private_octets.len == 0 || private_octets.len > DH_PUBLIC_MAX)
        return E_BAD_KEY;
    if (dh_group_template(found) == NULL)
        return E_CRYPTO;
    BIGNUM *x = BN_bin2bn(private_octets.data, (int)private_octets.len, NULL);
    if (x == NULL)
        return provider_refused(E_NO_MEMORY);
    BN_set_flags(x, BN_FLG_CONSTTIME);
    uint8_t encoded[DH_PUBLIC_MAX];
    struct bytes view = {encoded, found->public_len + (found->curve ? 1u : 0u)};
    EVP_PKEY *pair = NULL;
    if (!BN_is_zero(x) && (found->curve ? curve_public(found, x, encoded) : modp_public(found, x, encoded)))
        pair = pair_from(found, x, view);
    BN_clear_free(x);
    return pair != NULL ? wrap_pair(found, pair, out, out_public) : provider_refused(E_BAD_KEY);
}
