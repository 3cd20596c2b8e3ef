/* status.c - answers as text. */
#include "gm-agent/status.h"

#include "gm-agent/selector_text.h"
#include "gm-agent/status_dataplane.h"
#include "gm-agent/status_eli.h"
#include "gm-agent/status_path.h"
#include "gm-agent/status_text.h"
#include "gm-agent/status_trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

uint64_t status_left_s(uint64_t at_ms, uint64_t now_ms)
{
    return at_ms == TIME_NEVER || at_ms <= now_ms ? 0 : (at_ms - now_ms) / 1000;
}

const char *status_transform(const struct esp_suite *suite, char out[64])
{
    const char *hmac = suite->auth == AUTH_HMAC_SHA256   ? "sha256"
                       : suite->auth == AUTH_HMAC_SHA384 ? "sha384"
                       : suite->auth == AUTH_HMAC_SHA512 ? "sha512"
                                                         : NULL;
    if (hmac != NULL)
        snprintf(out, 64, "esp-%u-aes esp-%s-hmac", suite->key_bits, hmac);
    else
        snprintf(out, 64, "esp-gcm %u", suite->key_bits);
    return out;
}

static void add_clock(struct text *t, uint64_t since_ms, uint64_t now_ms)
{
    uint64_t s = since_ms == 0 ? 0 : (now_ms - since_ms) / 1000;
    add(t, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60, s % 60);
}

static void add_acl(struct text *t, const struct agent *agent)
{
    char ks[ADDR_TEXT_MAX], entry[SELECTOR_TEXT_MAX];
    add(t, " ACL Downloaded From KS %s:\n", addr_format(&agent->registered_with.addr, ks));
    for (size_t i = 0; i < agent->selector_count; i++) {
        add(t, "   access-list   permit %s\n", selector_format(&agent->selectors[i], entry));
    }
}

static size_t live_teks(const struct agent *agent, uint64_t now_ms)
{
    size_t live = 0;
    for (size_t i = 0; i < agent->teks.count; i++)
        live += agent->teks.entries[i].expires_ms > now_ms;
    return live;
}

static const char *registration_status(const struct status_view *view)
{
    if (registration_active(&view->agent->reg))
        return view->agent->registered ? "Re-registering" : "Registering";
    return view->agent->registered && live_teks(view->agent, view->now_ms) != 0 ? "Registered"
                                                                                : "Not registered";
}

static const char *direction(const struct gm_config *config)
{
    static const char *const words[] = {"Both", "Inbound Optional", "Inbound Only"};
    return words[config->datapath.direction];
}

static void add_uplinks(struct text *t, const char *before, const struct gm_datapath_config *config)
{
    add(t, "%s%s", before, config->wan[0] != '\0' ? config->wan : "none");
    for (size_t i = 1; i <= config->more_wan_count; i++)
        add(t, ", %s", gm_config_wan(config, i));
}

static void add_member(struct text *t, const struct status_view *view)
{
    const struct agent *agent = view->agent;
    const struct gm_config *config = agent->config;
    char self[ADDR_TEXT_MAX], ks[ADDR_TEXT_MAX], from[ADDR_TEXT_MAX];
    const struct endpoint *remote =
        agent->registered ? &agent->registered_with : &config->servers[agent->server % config->server_count];
    addr_format(&config->local.addr, self);
    addr_format(&remote->addr, ks);
    add(t, "Group Member Information For Group %s:\n", config->group_name);
    add(t, "    IPSec SA Direction       : %s\n", direction(config));
    add(t, "    ACL Received From KS     : gdoi_group_%s_temp_acl\n\n", config->group_name);
    add(t, "    Group member             : %-15s vrf: None\n", self);
    add(t, "       Local addr/port       : %s/%u\n", self, config->local.port);
    add(t, "       Remote addr/port      : %s/%u\n", ks, remote->port);
    add(t, "       fvrf/ivrf             : None/None\n");
    add(t, "       Version               : %s\n", QUORATE_VERSION);
    add(t, "       Registration status   : %s\n", registration_status(view));
    add(t, "       Registered with       : %s\n", agent->registered ? ks : "none");
    add(t, "       Re-registers in       : %" PRIu64 " sec\n",
        agent_reregisters_in_ms(agent, view->now_ms) / 1000);
    add(t, "       Succeeded registration: %u\n", agent->stats.registrations);
    add(t, "       Attempted registration: %u\n", agent->stats.attempts);
    add(t, "       Last rekey from       : %s\n",
        agent->stats.last_rekey_ms != 0 ? addr_format(&agent->stats.last_rekey_from.addr, from) : "0.0.0.0");
    add(t, "       Last rekey seq num    : %u\n", agent->stats.last_rekey_seq);
    add(t, "       %s rekey received: %u\n",
        agent->transport == REKEY_TRANSPORT_MULTICAST ? "Multicast" : "Unicast", agent->stats.rekeys);
    add(t, "       Rekey ACKs sent       : %u\n", agent->stats.acks);
    add(t, "       Rekey Rcvd(hh:mm:ss)  : ");
    add_clock(t, agent->stats.last_rekey_ms, view->now_ms);
    add(t, "\n       PFS Rekey received    : 0\n");
    add(t, "       DP Error Monitoring   : OFF\n");
    add(t, "       IPSEC init reg executed    : 0\n");
    add(t, "       IPSEC init reg postponed   : 0\n");
    add(t, "       Active TEK Number     : %zu\n", live_teks(agent, view->now_ms));
    add(t, "       SA Track (OID/status) : disabled\n");
    add(t, "       Fail-Close Revert : %s\n\n", config->datapath.revert ? "Enabled" : "Disabled");
    add(t, "       allowable rekey cipher: any\n");
    add(t, "       allowable rekey hash  : any\n");
    add(t, "       allowable transformtag: any ESP\n\n");
    add(t, "    Rekeys cumulative\n");
    add(t, "       Total received        : %u\n", agent->stats.rekeys);
    add(t, "       After latest register : %u\n", agent->stats.rekeys_since);
    add(t, "       Rekey Acks sents      : %u\n\n", agent->stats.acks);
}

