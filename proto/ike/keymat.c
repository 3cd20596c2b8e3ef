/* keymat.c - the keys of a phase-1 SA and its hashes (RFC 2409 5 and appendix B). */
#include <string.h>

#include "proto/ike/isakmp_sa.h"

static struct bytes cookie_i(const struct isakmp_sa *sa)
{
    return BYTES_OF(sa->cookie_i);
}

static struct bytes cookie_r(const struct isakmp_sa *sa)
{
    return BYTES_OF(sa->cookie_r);
}

/* prf(SKEYID, previous | g^xy | CKY-I | CKY-R | n), n being 0 for _d, 1 for _a, 2 for _e. */
static err_t derive_one(const struct isakmp_sa *sa, struct bytes previous, struct bytes shared, uint8_t n,
                        struct secret *out)
{
    const struct bytes parts[] = {previous, shared, cookie_i(sa), cookie_r(sa), {&n, 1}};
    return prf_secret(sa->suite.hash, secret_view(&sa->skeyid), parts, ARRAY_LEN(parts), out);
}

/* The first octets of SKEYID_e, or of K1 | K2 | K3 ... if it is too short (appendix B). */
static err_t expand_key(const struct isakmp_sa *sa, struct secret *out)
{
    size_t need = cipher_key_len(sa->suite.cipher);
    struct bytes skeyid_e = secret_view(&sa->skeyid_e);
    if (need == 0 || need > CIPHER_KEY_MAX)
        return E_BAD_KEY;
    if (skeyid_e.len >= need)
        return secret_set(out, bytes_slice(skeyid_e, 0, need));

    uint8_t ka[CIPHER_KEY_MAX + HASH_LEN_MAX];
    const uint8_t zero = 0;
    struct bytes previous = {&zero, 1};
    size_t block = hash_len(sa->suite.hash);
    size_t len = 0;
    err_t err = block == 0 || block > HASH_LEN_MAX ? E_BAD_KEY : E_OK;
    while (err == E_OK && len < need) {
        err = prf_parts(sa->suite.hash, skeyid_e, &previous, 1, ka + len);
        previous = (struct bytes){ka + len, block};
        len += block;
    }
    if (err == E_OK)
        err = secret_set(out, (struct bytes){ka, need});
    secret_wipe(ka, sizeof(ka));
    return err;
}

static void close_keys(struct isakmp_sa *sa)
{
    secret_close(&sa->skeyid);
    secret_close(&sa->skeyid_d);
    secret_close(&sa->skeyid_a);
    secret_close(&sa->skeyid_e);
    secret_close(&sa->key);
}

err_t isakmp_sa_derive(struct isakmp_sa *sa, struct bytes psk, struct bytes ni, struct bytes nr,
                       struct bytes shared)
{
    const struct bytes nonces[] = {ni, nr};
    err_t err = prf_secret(sa->suite.hash, psk, nonces, ARRAY_LEN(nonces), &sa->skeyid);
    if (err == E_OK)
        err = derive_one(sa, (struct bytes){0}, shared, 0, &sa->skeyid_d);
    if (err == E_OK)
        err = derive_one(sa, secret_view(&sa->skeyid_d), shared, 1, &sa->skeyid_a);
    if (err == E_OK)
        err = derive_one(sa, secret_view(&sa->skeyid_a), shared, 2, &sa->skeyid_e);
    if (err == E_OK)
        err = expand_key(sa, &sa->key);
    if (err != E_OK)
        close_keys(sa);
    return err;
}

err_t isakmp_sa_auth_hash(const struct isakmp_sa *sa, bool of_initiator, struct bytes g_xi, struct bytes g_xr,
                          struct bytes sa_body, struct bytes id_body, uint8_t *out)
{
    const struct bytes of_i[] = {g_xi, g_xr, cookie_i(sa), cookie_r(sa), sa_body, id_body};
    const struct bytes of_r[] = {g_xr, g_xi, cookie_r(sa), cookie_i(sa), sa_body, id_body};
    return prf_parts(sa->suite.hash, secret_view(&sa->skeyid), of_initiator ? of_i : of_r, ARRAY_LEN(of_i),
                     out);
}

/* hash(a | b), its first octets as IV. */
static err_t iv_of(const struct isakmp_sa *sa, struct bytes a, struct bytes b, uint8_t iv[CIPHER_BLOCK_MAX])
{
    const struct bytes parts[] = {a, b};
    uint8_t digest[HASH_LEN_MAX] = {0};
    err_t err = hash_parts(sa->suite.hash, parts, ARRAY_LEN(parts), digest);
    memset(iv, 0, CIPHER_BLOCK_MAX);
    if (err == E_OK)
        memcpy(iv, digest, cipher_block_len(sa->suite.cipher));
    return err;
}

err_t isakmp_sa_phase1_iv(const struct isakmp_sa *sa, struct bytes g_xi, struct bytes g_xr,
                          uint8_t iv[CIPHER_BLOCK_MAX])
{
    return iv_of(sa, g_xi, g_xr, iv);
}

err_t isakmp_sa_exchange_iv(const struct isakmp_sa *sa, uint32_t message_id, uint8_t iv[CIPHER_BLOCK_MAX])
{
    uint8_t id[4];
    struct writer w = writer_over(id, sizeof(id));
    write_u32(&w, message_id);
    return iv_of(sa, (struct bytes){sa->last_block, cipher_block_len(sa->suite.cipher)}, BYTES_OF(id), iv);
}
