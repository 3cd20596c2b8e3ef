/* cluster_level.c - the levels of builds (level.h) in a running cluster: heard in signs of life, raised by
 * the leader, and in the way of commands that not all know. */
#include <string.h>

#include "base/event.h"
#include "cluster/cluster_internal.h"

err_t cluster_level_gate(struct cluster *c, unsigned command)
{
    err_t err = level_allows(c->build, c->state.level, command);
    if (err != E_OK)
        c->level_refused = level_of_command(c->build, command);
    return err;
}

void cluster_level_hear(struct cluster *c, struct peer *peer, uint32_t level, uint32_t cluster_level)
{
    peer->level = level;
    if (cluster_level <= c->build->level)
        return;
    c->level_heard = cluster_level;
    cluster_fatal(c, E_OLD_BUILD, "this build is below the cluster's level");
}

/* The lowest level of all builds of the cluster as far as they have told it to this leader; 0: not all have.
 */
static uint32_t lowest(const struct cluster *c, struct cmd_cluster_level_set *out)
{
    uint32_t level = c->build->level;
    for (size_t i = 0; i < c->state.node_count && level != 0; i++) {
        const uint8_t *id = c->state.nodes[i].id;
        memcpy(out->asked[out->asked_count++], id, NODE_ID_LEN);
        if (memcmp(id, c->node_id, NODE_ID_LEN) == 0)
            continue;
        uint32_t theirs = 0;
        for (size_t j = 0; j < c->peer_count; j++) {
            if (memcmp(c->peers[j].id, id, NODE_ID_LEN) == 0 && c->peers[j].up)
                theirs = c->peers[j].level;
        }
        level = theirs < level ? theirs : level;
    }
    return level;
}

bool cluster_level_raise(struct cluster *c)
{
    if (c->build->level <= c->state.level)
        return false;
    struct cmd_cluster_level_set set = {
        0}; /* a command is larger, and this is asked in every turn of an upgrade */
    set.level = lowest(c, &set);
    if (set.level <= c->state.level)
        return false;
    struct command command = {.type = CMD_CLUSTER_LEVEL_SET, .time_ms = cluster_now_ms(c)};
    command.u.cluster_level_set = set;
    return cluster_queue(c, &command, NULL, NULL) == E_OK;
}

void cluster_level_tell_old(const struct cluster *c)
{
    uint32_t needed = c->level_heard > c->state.level ? c->level_heard : c->state.level;
    event(BUILD_TOO_OLD, c->build->level, needed);
}
