/* datapath_user_lan.c - the side of the hosts: frames from the TUN, as long as the kernel has them, and to
 * it. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gm-agent/datapath_user_parts.h"
#include "gm-agent/segment.h"

static void protect(struct user_datapath *dp, struct bytes packet)
{
    struct esp_note note;
    size_t len = 0;
    switch (esp_path_encapsulate(&dp->path, packet, dp->out[dp->queued], PACKET_MAX, &len, &note)) {
    case ESP_TO_WAN:
        user_queue_wan(dp, len);
        break;
    case ESP_PASS: /* of the prefixes, but not of the ports that the policy names */
        if (packet.len > PACKET_MAX)
            break;
        memcpy(dp->out[dp->queued], packet.data, packet.len);
        user_queue_wan(dp, packet.len);
        break;
    case ESP_DROP:
        user_log_note(dp, &note);
        break;
    case ESP_TO_LAN:
    case ESP_IGNORE:
        break;
    }
}

bool user_from_lan(struct user_datapath *dp)
{
    static const struct addr nobody;
    for (size_t packets = 0; packets < BATCH;) {
        struct segment segment;
        struct bytes piece;
        ssize_t got = read(dp->tun, dp->frame, sizeof(dp->frame));
        if (got <= 0)
            return false;
        packets++;
        if (segment_open(&segment, dp->frame, (size_t)got) != E_OK) {
            esp_path_count(&dp->path, DP_MALFORMED, &nobody, &nobody);
            continue;
        }
        for (; segment_next(&segment, dp->piece, sizeof(dp->piece), &piece); packets++)
            protect(dp, piece);
    }
    return true;
}

uint8_t *user_lan_room(struct user_datapath *dp)
{
    return dp->out[dp->to_lan.packet_count];
}

void user_to_lan(struct user_datapath *dp, uint8_t *packet, size_t len)
{
    if (!coalesce_add(&dp->to_lan, packet, len))
        return; /* cannot be: the last one flushed */
    if (dp->to_lan.packet_count == COALESCE_MAX)
        user_flush_lan(dp);
}

void user_flush_lan(struct user_datapath *dp)
{
    for (size_t i = 0; i < dp->to_lan.frame_count; i++) {
        struct virtio_net_hdr head;
        struct iovec parts[COALESCE_PARTS_MAX];
        size_t count = coalesce_frame(&dp->to_lan, i, &head, parts);
        const uint8_t *packet = parts[1].iov_base;
        ssize_t sent;
        do
            sent = writev(dp->tun, parts, (int)count);
        while (sent < 0 && errno == EINTR);
        if (sent < 0)
            user_count_lost(dp, packet);
    }
    coalesce_clear(&dp->to_lan);
}
