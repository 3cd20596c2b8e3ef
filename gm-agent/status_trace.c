/* status_trace.c - the steps of a packet, printed. */
#include "gm-agent/status_trace.h"

#include <stdio.h>

#include "gm-agent/selector_text.h"
#include "gm-agent/status_text.h"
#include "gm-agent/trace.h"

static void put_packet(FILE *f, const struct trace_request *r)
{
    static const char *const from[] = {"clear, from the LAN", "clear, from the WAN", "ESP, from the WAN"};
    const struct ip_packet *p = &r->packet;
    char number[8], src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
    const struct endpoint from_end = {p->src, p->src_port}, to_end = {p->dst, p->dst_port};
    fprintf(f, "Packet : %s %s -> %s", selector_protocol(p->protocol, number),
            p->has_ports ? endpoint_format(&from_end, src) : addr_format(&p->src, src),
            p->has_ports ? endpoint_format(&to_end, dst) : addr_format(&p->dst, dst));
    fprintf(f, ", %u octets, %s\n", r->size, from[r->from]);
}

static void put_result(FILE *f, const struct trace_result *result)
{
    for (size_t i = 0; i < result->count; i++)
        fprintf(f, "  %zu. %-12s : %s\n", i + 1, result->steps[i].name, result->steps[i].text);
    fprintf(f, "Verdict: %s, %s", trace_verdict_name(result->verdict), result->why);
    if (result->verdict == TRACE_DROP)
        fprintf(f, " (counter %s)", datapath_counter_name(result->counter));
    fprintf(f, "\n");
}

size_t status_trace_text(const struct status_view *view, char *out, size_t cap)
{
    struct trace_request request;
    struct trace_result result;
    char words[STATUS_COMMAND_MAX];
    const char *why;
    FILE *f = text_open(out, cap);
    if (f == NULL)
        return 0;
    if (trace_parse(status_words(view->line, words), &request, &why) != E_OK) {
        fprintf(f, "%% trace: %s\n", why);
    } else {
        trace_run(view->agent, &request, view->now_ms, &result);
        put_packet(f, &request);
        put_result(f, &result);
    }
    return text_close(f, out, cap);
}

json_t *status_trace_json(const struct status_view *view)
{
    struct trace_request request;
    struct trace_result result;
    char words[STATUS_COMMAND_MAX];
    const char *why;
    if (trace_parse(status_words(view->line, words), &request, &why) != E_OK)
        return json_pack("{s:s}", "error", why);
    trace_run(view->agent, &request, view->now_ms, &result);
    json_t *steps = json_array();
    for (size_t i = 0; i < result.count; i++)
        json_array_append_new(
            steps, json_pack("{s:s, s:s}", "step", result.steps[i].name, "text", result.steps[i].text));
    return json_pack("{s:s, s:s, s:s, s:o}", "verdict", trace_verdict_name(result.verdict), "why", result.why,
                     "counter", result.verdict == TRACE_DROP ? datapath_counter_name(result.counter) : "",
                     "steps", steps);
}
