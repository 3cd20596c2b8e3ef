#include "base/hex.h"

char *hex_put(char *out, const uint8_t *raw, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[raw[i] >> 4];
        *out++ = digits[raw[i] & 15];
    }
    return out;
}

const char *hex_text(char *out, const uint8_t *raw, size_t len)
{
    *hex_put(out, raw, len) = '\0';
    return out;
}
