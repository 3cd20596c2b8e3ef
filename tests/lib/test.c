#include "tests/lib/test.h"

#include <ctype.h>
#include <string.h>

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct bytes hex(const char *text, uint8_t *out, size_t cap)
{
    size_t len = 0;
    while (*text != '\0') {
        if (isspace((unsigned char)*text) || *text == ':') {
            text++;
            continue;
        }
        int high = nibble(text[0]);
        int low = high < 0 ? -1 : nibble(text[1]);
        if (low < 0 || len == cap)
            fail_msg("bad hex or too long at \"%.8s\"", text);
        out[len++] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return (struct bytes){out, len};
}
