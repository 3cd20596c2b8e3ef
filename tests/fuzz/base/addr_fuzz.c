/* addr_fuzz.c - text and wire forms of addresses and prefixes: what is taken must print and parse to itself.
 */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void try_text(const char *text)
{
    struct addr addr;
    struct addr addr_back;
    struct prefix prefix;
    struct prefix prefix_back;
    char out[ADDR_TEXT_MAX];
    if (addr_parse(&addr, text) == E_OK) {
        require(addr_len(&addr) != 0);
        require(addr_parse(&addr_back, addr_format(&addr, out)) == E_OK && addr_equal(&addr, &addr_back));
        (void)addr_is_multicast(&addr);
    }
    if (prefix_parse(&prefix, text) == E_OK) {
        require(prefix_has(&prefix, &prefix.addr));
        require(prefix_parse(&prefix_back, prefix_format(&prefix, out)) == E_OK);
        require(prefix_equal(&prefix, &prefix_back));
    }
}

static void try_wire(struct bytes raw)
{
    struct prefix prefix;
    struct prefix back;
    uint8_t mask[16];
    struct bytes addr = bytes_slice(raw, 0, raw.len / 2);
    struct bytes wire_mask = bytes_slice(raw, raw.len / 2, raw.len);
    if (prefix_from_mask(&prefix, addr, wire_mask) != E_OK)
        return;
    prefix_mask(&prefix, mask);
    require(bytes_equal(wire_mask, (struct bytes){mask, addr_len(&prefix.addr)}));
    require(prefix_from_mask(&back, addr_bytes(&prefix.addr), wire_mask) == E_OK &&
            prefix_equal(&prefix, &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    if (size != 0)
        memcpy(text, data, size);
    text[size] = '\0';
    try_text(text);
    free(text);
    try_wire((struct bytes){data, size});
    return 0;
}
