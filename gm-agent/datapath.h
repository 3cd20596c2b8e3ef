/* datapath.h - what every data path back end does, as one interface. The agent tells the whole wanted state;
 * a back end finds out what that changes. Fail-close: without a key to send on, protected packets are dropped
 * and counted, never sent in clear; selectors stay while keys are missing. */
#ifndef GM_AGENT_DATAPATH_H
#define GM_AGENT_DATAPATH_H

#include <stdbool.h>

#include "gm-agent/config.h"
#include "gm-agent/dscp.h"
#include "gm-agent/tek_table.h"
#include "gm-agent/time_check.h"

enum {
    DATAPATH_FD_MAX = 8, /* descriptors that a back end wants to be polled */
};

/* Borrowed for the time of the call. */
struct datapath_state {
    const struct selector *selectors; /* what is protected; both ways: "src behind us" and "dst behind us" */
    size_t selector_count;
    const struct tek *in[TEK_TABLE_MAX];
    size_t in_count;
    const struct tek *out; /* one of in, or NULL: nothing may be sent */
    uint16_t sid_bits;     /* sender ids for counter modes (RFC 6054); 0: none */
    const uint32_t *sids;
    size_t sid_count;
    /* No policy is known (before the first registration, or after the keys have ended): selector_count is 0,
     * and nothing but UDP 848, 500, 4500 and the local deny entries may be forwarded between LAN and WAN.
     * What the machine itself sends and gets is not touched. */
    bool closed;
    /* The group's policy protects IPv6 and was refused, so that older keys hold without it: IPv6 between LAN and WAN is closed
     * in the same way. Back ends that can do IPv6 themselves leave it alone. */
    bool ipv6_closed;
    const struct selector *denies; /* local: pass in clear whatever the group says */
    size_t deny_count;
    enum datapath_direction direction;
    const char *group;        /* its name, for the log; may be NULL */
    struct group_clock clock; /* pseudotime as the key server told it; may not be set */
    uint32_t time_window_ms;  /* time-based anti-replay of the group; 0: off */
};

/* One kind of event in the data path, with who was first and last. */
struct datapath_counter {
    uint64_t count;
    uint64_t first_ms; /* wall clock */
    uint64_t last_ms;
    struct addr first_src, first_dst;
    struct addr last_src, last_dst;
};

enum datapath_counter_id {
    DP_ENCAPS,       /* packets put into ESP and handed to the WAN */
    DP_ENCRYPT,      /* of which sealed without an error */
    DP_DECAPS,       /* ESP packets taken apart and handed to the LAN */
    DP_DECRYPT,      /* ESP packets that opened */
    DP_VERIFY_ERROR, /* the ICV did not match */
    DP_INVALID_SPI,
    DP_REPLAY,    /* the sequence number was seen before, or is older than the window */
    DP_NO_POLICY, /* decrypted, but not matched by a selector, or outer and inner address differ */
    DP_NOT_IPSEC, /* clear packets from the WAN that policy wants protected */
    DP_NO_KEY,    /* protected packets without a key (or sender id) to send on */
    DP_MALFORMED,
    DP_BYPASS, /* of the prefixes, but not of the ports of a selector: passed on in clear */
    DP_SEND_ERROR,
    DP_TIME_REPLAY, /* the pseudotime is out of the window */
    DP_COUNTER_COUNT,
};

const char *datapath_counter_name(enum datapath_counter_id id); /* "encaps", "no_key" ...: static */

enum {
    DATAPATH_ABILITY_MAX = 24,
    DATAPATH_ABILITY_NAME_MAX = 40, /* bytes with NUL */
};

/* One thing that a data path may need, and whether this machine does it: tried, not looked up. */
struct datapath_ability {
    char name[DATAPATH_ABILITY_NAME_MAX]; /* "esp-aes 256 esp-sha256-hmac", "nftables" ... */
    err_t err;                            /* E_OK: works */
};

struct datapath;

/* What anti-replay has seen; borrows the data path. */
struct datapath_replay {
    const struct time_check *time;
    uint32_t window; /* packets per sender; 0: off */
    size_t senders;
    uint64_t evicted;
};

/* One thread of the back end, and what it carried. */
struct datapath_lane {
    uint64_t out, in; /* packets, as DP_ENCAPS and DP_DECAPS */
    bool sends;       /* gets packets from the protected side */
};

struct datapath_ops {
    const char *name;
    /* Can this back end do the policy at all? E_UNSUPPORTED and why as text (static) if not. Pure. */
    err_t (*check)(const struct group_policy *policy, const char **why);
    /* Make the state so. On an error the old state is kept as far as the kernel lets it. */
    err_t (*apply)(struct datapath *datapath, const struct datapath_state *state, const char **why);
    /* Descriptors to poll for reading; returns how many. They stay the same until close. */
    size_t (*fds)(const struct datapath *datapath, int out[DATAPATH_FD_MAX]);
    /* One of them is readable: handle a bounded batch. */
    void (*ready)(struct datapath *datapath, int fd);
    const struct datapath_counter *(*counters)(
        const struct datapath *datapath); /* DP_COUNTER_COUNT of them */
    /* Removes routes and rules, closes, wipes. NULL is fine. */
    void (*close)(struct datapath *datapath);
    /* Tries; returns how many. NULL: only what datapath_abilities tries for everyone. */
    size_t (*abilities)(struct datapath *datapath, struct datapath_ability out[DATAPATH_ABILITY_MAX]);
    /* From here on an op may be NULL: this back end cannot do it. */
    void (*replay)(const struct datapath *datapath, struct datapath_replay *out);
    /* The longest clear packet to a host that routers let pass, as they said; 0: they said nothing. */
    uint32_t (*fits)(const struct datapath *datapath, const struct addr *dst);
    /* By DSCP, since the agent's start; rekeys and new policies do not begin anew. Called behind counters, of
     * which it is a part. */
    void (*dscp)(const struct datapath *datapath, struct dscp_table *out);
    /* Its threads; returns how many. */
    size_t (*lanes)(const struct datapath *datapath, struct datapath_lane out[GM_THREAD_MAX]);
};

/* The first member of every back end's struct. */
struct datapath {
    const struct datapath_ops *ops;
    /* Set before close: routes, rules and keys in the kernel stay for the agent that follows (an upgrade).
     * For "user" there is nothing that could stay: its TUN device ends with it. */
    bool keep;
    /* Set by a back end's ready: devices or addresses are not what the latest apply found. The shell has the
     * agent apply anew, and clears it. */
    bool stale;
};

/* A back end as configured. Needs CAP_NET_ADMIN and CAP_NET_RAW for "user". E_PERMISSION, E_NOT_FOUND (a
 * device), E_IO, E_NO_MEMORY, with why (static text). */
err_t datapath_open(const struct gm_datapath_config *config, struct datapath **out,
                    const char **why) MUST_USE;
/* What can be done here, tried now: the back end's own tries, or our cipher library's transforms. */
size_t datapath_abilities(struct datapath *datapath, struct datapath_ability out[DATAPATH_ABILITY_MAX]);
err_t datapath_user_open(const struct gm_datapath_config *config, struct datapath **out,
                         const char **why) MUST_USE;
err_t datapath_xfrm_open(const struct gm_datapath_config *config, struct datapath **out,
                         const char **why) MUST_USE;
/* Policies that the user back end can do; also used for "none", so that both refuse the same. */
err_t datapath_user_check(const struct group_policy *policy, const char **why);

#endif
