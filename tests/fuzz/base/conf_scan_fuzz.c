/* conf_scan_fuzz.c - the scanner keeps its output bound and every line, whatever the file holds. */
#include <stdint.h>
#include <stdlib.h>

#include "base/conf_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_lines(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += text[i] == '\n';
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    char *out = malloc(2 * size + 1);
    if (out == NULL)
        return 0;
    struct conf_scan scan = {.text = text, .len = size, .out = out};
    if (conf_scan(&scan) == E_OK) {
        if (scan.out_len > 2 * size || out[scan.out_len] != '\0')
            abort();
        if (count_lines(out, scan.out_len) != count_lines(text, size) ||
            scan.line != count_lines(text, size) + 1)
            abort();
    } else if (scan.what == NULL) {
        abort();
    }
    free(out);
    return 0;
}