static const char *hash_text(enum hash_alg alg)
{
    switch (alg) {
    case HASH_SHA256:
        return "HMAC_AUTH_SHA256";
    case HASH_SHA384:
        return "HMAC_AUTH_SHA384";
    case HASH_SHA512:
        return "HMAC_AUTH_SHA512";
    case HASH_SHA1:
        return "HMAC_AUTH_SHA";
    case HASH_NONE:
        break;
    }
    return "none";
}

static void add_kek(struct text *t, const struct status_view *view)
{
    const struct rekey_listen *listen = &view->agent->listen;
    const struct kek *kek = &listen->member.kek;
    add(t, "KEK POLICY:\n");
    if (!listen->active) {
        add(t, "    none\n\n");
        return;
    }
    add(t, "    Rekey Transport Type     : %s\n",
        view->agent->transport == REKEY_TRANSPORT_MULTICAST ? "Multicast" : "Unicast");
    add(t, "    Lifetime (secs)          : %" PRIu64 "\n", status_left_s(listen->expires_ms, view->now_ms));
    add(t, "    Encrypt Algorithm        : %s\n", kek->cipher == CIPHER_3DES_CBC ? "3DES" : "AES");
    add(t, "    Key Size                 : %zu\n", cipher_key_len(kek->cipher) * 8);
    add(t, "    Sig Hash Algorithm       : %s\n", hash_text(kek->sig_hash));
    add(t, "    Sig Key Length (bits)    : %u\n\n", kek->sig_key_bits);
}

static void add_tek(struct text *t, const struct tek_entry *entry, uint32_t window_ms, uint64_t now_ms)
{
    char transform[64];
    const struct tek *tek = &entry->tek;
    add(t, "    IPsec SA:\n");
    add(t, "        spi: 0x%08X(%u)\n", tek->spi, tek->spi);
    add(t, "        transform: %s\n", status_transform(&tek->suite, transform));
    add(t, "        sa timing:remaining key lifetime (sec): (%" PRIu64 ")\n",
        status_left_s(entry->expires_ms, now_ms));
    if (window_ms != 0)
        add(t, "        Anti-Replay(Time Based) : %g sec interval\n", window_ms / 1000.0);
    else
        add(t, "        Anti-Replay : Disabled\n");
    add(t, "        tag method : disabled\n");
    add(t, "        alg key size: %u (bytes)\n", tek->suite.key_bits / 8u);
    add(t, "        sig key size: %u (bytes)\n", tek->integrity.len);
    add(t, "        encaps: ENCAPS_TUNNEL\n\n");
}

/* The families that the policy protects; ipv4 before there is one. */
static const char *crypto_path(const struct agent *agent)
{
    bool four = false, six = false;
    for (size_t i = 0; i < agent->selector_count; i++)
        *(agent->selectors[i].src.addr.family == AF_INET6 ? &six : &four) = true;
    return !six ? "ipv4" : four ? "ipv4, ipv6" : "ipv6";
}

