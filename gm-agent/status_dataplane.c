/* status_dataplane.c - what went through the group's keys, by DSCP and by lane. */
#include "gm-agent/status_dataplane.h"

#include <inttypes.h>
#include <stdio.h>

#include "gm-agent/status_text.h"

static void put_classes(FILE *f, const struct dscp_table *t)
{
    char name[DSCP_NAME_MAX];
    bool any = false;
    for (unsigned i = 0; i < DSCP_COUNT; i++) {
        if (t->out[i].packets == 0 && t->in[i].packets == 0)
            continue;
        any = true;
        fprintf(f,
                "    %-5s (%2u): #pkts encaps %" PRIu64 ", #bytes encaps %" PRIu64 ", #pkts decaps %" PRIu64
                ", #bytes decaps %" PRIu64 "\n",
                dscp_name((uint8_t)i, name), i, t->out[i].packets, t->out[i].octets, t->in[i].packets,
                t->in[i].octets);
    }
    if (!any)
        fprintf(f, "    none seen\n");
}

static void put_lanes(FILE *f, const struct status_view *view)
{
    fprintf(f, "Threads : %zu\n", view->lane_count);
    for (size_t i = 0; i < view->lane_count; i++)
        fprintf(f, "    %2zu: #pkts encaps %" PRIu64 ", #pkts decaps %" PRIu64 ", %s\n", i + 1,
                view->lanes[i].out, view->lanes[i].in,
                view->lanes[i].sends ? "sends and receives" : "receives");
}

size_t status_dataplane_text(const struct status_view *view, char *out, size_t cap)
{
    FILE *f = text_open(out, cap);
    if (f == NULL)
        return 0;
    fprintf(f, "Data-plane statistics for group %s:\n", view->agent->config->group_name);
    fprintf(f, "Data path : %s\n", view->backend);
    fprintf(f, "#pkts encaps : %" PRIu64 ", #pkts decaps : %" PRIu64 "\n", view->counters[DP_ENCAPS].count,
            view->counters[DP_DECAPS].count);
    fprintf(f, "Classes (DSCP) of clear packets:\n");
    if (view->has_dscp)
        put_classes(f, &view->dscp);
    else
        fprintf(f, "    are not counted by this data path\n");
    if (view->lane_count != 0)
        put_lanes(f, view);
    return text_close(f, out, cap);
}

static json_t *direction(const struct dscp_count table[DSCP_COUNT])
{
    char name[DSCP_NAME_MAX];
    json_t *list = json_array();
    for (unsigned i = 0; i < DSCP_COUNT; i++)
        if (table[i].packets != 0)
            json_array_append_new(list, json_pack("{s:i, s:s, s:I, s:I}", "dscp", (int)i, "name",
                                                  dscp_name((uint8_t)i, name), "packets",
                                                  (json_int_t)table[i].packets, "octets",
                                                  (json_int_t)table[i].octets));
    return list;
}

json_t *status_dataplane_json(const struct status_view *view)
{
    json_t *lanes = json_array();
    for (size_t i = 0; i < view->lane_count; i++)
        json_array_append_new(lanes,
                              json_pack("{s:I, s:I, s:b}", "encaps", (json_int_t)view->lanes[i].out, "decaps",
                                        (json_int_t)view->lanes[i].in, "sends", view->lanes[i].sends));
    json_t *dscp = view->has_dscp ? json_pack("{s:o, s:o}", "encaps", direction(view->dscp.out), "decaps",
                                              direction(view->dscp.in))
                                  : json_null();
    return json_pack("{s:s, s:o, s:o}", "backend", view->backend, "dscp", dscp, "threads", lanes);
}
