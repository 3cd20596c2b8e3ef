/* words.h - the words of a command line, taken one after the other. Pure. */
#ifndef GM_AGENT_WORDS_H
#define GM_AGENT_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct words {
    char **word; /* borrowed */
    size_t count, next;
};

/* A name that stands for a number, as of IP protocols. */
struct words_name {
    const char *name;
    uint8_t number;
};

const char *words_take(struct words *w); /* "" when none is left */
bool words_decimal(struct words *w, size_t digits_max, uint32_t least, uint32_t most, uint32_t *out);
bool words_addr(struct words *w, struct addr *out);
/* False, and nothing is taken, if the next word is none of the names. */
bool words_name(struct words *w, const struct words_name *names, size_t count, uint8_t *out);

#endif
