/* verify_key_open over SubjectPublicKeyInfo as it comes in a KD payload; a key that opens must be usable. */
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes spki = {data, size};
    struct verify_key *strict = NULL;
    struct verify_key *any = NULL;
    err_t strict_err = verify_key_open(spki, &strict);
    err_t any_err = verify_key_open_any(spki, &any);
    check((strict_err == E_OK) == (strict != NULL) && (any_err == E_OK) == (any != NULL));
    check(strict == NULL || any != NULL);
    if (any != NULL) {
        const uint8_t digest[32] = {7};
        uint8_t signature[SIGNATURE_MAX];
        size_t len =
            verify_key_alg(any) == SIGN_RSA ? (verify_key_bits(any) + 7) / 8 : verify_key_bits(any) / 4;
        check(len <= sizeof(signature));
        for (size_t i = 0; i < len; i++)
            signature[i] = data[i % size];
        signature[0] = 0;
        check(verify_digest(any, HASH_SHA256, true, BYTES_OF(digest), (struct bytes){signature, len}) !=
              E_OK);
    }
    verify_key_free(strict);
    verify_key_free(any);
    return 0;
}
