#include <stdlib.h>
#include <string.h>

#include "cluster/ks_internal.h"
#include "cluster/ks_runway.h"
#include "cluster/rekey_plan.h"

enum { SPI_TRIES = 16 };

struct draw {
    const struct ks_state *state;
    const struct ks_group *group;
    const struct wrap_key *wrap;
    const struct rng *rng;
    uint64_t now_ms;
};

static err_t draw_secret(const struct draw *d, size_t len, struct secret *out)
{
    if (len > SECRET_LEN_MAX)
        return E_BAD_KEY;
    out->len = (uint16_t)len;
    return rng_fill(d->rng, out->data, len);
}

/* A KEK's SPI is the pair of cookies in the header of its pushes: neither may be zero, and the first four
 * octets would be taken for a non-ESP marker if they were. */
static err_t draw_kek_spi(const struct draw *d, uint8_t out[KEK_SPI_LEN])
{
    static const uint8_t zero[COOKIE_LEN] = {0};
    for (int i = 0; i < SPI_TRIES; i++) {
        err_t err = rng_fill(d->rng, out, KEK_SPI_LEN);
        if (err != E_OK)
            return err;
        if (memcmp(out, zero, NON_ESP_MARKER_LEN) != 0 && memcmp(out + COOKIE_LEN, zero, COOKIE_LEN) != 0)
            return E_OK;
    }
    return E_CRYPTO;
}

static err_t make_kek(const struct draw *d, struct rekey_draft *draft)
{
    const struct group_config *config = &d->group->record.config;
    const struct signing_record *signing = &d->state->signing;
    struct kek_record *record = &draft->command.kek;
    struct kek *kek = &draft->policy.kek;
    *record = (struct kek_record){
        .generation = draft->command.generation,
        .cipher = config->kek_cipher,
        .sig_hash = config->sig_hash,
        .ack = config->ack,
        .signing_version = signing->version,
        .created_ms = d->now_ms,
        .lifetime_s = config->kek_lifetime_s,
    };
    *kek = (struct kek){
        .cipher = config->kek_cipher,
        .lifetime_s = config->kek_lifetime_s,
        .sig_hash = config->sig_hash,
        .sig_alg = signing->alg,
        .sig_key_bits = signing->bits,
        .ack = config->ack,
    };
    /* Members keep the public key that they have, unless it is another one now. */
    if (d->group->record.kek.signing_version != signing->version) {
        kek->public_len = signing->public_len;
        memcpy(kek->public_key, signing->public_key, signing->public_len);
    }
    err_t err = draw_kek_spi(d, record->spi);
    if (err == E_OK)
        err = draw_secret(d, cipher_block_len(kek->cipher) + cipher_key_len(kek->cipher), &kek->iv_key);
    if (err != E_OK)
        return err;
    memcpy(kek->spi, record->spi, KEK_SPI_LEN);
    draft->command.has_kek = draft->policy.has_kek = true;
    uint8_t context[WRAP_CONTEXT_MAX];
    struct bytes name =
        wrap_context(d->state, draft->command.group_id, WRAP_KEK, BYTES_OF(record->spi), context);
    return keywrap_seal(d->wrap, d->rng, name, secret_view(&kek->iv_key), &record->iv_key);
}

/* Takes the key from the runway when it has one for now; else a fresh one. */
static err_t make_tek(const struct draw *d, struct rekey_draft *draft, bool split)
{
    const struct group_record *group = &d->group->record;
    struct tek_record *record = &draft->command.tek;
    struct tek *tek = &draft->policy.teks[0];
    uint64_t created_ms = d->now_ms;
    const struct tek_record *ahead =
        draft->command.sid_reset ? NULL : ks_runway_take(group, d->now_ms, split, &created_ms);
    err_t err;
    if (ahead != NULL)
        *record = *ahead;
    else if ((err = ks_tek_draw(d->state, d->group, d->wrap, d->rng, record, tek)) != E_OK)
        return err;
    record->generation = draft->command.generation;
    record->sid_epoch = group->sid_epoch + (draft->command.sid_reset ? 1 : 0);
    record->created_ms = created_ms;
    if (ahead != NULL && (err = ks_tek_open(d->state, d->group, record, d->wrap, d->now_ms, tek)) != E_OK)
        return err;
    /* A push leaves some milliseconds after its key's turn. All members hear it alike, so the second that has
     * begun counts: without it those of short lives would come again just before the next push. Who registers
     * is told whole seconds only, so that nobody sends on a key after the others gave it up. */
    uint64_t end_ms = tek_end_ms(record);
    if (ahead != NULL && end_ms > d->now_ms)
        tek->lifetime_s = (uint32_t)((end_ms - d->now_ms + 999) / 1000);
    draft->command.has_tek = true;
    draft->policy.tek_count = 1;
    return E_OK;
}

static bool kek_terms_differ(const struct group_record *r)
{
    return r->kek.cipher != r->config.kek_cipher || r->kek.sig_hash != r->config.sig_hash ||
           r->kek.ack != r->config.ack;
}