static void add_gdoi(struct text *t, const struct status_view *view)
{
    const struct agent *agent = view->agent;
    const struct gm_config *config = agent->config;
    char identity[ID_TEXT_MAX], self[ADDR_TEXT_MAX], ks[ADDR_TEXT_MAX];
    addr_format(&config->local.addr, self);
    add(t, "GROUP INFORMATION\n\n");
    add(t, "    Group Name               : %s\n", config->group_name);
    add(t, "    Group Identity           : %s\n", identity_format(&config->group, identity));
    add(t, "    Group Type               : GDOI (ISAKMP)\n");
    add(t, "    Crypto Path              : %s\n", crypto_path(agent));
    add(t, "    Key Management Path      : %s\n", config->local.addr.family == AF_INET6 ? "ipv6" : "ipv4");
    add(t, "    Rekeys received          : %u\n", agent->stats.rekeys);
    add(t, "    IPSec SA Direction       : %s\n\n", direction(config));
    for (size_t i = 0; i < config->server_count; i++)
        add(t, "%s%s\n", i == 0 ? "     Group Server list       : " : "                               ",
            addr_format(&config->servers[i].addr, ks));
    add(t, "\n");
    add_member(t, view);
    add_acl(t, agent);
    add(t, "\n");
    add_kek(t, view);
    add(t, "TEK POLICY for the current KS-Policy ACEs Downloaded:\n");
    add_uplinks(t, "  ", &config->datapath);
    add(t, ":\n");
    for (size_t i = 0; i < agent->teks.count; i++)
        add_tek(t, &agent->teks.entries[i], agent->time_window_ms, view->now_ms);
    add(t, "\nKGS POLICY:\n  REG_GM: local_addr %s\n\nP2P POLICY:\n  REG_GM: local_addr %s\n", self, self);
}

static void add_rekey(struct text *t, const struct status_view *view)
{
    const struct agent *agent = view->agent;
    add(t, "Group %s (%s)\n", agent->config->group_name,
        agent->transport == REKEY_TRANSPORT_MULTICAST ? "Multicast" : "Unicast");
    add(t, "    Number of Rekeys received (cumulative)       : %u\n", agent->stats.rekeys);
    add(t, "    Number of Rekeys received after registration : %u\n", agent->stats.rekeys_since);
    add(t, "    Number of Rekey Acks sent                    : %u\n", agent->stats.acks);
    add(t, "    Number of Rekeys repeated by the KS          : %u\n", agent->stats.repeated);
    add(t, "    Number of Rekeys refused (replayed)          : %u\n", agent->stats.replayed);
    add(t, "    Number of Rekeys refused (not genuine)       : %u\n", agent->stats.refused);
    add(t, "    Number of Rekeys under an unknown KEK        : %u\n", agent->stats.unknown_kek);
}

static void add_ident(struct text *t, const char *label, const struct prefix *prefix, uint8_t protocol,
                      uint16_t port)
{
    char text[ADDR_TEXT_MAX], mask_text[ADDR_TEXT_MAX];
    struct addr mask = {.family = prefix->addr.family};
    prefix_mask(prefix, mask.bytes);
    add(t, "   %s ident (addr/mask/prot/port): (%s/%s/%u/%u)\n", label, addr_format(&prefix->addr, text),
        addr_format(&mask, mask_text), protocol, port);
}

static void add_sa(struct text *t, const struct tek_entry *entry, const char *state, uint64_t now_ms)
{
    char transform[64];
    add(t, "      spi: 0x%08X(%u)\n", entry->tek.spi, entry->tek.spi);
    add(t, "        transform: %s ,\n", status_transform(&entry->tek.suite, transform));
    add(t, "        in use settings ={Tunnel, }\n");
    add(t, "        sa timing: remaining key lifetime (sec): (%" PRIu64 ")\n",
        status_left_s(entry->expires_ms, now_ms));
    add(t, "        replay detection support: N\n");
    add(t, "        Status: %s\n\n", state);
}

static void add_peers(struct text *t, const char *label, const struct datapath_counter *c)
{
    char from[2][ADDR_TEXT_MAX], to[2][ADDR_TEXT_MAX];
    add(t, "    #pkts %-28s: %" PRIu64, label, c->count);
    if (c->count != 0)
        add(t, " first %s -> %s last %s -> %s", addr_format(&c->first_src, from[0]),
            addr_format(&c->first_dst, to[0]), addr_format(&c->last_src, from[1]),
            addr_format(&c->last_dst, to[1]));
    add(t, "\n");
}

