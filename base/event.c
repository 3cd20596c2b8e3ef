#include "base/event.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "base/clock.h"

static const struct event_info infos[EVENT_COUNT] = {
#define EVENT(name, facility, severity, format, meaning, remedy)                                             \
    [EV_##name] = {#name, #facility, severity, format, meaning, remedy},
#include "base/event.def"
#undef EVENT
};

struct sink {
    event_sink_fn fn;
    void *context;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all that follows */
static struct sink sinks[EVENT_SINK_MAX];
static size_t sink_count;
static uint64_t counts[EVENT_COUNT];
static uint64_t last_seq;

const struct event_info *event_info(enum event_id id)
{
    return (unsigned)id < EVENT_COUNT ? &infos[id] : NULL;
}

uint64_t event_count(enum event_id id)
{
    if ((unsigned)id >= EVENT_COUNT)
        return 0;
    pthread_mutex_lock(&lock);
    uint64_t count = counts[id];
    pthread_mutex_unlock(&lock);
    return count;
}

err_t event_add_sink(event_sink_fn sink, void *context)
{
    err_t err = E_FULL;
    pthread_mutex_lock(&lock);
    if (sink_count < EVENT_SINK_MAX) {
        sinks[sink_count++] = (struct sink){sink, context};
        err = E_OK;
    }
    pthread_mutex_unlock(&lock);
    return err;
}

void event_remove_sink(event_sink_fn sink, void *context)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < sink_count; i++) {
        if (sinks[i].fn != sink || sinks[i].context != context)
            continue;
        sink_count--;
        for (size_t j = i; j < sink_count; j++)
            sinks[j] = sinks[j + 1];
        break;
    }
    pthread_mutex_unlock(&lock);
}

/* Bytes of the well-formed UTF-8 character that text begins with (RFC 3629 4), 0 if it is none. */
static size_t utf8_len(const unsigned char *text)
{
    size_t len = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (len < 2)
        return len;
    if (text[0] > 0xf4 || (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0; /* also at the NUL, so nothing behind it is read */
    }
    return len;
}

static bool is_control(const unsigned char *text, size_t len)
{
    return (len == 1 && (text[0] < 0x20 || text[0] == 0x7f)) ||
           (len == 2 && text[0] == 0xc2 && text[1] < 0xa0);
}

static void make_printable(char *text)
{
    unsigned char *at = (unsigned char *)text;
    while (*at != '\0') {
        size_t len = utf8_len(at);
        bool keep = len != 0 && !is_control(at, len);
        for (size_t i = 0; !keep && i < (len != 0 ? len : 1); i++)
            at[i] = '?';
        at += len != 0 ? len : 1;
    }
}

void event_write(enum event_id id, const char *format, ...)
{
    if ((unsigned)id >= EVENT_COUNT)
        return;
    struct event_record record = {.id = id, .wall_ms = clock_wall_ms(&clock_system)};
    va_list args;
    va_start(args, format);
    vsnprintf(record.text, sizeof(record.text), format, args);
    va_end(args);
    make_printable(record.text);
    pthread_mutex_lock(&lock);
    record.seq = ++last_seq;
    counts[id]++;
    for (size_t i = 0; i < sink_count; i++)
        sinks[i].fn(sinks[i].context, &record);
    pthread_mutex_unlock(&lock);
}

const char *event_line(const struct event_record *record, char *out, size_t size)
{
    const struct event_info *info = event_info(record->id);
    if (info == NULL)
        snprintf(out, size, "%%QUORATE-3-UNKNOWN: %s", record->text);
    else
        snprintf(out, size, "%%%s-%u-%s: %s", info->facility, (unsigned)info->severity, info->name,
                 record->text);
    return out;
}

void event_sink_stderr(void *context, const struct event_record *record)
{
    static const char *const months[12] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    (void)context;
    time_t seconds = (time_t)(record->wall_ms / 1000);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    char line[EVENT_LINE_MAX];
    /* one call for the whole line: stdio writes it at once */
    fprintf(stderr, "%s %2d %02d:%02d:%02d.%03u: %s\n", months[tm.tm_mon % 12], tm.tm_mday, tm.tm_hour,
            tm.tm_min, tm.tm_sec, (unsigned)(record->wall_ms % 1000), event_line(record, line, sizeof(line)));
}

void event_sink_syslog(void *context, const struct event_record *record)
{
    (void)context;
    const struct event_info *info = event_info(record->id);
    char line[EVENT_LINE_MAX];
    syslog(LOG_DAEMON | (info != NULL ? info->severity : LOG_ERR), "%s",
           event_line(record, line, sizeof(line)));
}
