/* status_path.c - "show crypto gdoi gm path": the ways to the hosts that are probed. */
#include "gm-agent/status_path.h"

#include <stdio.h>

size_t status_path_text(const struct status_view *view, char *out, size_t cap)
{
    char host[ADDR_TEXT_MAX];
    size_t len = 0;
    int n = snprintf(out, cap, "%s",
                     view->probe == NULL ? "No host is probed (datapath.probe)\n"
                                         : "Ways to hosts behind other members:\n");
    len += n > 0 && (size_t)n < cap ? (size_t)n : 0;
    for (size_t i = 0; view->probe != NULL && i < view->probe->count; i++) {
        const struct path_target *t = &view->probe->targets[i];
        unsigned long long since_s = t->since_ms != 0 ? (view->now_ms - t->since_ms) / 1000 : 0;
        n = snprintf(out + len, cap - len, "  %-15s : %s", addr_format(&t->addr, host),
                     path_verdict_name(t->verdict));
        len += n > 0 && (size_t)n < cap - len ? (size_t)n : 0;
        n = 0;
        if (t->verdict == PATH_BLACK_HOLE)
            n = snprintf(out + len, cap - len, ", %u octets pass, %u do not, for %llu s\n", t->passes,
                         t->full, since_s);
        else if (t->verdict == PATH_CLEAR)
            n = snprintf(out + len, cap - len, ", %u octets pass, for %llu s\n", t->full, since_s);
        else
            n = snprintf(out + len, cap - len, "\n");
        len += n > 0 && (size_t)n < cap - len ? (size_t)n : 0;
    }
    return len;
}

json_t *status_path_json(const struct status_view *view)
{
    char host[ADDR_TEXT_MAX];
    json_t *list = json_array();
    for (size_t i = 0; view->probe != NULL && i < view->probe->count; i++) {
        const struct path_target *t = &view->probe->targets[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "host", addr_format(&t->addr, host),
                                              "verdict", path_verdict_name(t->verdict), "full",
                                              (json_int_t)t->full, "passes", (json_int_t)t->passes));
    }
    return json_pack("{s:o}", "paths", list);
}
