#include "cluster/coop.h"

#include <string.h>

int coop_compare(const struct node_record *a, const struct node_record *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? 1 : -1;
    int order = addr_compare(&a->address, &b->address);
    return order != 0 ? order : memcmp(a->id, b->id, NODE_ID_LEN);
}

static const struct coop_sign *sign_of(const struct coop_sign *signs, size_t count,
                                       const uint8_t id[NODE_ID_LEN])
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(signs[i].id, id, NODE_ID_LEN) == 0)
            return &signs[i];
    }
    return NULL;
}

static bool is_live(const struct coop_sign *sign, uint64_t now_ms, uint64_t dead_ms)
{
    return sign != NULL && sign->connected && sign->healthy_ms != 0 && now_ms - sign->healthy_ms < dead_ms;
}

bool coop_elect(const struct ks_state *state, const struct coop_sign *signs, size_t count, uint64_t since_ms,
                uint64_t now_ms, uint64_t dead_ms, uint8_t out[NODE_ID_LEN])
{
    const struct node_record *best = NULL, *primary = ks_state_node(state, state->cluster.primary_id);
    if (primary != NULL) {
        const struct coop_sign *sign = sign_of(signs, count, primary->id);
        uint64_t heard = sign != NULL && sign->healthy_ms != 0 ? sign->healthy_ms : since_ms;
        if (now_ms - heard < dead_ms)
            return false;
    }
    for (size_t i = 0; i < state->node_count; i++) {
        const struct node_record *node = &state->nodes[i];
        if (node->role != NODE_VOTER || !is_live(sign_of(signs, count, node->id), now_ms, dead_ms))
            continue;
        if (best == NULL || coop_compare(node, best) > 0)
            best = node;
    }
    if (best == NULL || best == primary)
        return false;
    memcpy(out, best->id, NODE_ID_LEN);
    return true;
}
