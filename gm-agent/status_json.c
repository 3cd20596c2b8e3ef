/* status_json.c - the same answers as JSON. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "gm-agent/status.h"
#include "gm-agent/status_dataplane.h"
#include "gm-agent/status_eli.h"
#include "gm-agent/status_path.h"
#include "gm-agent/status_trace.h"

static json_t *text_of_addr(const struct addr *addr)
{
    char text[ADDR_TEXT_MAX];
    return json_string(addr_format(addr, text));
}

static json_t *selectors(const struct agent *agent)
{
    json_t *list = json_array();
    for (size_t i = 0; i < agent->selector_count; i++) {
        const struct selector *s = &agent->selectors[i];
        char src[PREFIX_TEXT_MAX], dst[PREFIX_TEXT_MAX];
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:i}", "src", prefix_format(&s->src, src),
                                              "dst", prefix_format(&s->dst, dst), "protocol", s->protocol,
                                              "src_port", s->src_port, "dst_port", s->dst_port));
    }
    return list;
}

static json_t *teks(const struct status_view *view)
{
    const struct agent *agent = view->agent;
    json_t *list = json_array();
    for (size_t i = 0; i < agent->teks.count; i++) {
        const struct tek_entry *entry = &agent->teks.entries[i];
        char spi[16], transform[64];
        snprintf(spi, sizeof(spi), "0x%08X", entry->tek.spi);
        bool sends = agent->teks.has_out && agent->teks.out_spi == entry->tek.spi;
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:b, s:I}", "spi", spi, "transform",
                                              status_transform(&entry->tek.suite, transform), "remaining_s",
                                              (json_int_t)status_left_s(entry->expires_ms, view->now_ms),
                                              "sends", sends, "sends_in_s",
                                              (json_int_t)status_left_s(entry->send_from_ms, view->now_ms)));
    }
    return list;
}

static json_t *kek(const struct status_view *view)
{
    const struct rekey_listen *listen = &view->agent->listen;
    char spi[2 * KEK_SPI_LEN + 1];
    if (!listen->active)
        return json_null();
    return json_pack("{s:s, s:I, s:I, s:b, s:b}", "spi", hex_text(spi, listen->member.kek.spi, KEK_SPI_LEN),
                     "remaining_s", (json_int_t)status_left_s(listen->expires_ms, view->now_ms), "seq",
                     (json_int_t)listen->member.last_seq, "multicast",
                     view->agent->transport == REKEY_TRANSPORT_MULTICAST, "ack_requested",
                     listen->member.kek.ack != KEK_ACK_NONE);
}

static json_t *rekeys(const struct agent *agent)
{
    const struct agent_stats *s = &agent->stats;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "received", (json_int_t)s->rekeys,
                     "since_registration", (json_int_t)s->rekeys_since, "acks_sent", (json_int_t)s->acks,
                     "repeated", (json_int_t)s->repeated, "replayed", (json_int_t)s->replayed, "refused",
                     (json_int_t)s->refused, "unknown_kek", (json_int_t)s->unknown_kek, "last_seq",
                     (json_int_t)s->last_rekey_seq);
}

static json_t *counters(const struct status_view *view)
{
    json_t *all = json_object();
    for (int i = 0; i < DP_COUNTER_COUNT; i++) {
        const struct datapath_counter *c = &view->counters[i];
        json_t *one = json_pack("{s:I}", "count", (json_int_t)c->count);
        if (one != NULL && c->count != 0)
            json_object_update_new(
                one, json_pack("{s:o, s:o, s:o, s:o, s:I, s:I}", "first_src", text_of_addr(&c->first_src),
                               "first_dst", text_of_addr(&c->first_dst), "last_src",
                               text_of_addr(&c->last_src), "last_dst", text_of_addr(&c->last_dst), "first_ms",
                               (json_int_t)c->first_ms, "last_ms", (json_int_t)c->last_ms));
        json_object_set_new(all, datapath_counter_name((enum datapath_counter_id)i), one);
    }
    return all;
}

static json_t *member(const struct status_view *view)
{
    const struct agent *agent = view->agent;
    char identity[ID_TEXT_MAX];
    json_t *servers = json_array();
    for (size_t i = 0; i < agent->config->server_count; i++)
        json_array_append_new(servers, text_of_addr(&agent->config->servers[i].addr));
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:b, s:o, s:I, s:I, s:I, s:I}", "group",
                     agent->config->group_name, "identity", identity_format(&agent->config->group, identity),
                     "backend", view->backend, "servers", servers, "address",
                     text_of_addr(&agent->config->local.addr), "registered", agent->registered, "registering",
                     registration_active(&agent->reg), "registered_with",
                     agent->registered ? text_of_addr(&agent->registered_with.addr) : json_null(),
                     "registrations", (json_int_t)agent->stats.registrations, "attempts",
                     (json_int_t)agent->stats.attempts, "failures", (json_int_t)agent->stats.failures,
                     "reregisters_in_s", (json_int_t)(agent_reregisters_in_ms(agent, view->now_ms) / 1000));
}

static json_t *peer(const struct time_peer *p)
{
    return json_pack("{s:I, s:o, s:I, s:I, s:I, s:I, s:I}", "sid", (json_int_t)p->sid, "last_src",
                     text_of_addr(&p->src), "packets", (json_int_t)p->packets, "rejected",
                     (json_int_t)p->rejected, "skew_us", (json_int_t)p->last_us, "skew_min_us",
                     (json_int_t)(p->packets != 0 ? p->min_us : 0), "skew_max_us",
                     (json_int_t)(p->packets != 0 ? p->max_us : 0));
}

static json_t *reject(const struct time_reject *r)
{
    return json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:I}", "at_ms", (json_int_t)r->wall_ms, "src",
                     text_of_addr(&r->src), "dst", text_of_addr(&r->dst), "sid", (json_int_t)r->sid,
                     "my_pseudotime_us", (json_int_t)r->mine_us, "peer_pseudotime_us", (json_int_t)r->peer_us,
                     "window_ms", (json_int_t)r->window_ms);
}

static json_t *replay(const struct status_view *view)
{
    json_t *peers = json_array(), *history = json_array();
    const struct time_check *time = view->has_replay ? view->replay.time : NULL;
    for (size_t i = 0; time != NULL && i < time->peer_count; i++)
        json_array_append_new(peers, peer(&time->peers[i]));
    for (size_t i = 0; time != NULL && time_check_history(time, i) != NULL; i++)
        json_array_append_new(history, reject(time_check_history(time, i)));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "window_ms",
                     (json_int_t)view->agent->time_window_ms, "pseudotime_us",
                     (json_int_t)group_clock_us(&view->agent->clock, view->now_ms), "accepted",
                     (json_int_t)(time != NULL ? time->accepted : 0), "rejected",
                     (json_int_t)(time != NULL ? time->rejected : 0), "max_delta_us",
                     (json_int_t)(time != NULL ? time->max_delta_us : 0), "counter_window",
                     (json_int_t)view->replay.window, "senders", (json_int_t)view->replay.senders, "evicted",
                     (json_int_t)view->replay.evicted, "peers", peers, "history", history);
}

static json_t *build(const struct status_view *view, enum status_command command)
{
    switch (command) {
    case STATUS_SHOW_GDOI:
    case STATUS_SHOW_GM:
        return json_pack("{s:o, s:o, s:o, s:o, s:o}", "member", member(view), "rekeys", rekeys(view->agent),
                         "kek", kek(view), "teks", teks(view), "selectors", selectors(view->agent));
    case STATUS_SHOW_REKEY:
        return json_pack("{s:o}", "rekeys", rekeys(view->agent));
    case STATUS_SHOW_IPSEC:
        return json_pack("{s:o, s:o, s:o}", "teks", teks(view), "selectors", selectors(view->agent),
                         "counters", counters(view));
    case STATUS_SHOW_REPLAY:
        return replay(view);
    case STATUS_SHOW_PATH:
        return status_path_json(view);
    case STATUS_SHOW_DATAPLANE:
        return status_dataplane_json(view);
    case STATUS_CLEAR:
        return json_pack("{s:b}", "cleared", 1);
    case STATUS_SHOW_ELI:
    case STATUS_SHOW_ELI_DETAIL:
        return status_eli_json(view);
    case STATUS_TRACE:
        return status_trace_json(view);
    case STATUS_UNKNOWN:
        break;
    }
    return json_pack("{s:s}", "error", "unknown command");
}

size_t status_json(const struct status_view *view, enum status_command command, char *out, size_t cap)
{
    json_t *root = build(view, command);
    size_t len = 0;
    if (root != NULL && cap > 1) {
        len = json_dumpb(root, out, cap - 2, JSON_INDENT(2) | JSON_SORT_KEYS);
        if (len > cap - 2)
            len = 0; /* did not fit: nothing rather than half an object */
        out[len++] = '\n';
    }
    if (cap != 0)
        out[len < cap ? len : cap - 1] = '\0';
    json_decref(root);
    return len;
}
