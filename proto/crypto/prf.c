#include "proto/crypto/prf.h"

#include "proto/crypto/provider.h"

size_t hash_len(enum hash_alg alg)
{
    switch (alg) {
    case HASH_SHA1:
        return 20;
    case HASH_SHA256:
        return 32;
    case HASH_SHA384:
        return 48;
    case HASH_SHA512:
        return 64;
    case HASH_NONE:
        break;
    }
    return 0;
}

static int digest_parts(EVP_MD_CTX *context, const EVP_MD *md, const struct bytes *parts, size_t count,
                        uint8_t *out)
{
    int good = EVP_DigestInit_ex2(context, md, NULL);
    for (size_t i = 0; good == 1 && i < count; i++)
        good = EVP_DigestUpdate(context, parts[i].data, parts[i].len);
    return good == 1 && EVP_DigestFinal_ex(context, out, NULL) == 1;
}

err_t hash_parts(enum hash_alg alg, const struct bytes *parts, size_t count, uint8_t *out)
{
    const EVP_MD *md = provider_md(alg);
    if (md == NULL)
        return E_CRYPTO;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL)
        return provider_refused(E_NO_MEMORY);
    int good = digest_parts(context, md, parts, count, out);
    EVP_MD_CTX_free(context);
    return good ? E_OK : provider_failed();
}

static int mac_parts(EVP_MAC_CTX *context, struct bytes key, const struct bytes *parts, size_t count,
                     uint8_t *out, size_t len)
{
    static const uint8_t no_key[1];
    /* NULL would mean "the key of before", so an empty key needs an address */
    int good = EVP_MAC_init(context, key.len == 0 ? no_key : key.data, key.len, NULL);
    for (size_t i = 0; good == 1 && i < count; i++)
        good = EVP_MAC_update(context, parts[i].data, parts[i].len);
    size_t got = 0;
    return good == 1 && EVP_MAC_final(context, out, &got, len) == 1 && got == len;
}

err_t prf_parts(enum hash_alg alg, struct bytes key, const struct bytes *parts, size_t count, uint8_t *out)
{
    if (hash_len(alg) == 0)
        return E_CRYPTO;
    EVP_MAC_CTX *context = provider_hmac(alg);
    if (context == NULL)
        return provider_failed();
    int good = mac_parts(context, key, parts, count, out, hash_len(alg));
    EVP_MAC_CTX_free(context); /* wipes the key */
    return good ? E_OK : provider_failed();
}

err_t prf_secret(enum hash_alg alg, struct bytes key, const struct bytes *parts, size_t count,
                 struct secret *out)
{
    /* key or a part may be a view of out (SKEYID_d feeds SKEYID_a), so the result is made beside it. */
    uint8_t made[HASH_LEN_MAX];
    err_t err = prf_parts(alg, key, parts, count, made);
    if (err == E_OK)
        err = secret_set(out, (struct bytes){made, hash_len(alg)});
    secret_wipe(made, sizeof(made));
    return err;
}
