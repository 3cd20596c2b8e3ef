#include "tests/lib/test.h"

#include <ctype.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <unistd.h>

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

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)where;
    return unlinkat(AT_FDCWD, path, type == FTW_DP ? AT_REMOVEDIR : 0);
}

int test_remove_tree(const char *dir)
{
    enum { OPEN_DIRECTORIES = 8 };
    return nftw(dir, remove_one, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS);
}
