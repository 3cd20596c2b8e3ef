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

/* Zero for what was heard after now was read: never a wrap into ages. */
static uint64_t age_ms(uint64_t now_ms, uint64_t then_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

static bool is_live(const struct coop_sign *sign, uint64_t now_ms, uint64_t dead_ms)
{
    return sign != NULL && sign->connected && sign->healthy_ms != 0 &&
           age_ms(now_ms, sign->healthy_ms) < dead_ms;
}

static const struct node_record *best_live(const struct ks_state *state, const struct coop_sign *signs,
                                           size_t count, uint64_t now_ms, uint64_t dead_ms,
                                           const uint8_t *without)
{
    const struct node_record *best = NULL;
    for (size_t i = 0; i < state->node_count; i++) {
        const struct node_record *node = &state->nodes[i];
        if (node->role != NODE_VOTER || !is_live(sign_of(signs, count, node->id), now_ms, dead_ms) ||
            (without != NULL && memcmp(node->id, without, NODE_ID_LEN) == 0))
            continue;
        if (best == NULL || coop_compare(node, best) > 0)
            best = node;
    }
    return best;
}

bool coop_next(const struct ks_state *state, const struct coop_sign *signs, size_t count, uint64_t now_ms,
               uint64_t dead_ms, const uint8_t *without, uint8_t out[NODE_ID_LEN])
{
    const struct node_record *best = best_live(state, signs, count, now_ms, dead_ms, without);
    if (best != NULL)
        memcpy(out, best->id, NODE_ID_LEN);
    return best != NULL;
}

static bool is_dead(const struct coop_sign *sign, uint64_t since_ms, uint64_t now_ms, uint64_t dead_ms)
{
    if (sign != NULL && sign->gone_ms != 0 && age_ms(now_ms, sign->gone_ms) >= COOP_GONE_MS)
        return true;
    uint64_t heard = sign != NULL && sign->healthy_ms != 0 ? sign->healthy_ms : since_ms;
    return age_ms(now_ms, heard) >= (sign != NULL && sign->limit_ms != 0 ? sign->limit_ms : dead_ms);
}

bool coop_elect(const struct ks_state *state, const struct coop_sign *signs, size_t count, uint64_t since_ms,
                uint64_t now_ms, uint64_t dead_ms, uint8_t out[NODE_ID_LEN])
{
    const struct node_record *primary = ks_state_node(state, state->cluster.primary_id);
    if (primary != NULL && !is_dead(sign_of(signs, count, primary->id), since_ms, now_ms, dead_ms))
        return false;
    /* Whoever counts as dead is no candidate, though it was well a moment ago. */
    return coop_next(state, signs, count, now_ms, dead_ms, primary != NULL ? primary->id : NULL, out);
}
