/* xfrm_probe.h - AES-GCM in the kernel with our sender id at the head of every IV (RFC 6054, DATAPATH 4). The
 * kernel's generator draws 64 random bits for each SA that is put in, and its IVs are these XOR the sequence
 * number, which moves the low 32 only. So an outbound SA is put in, one packet of our own goes through it to
 * a TUN device of our own, and the head of its IV shows what was drawn: if it is no sender id of ours, the SA
 * goes and is put in again, 2^bits times in the mean. Nobody's packets go through an SA before it is kept:
 * they are pinned to another SPI. One outbound SA for each sender id and key: the ledger remembers which were
 * used, since a salt that is drawn anew shares the sender id and could repeat an IV. Pure. */
#ifndef GM_AGENT_XFRM_PROBE_H
#define GM_AGENT_XFRM_PROBE_H

#include "gm-agent/xfrm_plan.h"

enum {
    XFRM_SID_BITS_MAX = 12,       /* 16 would take a quarter of a minute */
    XFRM_PROBE_TRIES_FACTOR = 16, /* times 2^bits tries: all in vain once in 8 million */
    XFRM_LEDGER_MAX = 4 * TEK_TABLE_MAX,
    XFRM_PROBE_PORT = 9, /* discard */
};

struct xfrm_ledger {
    struct {
        uint32_t spi;
        uint32_t sid;
    } used[XFRM_LEDGER_MAX];
    size_t count;
};

/* The address behind the probe device: the one after the anchor. */
void xfrm_probe_address(const struct xfrm_site *site, uint8_t out[4]);
/* Leads packets to that address into the SA under this SPI. */
struct xfrm_policy xfrm_probe_policy(const struct xfrm_site *site, uint32_t spi);
bool xfrm_probe_is_policy(const struct xfrm_site *site, const struct xfrm_policy *policy);
/* Is the packet, any octets, IPv4 with ESP under this SPI and an IV behind it? *sid: the IV's first bits. */
bool xfrm_probe_read(struct bytes packet, uint32_t spi, uint16_t sid_bits, uint32_t *sid);

bool xfrm_ledger_has(const struct xfrm_ledger *ledger, uint32_t spi, uint32_t sid);
bool xfrm_ledger_has_key(const struct xfrm_ledger *ledger, uint32_t spi);
/* E_FULL: more SAs than were ever expected; nobody may send under that key then. */
err_t xfrm_ledger_add(struct xfrm_ledger *ledger, uint32_t spi, uint32_t sid) MUST_USE;
/* Forgets the keys that are gone. */
void xfrm_ledger_prune(struct xfrm_ledger *ledger, const struct datapath_state *state);
/* How many of the state's sender ids were not used with this key yet. */
size_t xfrm_ledger_left(const struct xfrm_ledger *ledger, uint32_t spi, const uint32_t *sids, size_t count);

#endif
