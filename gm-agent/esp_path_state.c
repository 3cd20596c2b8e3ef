/* esp_path_state.c - policy and keys of the packet path, and what is remembered of keys that are gone. */
#include <netinet/in.h>
#include <string.h>

#include "gm-agent/esp_path_parts.h"

_Static_assert(SEND_LEDGER_MAX >= TEK_TABLE_MAX * POLICY_SID_MAX,
               "no counter of a key in the table is forgotten");

void esp_path_init(struct esp_path *path, const struct rng *rng, const struct clock *clock)
{
    memset(path, 0, sizeof(*path));
    path->shared = path;
    pthread_mutex_init(&path->ledger_lock, NULL);
    pthread_mutex_init(&path->fresh_lock, NULL);
    path->rng = rng;
    path->clock = clock;
    esp_path_tick(path);
    if (rng_fill(rng, (uint8_t *)&path->ip_id, sizeof(path->ip_id)) != E_OK)
        path->ip_id = 1; /* only its distance from the last one matters */
}

void esp_path_tick(struct esp_path *path)
{
    path->mono_ms = clock_mono_ms(path->clock);
    path->wall_ms = clock_wall_ms(path->clock);
}

err_t esp_path_set_replay(struct esp_path *path, uint32_t window)
{
    return replay_table_open(&path->replay, window);
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
    if (path->shared != NULL) { /* it was begun */
        pthread_mutex_destroy(&path->ledger_lock);
        pthread_mutex_destroy(&path->fresh_lock);
    }
    replay_table_close(&path->replay);
    secret_wipe(path, sizeof(*path));
}

void esp_path_share(struct esp_path *path, struct esp_path *with)
{
    path->shared = with;
}

void esp_path_mute(struct esp_path *path)
{
    path->has_out = false;
    esp_path_drop_counter(path);
}

void esp_path_drop_counter(struct esp_path *path)
{
    if (!path->has_counter)
        return;
    pthread_mutex_lock(&path->shared->ledger_lock);
    send_ledger_release(&path->shared->ledger, path->counter);
    pthread_mutex_unlock(&path->shared->ledger_lock);
    path->has_counter = false;
}

bool esp_path_take_counter(struct esp_path *path, uint32_t spi, uint32_t sid, uint16_t sid_bits)
{
    esp_path_drop_counter(path);
    pthread_mutex_lock(&path->shared->ledger_lock);
    path->has_counter = send_ledger_hold(&path->shared->ledger, spi, sid, sid_bits, &path->counter) == E_OK;
    pthread_mutex_unlock(&path->shared->ledger_lock);
    return path->has_counter;
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

/* Before there is a policy everything counts as protected, and there is no key to send on. */
static err_t take_policy(struct esp_path *path, const struct datapath_state *state)
{
    const struct selector *selectors = state->closed ? policy_everything : state->selectors;
    size_t count = state->closed ? POLICY_EVERYTHING : state->selector_count;
    struct policy_list list;
    err_t err = policy_list_build(&list, state->denies, state->deny_count, selectors, count);
    if (err != E_OK)
        return err;
    path->policy = list;
    path->has_policy = count != 0;
    policy_compile(&path->policy, &path->program);
    return E_OK;
}

static void take_sids(struct esp_path *path, const struct datapath_state *state)
{
    size_t count = state->sid_count < POLICY_SID_MAX ? state->sid_count : POLICY_SID_MAX;
    bool same = path->sid_bits == state->sid_bits && path->sid_count == count;
    for (size_t i = 0; i < count; i++) {
        same = same && path->sids[i] == state->sids[i];
        path->sids[i] = state->sids[i];
    }
    path->sid_bits = state->sid_bits;
    path->sid_count = count;
    if (!same)
        path->sid = 0;
}

static void take_state(struct esp_path *path, const struct datapath_state *state)
{
    /* A closed door is closed for members on their way to the group too. */
    path->direction = state->closed ? DATAPATH_BOTH : state->direction;
    path->shared->time.clock = state->clock;
    path->shared->time.window_ms = state->time_window_ms;
    take_sids(path, state);
    esp_path_mute(path);
    for (size_t i = 0; state->out != NULL && i < path->sa_count; i++) {
        if (path->sas[i].spi != state->out->spi)
            continue;
        bool counts = tek_is_counter_mode(&path->sas[i].tek) && path->sid_count != 0;
        path->out = i;
        path->has_out = esp_path_take_counter(path, path->sas[i].spi, counts ? path->sids[path->sid] : 0,
                                              counts ? path->sid_bits : 0);
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
    if (err == E_OK)
        err = take_policy(path, state);
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
        if (!stays) {
            replay_table_forget(&path->shared->replay, path->sas[i].spi);
            sa_close(&path->sas[i]);
        }
    }
    secret_wipe(path->sas, sizeof(path->sas));
    memcpy(path->sas, fresh, count * sizeof(fresh[0]));
    path->sa_count = count;
    secret_wipe(fresh, sizeof(fresh));
    take_state(path, state);
    return E_OK;
}

/* The longest clear packet whose sealed form fits. */
static size_t inner_mtu_of(const struct esp_suite *suite, uint8_t family, size_t wan_mtu)
{
    return wan_mtu > ip_outer_len(family) ? esp_inner_len_max(suite, wan_mtu - ip_outer_len(family)) : 0;
}

size_t esp_path_inner_mtu(const struct esp_path *path, uint8_t family, size_t wan_mtu)
{
    static const struct esp_suite largest = {ESP_AES_CBC, 256, AUTH_HMAC_SHA512};
    size_t mtu = path->sa_count == 0 ? inner_mtu_of(&largest, family, wan_mtu) : wan_mtu;
    for (size_t i = 0; i < path->sa_count; i++) {
        size_t one = inner_mtu_of(&path->sas[i].tek.suite, family, wan_mtu);
        if (one < mtu)
            mtu = one;
    }
    return mtu;
}
