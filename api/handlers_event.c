/* handlers_event.c - the event ring. */
#include <stdlib.h>

#include "api/handlers.h"
#include "api/view.h"

enum { EVENTS_DEFAULT = 100, EVENTS_MAX = 512 };

static json_t *view_event(const struct event_record *record)
{
    const struct event_info *info = event_info(record->id);
    char line[EVENT_LINE_MAX];
    if (info == NULL)
        return NULL;
    return json_pack("{s:I, s:o, s:s, s:s, s:i, s:o, s:o}", "seq", (json_int_t)record->seq, "time",
                     view_time(record->wall_ms), "facility", info->facility, "name", info->name, "severity",
                     info->severity, "text", view_text(record->text), "line",
                     view_text(event_line(record, line, sizeof(line))));
}

static json_t *view_events(const struct event_record *records, size_t count, uint64_t after)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, view_event(&records[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    uint64_t last = count > 0 ? records[count - 1].seq : after;
    return json_pack("{s:o, s:I}", "events", array, "last", (json_int_t)last);
}

void handle_events(struct call *call, struct reply *reply)
{
    static const char *const names[] = {"after", "limit", NULL};
    uint64_t after = 0, limit = EVENTS_DEFAULT;
    if (handler_refuses_query(call, reply, names))
        return;
    if (request_number(call->request, "after", 0, INT64_MAX, &after) != E_OK) {
        reply_problem(reply, PROBLEM_BAD_REQUEST, "after: the sequence number of an event");
        return;
    }
    if (request_number(call->request, "limit", 1, EVENTS_MAX, &limit) != E_OK) {
        reply_problem(reply, PROBLEM_BAD_REQUEST, "limit: a number from 1 to %d", EVENTS_MAX);
        return;
    }
    struct event_record *records = malloc(limit * sizeof(*records));
    if (records == NULL) {
        reply_error(reply, E_NO_MEMORY, "Reading the events");
        return;
    }
    size_t count = event_ring_read(call->options->ring, after, records, (size_t)limit);
    reply_json(reply, 200, view_events(records, count, after));
    free(records);
}
