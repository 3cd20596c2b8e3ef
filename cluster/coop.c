#include "cluster/coop.h"

#include <string.h>

int coop_compare(const struct node_record *a, const struct node_record *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? 1 : -1;
    int order = addr_compare(&a->address, &b->address);
    return order != 0 ? order : memcmp(a->id, b->id, NODE_ID_LEN);
}

static uint64_t heard_ms(const struct coop_sign *signs, size_t count, const uint8_t id[NODE_ID_LEN])
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(signs[i].id, id, NODE_ID_LEN) == 0)
            return signs[i].healthy_ms;
    }
    return 0;
}

static bool is_live(uint64_t heard, uint64_t now_ms, uint64_t dead_ms)
{
    return heard != 0 && now_ms - heard < dead_ms;
}

bool coop_elect(const struct ks_state *state, const struct coop_sign *signs, size_t count, uint64_t since_ms,
                uint64_t now_ms, uint64_t dead_ms, uint8_t out[NODE_ID_LEN])
{
    const struct node_record *best = NULL, *primary = ks_state_node(state, state->cluster.primary_id);
    if (primary != NULL) {
        uint64_t heard = heard_ms(signs, count, primary->id);
        if (heard < since_ms)
            heard = since_ms;
        if (now_ms - heard < dead_ms)
            return false;
    }
    for (size_t i = 0; i < state->node_count; i++) {
        const struct node_record *node = &state->nodes[i];
        if (node->role != NODE_VOTER || !is_live(heard_ms(signs, count, node->id), now_ms, dead_ms))
            continue;
        if (best == NULL || coop_compare(node, best) > 0)
            best = node;
    }
    if (best == NULL || best == primary)
        return false;
    memcpy(out, best->id, NODE_ID_LEN);
    return true;
}