static void fill_terms(const struct draw *d, bool split, struct rekey_draft *draft)
{
    const struct group_record *r = &d->group->record;
    const struct group_config *config = &r->config;
    struct group_policy *policy = &draft->policy;
    policy->rekey_src = (struct endpoint){config->server_addr, GDOI_PORT};
    policy->rekey_dst = (struct endpoint){.addr.family = config->server_addr.family, .port = GDOI_PORT};
    uint64_t old_end_ms = r->tek_count > 0 ? tek_end_ms(&r->teks[r->tek_count - 1]) : 0;
    policy->activation_s = ks_activation_s(config, old_end_ms, d->now_ms, split);
    policy->deactivation_s =
        policy->activation_s > config->deactivation_s ? policy->activation_s : config->deactivation_s;
    policy->has_delays = policy->activation_s != 0 || policy->deactivation_s != 0;
    policy->selector_count = config->selector_count;
    memcpy(policy->selectors, config->selectors, config->selector_count * sizeof(config->selectors[0]));
    policy->sid_bits = config->sid_bits;
    draft->dialect = config->dialect;
}

static err_t fill(const struct draw *d, const struct rekey_due *due, struct rekey_draft *draft)
{
    const struct group_record *r = &d->group->record;
    draft->needs_push = due->kind != REKEY_INITIAL;
    draft->command = (struct cmd_rekey){
        .group_id = r->id,
        .epoch = d->state->cluster.coop_epoch,
        .generation = r->generation + 1,
        .seq = r->seq + (draft->needs_push ? 1 : 0),
        .policy_version = r->policy_version,
        .kind = due->kind,
        .sid_reset = due->sid_reset,
    };
    fill_terms(d, due->split, draft);
    draft->policy.time = ks_policy_time(r, d->now_ms);
    err_t err = E_OK;
    if (due->kind == REKEY_INITIAL || due->kind == REKEY_KEK ||
        (due->kind == REKEY_POLICY && kek_terms_differ(r)))
        err = make_kek(d, draft);
    if (err == E_OK)
        err = make_tek(d, draft, due->split);
    if (err != E_OK || !draft->needs_push)
        return err;
    memcpy(draft->command.kek_spi, r->kek.spi, KEK_SPI_LEN);
    return ks_kek_open(d->state, d->group, &r->kek, d->wrap, d->now_ms, &draft->under);
}

err_t rekey_draft_make(const struct ks_state *state, const struct rekey_due *due, const struct wrap_key *wrap,
                       const struct rng *rng, uint64_t now_ms, struct rekey_draft **out)
{
    *out = NULL;
    struct draw d = {state, ks_state_group(state, due->group_id), wrap, rng, now_ms};
    if (d.group == NULL)
        return E_UNKNOWN_GROUP;
    if (d.group->pushing)
        return E_STALE;
    if (state->signing.version == 0 || (due->kind != REKEY_INITIAL && !d.group->record.has_kek))
        return E_STATE;
    struct rekey_draft *draft = calloc(1, sizeof(*draft));
    if (draft == NULL)
        return E_NO_MEMORY;
    err_t err = fill(&d, due, draft);
    if (err != E_OK) {
        rekey_draft_free(draft);
        return err;
    }
    *out = draft;
    return E_OK;
}

void rekey_draft_seal(struct rekey_draft *draft, const struct sign_key *key)
{
    if (!draft->needs_push)
        return;
    draft->push = malloc(ISAKMP_MESSAGE_MAX);
    if (draft->push == NULL) {
        draft->err = E_NO_MEMORY;
        return;
    }
    struct push_content content = {.seq = draft->command.seq, .policy = &draft->policy};
    if (draft->command.sid_reset) {
        /* Sender ids start again, and none may go out in a push (RFC 6407 5.6.4.4): all members drop their
         * TEKs and register again. A push that only deletes carries no SA and no KD (RFC 6407 4.2). */
        content.policy = NULL;
        content.deletes[0] = (struct push_delete){.protocol = SAT_ESP, .all = true};
        content.delete_count = 1;
    }
    struct writer w = writer_over(draft->push, ISAKMP_MESSAGE_MAX);
    draft->err = push_build(&draft->under, key, &draft->dialect, &content, &w);
    draft->push_len = draft->err == E_OK ? w.len : 0;
}

void rekey_draft_command(const struct rekey_draft *draft, uint64_t now_ms, struct command *out)
{
    *out = (struct command){.type = CMD_REKEY, .time_ms = now_ms, .u.rekey = draft->command};
    out->u.rekey.push = (struct bytes){draft->push, draft->push_len};
}

void rekey_draft_free(struct rekey_draft *draft)
{
    if (draft == NULL)
        return;
    group_policy_close(&draft->policy);
    secret_close(&draft->under.iv_key);
    free(draft->push);
    free(draft);
}
