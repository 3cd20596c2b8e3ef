/* quarantine_fuzz.c - a member's word that it cannot do the policy: what is taken is what it would be written as. */
#include <stdlib.h>
#include <string.h>

#include "proto/gdoi/quarantine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct quarantine word;
    uint8_t again[QUARANTINE_LEN_MAX];
    if (quarantine_decode(&word, (struct bytes){data, size}) != E_OK)
        return 0;
    if (!quarantine_reason_ok(word.reason))
        abort();
    struct writer w = writer_over(again, sizeof(again));
    quarantine_encode(&w, &word.group, word.reason);
    struct bytes written = writer_bytes(&w);
    if (writer_end(&w) != E_OK || written.len != size || memcmp(written.data, data, size) != 0)
        abort();
    return 0;
}
