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

static int nibble(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_read(uint8_t *out, const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
