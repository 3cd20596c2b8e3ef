#include "base/wire.h"

#include <string.h>

/* No pointer is moved by 0 from NULL, and no mem* function sees NULL: both are undefined in C11. */

struct bytes bytes_of_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

struct bytes bytes_slice(struct bytes b, size_t offset, size_t len)
{
    if (offset >= b.len)
        return (struct bytes){0};
    size_t left = b.len - offset;
    return (struct bytes){b.data + offset, len < left ? len : left};
}

struct reader reader_over(struct bytes body)
{
    return (struct reader){body.data, body.len == 0 ? body.data : body.data + body.len, E_OK};
}

size_t reader_left(const struct reader *r)
{
    return r->err == E_OK && r->pos != r->end ? (size_t)(r->end - r->pos) : 0;
}

void reader_fail(struct reader *r, err_t err)
{
    if (r->err == E_OK)
        r->err = err;
}

void reader_require(struct reader *r, bool condition)
{
    if (!condition)
        reader_fail(r, E_RANGE);
}

struct bytes read_bytes(struct reader *r, size_t len)
{
    if (len > reader_left(r)) {
        reader_fail(r, E_TRUNCATED);
        return (struct bytes){0};
    }
    if (len == 0)
        return (struct bytes){0};
    struct bytes view = {r->pos, len};
    r->pos += len;
    return view;
}

/* The next len bytes (at most 8) as one number in network order; 0 after an error. */
static uint64_t read_number(struct reader *r, size_t len)
{
    struct bytes raw = read_bytes(r, len);
    uint64_t v = 0;
    for (size_t i = 0; i < raw.len; i++)
        v = v << 8 | raw.data[i];
    return v;
}

uint8_t read_u8(struct reader *r)
{
    return (uint8_t)read_number(r, 1);
}

uint16_t read_u16(struct reader *r)
{
    return (uint16_t)read_number(r, 2);
}

uint32_t read_u32(struct reader *r)
{
    return (uint32_t)read_number(r, 4);
}

uint64_t read_u64(struct reader *r)
{
    return read_number(r, 8);
}

void read_into(struct reader *r, uint8_t *out, size_t len)
{
    struct bytes raw = read_bytes(r, len);
    if (raw.len != 0)
        memcpy(out, raw.data, raw.len);
    else if (len != 0)
        memset(out, 0, len);
}

struct bytes read_rest(struct reader *r)
{
    return read_bytes(r, reader_left(r));
}

void read_skip(struct reader *r, size_t len)
{
    (void)read_bytes(r, len);
}

err_t reader_end(const struct reader *r)
{
    if (r->err != E_OK)
        return r->err;
    return reader_left(r) == 0 ? E_OK : E_TRAILING;
}

struct writer writer_over(uint8_t *buf, size_t cap)
{
    return (struct writer){buf, 0, cap, E_OK};
}

void writer_fail(struct writer *w, err_t err)
{
    if (w->err == E_OK)
        w->err = err;
}

/* Room for len more bytes (len > 0), or NULL after an error. */
static uint8_t *writer_advance(struct writer *w, size_t len)
{
    if (len > w->cap - w->len)
        writer_fail(w, E_FULL);
    if (w->err != E_OK)
        return NULL;
    uint8_t *at = w->buf + w->len;
    w->len += len;
    return at;
}

static void put_number(uint8_t *at, uint64_t v, size_t len)
{
    for (size_t i = len; i-- > 0; v >>= 8)
        at[i] = (uint8_t)v;
}

static void write_number(struct writer *w, uint64_t v, size_t len)
{
    uint8_t *at = writer_advance(w, len);
    if (at != NULL)
        put_number(at, v, len);
}

void write_u8(struct writer *w, uint8_t v)
{
    write_number(w, v, 1);
}

void write_u16(struct writer *w, uint16_t v)
{
    write_number(w, v, 2);
}

void write_u32(struct writer *w, uint32_t v)
{
    write_number(w, v, 4);
}

void write_u64(struct writer *w, uint64_t v)
{
    write_number(w, v, 8);
}

void write_bytes(struct writer *w, struct bytes b)
{
    uint8_t *at = b.len != 0 ? writer_advance(w, b.len) : NULL;
    if (at != NULL)
        memmove(at, b.data, b.len);
}

void write_zeros(struct writer *w, size_t len)
{
    uint8_t *at = len != 0 ? writer_advance(w, len) : NULL;
    if (at != NULL)
        memset(at, 0, len);
}

size_t write_reserve(struct writer *w, size_t len)
{
    size_t offset = w->len;
    write_zeros(w, len);
    return offset;
}

/* Patching bytes that were not written yet is our own mistake, never a peer's. */
static void patch_number(struct writer *w, size_t offset, uint64_t v, size_t len)
{
    if (offset > w->len || len > w->len - offset)
        writer_fail(w, E_INTERNAL);
    if (w->err == E_OK)
        put_number(w->buf + offset, v, len);
}

void writer_patch_u8(struct writer *w, size_t offset, uint8_t v)
{
    patch_number(w, offset, v, 1);
}

void writer_patch_u16(struct writer *w, size_t offset, uint16_t v)
{
    patch_number(w, offset, v, 2);
}

void writer_patch_u32(struct writer *w, size_t offset, uint32_t v)
{
    patch_number(w, offset, v, 4);
}

struct bytes writer_bytes(const struct writer *w)
{
    if (w->err != E_OK || w->len == 0)
        return (struct bytes){0};
    return (struct bytes){w->buf, w->len};
}

err_t writer_end(const struct writer *w)
{
    return w->err;
}
