/* path_probe.h - black holes: ways on which short packets pass and long ones vanish, with no router that
 * complains. A member cannot see that in what it forwards, so it asks hosts behind other members, by ICMP
 * echo through the group: only those that the configuration names, since not everybody wants to be asked. A
 * host that answers a short packet, not a full one (with DF), and then a short one again, is behind a black
 * hole; how long a packet may be is found by halving. Who does not answer the short one says nothing about
 * the way. Pure; log lines go out by event(). */
#ifndef GM_AGENT_PATH_PROBE_H
#define GM_AGENT_PATH_PROBE_H

#include "gm-agent/config.h"

enum {
    PATH_PROBE_ROUND_MS = 60000, /* between two rounds for a host */
    PATH_PROBE_STAGGER_MS = 500, /* between the first rounds of two hosts */
    PATH_PROBE_WAIT_MS = 1000,   /* for an answer */
    PATH_PROBE_TRIES = 4,        /* of one length */
    PATH_PROBE_SHORT = 68,       /* octets of an IP packet that every way takes (RFC 791 3.2) */
    PATH_PROBE_EXACT = 8,        /* octets; halving ends there */
    PATH_PROBE_HEADERS = 28,     /* IP and ICMP echo */
};

enum path_verdict { PATH_UNKNOWN, PATH_SILENT /* not even short ones */, PATH_CLEAR, PATH_BLACK_HOLE };

struct path_target {
    struct addr addr;
    enum path_verdict verdict;
    uint64_t since_ms; /* monotonic: the verdict is so; 0 while unknown */
    uint32_t full;     /* octets that should pass, as far as this machine knows */
    uint32_t passes;   /* octets that do; black hole only */
    enum { PROBE_REST, PROBE_SHORT, PROBE_FULL, PROBE_AGAIN, PROBE_HALVE } phase;
    uint32_t len;       /* being tried */
    uint32_t low, high; /* halving: passes, does not */
    unsigned tries;     /* of len */
    uint16_t seq;       /* of the latest packet */
    bool unsent;        /* it is to be sent */
    uint64_t due_ms;    /* the next thing to do */
};

struct path_probe {
    struct path_target targets[GM_PROBE_MAX];
    size_t count;
    /* The longest packet to this host that the machine sends, or hosts are told to: what is longer is
     * complained of, which is no black hole. */
    uint32_t (*fits)(void *context, size_t target);
    void *context;
};

void path_probe_init(struct path_probe *p, const struct gm_datapath_config *config, uint64_t now_ms);
/* Call until false: send an echo request of len octets (IP header included) with DF and this number. */
bool path_probe_next(struct path_probe *p, uint64_t now_ms, size_t *target, uint32_t *len, uint16_t *seq);
/* An echo reply of that host with that number and length. Others are ignored. */
void path_probe_answer(struct path_probe *p, size_t target, uint16_t seq, uint32_t len, uint64_t now_ms);
uint64_t path_probe_wake_ms(const struct path_probe *p); /* UINT64_MAX: no host is named */
const char *path_verdict_name(enum path_verdict verdict);

#endif
