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

void signing_tick(struct core *core)
{
    if (core->sign_key_making || key_fits(core) || !core->ports.is_primary(core->ports.context))
        return;
    if (core_state(core)->previous_signing.version != 0)
        return; /* one change at a time: the last one has not reached all members */
    struct job *job = job_new(JOB_SIGN_KEY);
    if (job == NULL)
        return;
    job->alg = core->config->sign_alg;
    job->bits = core->config->sign_bits;
    core->sign_key_making = core_compute(core, job) == E_OK;
    if (!core->sign_key_making)
        job_free(job);
}

/* Committed, refused or lost: the next tick looks again. */
static void on_key_done(void *context, const struct apply_result *result)
{
    struct core *core = context;
    (void)result;
    core->sign_key_making = false;
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
        core->sign_key_making = false;
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
    for (size_t i = 0; i < SIGNER_MAX; i++)
        signer_release(core->signers[i]);
}
