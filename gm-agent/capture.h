/* capture.h - "gm-agent capture FILE ...": what passes the member's devices, in clear on the LAN side and as
 * ESP on the WAN side, in one pcapng file: one interface per device, IP packets without link headers
 * (LINKTYPE_RAW), direction and time of each. So one flow can be followed before and after its encryption.
 * Runs in the process that asks, not in the agent; never decrypts and needs no key. The functions here are
 * pure; capture_run is the shell.
 *
 *   capture FILE [lan | wan] [host A] [proto P] [port N] [count N] [seconds N] [snap N] */
#ifndef GM_AGENT_CAPTURE_H
#define GM_AGENT_CAPTURE_H

#include <stdio.h>

#include "gm-agent/config.h"

enum {
    CAPTURE_COUNT_DEFAULT = 10000,
    CAPTURE_COUNT_MAX = 1000000, /* packets */
    CAPTURE_SECONDS_DEFAULT = 60,
    CAPTURE_SECONDS_MAX = 86400,
    CAPTURE_SNAP_MIN = 64, /* octets kept of a packet */
    CAPTURE_SNAP_MAX = 65535,
    CAPTURE_DEVICE_MAX = GM_LAN_MAX + GM_WAN_MAX,
    CAPTURE_BLOCK_MAX = CAPTURE_SNAP_MAX + 64, /* octets of a packet's block */
    CAPTURE_HEAD_MAX = 128 + CAPTURE_DEVICE_MAX * 64,
};

enum capture_direction { CAPTURE_IN = 1, CAPTURE_OUT = 2 }; /* as in epb_flags */

/* All that are set must match; an ICMP error does not match by what it quotes. */
struct capture_filter {
    bool has_host, has_protocol;
    struct addr host; /* source or destination */
    uint8_t protocol;
    uint16_t port; /* of either end, 0: any; later fragments have none */
};

struct capture_request {
    char path[GM_PATH_MAX];
    bool lan, wan;
    struct capture_filter filter;
    uint32_t count, seconds, snap;
};

/* words: what follows "capture". E_RANGE with why (static text). */
err_t capture_parse(char **words, size_t count, struct capture_request *out, const char **why) MUST_USE;
/* Broken packets match only a filter with nothing set. */
bool capture_matches(const struct capture_filter *filter, struct bytes packet);
/* Section header and interface descriptions. */
void capture_write_head(struct writer *w, const char *const *devices, size_t count, uint32_t snap);
/* kept: the first octets; original: length on the wire; time_ns: wall clock. */
void capture_write_packet(struct writer *w, uint32_t device, uint64_t time_ns,
                          enum capture_direction direction, struct bytes kept, uint32_t original);

/* Until count packets, seconds, or SIGINT/SIGTERM. The file is made anew (0600); one that is there is not
 * overwritten. Says on to how many there were, and how many the kernel dropped meanwhile. E_EXISTS,
 * E_NOT_FOUND (a device), E_PERMISSION (needs CAP_NET_RAW), E_IO, E_UNSUPPORTED (no device is configured). */
err_t capture_run(const struct capture_request *request, const struct gm_datapath_config *config,
                  FILE *to) MUST_USE;

#endif
