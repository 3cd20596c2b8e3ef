#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/wal_internal.h"
#include "storage/crc32c.h"

enum {
    NAME_LEN = 4 + 16,
    FILE_MAX = 1 << 30,
    CHUNK = 64 * 1024,
};

struct recovery {
    struct wal *wal;
    const struct wal_reader *reader;
    struct wal_report *report;
    bool begun; /* the first segment says where numbers start */
};

static err_t damaged(struct recovery *rc, uint64_t offset, const char *reason)
{
    rc->report->offset = offset;
    rc->report->reason = reason;
    return E_CORRUPT;
}

static bool segment_number(const char *name, uint64_t *out)
{
    if (strlen(name) != NAME_LEN || strncmp(name, "wal-", 4) != 0)
        return false;
    if (strspn(name + 4, "0123456789abcdef") != NAME_LEN - 4)
        return false;
    *out = strtoull(name + 4, NULL, 16);
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_left_over(const char *name)
{
    size_t len = strlen(name);
    return strncmp(name, "wal-", 4) == 0 && len > 4 && strcmp(name + len - 4, ".tmp") == 0;
}

/* The numbers of all segments, sorted; half-made ones of a crash are removed. */
static err_t list_segments(const struct wal *wal, uint64_t **out, size_t *count)
{
    *count = 0;
    *out = calloc(WAL_SEGMENT_MAX, sizeof(**out));
    DIR *dir = *out != NULL ? opendir(wal->dir) : NULL;
    if (dir == NULL) {
        free(*out);
        return *out == NULL ? E_NO_MEMORY : disk_err(errno);
    }
    err_t err = E_OK;
    for (struct dirent *entry; err == E_OK && (entry = readdir(dir)) != NULL;) {
        uint64_t number;
        if (is_left_over(entry->d_name) && unlinkat(dirfd(dir), entry->d_name, 0) != 0)
            err = disk_err(errno);
        if (!segment_number(entry->d_name, &number))
            continue;
        if (*count == WAL_SEGMENT_MAX)
            err = E_LIMIT;
        else
            (*out)[(*count)++] = number;
    }
    closedir(dir);
    if (err != E_OK)
        free(*out);
    else
        qsort(*out, *count, sizeof(**out), by_number);
    return err;
}

err_t wal_remove_all(const struct wal *wal)
{
    uint64_t *numbers;
    size_t count;
    err_t err = list_segments(wal, &numbers, &count);
    if (err != E_OK)
        return err;
    for (size_t i = 0; i < count && err == E_OK; i++) {
        char path[DISK_PATH_MAX];
        err = wal_segment_path(wal, numbers[i], path);
        if (err == E_OK && unlink(path) != 0)
            err = disk_err(errno);
    }
    free(numbers);
    return err == E_OK && count > 0 ? disk_sync_dir(wal->dir) : err;
}

err_t wal_found(const char *dir, bool *out)
{
    *out = false;
    DIR *d = opendir(dir);
    if (d == NULL)
        return disk_err(errno);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        uint64_t number;
        *out |= segment_number(entry->d_name, &number);
    }
    closedir(d);
    return E_OK;
}

static err_t check_head(struct recovery *rc, struct bytes file, uint64_t number)
{
    struct wal *wal = rc->wal;
    struct reader r = reader_over(bytes_slice(file, 0, WAL_SEGMENT_HEAD));
    struct bytes magic = read_bytes(&r, 8);
    uint32_t crc = read_u32(&r);
    uint32_t computed = crc32c(0, bytes_slice(file, 12, WAL_SEGMENT_HEAD - 12));
    read_skip(&r, 4);
    struct bytes node = read_bytes(&r, NODE_ID_LEN);
    uint64_t own = read_u64(&r), frame = read_u64(&r);
    uint32_t previous = read_u32(&r);
    if (r.err != E_OK || crc != computed || !bytes_equal(magic, bytes_of_text("QRTWALS1")))
        return damaged(rc, 0, "the segment's header does not check");
    if (!bytes_equal(node, BYTES_OF(wal->node_id)))
        return damaged(rc, 0, "the segment is of another node");
    if (own != number)
        return damaged(rc, 0, "the segment has another's name");
    if (rc->begun && (frame != wal->next_frame || previous != wal->previous_crc))
        return damaged(rc, 0, "frames are missing before this segment");
    rc->begun = true;
    wal->next_frame = frame;
    wal->previous_crc = previous;
    return E_OK;
}

