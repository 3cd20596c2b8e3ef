/* cluster_mark.c - do the key servers hold the same? Once a minute the leader has STATE_MARK committed; each
 * server takes the hash of its state where it applies it, tells the others with its signs of life, and
 * compares.
 *
 * One that stands against a larger number of others that agree among themselves is the odd one: it serves
 * nobody and is no primary until a later mark says otherwise. A file remembers it over a restart, for one that is
 * then alone and could serve from what it holds (cluster_alone). */
#include <string.h>
#include <unistd.h>

#include "base/event.h"
#include "base/hex.h"
#include "cluster/cluster_internal.h"

static bool same(const struct state_mark *a, const struct state_mark *b)
{
    return a->index == b->index && memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

static void tell(struct cluster *c, struct peer *peer)
{
    enum { SHOWN_LEN = 8 };
    char node[2 * SHOWN_LEN + 1], theirs[2 * SHOWN_LEN + 1], ours[2 * SHOWN_LEN + 1];
    if (peer->mark_told == c->mark.index)
        return;
    peer->mark_told = c->mark.index;
    c->divergences++;
    event(STATE_DIVERGED, hex_text(node, peer->id, SHOWN_LEN), (unsigned long long)c->mark.index,
          hex_text(theirs, peer->mark.hash, SHOWN_LEN), hex_text(ours, c->mark.hash, SHOWN_LEN));
}

static const char odd_name[] = "diverged";

void cluster_mark_open(struct cluster *c)
{
    char path[DISK_PATH_MAX];
    c->was_odd = disk_path(path, c->data_dir, odd_name) != E_OK || access(path, F_OK) == 0;
}

/* Best effort: a disk that takes no small file ends the server by its log. */
static void remember(struct cluster *c, bool odd)
{
    char path[DISK_PATH_MAX];
    err_t err = disk_path(path, c->data_dir, odd_name);
    if (err == E_OK && odd)
        err = disk_replace(c->disk, c->data_dir, odd_name, bytes_of_text("differs"));
    else if (err == E_OK && unlink(path) != 0)
        err = E_NOT_FOUND;
    c->was_odd = err == E_OK && odd;
}

void cluster_mark_compare(struct cluster *c)
{
    unsigned with_us = 1, against = 0;
    for (size_t i = 0; i < c->peer_count; i++) {
        struct peer *peer = &c->peers[i];
        unsigned with_it = 0;
        if (c->mark.index == 0 || peer->mark.index != c->mark.index)
            continue;
        if (same(&peer->mark, &c->mark)) {
            with_us++;
            continue;
        }
        for (size_t j = 0; j < c->peer_count; j++)
            with_it += same(&c->peers[j].mark, &peer->mark);
        against = with_it > against ? with_it : against;
        tell(c, peer);
    }
    bool odd = against > with_us;
    if (odd != c->was_odd && (odd || with_us > 1))
        remember(c, odd);
    if (odd == c->diverged || (!odd && with_us == 1))
        return;
    c->diverged = odd;
    if (odd)
        cluster_set_ready(c, false, "its state differs from that of the other key servers");
}

void cluster_mark_applied(struct cluster *c)
{
    struct state_mark mark = {.index = c->applied_index + 1}; /* of the entry that is being applied */
    c->mark_ms = cluster_mono_ms(c) + cluster_mark_every_ms(c);
    if (!c->ready && !c->diverged) /* replayed: the others are further on */
        return;
    if (ks_state_hash(&c->state, mark.hash) != E_OK)
        return;
    c->mark = mark;
    c->health_ms = 0;
    cluster_mark_compare(c);
}

unsigned cluster_mark_every_ms(const struct cluster *c)
{
    return c->options.mark_ms != 0 ? c->options.mark_ms : STATE_MARK_MS;
}

err_t cluster_mark(struct cluster *c, cluster_done_fn done, void *context)
{
    struct command command = {.type = CMD_STATE_MARK, .time_ms = cluster_now_ms(c)};
    return cluster_propose(c, &command, done, context);
}

static void on_mark(void *context, const struct apply_result *result)
{
    (void)context; /* there is another one in a minute */
    (void)result;
}

void cluster_mark_tick(struct cluster *c, uint64_t now_ms)
{
    if (!cluster_leads(c) || !c->ready || c->peer_count == 0 || now_ms < c->mark_ms)
        return;
    c->mark_ms = now_ms + cluster_mark_every_ms(c);
    if (cluster_mark(c, on_mark, NULL) != E_OK)
        c->mark_ms = now_ms + HEALTH_MS;
}
