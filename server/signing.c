/* signing.c - the key that signs rekeys: made in the pool, committed sealed, opened once per version. The
 * version before stays in the state for groups whose members verify with it still: the push that brings them
 * the new key is signed by the old one, by whoever is the primary then. */
#include <stdlib.h>

#include "server/core_parts.h"

static struct signer *signer_open(struct core *core, uint32_t version)
{
    uint8_t private_key[SIGN_PRIVATE_MAX];
    size_t len = 0;
    struct signer *signer = calloc(1, sizeof(*signer));
    if (signer == NULL)
        return NULL;
    err_t err = ks_signing_open(core_state(core), core->ports.wrap_key(core->ports.context), version,
                                private_key, &len);
    if (err == E_OK)
        err = sign_key_open((struct bytes){private_key, len}, &signer->key);
    secret_wipe(private_key, sizeof(private_key));
    if (err != E_OK) {
        free(signer);
        return NULL;
    }
    signer->version = version;
    signer->refs = 1;
    return signer;
}

struct signer *signing_find(struct core *core, uint32_t version)
{
    for (size_t i = 0; i < SIGNER_MAX; i++)
        if (core->signers[i] != NULL && core->signers[i]->version == version)
            return core->signers[i];
    struct signer *signer = signer_open(core, version);
    if (signer == NULL)
        return NULL;
    signer_release(core->signers[SIGNER_MAX - 1]);
    for (size_t i = SIGNER_MAX - 1; i > 0; i--)
        core->signers[i] = core->signers[i - 1];
    core->signers[0] = signer;
    return signer;
}

static bool key_fits(const struct core *core)
{
    const struct signing_record *have = &core_state(core)->signing;
    const struct ksd_config *want = core->config;
    return have->version != 0 && have->alg == want->sign_alg &&
           (want->sign_alg != SIGN_RSA || have->bits == want->sign_bits);
}

static err_t make_key(struct core *core)
{
    struct job *job = job_new(JOB_SIGN_KEY);
    if (job == NULL)
        return E_NO_MEMORY;
    job->alg = core->config->sign_alg;
    job->bits = core->config->sign_bits;
    err_t err = core_compute(core, job);
    core->sign_key_making = err == E_OK;
    if (err != E_OK)
        job_free(job);
    return err;
}

/* One change at a time: without it some KEK would be two keys behind, and nobody could sign for its members. */
static bool is_unfinished(const struct core *core)
{
    return core_state(core)->previous_signing.version != 0;
}

void signing_tick(struct core *core)
{
    if (core->sign_key_making || key_fits(core) || !core->ports.is_primary(core->ports.context) ||
        is_unfinished(core))
        return;
    err_t err = make_key(core);
    (void)err; /* the next tick tries again */
}

err_t core_signing_rotate(struct core *core, core_rekey_fn done, void *context)
{
    core->now_ms = clock_mono_ms(core->clock);
    if (!core->ready || !core_state(core)->initialised)
        return E_NO_QUORUM;
    if (!core->ports.is_primary(core->ports.context))
        return E_NOT_PRIMARY;
    if (core->sign_key_making || core_state(core)->signing.version == 0)
        return E_AGAIN;
    if (is_unfinished(core))
        return E_STATE;
    err_t err = make_key(core);
    if (err != E_OK)
        return err;
    core->rotate_asked = done;
    core->rotate_context = context;
    return E_OK;
}

static void made(struct core *core, err_t err)
{
    core_rekey_fn asked = core->rotate_asked;
    core->sign_key_making = false;
    core->rotate_asked = NULL;
    if (asked != NULL)
        asked(core->rotate_context, err, err == E_OK ? core_state(core)->signing.version : 0);
}

/* Committed, refused or lost: the next tick looks again. */
static void on_key_done(void *context, const struct apply_result *result)
{
    struct core *core = context;
    made(core, result->err);
    core_soon(core);
}

void signing_job_done(struct core *core, struct job *job)
{
    struct command command = {.type = CMD_SIGNING_KEY, .time_ms = core_cluster_now(core)};
    err_t err = job->err;
    uint16_t bits = job->alg == SIGN_RSA ? (uint16_t)job->bits : job->alg == SIGN_ECDSA_256 ? 256 : 384;
    if (err == E_OK)
        err = ks_signing_seal(core_state(core), core->ports.wrap_key(core->ports.context), core->rng,
                              job->alg, bits, (struct bytes){job->private_key, job->private_len},
                              (struct bytes){job->public_key, job->public_len}, &command.u.signing_key.key);
    if (err == E_OK)
        err = core->ports.propose(core->ports.context, &command, on_key_done, core);
    if (err != E_OK)
        made(core, err);
}

void signing_applied(struct core *core, const struct command *command, const struct apply_result *result)
{
    (void)core;
    (void)result;
    static const char *const names[] = {"none", "RSA", "ECDSA P-256", "ECDSA P-384"};
    const struct signing_record *key = &command->u.signing_key.key;
    event(SIGNING_KEY_CREATED, (unsigned)key->version,
          (unsigned)key->alg < ARRAY_LEN(names) ? names[key->alg] : "?");
}

void signing_close(struct core *core)
{
    if (core->rotate_asked != NULL)
        core->rotate_asked(core->rotate_context, E_CANCELED, 0);
    core->rotate_asked = NULL;
    for (size_t i = 0; i < SIGNER_MAX; i++)
        signer_release(core->signers[i]);
}
