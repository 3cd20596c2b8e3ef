/* The SHA functions are marked deprecated since OpenSSL 3.0 in favour of EVP, whose contexts cannot be copied
 * without an allocation; they remain, and use the same assembler. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "proto/crypto/hmac_state.h"

#include <string.h>

enum { BLOCK_MAX = 128, PAD_INNER = 0x36, PAD_OUTER = 0x5c };

static void sha_init(union sha_state *sha, enum hash_alg alg)
{
    if (alg == HASH_SHA256)
        SHA256_Init(&sha->sha256);
    else if (alg == HASH_SHA384)
        SHA384_Init(&sha->sha512);
    else
        SHA512_Init(&sha->sha512);
}

static void sha_update(union sha_state *sha, enum hash_alg alg, const uint8_t *data, size_t len)
{
    if (alg == HASH_SHA256)
        SHA256_Update(&sha->sha256, data, len);
    else if (alg == HASH_SHA384)
        SHA384_Update(&sha->sha512, data, len);
    else
        SHA512_Update(&sha->sha512, data, len);
}

static void sha_final(union sha_state *sha, enum hash_alg alg, uint8_t *out)
{
    if (alg == HASH_SHA256)
        SHA256_Final(out, &sha->sha256);
    else if (alg == HASH_SHA384)
        SHA384_Final(out, &sha->sha512);
    else
        SHA512_Final(out, &sha->sha512);
}

static void absorb_key(union sha_state *sha, enum hash_alg alg, struct bytes key, uint8_t pad,
                       size_t block_len)
{
    uint8_t block[BLOCK_MAX];
    memset(block, pad, block_len);
    for (size_t i = 0; i < key.len; i++)
        block[i] = (uint8_t)(key.data[i] ^ pad);
    sha_init(sha, alg);
    sha_update(sha, alg, block, block_len);
    secret_wipe(block, sizeof(block));
}

bool hmac_state_init(struct hmac_state *state, enum hash_alg alg, struct bytes key)
{
    size_t block_len = alg == HASH_SHA256 ? 64 : 128;
    if (alg < HASH_SHA256 || alg > HASH_SHA512 || key.len > block_len)
        return false;
    state->alg = alg;
    absorb_key(&state->inner, alg, key, PAD_INNER, block_len);
    absorb_key(&state->outer, alg, key, PAD_OUTER, block_len);
    return true;
}

void hmac_state_mac(const struct hmac_state *state, struct bytes data, uint8_t *out)
{
    union sha_state work = state->inner;
    sha_update(&work, state->alg, data.data, data.len);
    sha_final(&work, state->alg, out);
    work = state->outer;
    sha_update(&work, state->alg, out, hash_len(state->alg));
    sha_final(&work, state->alg, out);
    secret_wipe(&work, sizeof(work));
}
