/* esp_path.h - one packet in, one packet out: the user data path without sockets (DATAPATH 8, RFC 4303, RFC
 * 5374 3.1, RFC 6054). Wire format: IP[hostA -> hostB, proto 50] ESP(SPI, seq) IV, IP[hostA -> hostB] ...,
 * ICV; IPv6 in IPv6, IPv4 in IPv4. No allocation per packet; any bytes are fine. A path is used by one thread
 * at a time. Several paths may be one member, each with a thread of its own: they share what senders and
 * receivers must agree on, see esp_path_share. */
#ifndef GM_AGENT_ESP_PATH_H
#define GM_AGENT_ESP_PATH_H

#include <pthread.h>

#include "base/clock.h"
#include "base/rng.h"
#include "gm-agent/datapath.h"
#include "gm-agent/policy.h"
#include "gm-agent/replay_table.h"
#include "gm-agent/send_ledger.h"
#include "proto/crypto/esp.h"

enum {
    ESP_PATH_IV_POOL = 1024,       /* octets of randomness drawn at once, for CBC IVs */
    ESP_PATH_KEEP_RETRY_MS = 1000, /* after a reservation that could not be written down */
};

enum esp_verdict {
    ESP_TO_WAN, /* out has an ESP packet */
    ESP_TO_LAN, /* out has a clear packet for the protected side */
    ESP_PASS,   /* not ours after all: hand it on as it is */
    ESP_DROP,   /* counted; see why */
    ESP_IGNORE, /* nothing of the group's: not counted */
};

struct esp_sa {
    uint32_t spi;
    struct tek tek;
    struct esp_context *context;
};

struct esp_path {
    struct esp_path *shared; /* whose ledger, keep, replay and time are used: its own, or another's */
    struct policy_list policy;
    struct policy_program program;
    bool has_policy;
    enum datapath_direction direction;
    struct esp_sa sas[TEK_TABLE_MAX];
    size_t sa_count;
    bool has_out;
    size_t out; /* index into sas */
    uint16_t sid_bits;
    uint32_t sids[POLICY_SID_MAX];
    size_t sid_count;
    size_t sid;                  /* index into sids: the one in use; the next one when it is used up */
    pthread_mutex_t ledger_lock; /* of all but seq and ssiv of a counter, which its path alone uses */
    struct send_ledger ledger;
    bool has_counter;
    size_t counter; /* index into the ledger of the key that sends: held, so that none makes room of it */
    /* Writes reservations down; NULL: nobody does (ledger.kept is false then). */
    err_t (*keep)(void *context, const struct send_ledger *ledger);
    void *keep_context;
    uint64_t keep_retry_ms;
    pthread_mutex_t fresh_lock; /* of the next two; clock and windows change only in esp_path_apply */
    struct replay_table replay;
    struct time_check time;
    uint16_t ip_id;
    const struct rng *rng;
    const struct clock *clock;
    bool
        time_held; /* the caller says when time goes on, by esp_path_tick; else it is asked for each packet */
    uint64_t mono_ms, wall_ms;
    uint8_t iv_pool[ESP_PATH_IV_POOL];
    size_t iv_left;
    struct datapath_counter counters[DP_COUNTER_COUNT];
    struct dscp_table dscp;
};

/* What happened, for the log. */
struct esp_note {
    enum datapath_counter_id why; /* with ESP_DROP */
    uint32_t spi;
    struct addr src, dst;
    uint8_t protocol;
    uint32_t seq;
    uint16_t entry; /* of the policy that decided, POLICY_ENTRY_MAX: none */
    bool sampled;   /* DP_TIME_REPLAY: time is filled in and worth a line in the log */
    struct time_reject time;
};

void esp_path_init(struct esp_path *path, const struct rng *rng, const struct clock *clock);
void esp_path_close(struct esp_path *path); /* wipes; those that share it go first */
/* From now on path uses the replay windows, the time check and the ledger of with, which lives longer. Then
 * each may have a thread of its own, if no two send by the same key and sender id, and esp_path_apply is
 * called only while none of the others runs. */
void esp_path_share(struct esp_path *path, struct esp_path *with);
/* Nothing is sent until the next esp_path_apply. */
void esp_path_mute(struct esp_path *path);
void esp_path_tick(struct esp_path *path); /* looks at the clock */
/* Per-sender windows of so many packets (replay_table.h); 0: off. E_NO_MEMORY. */
err_t esp_path_set_replay(struct esp_path *path, uint32_t window) MUST_USE;
/* New policy and keys; contexts of keys that stay are kept. On an error nothing has changed. E_NO_MEMORY,
 * E_BAD_KEY ... */
err_t esp_path_apply(struct esp_path *path, const struct datapath_state *state) MUST_USE;
/* A packet from the protected side. out has room for raw.len + IP_OUTER_MAX + ESP_OVERHEAD_MAX octets. */
enum esp_verdict esp_path_encapsulate(struct esp_path *path, struct bytes raw, uint8_t *out, size_t cap,
                                      size_t *out_len, struct esp_note *note);
/* A packet from the WAN with protocol 50, IP header included. out has room for raw.len. */
enum esp_verdict esp_path_decapsulate(struct esp_path *path, struct bytes raw, uint8_t *out, size_t cap,
                                      size_t *out_len, struct esp_note *note);
/* A clear packet from the WAN with addresses of the policy: dropped if a selector protects it, else passed
 * on. */
enum esp_verdict esp_path_guard(struct esp_path *path, struct bytes raw, struct esp_note *note);
/* Does the policy ask for protection? */
bool esp_path_protects(struct esp_path *path, const struct ip_packet *packet);
void esp_path_count(struct esp_path *path, enum datapath_counter_id id, const struct addr *src,
                    const struct addr *dst);
/* The longest clear packet of a family whose ESP packet fits into wan_mtu octets, over all suites that are in
 * use (the largest overhead of any when there are none yet). */
size_t esp_path_inner_mtu(const struct esp_path *path, uint8_t family, size_t wan_mtu);

#endif
