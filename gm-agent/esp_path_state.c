/* esp_path_state.c - policy and keys of the packet path, and what is remembered of keys that are gone. */
#include <string.h>

#include "gm-agent/esp_path.h"

void esp_path_init(struct esp_path *path, const struct rng *rng, const struct clock *clock)
{
    memset(path, 0, sizeof(*path));
    path->rng = rng;
    path->clock = clock;
    if (rng_fill(rng, (uint8_t *)&path->ip_id, sizeof(path->ip_id)) != E_OK)
        path->ip_id = 1; /* only its distance from the last one matters */
}

static void sa_close(struct esp_sa *sa)
{
    esp_context_free(sa->context);
    secret_wipe(sa, sizeof(*sa));
}

void esp_path_close(struct esp_path *path)
{
    for (size_t i = 0; i < path->sa_count; i++)
        sa_close(&path->sas[i]);
    secret_wipe(path, sizeof(*path));
}

static uint32_t number_of(struct bytes octets)
{
    struct reader r = reader_over(octets);
    return read_u32(&r);
}

static struct esp_selector selector_of(const struct selector *from)
{
    uint8_t mask[16];
    struct esp_selector s = {
        .protocol = from->protocol, .src_port = from->src_port, .dst_port = from->dst_port};
    prefix_mask(&from->src, mask);
    s.src_mask = number_of((struct bytes){mask, 4});
    s.src = number_of(addr_bytes(&from->src.addr)) & s.src_mask;
    prefix_mask(&from->dst, mask);
    s.dst_mask = number_of((struct bytes){mask, 4});
    s.dst = number_of(addr_bytes(&from->dst.addr)) & s.dst_mask;
    return s;
}

static bool same_tek(const struct tek *a, const struct tek *b)
{
    return a->spi == b->spi && a->suite.transform == b->suite.transform &&
           a->suite.key_bits == b->suite.key_bits && a->suite.auth == b->suite.auth &&
           secret_equal(secret_view(&a->key), secret_view(&b->key)) &&
           secret_equal(secret_view(&a->integrity), secret_view(&b->integrity));
}

static err_t sa_open(struct esp_sa *sa, const struct tek *tek)
{
    memset(sa, 0, sizeof(*sa));
    err_t err =
        esp_context_open(&tek->suite, secret_view(&tek->key), secret_view(&tek->integrity), &sa->context);
    if (err != E_OK)
        return err;
    sa->spi = tek->spi;
    sa->tek.spi = tek->spi;
    sa->tek.suite = tek->suite;
    secret_copy(&sa->tek.key, &tek->key);
    secret_copy(&sa->tek.integrity, &tek->integrity);
    return E_OK;
}

static struct esp_sa *find_same(struct esp_path *path, const struct tek *tek)
{
    for (size_t i = 0; i < path->sa_count; i++)
        if (same_tek(&path->sas[i].tek, tek))
            return &path->sas[i];
    return NULL;
}

/* The counter of a key: where it stopped, or a new one at 0. The oldest makes room. */
static size_t ledger_find(struct esp_path *path, uint32_t spi)
{
    size_t at = 0;
    while (at < path->ledger_count && path->ledger[at].spi != spi)
        at++;
    if (at == path->ledger_count && at < ESP_PATH_LEDGER_MAX) {
        path->ledger[path->ledger_count++] = (struct esp_counter){.spi = spi};
    } else if (at == path->ledger_count) {
        at = 0;
        for (size_t i = 1; i < path->ledger_count; i++)
            if (path->ledger[i].used < path->ledger[at].used)
                at = i;
        path->ledger[at] = (struct esp_counter){.spi = spi};
    }
    path->ledger[at].used = ++path->ledger_clock;
    return at;
}

static void take_state(struct esp_path *path, const struct datapath_state *state)
{
    path->selector_count = 0;
    for (size_t i = 0; i < state->selector_count && i < POLICY_SELECTOR_MAX; i++)
        path->selectors[path->selector_count++] = selector_of(&state->selectors[i]);
    path->sid_bits = state->sid_bits;
    path->sid_count = 0;
    for (size_t i = 0; i < state->sid_count && i < POLICY_SID_MAX; i++)
        path->sids[path->sid_count++] = state->sids[i];
    path->has_out = false;
    for (size_t i = 0; state->out != NULL && i < path->sa_count; i++) {
        if (path->sas[i].spi == state->out->spi) {
            path->has_out = true;
            path->out = i;
            path->counter = ledger_find(path, path->sas[i].spi);
        }
    }
}

err_t esp_path_apply(struct esp_path *path, const struct datapath_state *state)
{
    struct esp_sa fresh[TEK_TABLE_MAX];
    bool kept[TEK_TABLE_MAX] = {false};
    size_t count = 0;
    err_t err = E_OK;
    for (size_t i = 0; i < state->in_count && count < TEK_TABLE_MAX && err == E_OK; i++) {
        struct esp_sa *old = find_same(path, state->in[i]);
        if (old != NULL) {
            fresh[count] = *old;
            kept[count++] = true;
        } else {
            err = sa_open(&fresh[count], state->in[i]);
            kept[count] = false;
            count += err == E_OK;
        }
    }
    if (err != E_OK) {
        for (size_t i = 0; i < count; i++)
            if (!kept[i])
                sa_close(&fresh[i]);
        secret_wipe(fresh, sizeof(fresh));
        return err;
    }
    for (size_t i = 0; i < path->sa_count; i++) {
        bool stays = false;
        for (size_t k = 0; k < count; k++)
            stays |= kept[k] && fresh[k].context == path->sas[i].context;
        if (!stays)
            sa_close(&path->sas[i]);
    }
    secret_wipe(path->sas, sizeof(path->sas));
    memcpy(path->sas, fresh, count * sizeof(fresh[0]));
    path->sa_count = count;
    secret_wipe(fresh, sizeof(fresh));
    take_state(path, state);
    return E_OK;
}

/* The longest clear packet whose sealed form fits. */
static size_t inner_mtu_of(const struct esp_suite *suite, size_t wan_mtu)
{
    size_t len = wan_mtu;
    while (len > 0 && IP_HEADER_LEN + esp_sealed_len(suite, len) > wan_mtu)
        len--;
    return len;
}

size_t esp_path_inner_mtu(const struct esp_path *path, size_t wan_mtu)
{
    static const struct esp_suite largest = {ESP_AES_CBC, 256, AUTH_HMAC_SHA512};
    size_t mtu = path->sa_count == 0 ? inner_mtu_of(&largest, wan_mtu) : wan_mtu;
    for (size_t i = 0; i < path->sa_count; i++) {
        size_t one = inner_mtu_of(&path->sas[i].tek.suite, wan_mtu);
        if (one < mtu)
            mtu = one;
    }
    return mtu;
}
