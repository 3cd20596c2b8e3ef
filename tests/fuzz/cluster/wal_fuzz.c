/* Recovery of the log over arbitrary bytes. Even first octet: the rest is a segment file. Odd: the rest are
 * records in a frame that checks, behind a good header. Recovery gives entries or a reason, and after E_OK
 * the log takes another entry and gives it back. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/wal_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT = 4096, INDEX_MAX = 1 << 30 };

static char dir[] = "/tmp/wal-fuzz-XXXXXX";
static char path[64];
static const uint8_t node[NODE_ID_LEN] = {1};
static uint8_t head[WAL_SEGMENT_HEAD];
static uint8_t file[WAL_FRAME_MAX];
static bool made;
static uint64_t last;

static void must(bool condition)
{
    if (!condition)
        abort();
}

static ssize_t quick_pwrite(void *context, int fd, const void *data, size_t len, off_t at)
{
    (void)context;
    return pwrite(fd, data, len, at);
}

static int quick_sync(void *context, int fd)
{
    (void)context;
    return fd < 0 ? -1 : 0;
}

static const struct disk quick = {quick_pwrite, quick_sync, NULL};

static err_t on_entry(void *context, const struct wal_entry *entry)
{
    uint8_t sum = 0;
    (void)context;
    for (size_t i = 0; i < entry->data.len; i++)
        sum ^= entry->data.data[i];
    last = entry->index;
    return sum == 0x99 && entry->index > INDEX_MAX ? E_CORRUPT : E_OK;
}

static err_t on_index(void *context, uint64_t index)
{
    (void)context;
    last = index - 1;
    return E_OK;
}

static const struct wal_reader reader = {NULL, on_entry, on_index, on_index};

static void remove_dir(void)
{
    unlink(path);
    snprintf(path, sizeof(path), "%s/wal-0000000000000001", dir);
    unlink(path);
    rmdir(dir);
}

static err_t open_log(struct wal **wal, bool first)
{
    struct wal_options options = {
        .dir = dir, .disk = &quick, .node_id = node, .segment_len = SEGMENT, .first = first};
    struct wal_report report;
    last = 0;
    err_t err = wal_open(wal, &options, &reader, &report);
    must(err == E_OK || (err == E_CORRUPT && report.reason != NULL && report.file[0] != '\0'));
    return err;
}

static void make_dir(void)
{
    struct wal *wal;
    must(mkdtemp(dir) != NULL);
    atexit(remove_dir);
    snprintf(path, sizeof(path), "%s/wal-0000000000000000", dir);
    must(open_log(&wal, true) == E_OK);
    must(pread(wal->fd, head, sizeof(head), 0) == sizeof(head));
    wal_close(wal);
    made = true;
}

static void write_file(struct bytes content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0 && write(fd, content.data, content.len) == (ssize_t)content.len);
    close(fd);
}

static void append_and_find(void)
{
    struct wal *wal;
    struct wal_batch batch;
    uint8_t data[8] = {7};
    if (open_log(&wal, false) != E_OK)
        return;
    struct wal_entry entry = {
        .index = (last & (INDEX_MAX - 1)) + 1, .term = 3, .type = 1, .data = BYTES_OF(data)};
    wal_batch_init(&batch);
    must(wal_batch_add(&batch, &entry) == E_OK && wal_append(wal, &batch) == E_OK);
    wal_batch_close(&batch);
    wal_close(wal);
    must(open_log(&wal, false) == E_OK && last == entry.index);
    wal_close(wal);
    char next[64];
    snprintf(next, sizeof(next), "%s/wal-0000000000000001", dir);
    unlink(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!made)
        make_dir();
    if (size < 2 || size > 64 * 1024)
        return 0;
    struct bytes rest = {data + 1, size - 1};
    if (data[0] % 2 == 0) {
        write_file(rest);
        append_and_find();
        return 0;
    }
    size_t padded = (rest.len + 7) / 8 * 8;
    uint32_t crc;
    memset(file, 0, WAL_SEGMENT_HEAD + WAL_FRAME_HEAD + padded + WAL_FRAME_TAIL);
    memcpy(file, head, sizeof(head));
    uint8_t *frame = file + WAL_SEGMENT_HEAD;
    memcpy(frame + WAL_FRAME_HEAD, rest.data, rest.len);
    size_t len = wal_frame_seal(frame, WAL_FRAME_HEAD + padded, data[0] / 2, 0, 0, &crc);
    write_file((struct bytes){file, WAL_SEGMENT_HEAD + len});
    append_and_find();
    return 0;
}
