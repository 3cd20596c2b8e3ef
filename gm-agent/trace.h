/* trace.h - "gm-agent trace ...": which way one packet would take here, step by step: what is known of the
 * group, the entry that decides, the direction of the member, the key, the size on the wire, the verdict.
 * Asked of the core's state, so that nothing is sent and nothing is counted. Pure; never a key.
 *
 *   trace lan tcp 10.1.0.10 1234 10.2.0.10 443 [size N]    a clear packet from the protected side
 *   trace wan icmp 10.2.0.10 10.1.0.10                     a clear packet from the WAN
 *   trace esp 0x1001 udp 10.2.0.10 53 10.1.0.10 4000       an ESP packet from the WAN, and what is in it
 * Protocols: ip, icmp, icmp6, tcp, udp or a number; tcp, udp and 132 (SCTP) have ports. Either family. */
#ifndef GM_AGENT_TRACE_H
#define GM_AGENT_TRACE_H

#include "gm-agent/agent.h"
#include "gm-agent/ip_packet.h"

enum {
    TRACE_STEP_MAX = 6,
    TRACE_TEXT_MAX = 224,     /* bytes with NUL of a line */
    TRACE_SIZE_DEFAULT = 100, /* octets of a clear packet, header included, when no size is given */
};

enum trace_from { TRACE_LAN, TRACE_WAN, TRACE_ESP };
enum trace_verdict {
    TRACE_PROTECT, /* leaves as ESP */
    TRACE_OPEN,    /* ESP is opened, the packet goes to its host */
    TRACE_CLEAR,   /* passes as it is */
    TRACE_DROP,
};

struct trace_request {
    enum trace_from from;
    uint32_t spi;            /* TRACE_ESP */
    uint32_t size;           /* octets of the clear packet, IP header included */
    struct ip_packet packet; /* addresses, protocol, ports; whole is empty */
};

struct trace_step {
    const char *name; /* "registration", "policy", "direction", "key", "size": static */
    char text[TRACE_TEXT_MAX];
};

struct trace_result {
    struct trace_step steps[TRACE_STEP_MAX];
    size_t count;
    enum trace_verdict verdict;
    enum datapath_counter_id counter; /* with TRACE_DROP: the counter that it would raise */
    char why[TRACE_TEXT_MAX];         /* with TRACE_DROP and TRACE_CLEAR */
};

/* words: what follows "trace". E_RANGE with why (static text): a word is missing, unknown or wrong. */
err_t trace_parse(const char *words, struct trace_request *out, const char **why) MUST_USE;
void trace_run(const struct agent *agent, const struct trace_request *request, uint64_t now_ms,
               struct trace_result *out);
const char *trace_verdict_name(enum trace_verdict verdict); /* "protected", "opened", "clear", "dropped" */

#endif
