/* shard.h - several raw ESP sockets, each in a thread of its own, share the packets: the kernel gives every
 * packet to all of them, and a filter on each takes its part. Two packets that must keep their order go the
 * same way. */
#ifndef GM_AGENT_SHARD_H
#define GM_AGENT_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum shard_key {
    SHARD_HOSTS,   /* source and destination: a flow keeps its order */
    SHARD_SOURCE,  /* source: and a sender of the replay windows, where it is an address */
    SHARD_SID,     /* the first sid_bits of the IV: the same where it is a sender id */
    SHARD_NOTHING, /* until there is a key */
};

struct shard {
    enum shard_key key;
    uint16_t sid_bits;   /* 1 to 32 with SHARD_SID */
    size_t index, count; /* the packets of index, of so many */
};

/* fd: a raw socket for ESP of that family (AF_INET, AF_INET6). Replaces the filter before. E_RANGE, E_IO. */
err_t shard_attach(int fd, int family, const struct shard *shard) MUST_USE;

#endif
