/* cluster_time.c - the cluster's clock on this machine: its start, its mark on disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/cluster_internal.h"

static const char boot_id_file[] = "/proc/sys/kernel/random/boot_id";
static const char mark_name[] = "clock";

/* Zeros where it cannot be read: then another boot is assumed only if the monotonic clock ran back. */
static void read_boot(uint8_t out[CLOCK_BOOT_LEN])
{
    memset(out, 0, CLOCK_BOOT_LEN);
    FILE *file = fopen(boot_id_file, "re");
    if (file == NULL)
        return;
    if (fread(out, 1, CLOCK_BOOT_LEN, file) != CLOCK_BOOT_LEN)
        memset(out, 0, CLOCK_BOOT_LEN);
    fclose(file);
}

static struct clock_mark mark_now(const struct cluster *c)
{
    struct clock_mark now = {.cluster_ms = cluster_now_ms(c),
                             .mono_ms = cluster_mono_ms(c),
                             .wall_ms = clock_wall_ms(c->options.clock)};
    memcpy(now.boot, c->boot, CLOCK_BOOT_LEN);
    return now;
}

void cluster_time_open(struct cluster *c)
{
    char path[DISK_PATH_MAX];
    uint8_t *data = NULL;
    size_t len = 0;
    struct clock_mark now = {.mono_ms = cluster_mono_ms(c), .wall_ms = clock_wall_ms(c->options.clock)};
    read_boot(c->boot);
    memcpy(now.boot, c->boot, CLOCK_BOOT_LEN);
    /* A mark that cannot be read is none: the committed time and the wall clock remain. */
    err_t err = disk_path(path, c->data_dir, mark_name);
    if (err == E_OK)
        err = disk_read(path, CLOCK_MARK_LEN, &data, &len);
    if (err == E_OK)
        err = clock_mark_decode(&c->time_mark, (struct bytes){data, len});
    free(data);
    if (c->joined)
        now.wall_ms = err == E_OK ? now.wall_ms : 0; /* the first leader that it hears knows the time */
    bool marked = err == E_OK && c->time_mark.cluster_ms != 0;
    if (!marked)
        c->time_mark = (struct clock_mark){0};
    static const uint8_t unknown[CLOCK_BOOT_LEN];
    c->same_boot = marked && memcmp(c->boot, unknown, CLOCK_BOOT_LEN) != 0 && clock_mark_is_near(&c->time_mark, &now);
    uint64_t start_ms = cluster_clock_start(c->state.cluster.time_ms, marked ? &c->time_mark : NULL, &now);
    cluster_clock_open(&c->clock, start_ms, now.mono_ms);
    if (c->same_boot)
        c->clock.trust = CLOCK_KEPT;
}

void cluster_time_mark(struct cluster *c)
{
    uint64_t mono_ms = cluster_mono_ms(c);
    struct clock_mark now = mark_now(c);
    if (mono_ms < c->time_mark_due_ms || !c->was_ready || !clock_mark_is_off(&c->time_mark, &now))
        return;
    c->time_mark_due_ms = mono_ms + CLOCK_MARK_GAP_MS;
    uint8_t buf[CLOCK_MARK_LEN];
    struct writer w = writer_over(buf, sizeof(buf));
    clock_mark_encode(&w, &now);
    if (writer_end(&w) == E_OK && disk_replace(c->disk, c->data_dir, mark_name, writer_bytes(&w)) == E_OK)
        c->time_mark = now; /* else later: without it a restart goes by the committed time */
}
