/* conf.h - configuration files (libconfig syntax) read against a table of known keys.
 * Unknown keys, wrong types and values out of range are errors that name file, line and what was
 * expected. Reading has no side effect: a wrong file changes nothing.
 * A file may hold keys: it is refused unless it is regular, not larger than 16 MiB and neither writable by
 * its group nor open to others (mode 0640 or less). Not allowed, because libconfig would read it wrongly or
 * unchecked: @include, integers with a leading zero. Integers need no L, however large.
 * libconfig is used only in conf*.c. */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

enum {
    CONF_MESSAGE_MAX = 400,
    CONF_TEXT_MAX = 256, /* bytes with NUL of a string value */
};

/* Where and why; line 0 when the whole file is meant. */
struct conf_error {
    char file[256];
    unsigned line;
    char message[CONF_MESSAGE_MAX];
};

struct conf_file; /* a parsed file */
struct conf_node; /* a group, list or value in it; borrowed from the file */

/* E_CONFIG with error filled (also for a file that cannot be read or is not private enough); E_NO_MEMORY. */
err_t conf_open(struct conf_file **out, const char *path, struct conf_error *error) MUST_USE;
void conf_free(struct conf_file *file); /* wipes all strings; NULL is fine */
const struct conf_node *conf_root(const struct conf_file *file);

/* Refuses any key of the group that is not in the NULL-ended list of names, and a node that is no group. */
err_t conf_only(const struct conf_node *group, const char *const *names, struct conf_error *error) MUST_USE;
/* Set error to this node's file and line with a message; returns E_CONFIG. */
err_t conf_fail(const struct conf_node *node, struct conf_error *error, const char *format, ...)
    PRINTF_LIKE(3, 4);

bool conf_has(const struct conf_node *group, const char *name);
bool conf_is_list(const struct conf_node *group, const char *name); /* there, and a list */
/* Child group or list by name; NULL (no error) if absent. E_CONFIG if it is of another kind. */
err_t conf_group(const struct conf_node *parent, const char *name, const struct conf_node **out,
                 struct conf_error *error) MUST_USE;
err_t conf_list(const struct conf_node *parent, const char *name, const struct conf_node **out,
                struct conf_error *error) MUST_USE;
size_t conf_count(const struct conf_node *list);                               /* 0 for NULL */
const struct conf_node *conf_item(const struct conf_node *list, size_t index); /* NULL behind the end */

/* Values by name. Absent (also: the group is NULL or none): *out keeps its value and E_OK, unless required.
 * On an error *out keeps its value, too. Integers go up to 2^63 - 1. */
err_t conf_u64(const struct conf_node *group, const char *name, bool required, uint64_t min, uint64_t max,
               uint64_t *out, struct conf_error *error) MUST_USE;
err_t conf_u32(const struct conf_node *group, const char *name, bool required, uint32_t min, uint32_t max,
               uint32_t *out, struct conf_error *error) MUST_USE;
err_t conf_bool(const struct conf_node *group, const char *name, bool required, bool *out,
                struct conf_error *error) MUST_USE;
err_t conf_text(const struct conf_node *group, const char *name, bool required, char *out, size_t out_size,
                struct conf_error *error) MUST_USE;
err_t conf_addr(const struct conf_node *group, const char *name, bool required, struct addr *out,
                struct conf_error *error) MUST_USE;
err_t conf_prefix(const struct conf_node *group, const char *name, bool required, struct prefix *out,
                  struct conf_error *error) MUST_USE;
/* One of the NULL-ended words; *out is its index. The error lists all words. */
err_t conf_word(const struct conf_node *group, const char *name, bool required, const char *const *words,
                unsigned *out, struct conf_error *error) MUST_USE;
/* The same for a list item that is a plain string. */
err_t conf_item_text(const struct conf_node *item, char *out, size_t out_size,
                     struct conf_error *error) MUST_USE;
err_t conf_item_prefix(const struct conf_node *item, struct prefix *out, struct conf_error *error) MUST_USE;
err_t conf_item_addr(const struct conf_node *item, struct addr *out, struct conf_error *error) MUST_USE;

#endif