static void add_counters(struct text *t, const struct datapath_counter *c)
{
    uint64_t receive_errors = c[DP_VERIFY_ERROR].count + c[DP_INVALID_SPI].count + c[DP_NO_POLICY].count +
                              c[DP_NOT_IPSEC].count + c[DP_MALFORMED].count;
    add(t, "    #pkts encaps: %" PRIu64 ", #pkts encrypt: %" PRIu64 ", #pkts digest: %" PRIu64 "\n",
        c[DP_ENCAPS].count, c[DP_ENCRYPT].count, c[DP_ENCRYPT].count);
    add(t, "    #pkts decaps: %" PRIu64 ", #pkts decrypt: %" PRIu64 ", #pkts verify: %" PRIu64 "\n",
        c[DP_DECAPS].count, c[DP_DECRYPT].count, c[DP_DECRYPT].count);
    add(t, "    #pkts compressed: 0, #pkts decompressed: 0\n");
    add(t, "    #pkts not compressed: 0, #pkts compr. failed: 0\n");
    add(t, "    #pkts not decompressed: 0, #pkts decompress failed: 0\n");
    add(t, "    #send errors %" PRIu64 ", #recv errors %" PRIu64 "\n",
        c[DP_SEND_ERROR].count + c[DP_NO_KEY].count, receive_errors);
    add_peers(t, "no sa (send)", &c[DP_NO_KEY]);
    add_peers(t, "invalid sa (rcv)", &c[DP_INVALID_SPI]);
    add_peers(t, "verify fail (rcv)", &c[DP_VERIFY_ERROR]);
    add_peers(t, "replay fail (rcv)", &c[DP_REPLAY]);
    add_peers(t, "not an ipsec packet (rcv)", &c[DP_NOT_IPSEC]);
    add_peers(t, "no policy", &c[DP_NO_POLICY]);
    add_peers(t, "malformed", &c[DP_MALFORMED]);
    add_peers(t, "passed in clear (ports)", &c[DP_BYPASS]);
}

static void add_ipsec(struct text *t, const struct status_view *view)
{
    const struct agent *agent = view->agent;
    const struct tek_entry *out = tek_table_out(&agent->teks);
    char self[ADDR_TEXT_MAX];
    addr_format(&agent->config->local.addr, self);
    add_uplinks(t, "interface: ", &agent->config->datapath);
    add(t, "\n    Crypto map tag: %s, local addr %s\n\n", agent->config->group_name, self);
    for (size_t i = 0; i < agent->selector_count; i++) {
        const struct selector *s = &agent->selectors[i];
        add_ident(t, "local ", &s->src, s->protocol, s->src_port);
        add_ident(t, "remote", &s->dst, s->protocol, s->dst_port);
    }
    add(t, "   Group: %s\n   current_peer 0.0.0.0 port %u\n     PERMIT, flags={}\n",
        agent->config->group_name, agent->config->local.port);
    add_counters(t, view->counters);
    add(t, "\n     local crypto endpt.: %s, remote crypto endpt.: 0.0.0.0\n", self);
    add(t, "     current outbound spi: 0x%08X(%u)\n\n", out != NULL ? out->tek.spi : 0,
        out != NULL ? out->tek.spi : 0);
    add(t, "     inbound esp sas:\n");
    for (size_t i = 0; i < agent->teks.count; i++)
        add_sa(t, &agent->teks.entries[i], "ACTIVE(ACTIVE)", view->now_ms);
    add(t, "     outbound esp sas:\n");
    if (out != NULL)
        add_sa(t, out, "ACTIVE(ACTIVE)", view->now_ms);
}

size_t status_text(const struct status_view *view, enum status_command command, char *out, size_t cap)
{
    struct text t = {out, cap, 0};
    if (cap != 0)
        out[0] = '\0';
    switch (command) {
    case STATUS_SHOW_GDOI:
        add_gdoi(&t, view);
        break;
    case STATUS_SHOW_GM:
        add_member(&t, view);
        break;
    case STATUS_SHOW_REKEY:
        add_rekey(&t, view);
        break;
    case STATUS_SHOW_IPSEC:
        add_ipsec(&t, view);
        break;
    case STATUS_SHOW_REPLAY:
        t.len = status_replay_text(view, out, cap);
        break;
    case STATUS_SHOW_PATH:
        return status_path_text(view, out, cap);
    case STATUS_SHOW_DATAPLANE:
        return status_dataplane_text(view, out, cap);
    case STATUS_CLEAR:
        add(&t, "keys of group %s dropped, registering again\n", view->agent->config->group_name);
        break;
    case STATUS_SHOW_ELI:
    case STATUS_SHOW_ELI_DETAIL:
        return status_eli_text(view, command == STATUS_SHOW_ELI_DETAIL, out, cap);
    case STATUS_TRACE:
        return status_trace_text(view, out, cap);
    case STATUS_UNKNOWN:
        add(&t, "%% unknown command; known are: show crypto gdoi [gm [rekey | replay | path | "
                "dataplane counters]], show crypto ipsec sa, "
                "show crypto eli [detail], clear crypto gdoi, trace {lan | wan | esp SPI} ...\n");
        break;
    }
    return t.len;
}
