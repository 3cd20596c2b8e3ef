#include "proto/crypto/passphrase.h"

#include <openssl/evp.h>

enum { BLOCK_R = 8, LANES_P = 1 };
static const uint64_t memory_max = (uint64_t)320 << 20; /* octets: above what PASSPHRASE_COST_MAX takes */

err_t passphrase_key(struct bytes passphrase, struct bytes salt, unsigned cost, struct secret *out)
{
    *out = (struct secret){0};
    if (cost < 1 || cost > PASSPHRASE_COST_MAX)
        return E_RANGE;
    if (EVP_PBE_scrypt((const char *)passphrase.data, passphrase.len, salt.data, salt.len,
                       (uint64_t)1 << cost, BLOCK_R, LANES_P, memory_max, out->data,
                       PASSPHRASE_KEY_LEN) != 1) {
        secret_close(out);
        return E_CRYPTO;
    }
    out->len = PASSPHRASE_KEY_LEN;
    return E_OK;
}