/* Valid frames from the header on; *at is left behind the last. */
static err_t read_frames(struct recovery *rc, struct bytes file, uint64_t *at, uint64_t *max_index)
{
    struct wal *wal = rc->wal;
    struct wal_frame frame;
    for (*at = WAL_SEGMENT_HEAD; wal_frame_open(&frame, bytes_slice(file, *at, file.len)) == E_OK;
         *at += frame.len) {
        if (frame.number != wal->next_frame || frame.previous_crc != wal->previous_crc)
            return damaged(rc, *at, "a frame is out of order");
        err_t err = wal_frame_read(&frame, rc->reader, max_index);
        if (err == E_CORRUPT)
            return damaged(rc, *at, "a frame's records make no sense");
        if (err != E_OK)
            return err;
        wal->next_frame++;
        wal->previous_crc = frame.body_crc;
    }
    return E_OK;
}

/* Overwrites what a torn write left, so that it is not met again. */
static err_t cut_tail(struct recovery *rc, uint64_t at, size_t used)
{
    static const uint8_t zeros[CHUNK];
    for (size_t done = 0; done < used;) {
        size_t part = used - done < CHUNK ? used - done : CHUNK;
        err_t err = disk_write(rc->wal->disk, rc->wal->fd, (struct bytes){zeros, part}, (off_t)(at + done));
        if (err != E_OK)
            return err;
        done += part;
    }
    rc->report->cut_octets = used;
    rc->report->offset = at;
    return disk_sync(rc->wal->disk, rc->wal->fd);
}

static err_t open_last(struct recovery *rc, uint64_t at, size_t used, uint64_t file_len)
{
    struct wal *wal = rc->wal;
    struct wal_segment *segment = &wal->segments[wal->segment_count - 1];
    wal->at = at;
    wal->fd = open(rc->report->file, O_RDWR | O_CLOEXEC);
    if (wal->fd < 0)
        return disk_err(errno);
    if (file_len < wal->segment_len) { /* the crash also lost its reserved room */
        int failed = posix_fallocate(wal->fd, 0, (off_t)wal->segment_len);
        if (failed != 0)
            return disk_err(failed);
        segment->len = wal->segment_len;
    }
    if (used > 0)
        return cut_tail(rc, at, used);
    /* A process that was killed before its sync left frames that only the page cache has. They count from now
     * on, and the next sync may be of another segment. */
    return disk_sync(wal->disk, wal->fd);
}

static err_t read_segment(struct recovery *rc, struct bytes file, uint64_t number, bool last)
{
    struct wal *wal = rc->wal;
    uint64_t at = 0, max_index = 0;
    err_t err = check_head(rc, file, number);
    if (err == E_OK)
        err = read_frames(rc, file, &at, &max_index);
    if (err != E_OK)
        return err;
    size_t used;
    const char *reason;
    enum wal_tail tail = wal_tail_judge(bytes_slice(file, at, file.len), at, &used, &reason);
    if (tail == WAL_TAIL_TORN && !last) {
        tail = WAL_TAIL_DAMAGED;
        reason = "a frame does not check, segments follow";
    }
    if (tail == WAL_TAIL_DAMAGED)
        return damaged(rc, at, reason);
    struct wal_segment *segments = realloc(wal->segments, (wal->segment_count + 1) * sizeof(*segments));
    if (segments == NULL)
        return E_NO_MEMORY;
    wal->segments = segments;
    segments[wal->segment_count++] = (struct wal_segment){number, file.len, max_index};
    return last ? open_last(rc, at, used, file.len) : E_OK;
}

err_t wal_recover(struct wal *wal, const struct wal_reader *reader, struct wal_report *report)
{
    struct recovery rc = {.wal = wal, .reader = reader, .report = report};
    uint64_t *numbers;
    size_t count;
    err_t err = list_segments(wal, &numbers, &count);
    if (err != E_OK)
        return err;
    if (count == 0)
        err = E_NOT_FOUND;
    for (size_t i = 0; i < count && err == E_OK; i++) {
        uint8_t *data = NULL;
        size_t len = 0;
        err = wal_segment_path(wal, numbers[i], report->file);
        if (err == E_OK && i > 0 && numbers[i] != numbers[i - 1] + 1)
            err = damaged(&rc, 0, "a segment before this one is gone");
        if (err == E_OK)
            err = disk_read(report->file, FILE_MAX, &data, &len);
        if (err == E_OK)
            err = read_segment(&rc, (struct bytes){data, len}, numbers[i], i + 1 == count);
        free(data);
    }
    free(numbers);
    return err == E_OK ? disk_sync_dir(wal->dir) : err; /* what was renamed, for the same reason */
}
