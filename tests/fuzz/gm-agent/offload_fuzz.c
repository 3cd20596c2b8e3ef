/* Frames of a TUN are cut, and any packets joined: nothing is read or written beyond its end, and what was
 * joined can be cut again to as many octets. First octet: how many packets, then their lengths; else a frame.
 */
#include <stdlib.h>
#include <string.h>

#include "gm-agent/coalesce.h"

enum { ROOM = 10240, PACKETS = 8 };

static void cut(uint8_t *frame, size_t len)
{
    static uint8_t room[ROOM];
    struct segment segment;
    struct bytes piece;
    unsigned pieces = 0;
    if (segment_open(&segment, frame, len) != E_OK)
        return;
    while (segment_next(&segment, room, sizeof(room), &piece))
        if (piece.len > len || ++pieces > len + 1)
            abort();
}

static void join(const uint8_t *data, size_t len, size_t count)
{
    static struct coalesce c;
    static uint8_t frame[SEGMENT_HEAD_LEN + PACKETS * 256];
    uint8_t *packets[PACKETS] = {NULL};
    size_t n = 0, octets = 0, back = 0;
    memset(&c, 0, sizeof(c));
    c.tcp = c.udp = true;
    while (n < count && len > 1) {
        size_t want = data[0] < len - 1 ? data[0] : len - 1;
        if (want == 0)
            break;
        packets[n] = malloc(want);
        if (packets[n] == NULL)
            abort();
        memcpy(packets[n], data + 1, want);
        data += want + 1;
        len -= want + 1;
        octets += want;
        if (!coalesce_add(&c, packets[n++], want))
            abort();
    }
    for (size_t i = 0; i < c.frame_count; i++) {
        struct virtio_net_hdr head;
        struct iovec parts[COALESCE_PARTS_MAX];
        size_t at = 0, part_count = coalesce_frame(&c, i, &head, parts);
        for (size_t k = 0; k < part_count; at += parts[k++].iov_len)
            memcpy(frame + at, parts[k].iov_base, parts[k].iov_len);
        back += at - SEGMENT_HEAD_LEN + (c.frames[i].count - 1) * c.packets[c.frames[i].first].head_len;
        cut(frame, at);
    }
    if (back != octets)
        abort();
    for (size_t i = 0; i < n; i++)
        free(packets[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] >= 1 && data[0] <= PACKETS) {
        join(data + 1, size - 1, data[0]);
        return 0;
    }
    uint8_t *frame = malloc(size);
    if (frame == NULL)
        abort();
    memcpy(frame, data + 1, size - 1);
    cut(frame, size - 1);
    free(frame);
    return 0;
}
