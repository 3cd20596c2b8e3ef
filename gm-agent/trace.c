/* trace.c - the steps of a packet, as both data paths take them. */
#include "gm-agent/trace.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gm-agent/policy.h"
#include "gm-agent/selector_text.h"
#include "gm-agent/status.h"
#include "proto/crypto/esp.h"

struct walk {
    const struct agent *agent;
    const struct trace_request *request;
    uint64_t now_ms;
    struct datapath_state state;
    struct policy_list list;
    struct policy_verdict policy;
    struct trace_result *out;
};

static void step(struct walk *w, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);
static void decide(struct walk *w, enum trace_verdict verdict, const char *format, ...) PRINTF_LIKE(3, 4);

static void step(struct walk *w, const char *name, const char *format, ...)
{
    if (w->out->count == TRACE_STEP_MAX)
        return;
    struct trace_step *s = &w->out->steps[w->out->count++];
    va_list args;
    s->name = name;
    va_start(args, format);
    vsnprintf(s->text, sizeof(s->text), format, args);
    va_end(args);
}

static void decide(struct walk *w, enum trace_verdict verdict, const char *format, ...)
{
    va_list args;
    w->out->verdict = verdict;
    va_start(args, format);
    vsnprintf(w->out->why, sizeof(w->out->why), format, args);
    va_end(args);
}

static void drop(struct walk *w, enum datapath_counter_id counter, const char *why)
{
    w->out->counter = counter;
    decide(w, TRACE_DROP, "%s", why);
}

const char *trace_verdict_name(enum trace_verdict verdict)
{
    static const char *const names[] = {"protected", "opened", "clear", "dropped"};
    return names[verdict];
}

static void look_at_registration(struct walk *w)
{
    char ks[ADDR_TEXT_MAX];
    const struct agent *agent = w->agent;
    if (agent->registered)
        step(w, "registration", "policy of group %s from key server %s, %zu keys", agent->config->group_name,
             addr_format(&agent->registered_with.addr, ks), agent->teks.count);
    else
        step(w, "registration", "none: %s", w->state.closed ? "closed (fail-close)" : "open (fail_open)");
}

/* The list as the data path has it: closed means that everything is to be protected and no key is there. */
static bool look_at_policy(struct walk *w)
{
    static const char *const origins[] = {"key management", "local entry", "group"};
    const struct datapath_state *s = &w->state;
    if (policy_list_build(&w->list, s->denies, s->deny_count, s->closed ? policy_everything : s->selectors,
                          s->closed ? POLICY_EVERYTHING : s->selector_count) != E_OK) {
        drop(w, DP_NO_POLICY, "the policy has more entries than the data path can hold");
        return false;
    }
    w->policy = policy_interpret(&w->list, &w->request->packet);
    if (w->policy.action == POLICY_NONE) {
        step(w, "policy", "none of %zu entries matches", w->list.count);
        return true;
    }
    const struct policy_entry *e = &w->list.entries[w->policy.entry];
    char text[SELECTOR_TEXT_MAX];
    if (s->closed && e->origin == POLICY_OF_GROUP)
        step(w, "policy", "no policy is known: only key management and local entries pass");
    else
        step(w, "policy", "entry %u of %zu, %s: %s %s", w->policy.entry + 1u, w->list.count,
             origins[e->origin], e->action == POLICY_PROTECT ? "permit" : "deny",
             selector_format(&e->match, text));
    return true;
}

static void look_at_direction(struct walk *w)
{
    static const char *const words[] = {"both: sends protected, takes protected only",
                                        "inbound-optional: sends protected, takes clear packets too",
                                        "receive-only: sends in clear, takes both"};
    step(w, "direction", "%s", words[w->state.direction]);
}

static const struct tek_entry *entry_of(const struct agent *agent, uint32_t spi)
{
    for (size_t i = 0; i < agent->teks.count; i++)
        if (agent->teks.entries[i].tek.spi == spi)
            return &agent->teks.entries[i];
    return NULL;
}

