/* esp_path.h - one packet in, one packet out: the user data path without sockets (DATAPATH 8, RFC 4303, RFC
 * 5374 3.1, RFC 6054). Wire format: IP[hostA -> hostB, proto 50] ESP(SPI, seq) IV, IP[hostA -> hostB] ...,
 * ICV. No allocation per packet; any bytes are fine. Used by one thread. */
#ifndef GM_AGENT_ESP_PATH_H
#define GM_AGENT_ESP_PATH_H

#include "base/clock.h"
#include "base/rng.h"
#include "gm-agent/datapath.h"
#include "gm-agent/ip_packet.h"
#include "proto/crypto/esp.h"

enum {
    ESP_PATH_LEDGER_MAX = 64, /* remembered counters of keys that were sent on and are gone */
    ESP_PATH_IV_POOL = 1024,  /* octets of randomness drawn at once, for CBC IVs */
};

enum esp_verdict {
    ESP_TO_WAN, /* out has an ESP packet */
    ESP_TO_LAN, /* out has a clear packet for the protected side */
    ESP_PASS,   /* not ours after all: hand it on as it is */
    ESP_DROP,   /* counted; see why */
    ESP_IGNORE, /* nothing of the group's: not counted */
};

/* What a selector's addresses are as numbers in host order, to match without loops over octets. */
struct esp_selector {
    uint32_t src, src_mask;
    uint32_t dst, dst_mask;
    uint8_t protocol;
    uint16_t src_port, dst_port;
};

struct esp_sa {
    uint32_t spi;
    struct tek tek;
    struct esp_context *context;
};

/* Where sending on a key stands. It goes on there whenever the key comes back in this process, so that no
 * counter is ever used twice under one key and sender id. */
struct esp_counter {
    uint32_t spi;
    uint32_t seq;  /* of the last packet; wraps: no receiver of a group checks it (RFC 4303 3.3.3) */
    uint64_t ssiv; /* of the last packet: the part of the GCM IV behind the SID (RFC 6054 3) */
    uint64_t used; /* for the choice of which to forget */
};

struct esp_path {
    struct esp_selector selectors[POLICY_SELECTOR_MAX];
    size_t selector_count;
    struct esp_sa sas[TEK_TABLE_MAX];
    size_t sa_count;
    bool has_out;
    size_t out; /* index into sas */
    uint16_t sid_bits;
    uint32_t sids[POLICY_SID_MAX];
    size_t sid_count;
    struct esp_counter ledger[ESP_PATH_LEDGER_MAX];
    size_t ledger_count;
    size_t counter; /* index into ledger of the key that sends */
    uint64_t ledger_clock;
    uint16_t ip_id;
    const struct rng *rng;
    const struct clock *clock; /* wall time of the counters */
    uint8_t iv_pool[ESP_PATH_IV_POOL];
    size_t iv_left;
    struct datapath_counter counters[DP_COUNTER_COUNT];
};

/* What happened, for the log. */
struct esp_note {
    enum datapath_counter_id why; /* with ESP_DROP */
    uint32_t spi;
    uint8_t src[4], dst[4];
    uint8_t protocol;
};

void esp_path_init(struct esp_path *path, const struct rng *rng, const struct clock *clock);
void esp_path_close(struct esp_path *path); /* wipes */
/* New policy and keys; contexts of keys that stay are kept. On an error nothing has changed. E_NO_MEMORY,
 * E_BAD_KEY ... */
err_t esp_path_apply(struct esp_path *path, const struct datapath_state *state) MUST_USE;
/* A packet from the protected side. out has room for raw.len + IP_HEADER_LEN + ESP_OVERHEAD_MAX octets. */
enum esp_verdict esp_path_encapsulate(struct esp_path *path, struct bytes raw, uint8_t *out, size_t cap,
                                      size_t *out_len, struct esp_note *note);
/* A packet from the WAN with protocol 50, IP header included. out has room for raw.len. */
enum esp_verdict esp_path_decapsulate(struct esp_path *path, struct bytes raw, uint8_t *out, size_t cap,
                                      size_t *out_len, struct esp_note *note);
/* A clear packet from the WAN with addresses of the policy: dropped if a selector protects it, else passed
 * on. */
enum esp_verdict esp_path_guard(struct esp_path *path, struct bytes raw, struct esp_note *note);
/* Does a selector ask for protection? Fragments behind the first carry no ports and count as protected when
 * the rest matches (RFC 4301 7.3 would need state): better in ESP than in clear. */
bool esp_path_protects(const struct esp_path *path, const struct ip_packet *packet);
void esp_path_count(struct esp_path *path, enum datapath_counter_id id, const uint8_t src[4],
                    const uint8_t dst[4]);
/* The longest clear packet whose ESP packet fits into wan_mtu octets, over all suites that are in use (the
 * largest overhead of any when there are none yet). */
size_t esp_path_inner_mtu(const struct esp_path *path, size_t wan_mtu);

#endif
