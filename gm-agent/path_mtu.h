/* path_mtu.h - how long a packet may be on the way to a host, as routers tell that drop our ESP (RFC 1191,
 * RFC 8201). Because ESP has the hosts' addresses they tell the host, which cannot know the packet that they
 * quote: so the member listens, remembers, and answers the host's next long packet itself. Who quotes a key's
 * SPI has seen the ESP; whoever has can do worse, but never below PATH_MTU_MIN. Pure; the caller owns the
 * struct. */
#ifndef GM_AGENT_PATH_MTU_H
#define GM_AGENT_PATH_MTU_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/wire.h"

enum {
    PATH_MTU_HOSTS_MAX = 256,
    PATH_MTU_MIN = 576,        /* octets with ESP; less is not believed (IPv6: IP6_MTU_MIN) */
    PATH_MTU_LIFE_MS = 600000, /* then a longer way may have been repaired (RFC 1191 6.3) */
    PATH_MTU_AGE_MS = 10000,   /* between looks */
};

/* A router's complaint about an ESP packet. */
struct path_mtu_hint {
    struct addr router;
    struct addr src, dst; /* of the ESP packet */
    uint32_t spi;
    uint16_t mtu; /* octets that fit there; an old router's 0 is made a guess (RFC 1191 7.1) */
};

struct path_mtu {
    struct {
        struct addr dst;
        uint16_t mtu;
        uint64_t until_ms;
    } hosts[PATH_MTU_HOSTS_MAX];
    size_t count;
};

/* ICMP type 3 code 4, or ICMPv6 type 2 (RFC 8201), quoting ESP. False: something else. */
bool path_mtu_read(struct path_mtu_hint *out, struct bytes packet) MUST_USE;
/* True: the way is narrower than was known, and there is room to remember it. */
bool path_mtu_learn(struct path_mtu *table, const struct addr *dst, uint16_t mtu, uint64_t now_ms) MUST_USE;
/* Octets with ESP; 0: nothing is known. */
uint16_t path_mtu_find(const struct path_mtu *table, const struct addr *dst);
/* Forgets one host whose time is up. False: none. */
bool path_mtu_forget(struct path_mtu *table, uint64_t now_ms, struct addr *dst) MUST_USE;
/* Logs what was learnt, and that hosts are told inner octets, or why they cannot be. */
void path_mtu_log(const struct path_mtu_hint *hint, uint32_t inner, err_t err);

#endif
