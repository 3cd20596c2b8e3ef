#include "gm-agent/path_probe.h"

#include <string.h>

#include "base/event.h"

void path_probe_init(struct path_probe *p, const struct gm_datapath_config *config, uint64_t now_ms)
{
    memset(p, 0, sizeof(*p));
    p->count = config->probe_count;
    for (size_t i = 0; i < p->count; i++) {
        p->targets[i].addr = config->probe[i];
        p->targets[i].due_ms = now_ms + PATH_PROBE_STAGGER_MS * (uint64_t)(i + 1);
    }
}

const char *path_verdict_name(enum path_verdict verdict)
{
    static const char *const names[] = {"unknown", "no answer", "clear", "black hole"};
    return names[verdict];
}

static void try_length(struct path_target *t, int phase, uint32_t len)
{
    t->phase = phase;
    t->len = len;
    t->tries = 0;
    t->unsent = true;
}

/* Says what is new about the way, and rests. */
static void conclude(struct path_target *t, enum path_verdict verdict, uint32_t passes, uint64_t now_ms)
{
    char host[ADDR_TEXT_MAX];
    addr_format(&t->addr, host);
    if (verdict == PATH_BLACK_HOLE && (t->verdict != PATH_BLACK_HOLE || t->passes != passes))
        event(PATH_BLACK_HOLE, host, passes, t->full);
    else if (verdict == PATH_CLEAR && t->verdict == PATH_BLACK_HOLE)
        event(PATH_BLACK_HOLE_GONE, host, t->full);
    if (verdict != t->verdict || t->since_ms == 0)
        t->since_ms = now_ms != 0 ? now_ms : 1;
    t->verdict = verdict;
    t->passes = passes;
    t->phase = PROBE_REST;
    t->unsent = false;
    t->due_ms = now_ms + PATH_PROBE_ROUND_MS;
}

static void try_full(struct path_probe *p, struct path_target *t, uint64_t now_ms)
{
    t->full = p->fits(p->context, (size_t)(t - p->targets));
    if (t->full <= PATH_PROBE_SHORT)
        conclude(t, PATH_UNKNOWN, 0, now_ms); /* there is no way to it now */
    else
        try_length(t, PROBE_FULL, t->full);
}

static void halve(struct path_probe *p, struct path_target *t, uint64_t now_ms)
{
    if (t->high - t->low > PATH_PROBE_EXACT) {
        try_length(t, PROBE_HALVE, t->low + (t->high - t->low) / 2);
        return;
    }
    uint32_t fits = p->fits(p->context, (size_t)(t - p->targets));
    if (fits < t->full) /* somebody has complained meanwhile */
        try_full(p, t, now_ms);
    else
        conclude(t, PATH_BLACK_HOLE, t->low, now_ms);
}

static void lost(struct path_probe *p, struct path_target *t, uint64_t now_ms)
{
    switch (t->phase) {
    case PROBE_SHORT:
    case PROBE_AGAIN: /* not a matter of length */
        conclude(t, PATH_SILENT, 0, now_ms);
        return;
    case PROBE_FULL:
        try_length(t, PROBE_AGAIN, PATH_PROBE_SHORT);
        return;
    case PROBE_HALVE:
        t->high = t->len;
        halve(p, t, now_ms);
        return;
    case PROBE_REST:
        try_length(t, PROBE_SHORT, PATH_PROBE_SHORT);
    }
}

/* What is due at a host, if anything. */
static bool advance(struct path_probe *p, struct path_target *t, uint64_t now_ms)
{
    if (!t->unsent && now_ms >= t->due_ms) {
        if (t->phase == PROBE_REST || t->tries >= PATH_PROBE_TRIES)
            lost(p, t, now_ms);
        else
            t->unsent = true;
    }
    if (!t->unsent)
        return false;
    t->unsent = false;
    t->tries++;
    t->seq++;
    t->due_ms = now_ms + PATH_PROBE_WAIT_MS;
    return true;
}

bool path_probe_next(struct path_probe *p, uint64_t now_ms, size_t *target, uint32_t *len, uint16_t *seq)
{
    for (size_t i = 0; i < p->count; i++) {
        if (!advance(p, &p->targets[i], now_ms))
            continue;
        *target = i;
        *len = p->targets[i].len;
        *seq = p->targets[i].seq;
        return true;
    }
    return false;
}

void path_probe_answer(struct path_probe *p, size_t target, uint16_t seq, uint32_t len, uint64_t now_ms)
{
    struct path_target *t = &p->targets[target];
    if (target >= p->count || t->phase == PROBE_REST || len != t->len || (uint16_t)(t->seq - seq) >= t->tries)
        return; /* late, or nobody's */
    switch (t->phase) {
    case PROBE_SHORT:
        try_full(p, t, now_ms);
        return;
    case PROBE_FULL:
        conclude(t, PATH_CLEAR, t->full, now_ms);
        return;
    case PROBE_AGAIN:
        t->low = PATH_PROBE_SHORT;
        t->high = t->full;
        halve(p, t, now_ms);
        return;
    case PROBE_HALVE:
        t->low = t->len;
        halve(p, t, now_ms);
        return;
    case PROBE_REST:
        return;
    }
}

uint64_t path_probe_wake_ms(const struct path_probe *p)
{
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < p->count; i++) {
        uint64_t due = p->targets[i].unsent ? 0 : p->targets[i].due_ms;
        at = due < at ? due : at;
    }
    return at;
}
