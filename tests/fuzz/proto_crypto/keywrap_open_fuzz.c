/* keywrap_open over bytes as they lie in the log or the database; then the input is sealed and must come
 * back. */
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/keywrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4096 };

static void check(int good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t sealed[INPUT_MAX + KEYWRAP_OVERHEAD];
    static uint8_t opened[INPUT_MAX + KEYWRAP_OVERHEAD];
    struct wrap_key key = {.version = 0x01020304, .key = {.len = KEYWRAP_KEY_LEN}};
    memset(key.key.data, 0x11, KEYWRAP_KEY_LEN);
    struct bytes context = bytes_of_text("lab|blue|kek|key");
    if (size > INPUT_MAX)
        return 0;
    struct wrapped wrapped = {.len = (uint16_t)size};
    struct secret secret = {.len = 1};
    memcpy(wrapped.data, data, size < WRAPPED_MAX ? size : WRAPPED_MAX);
    err_t err = keywrap_open(&key, context, &wrapped, &secret);
    check(err == E_OK ? secret.len == size - KEYWRAP_OVERHEAD : secret.len == 0);
    size_t len = 0;
    size_t sealed_len = 0;
    err = keywrap_open_bytes(&key, context, (struct bytes){data, size}, opened, &len);
    check(err == E_OK ? len == size - KEYWRAP_OVERHEAD : len == 0);
    check(keywrap_seal_bytes(&key, &rng_system, context, (struct bytes){data, size}, sealed, &sealed_len) ==
          E_OK);
    check(keywrap_open_bytes(&key, context, (struct bytes){sealed, sealed_len}, opened, &len) == E_OK);
    check(len == size && (size == 0 || memcmp(opened, data, size) == 0));
    return 0;
}
