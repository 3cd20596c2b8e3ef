#include "gm-agent/words.h"

#include <stdlib.h>
#include <string.h>

const char *words_take(struct words *w)
{
    return w->next < w->count ? w->word[w->next++] : "";
}

bool words_decimal(struct words *w, size_t digits_max, uint32_t least, uint32_t most, uint32_t *out)
{
    const char *word = words_take(w);
    size_t len = strlen(word);
    if (len == 0 || len > digits_max || strspn(word, "0123456789") != len)
        return false;
    unsigned long long value = strtoull(word, NULL, 10);
    *out = (uint32_t)value;
    return value >= least && value <= most;
}

bool words_addr(struct words *w, struct addr *out)
{
    return addr_parse(out, words_take(w)) == E_OK;
}

bool words_name(struct words *w, const struct words_name *names, size_t count, uint8_t *out)
{
    for (size_t i = 0; w->next < w->count && i < count; i++)
        if (strcmp(w->word[w->next], names[i].name) == 0) {
            *out = names[i].number;
            w->next++;
            return true;
        }
    return false;
}
