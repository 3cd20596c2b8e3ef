#include <stdlib.h>

#include "cluster/wal.h"
#include "storage/crc32c.h"

static const char meta_name[] = "raft.meta";
static const uint8_t meta_magic[8] = {'Q', 'R', 'T', 'R', 'M', 'E', 'T', '1'};
enum { META_LEN = 8 + NODE_ID_LEN + 8 + 8 + 1 + 4 };

err_t wal_meta_read(const char *dir, const uint8_t node_id[NODE_ID_LEN], struct wal_meta *out)
{
    *out = (struct wal_meta){0};
    char path[DISK_PATH_MAX];
    uint8_t *data = NULL;
    size_t len = 0;
    err_t err = disk_path(path, dir, meta_name);
    if (err == E_OK)
        err = disk_read(path, META_LEN, &data, &len);
    if (err != E_OK)
        return err == E_LIMIT ? E_CORRUPT : err;
    struct bytes file = {data, len};
    struct reader r = reader_over(file);
    struct bytes magic = read_bytes(&r, sizeof(meta_magic));
    struct bytes node = read_bytes(&r, NODE_ID_LEN);
    out->term = read_u64(&r);
    out->vote = read_u64(&r);
    out->bootstrapped = read_u8(&r) == 1;
    uint32_t crc = read_u32(&r);
    if (reader_end(&r) != E_OK || crc != crc32c(0, bytes_slice(file, 0, META_LEN - 4)) ||
        !bytes_equal(magic, BYTES_OF(meta_magic)) || !bytes_equal(node, (struct bytes){node_id, NODE_ID_LEN}))
        err = E_CORRUPT;
    free(data);
    return err;
}

err_t wal_meta_write(const char *dir, const struct disk *disk, const uint8_t node_id[NODE_ID_LEN],
                     const struct wal_meta *meta)
{
    uint8_t buf[META_LEN];
    struct writer w = writer_over(buf, sizeof(buf));
    write_bytes(&w, BYTES_OF(meta_magic));
    write_bytes(&w, (struct bytes){node_id, NODE_ID_LEN});
    write_u64(&w, meta->term);
    write_u64(&w, meta->vote);
    write_u8(&w, meta->bootstrapped ? 1 : 0);
    write_u32(&w, crc32c(0, writer_bytes(&w)));
    err_t err = writer_end(&w);
    return err == E_OK ? disk_replace(disk, dir, meta_name, BYTES_OF(buf)) : err;
}
