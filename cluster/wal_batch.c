#include <stdlib.h>
#include <string.h>

#include "cluster/wal_frame.h"

enum { BATCH_CAP_FIRST = 4096 };

void wal_batch_init(struct wal_batch *batch)
{
    *batch = (struct wal_batch){0};
}

void wal_batch_close(struct wal_batch *batch)
{
    free(batch->data);
    *batch = (struct wal_batch){0};
}

/* Room for one more record and the tail. */
static err_t make_room(struct wal_batch *batch, size_t record_len)
{
    size_t start = batch->len == 0 ? WAL_FRAME_HEAD : batch->len;
    size_t need = start + record_len + WAL_FRAME_TAIL;
    if (need > WAL_FRAME_MAX)
        return E_FULL;
    if (need > batch->cap) {
        size_t cap = batch->cap == 0 ? BATCH_CAP_FIRST : batch->cap;
        while (cap < need)
            cap *= 2;
        uint8_t *data = realloc(batch->data, cap);
        if (data == NULL)
            return E_NO_MEMORY;
        batch->data = data;
        batch->cap = cap;
    }
    if (batch->len == 0) {
        memset(batch->data, 0, WAL_FRAME_HEAD);
        batch->len = WAL_FRAME_HEAD;
    }
    return E_OK;
}

static err_t add(struct wal_batch *batch, enum wal_record kind, const struct wal_entry *entry)
{
    size_t padded = (entry->data.len + 7) / 8 * 8;
    if (entry->data.len > WAL_ENTRY_MAX || padded != entry->data.len)
        return E_LIMIT;
    err_t err = make_room(batch, WAL_RECORD_HEAD + padded);
    if (err != E_OK)
        return err;
    struct writer w = writer_over(batch->data + batch->len, WAL_RECORD_HEAD + padded);
    write_u8(&w, (uint8_t)kind);
    write_u8(&w, entry->type);
    write_u16(&w, 0);
    write_u32(&w, (uint32_t)entry->data.len);
    write_u64(&w, entry->index);
    write_u64(&w, entry->term);
    write_bytes(&w, entry->data);
    batch->len += w.len;
    batch->count++;
    return writer_end(&w);
}

err_t wal_batch_add(struct wal_batch *batch, const struct wal_entry *entry)
{
    err_t err = add(batch, WAL_ENTRY, entry);
    if (err == E_OK && entry->index > batch->last_index)
        batch->last_index = entry->index;
    return err;
}

err_t wal_batch_reset(struct wal_batch *batch, uint64_t next_index)
{
    return add(batch, WAL_RESET, &(struct wal_entry){.index = next_index});
}

err_t wal_batch_truncate(struct wal_batch *batch, uint64_t index)
{
    return add(batch, WAL_TRUNCATE, &(struct wal_entry){.index = index});
}
