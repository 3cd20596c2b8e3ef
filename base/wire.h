/* wire.h - bounds-checked cursors over bytes in network order.
 * An error is sticky: after the first one reads give zero or empty and writes do nothing,
 * so a decoder reads field after field like the RFC's figure and checks once at the end.
 * Nothing here allocates; views borrow the bytes that they were made over. */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A borrowed run of bytes. data may be NULL only when len is 0. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

/* Bytes of a fixed-size array: BYTES_OF(array). Of a C string without its NUL: bytes_of_text. */
#define BYTES_OF(array) ((struct bytes){(array), sizeof(array)})
struct bytes bytes_of_text(const char *text);
/* Equal length and content; not constant-time, never for secrets or MACs (see base/secret.h). */
bool bytes_equal(struct bytes a, struct bytes b);
/* data + offset .. len of them, cut to what is there. */
struct bytes bytes_slice(struct bytes b, size_t offset, size_t len);

struct reader {
    const uint8_t *pos;
    const uint8_t *end;
    err_t err;
};

struct reader reader_over(struct bytes body);
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
/* A view of exactly len bytes; empty and E_TRUNCATED when fewer are left. */
struct bytes read_bytes(struct reader *r, size_t len);
/* Copies exactly len bytes to out; zeroes out on error. */
void read_into(struct reader *r, uint8_t *out, size_t len);
/* All that is left, possibly nothing. */
struct bytes read_rest(struct reader *r);
void read_skip(struct reader *r, size_t len);
size_t reader_left(const struct reader *r);
/* Sets E_RANGE (or the given error) unless the condition holds. */
void reader_require(struct reader *r, bool condition);
void reader_fail(struct reader *r, err_t err);
/* The sticky error, or E_TRAILING if bytes are left, else E_OK. */
err_t reader_end(const struct reader *r) MUST_USE;

struct writer {
    uint8_t *buf;
    size_t len;
    size_t cap;
    err_t err; /* E_FULL once cap would be passed */
};

struct writer writer_over(uint8_t *buf, size_t cap);
void write_u8(struct writer *w, uint8_t v);
void write_u16(struct writer *w, uint16_t v);
void write_u32(struct writer *w, uint32_t v);
void write_u64(struct writer *w, uint64_t v);
void write_bytes(struct writer *w, struct bytes b);
void write_zeros(struct writer *w, size_t len);
/* Reserve len bytes (zeroed) and return their offset, to be patched when the value is known. */
size_t write_reserve(struct writer *w, size_t len);
void writer_patch_u8(struct writer *w, size_t offset, uint8_t v);
void writer_patch_u16(struct writer *w, size_t offset, uint16_t v);
void writer_patch_u32(struct writer *w, size_t offset, uint32_t v);
void writer_fail(struct writer *w, err_t err);
/* What has been written so far (empty after an error). */
struct bytes writer_bytes(const struct writer *w);
err_t writer_end(const struct writer *w) MUST_USE;

#endif
