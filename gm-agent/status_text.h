/* status_text.h - the text of a "show" command: piece by piece (status.c, status_replay.c), or as a stream. What
 * has no room is left out; the text always ends with a NUL. The caller owns out, of cap bytes. */
#ifndef GM_AGENT_STATUS_TEXT_H
#define GM_AGENT_STATUS_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

struct text {
    char *out;
    size_t cap;
    size_t len;
};

static inline void add(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);

static inline void add(struct text *t, const char *format, ...)
{
    va_list args;
    if (t->len + 1 >= t->cap)
        return;
    va_start(args, format);
    int n = vsnprintf(t->out + t->len, t->cap - t->len, format, args);
    va_end(args);
    if (n > 0)
        t->len += (size_t)n < t->cap - t->len ? (size_t)n : t->cap - t->len - 1;
}

/* A stream into out; NULL without room (cap 0) or memory: then the text is empty. */
static inline FILE *text_open(char *out, size_t cap)
{
    if (cap == 0)
        return NULL;
    out[0] = '\0';
    return fmemopen(out, cap, "w");
}

/* Ends it; returns the text's length. */
static inline size_t text_close(FILE *f, char *out, size_t cap)
{
    fclose(f);
    out[cap - 1] = '\0';
    return strlen(out);
}

#endif
