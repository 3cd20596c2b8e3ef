/* event.h - log lines as a table (event.def): the compiler checks the arguments of each.
 *   event(GM_REGS_COMPL, ks, group, address);
 * writes %GDOI-5-GM_REGS_COMPL: Registration to KS ... to every sink. Sinks are process-wide, set at
 * start before threads; writing is thread-safe. No secret is ever an argument. */
#ifndef BASE_EVENT_H
#define BASE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

enum {
    EVENT_TEXT_MAX = 512, /* bytes with NUL of one line's text; longer ones are cut */
    EVENT_LINE_MAX = 600, /* bytes with NUL of a line with its prefix */
    EVENT_SINK_MAX = 4,
    EVENT_RING_MAX = 1000000,
    EVENT_RING_DEFAULT = 512,
};

enum event_id {
#define EVENT(name, facility, severity, format, meaning, remedy) EV_##name,
#include "base/event.def"
#undef EVENT
    EVENT_COUNT
};

#define EVENT(name, facility, severity, format, meaning, remedy)                                             \
    static const char event_format_##name[] UNUSED = format;
#include "base/event.def"
#undef EVENT

struct event_info {
    const char *name;     /* "GM_REGS_COMPL" */
    const char *facility; /* "GDOI", "CRYPTO", "QUORATE" */
    uint8_t severity;     /* 0..7 as in syslog */
    const char *format;
    const char *meaning;
    const char *remedy;
};

struct event_record {
    uint64_t seq;     /* 1, 2, 3 ... per process */
    uint64_t wall_ms; /* when */
    enum event_id id;
    char text[EVENT_TEXT_MAX]; /* without the %FAC-SEV-NAME prefix */
};

const struct event_info *event_info(enum event_id id); /* static; NULL for a number outside the table */
/* How often each was written since start. */
uint64_t event_count(enum event_id id);

#define event(name, ...) event_write(EV_##name, event_format_##name, ##__VA_ARGS__)
/* Control characters and bytes that are not UTF-8 become '?', so that no peer's name forges a line. */
void event_write(enum event_id id, const char *format, ...) PRINTF_LIKE(2, 3);
/* "%GDOI-5-GM_REGS_COMPL: text" to out (EVENT_LINE_MAX bytes are enough); returns out. */
const char *event_line(const struct event_record *record, char *out, size_t size);

/* A sink takes each record under the event lock: it must not write events itself. */
typedef void (*event_sink_fn)(void *context, const struct event_record *record);
err_t event_add_sink(event_sink_fn sink, void *context) MUST_USE; /* E_FULL after EVENT_SINK_MAX */
/* Once this returns the sink is not running and will not be called again; unknown ones are ignored. */
void event_remove_sink(event_sink_fn sink, void *context);

/* Ready sinks: lines on stderr as "Nov 24 13:44:01.123: %GDOI-5-NAME: text" in UTC; syslog(3), facility
 * daemon, the severity of the table (the numbers are the same). No context needed. */
void event_sink_stderr(void *context, const struct event_record *record);
void event_sink_syslog(void *context, const struct event_record *record);

/* The last records, for the API and traces. Capacity 1..EVENT_RING_MAX, else E_RANGE; E_NO_MEMORY. */
struct event_ring;
err_t event_ring_open(struct event_ring **out, size_t capacity) MUST_USE;
void event_ring_free(struct event_ring *ring); /* after event_remove_sink; NULL is fine */
void event_ring_sink(void *context, const struct event_record *record); /* context: the ring */
/* Copies up to max records with seq > after, oldest first; returns how many. Thread-safe. */
size_t event_ring_read(struct event_ring *ring, uint64_t after, struct event_record *out, size_t max);

#endif
