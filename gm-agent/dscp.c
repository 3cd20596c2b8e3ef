/* dscp.c - sums and names. */
#include "gm-agent/dscp.h"

#include <stdio.h>

static void add(struct dscp_count sum[DSCP_COUNT], const struct dscp_count part[DSCP_COUNT])
{
    for (size_t i = 0; i < DSCP_COUNT; i++) {
        sum[i].packets += part[i].packets;
        sum[i].octets += part[i].octets;
    }
}

void dscp_add(struct dscp_table *sum, const struct dscp_table *part)
{
    add(sum->out, part->out);
    add(sum->in, part->in);
}

const char *dscp_name(uint8_t dscp, char out[DSCP_NAME_MAX])
{
    unsigned class = dscp >> 3, drop = (dscp & 7u) / 2;
    if (dscp == 0)
        snprintf(out, DSCP_NAME_MAX, "DF");
    else if (dscp == 46) /* RFC 3246 */
        snprintf(out, DSCP_NAME_MAX, "EF");
    else if (dscp == 44) /* RFC 5865 */
        snprintf(out, DSCP_NAME_MAX, "VA");
    else if (dscp == 1) /* RFC 8622 */
        snprintf(out, DSCP_NAME_MAX, "LE");
    else if (dscp < DSCP_COUNT && (dscp & 7) == 0) /* RFC 2474 4.2.2 */
        snprintf(out, DSCP_NAME_MAX, "CS%u", class);
    else if (class >= 1 && class <= 4 && (dscp & 1) == 0) /* RFC 2597 6 */
        snprintf(out, DSCP_NAME_MAX, "AF%u%u", class, drop);
    else
        snprintf(out, DSCP_NAME_MAX, "%u", dscp);
    return out;
}
