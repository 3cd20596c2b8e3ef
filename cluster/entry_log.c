#include "cluster/entry_log.h"

#include <stdlib.h>
#include <string.h>

enum { CAP_FIRST = 64 };

void entry_log_init(struct entry_log *log)
{
    *log = (struct entry_log){0};
}

static void drop(struct entry_log *log, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        log->octets -= log->entries[i].data.len;
        free((void *)(uintptr_t)log->entries[i].data.data); /* our copy */
    }
}

void entry_log_close(struct entry_log *log)
{
    drop(log, 0, log->count);
    free(log->entries);
    *log = (struct entry_log){0};
}

uint64_t entry_log_last(const struct entry_log *log)
{
    return log->first == 0 ? 0 : log->first + log->count - 1;
}

const struct raft_node_entry *entry_log_at(const struct entry_log *log, uint64_t index)
{
    if (log->first == 0 || index < log->first || index - log->first >= log->count)
        return NULL;
    return &log->entries[index - log->first];
}

void entry_log_truncate(struct entry_log *log, uint64_t index)
{
    if (log->first == 0 || index >= log->first + log->count)
        return;
    size_t keep = index > log->first ? (size_t)(index - log->first) : 0;
    drop(log, keep, log->count);
    log->count = keep;
}

void entry_log_discard(struct entry_log *log, uint64_t index)
{
    if (log->first == 0 || index < log->first)
        return;
    size_t gone = index - log->first + 1 < log->count ? (size_t)(index - log->first + 1) : log->count;
    drop(log, 0, gone);
    memmove(log->entries, log->entries + gone, (log->count - gone) * sizeof(*log->entries));
    log->count -= gone;
    log->first += gone;
}

void entry_log_reset(struct entry_log *log, uint64_t next_index)
{
    drop(log, 0, log->count);
    log->count = 0;
    log->first = next_index;
}

static err_t make_room(struct entry_log *log)
{
    if (log->count < log->cap)
        return E_OK;
    size_t cap = log->cap == 0 ? CAP_FIRST : log->cap * 2;
    struct raft_node_entry *entries = realloc(log->entries, cap * sizeof(*entries));
    if (entries == NULL)
        return E_NO_MEMORY;
    log->entries = entries;
    log->cap = cap;
    return E_OK;
}

err_t entry_log_put(struct entry_log *log, uint64_t index, const struct raft_node_entry *entry)
{
    if (log->first == 0)
        log->first = index;
    if (index < log->first || index > log->first + log->count)
        return E_CORRUPT;
    entry_log_truncate(log, index);
    err_t err = make_room(log);
    if (err != E_OK)
        return err;
    uint8_t *data = malloc(entry->data.len + 1);
    if (data == NULL)
        return E_NO_MEMORY;
    if (entry->data.len > 0)
        memcpy(data, entry->data.data, entry->data.len);
    log->entries[log->count] = *entry;
    log->entries[log->count++].data.data = data;
    log->octets += entry->data.len;
    return E_OK;
}
