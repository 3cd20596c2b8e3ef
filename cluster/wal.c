#include "cluster/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/wal_internal.h"
#include "storage/crc32c.h"

static const uint8_t segment_magic[8] = {'Q', 'R', 'T', 'W', 'A', 'L', 'S', '1'};

err_t wal_segment_path(const struct wal *wal, uint64_t number, char out[DISK_PATH_MAX])
{
    char name[32];
    snprintf(name, sizeof(name), "wal-%016" PRIx64, number);
    return disk_path(out, wal->dir, name);
}

/* magic 8 | CRC u32 of what follows | 0 u32 | node id 16 | number u64 | first frame's number u64 | CRC of the
 * frame before u32 | 0 */
static void segment_head(const struct wal *wal, uint64_t number, uint8_t out[WAL_SEGMENT_HEAD])
{
    struct writer w = writer_over(out, WAL_SEGMENT_HEAD);
    write_bytes(&w, BYTES_OF(segment_magic));
    size_t crc = write_reserve(&w, 4);
    write_u32(&w, 0);
    write_bytes(&w, BYTES_OF(wal->node_id));
    write_u64(&w, number);
    write_u64(&w, wal->next_frame);
    write_u32(&w, wal->previous_crc);
    write_zeros(&w, WAL_SEGMENT_HEAD - w.len);
    writer_patch_u32(&w, crc, crc32c(0, (struct bytes){out + crc + 4, WAL_SEGMENT_HEAD - crc - 4}));
}

/* The file's octets are reserved, so that a full disk shows here and not in the middle of a frame. */
static err_t fill_segment(const struct wal *wal, int fd, uint64_t number, uint64_t len)
{
    int rc = posix_fallocate(fd, 0, (off_t)len);
    if (rc != 0)
        return disk_err(rc);
    uint8_t head[WAL_SEGMENT_HEAD];
    segment_head(wal, number, head);
    err_t err = disk_write(wal->disk, fd, BYTES_OF(head), 0);
    return err == E_OK ? disk_sync(wal->disk, fd) : err;
}

static err_t add_segment(struct wal *wal, uint64_t number, uint64_t len)
{
    if (wal->segment_count == WAL_SEGMENT_MAX)
        return E_LIMIT;
    struct wal_segment *segments = realloc(wal->segments, (wal->segment_count + 1) * sizeof(*segments));
    if (segments == NULL)
        return E_NO_MEMORY;
    wal->segments = segments;
    segments[wal->segment_count++] = (struct wal_segment){.number = number, .len = len};
    return E_OK;
}

err_t wal_segment_make(struct wal *wal, uint64_t number, uint64_t len)
{
    char path[DISK_PATH_MAX], temporary[DISK_PATH_MAX + 8];
    err_t err = wal_segment_path(wal, number, path);
    if (err != E_OK)
        return err;
    snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return disk_err(errno);
    err = fill_segment(wal, fd, number, len);
    if (err == E_OK && rename(temporary, path) != 0)
        err = disk_err(errno);
    if (err == E_OK)
        err = disk_sync_dir(wal->dir);
    if (err == E_OK)
        err = add_segment(wal, number, len);
    if (err != E_OK) {
        close(fd);
        unlink(temporary);
        return err;
    }
    if (wal->fd >= 0)
        close(wal->fd);
    wal->fd = fd;
    wal->at = WAL_SEGMENT_HEAD;
    return E_OK;
}

err_t wal_open(struct wal **out, const struct wal_options *options, const struct wal_reader *reader,
               struct wal_report *report)
{
    *out = NULL;
    *report = (struct wal_report){0};
    struct wal *wal = calloc(1, sizeof(*wal));
    if (wal == NULL)
        return E_NO_MEMORY;
    wal->disk = options->disk;
    wal->fd = -1;
    wal->segment_len = options->segment_len != 0 ? options->segment_len : WAL_SEGMENT_LEN;
    memcpy(wal->node_id, options->node_id, NODE_ID_LEN);
    int len = snprintf(wal->dir, sizeof(wal->dir), "%s", options->dir);
    err_t err = len < (int)sizeof(wal->dir) ? E_OK : E_LIMIT;
    if (err == E_OK && options->first)
        err = wal_remove_all(wal);
    if (err == E_OK)
        err = options->first ? wal_segment_make(wal, 0, wal->segment_len) : wal_recover(wal, reader, report);
    if (err == E_NOT_FOUND) {
        snprintf(report->file, sizeof(report->file), "%s", wal->dir);
        report->reason = "the segments of the log are gone";
        err = E_CORRUPT;
    }
    if (err != E_OK) {
        wal_close(wal);
        return err;
    }
    *out = wal;
    return E_OK;
}

static err_t append(struct wal *wal, struct wal_batch *batch)
{
    uint32_t crc;
    if (wal->failed != E_OK || batch->count == 0)
        return wal->failed;
    size_t len = batch->len + WAL_FRAME_TAIL;
    if (wal->at + len > wal->segments[wal->segment_count - 1].len) {
        uint64_t least = WAL_SEGMENT_HEAD + len;
        err_t err = wal_segment_make(wal, wal->segments[wal->segment_count - 1].number + 1,
                                     least > wal->segment_len ? least : wal->segment_len);
        if (err != E_OK)
            return err;
    }
    wal_frame_seal(batch->data, batch->len, batch->count, wal->previous_crc, wal->next_frame, &crc);
    err_t err = disk_write(wal->disk, wal->fd, (struct bytes){batch->data, len}, (off_t)wal->at);
    if (err == E_OK)
        err = disk_sync(wal->disk, wal->fd);
    if (err != E_OK)
        return err;
    wal->at += len;
    wal->next_frame++;
    wal->previous_crc = crc;
    struct wal_segment *segment = &wal->segments[wal->segment_count - 1];
    if (batch->last_index > segment->max_index)
        segment->max_index = batch->last_index;
    return E_OK;
}

err_t wal_append(struct wal *wal, struct wal_batch *batch)
{
    wal->failed = append(wal, batch);
    batch->len = 0;
    batch->count = 0;
    batch->last_index = 0;
    return wal->failed;
}

/* Oldest first and no further than the first that is still needed: a hole between segments would be taken for
 * damage. */
err_t wal_prune(struct wal *wal, uint64_t index)
{
    size_t gone = 0;
    err_t err = E_OK;
    while (gone + 1 < wal->segment_count && wal->segments[gone].max_index <= index) {
        char path[DISK_PATH_MAX];
        err = wal_segment_path(wal, wal->segments[gone].number, path);
        if (err == E_OK && unlink(path) != 0)
            err = disk_err(errno);
        if (err != E_OK)
            break;
        gone++;
    }
    memmove(wal->segments, wal->segments + gone, (wal->segment_count - gone) * sizeof(*wal->segments));
    wal->segment_count -= gone;
    return err == E_OK && gone > 0 ? disk_sync_dir(wal->dir) : err;
}

uint64_t wal_bytes(const struct wal *wal)
{
    uint64_t total = 0;
    for (size_t i = 0; i < wal->segment_count; i++)
        total += wal->segments[i].len;
    return total;
}

void wal_close(struct wal *wal)
{
    if (wal == NULL)
        return;
    if (wal->fd >= 0)
        close(wal->fd);
    free(wal->segments);
    free(wal);
}
