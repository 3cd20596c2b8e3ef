/* err.h - one error type for all floors.
 * err.def is the table; functions that can fail return err_t and log nothing:
 * the edge that knows who asked and why writes one event. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/compiler.h"

typedef enum err {
    E_OK = 0,
#define ERR(name, text) E_##name,
#include "base/err.def"
#undef ERR
    ERR_COUNT
} err_t;

/* The code's name without "E_", "OK" for success; "?" for a number outside the table. Static text. */
const char *err_name(err_t err);
/* One English phrase, lower case, no full stop. Static text. */
const char *err_text(err_t err);

#endif
