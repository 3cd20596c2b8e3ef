/* dump_fuzz.c - any bytes as text: ended, of the length that is told, without control bytes but line ends;
 * and cut short it is the beginning of the whole. */
#include "tests/fuzz/proto_wire/invariant.h"

#include "proto/wire/dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[1 << 16], cut[100];
    struct bytes message = {data, size};
    memset(text, 1, sizeof(text));
    size_t len = isakmp_dump(text, sizeof(text), message);
    require(len < sizeof(text) && text[len] == '\0');
    for (size_t i = 0; i < len; i++)
        require(text[i] == '\n' || (text[i] >= ' ' && text[i] < 0x7f));

    size_t short_len = isakmp_dump(cut, sizeof(cut), message);
    require(short_len == (len < sizeof(cut) ? len : sizeof(cut) - 1));
    require(cut[short_len] == '\0' && memcmp(cut, text, short_len) == 0);
    return 0;
}
