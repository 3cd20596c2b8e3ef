/* cluster_level.c - the levels of builds (level.h) in a running cluster: heard in signs of life, raised by
 * the leader. */
#include "cluster/cluster_internal.h"

void cluster_level_hear(struct cluster *c, struct peer *peer, uint32_t level, uint32_t cluster_level)
{
    (void)c;
    (void)cluster_level;
    peer->level = level;
}
