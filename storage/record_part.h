/* record_part.h - encodings that several rows and commands share: addresses, prefixes, wrapped secrets,
 * suites. Decoders use the reader's sticky error; what they give after an error is zero. */
#ifndef STORAGE_RECORD_PART_H
#define STORAGE_RECORD_PART_H

#include "storage/record.h"

enum { RECORD_VERSION = 1 };

void addr_encode(struct writer *w, const struct addr *addr);
void addr_decode(struct reader *r, struct addr *out);
void prefix_encode(struct writer *w, const struct prefix *prefix);
void prefix_decode(struct reader *r, struct prefix *out); /* host bits must be zero */
void wrapped_encode(struct writer *w, const struct wrapped *wrapped);
void wrapped_decode(struct reader *r, struct wrapped *out);
void suite_encode(struct writer *w, const struct esp_suite *suite);
void suite_decode(struct reader *r, struct esp_suite *out);
void bool_encode(struct writer *w, bool value);
bool bool_decode(struct reader *r); /* 0 or 1, else E_RANGE */
/* A number that must not pass max. */
uint8_t enum_decode(struct reader *r, uint8_t max);
/* u16 length and bytes into a fixed array; E_RANGE when longer than max. Returns the length. */
uint16_t blob_decode(struct reader *r, uint8_t *out, size_t max);
void blob_encode(struct writer *w, const uint8_t *data, size_t len);
/* A name with its NUL in an array of cap bytes: non-empty, no NUL inside. */
void name_encode(struct writer *w, const char *name, size_t cap);
void name_decode(struct reader *r, char *out, size_t cap);

bool suite_equal(const struct esp_suite *a, const struct esp_suite *b);
bool dialect_equal(const struct gdoi_dialect *a, const struct gdoi_dialect *b);
bool selectors_equal(const struct group_config *a, const struct group_config *b);

#endif