static void tell_key(struct walk *w, const struct tek_entry *entry)
{
    char transform[64];
    step(w, "key", "SPI 0x%08X, %s, %" PRIu64 " s left%s", entry->tek.spi,
         status_transform(&entry->tek.suite, transform), status_left_s(entry->expires_ms, w->now_ms),
         entry->receive_only ? ", receives only" : "");
}

static void protect(struct walk *w)
{
    const struct tek *tek = w->state.out;
    if (tek == NULL) {
        step(w, "key", "none to send on");
        drop(w, DP_NO_KEY, "protected, and there is no key");
        return;
    }
    tell_key(w, tek_table_out(&w->agent->teks));
    if (tek_is_counter_mode(tek) && w->state.sid_count == 0) {
        drop(w, DP_NO_KEY, "a counter mode needs a sender id, and the key server gave none");
        return;
    }
    size_t wire = ip_outer_len(w->request->packet.src.family) + esp_sealed_len(&tek->suite, w->request->size);
    step(w, "size", "%u octets become %zu on the WAN: its MTU must be that or more", w->request->size, wire);
    if (wire > IP_PACKET_MAX)
        drop(w, DP_SEND_ERROR, "too long for an IP packet");
    else
        decide(w, TRACE_PROTECT, "leaves %s as ESP with the same addresses",
               w->agent->config->datapath.wan[0] != '\0' ? w->agent->config->datapath.wan : "here");
}

static void from_lan(struct walk *w)
{
    if (w->policy.action == POLICY_PROTECT)
        look_at_direction(w);
    if (w->policy.action != POLICY_PROTECT)
        decide(w, TRACE_CLEAR, "the policy does not protect it");
    else if (w->state.direction == DATAPATH_RECEIVE_ONLY)
        decide(w, TRACE_CLEAR, "this member does not send protected yet");
    else
        protect(w);
}

static void from_wan(struct walk *w)
{
    if (w->policy.action == POLICY_PROTECT)
        look_at_direction(w);
    if (w->policy.action != POLICY_PROTECT)
        decide(w, TRACE_CLEAR, "the policy does not protect it");
    else if (w->state.direction == DATAPATH_BOTH)
        drop(w, DP_NOT_IPSEC, "it must come protected, and is clear");
    else
        decide(w, TRACE_CLEAR, "clear packets are taken too");
}

/* Whatever stands before: a peer may not know of a local entry. */
static bool group_protects(const struct walk *w)
{
    for (size_t i = 0; i < w->state.selector_count; i++) {
        struct policy_list one = {.count = 1};
        one.entries[0] = (struct policy_entry){w->state.selectors[i], POLICY_PROTECT, POLICY_OF_GROUP};
        if (policy_interpret(&one, &w->request->packet).action == POLICY_PROTECT)
            return true;
    }
    return false;
}

static void from_esp(struct walk *w)
{
    const struct tek_entry *entry = entry_of(w->agent, w->request->spi);
    if (entry == NULL) {
        step(w, "key", "no key has SPI 0x%08X", w->request->spi);
        drop(w, DP_INVALID_SPI, "sent under a key that this member does not have (any more, or yet)");
        return;
    }
    tell_key(w, entry);
    if (!group_protects(w))
        drop(w, DP_NO_POLICY, "opens, but no entry of the group protects what is in it");
    else
        decide(w, TRACE_OPEN, "goes to its host, if its integrity and replay checks pass");
}

void trace_run(const struct agent *agent, const struct trace_request *request, uint64_t now_ms,
               struct trace_result *out)
{
    struct walk w = {.agent = agent, .request = request, .now_ms = now_ms, .out = out};
    *out = (struct trace_result){0};
    agent_datapath_state(agent, &w.state);
    if (w.state.closed)
        w.state.direction = DATAPATH_BOTH;
    look_at_registration(&w);
    if (ip_packet_is_of_link(&request->packet)) {
        decide(&w, TRACE_CLEAR, "it does not leave its link, and is never protected");
        return;
    }
    if (!look_at_policy(&w))
        return;
    switch (request->from) {
    case TRACE_LAN:
        from_lan(&w);
        break;
    case TRACE_WAN:
        from_wan(&w);
        break;
    case TRACE_ESP:
        from_esp(&w);
        break;
    }
}
