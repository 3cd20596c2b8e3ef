#include "server/job.h"

#include <stdlib.h>

struct job *job_new(enum job_kind kind)
{
    struct job *job = calloc(1, sizeof(*job));
    if (job != NULL)
        job->kind = kind;
    return job;
}

void job_run(struct job *job)
{
    switch (job->kind) {
    case JOB_DH:
        dh_job_run(&job->dh);
        break;
    case JOB_SIGN_KEY:
        job->err = sign_key_make(job->alg, job->bits, job->private_key, &job->private_len, job->public_key,
                                 &job->public_len);
        break;
    case JOB_SEAL:
        rekey_draft_seal(job->draft, job->signer->key);
        break;
    }
}

void job_free(struct job *job)
{
    if (job == NULL)
        return;
    dh_job_close(&job->dh);
    if (job->draft != NULL)
        rekey_draft_free(job->draft);
    signer_release(job->signer);
    secret_wipe(job, sizeof(*job));
    free(job);
}

void signer_release(struct signer *signer)
{
    if (signer == NULL || --signer->refs != 0)
        return;
    sign_key_free(signer->key);
    free(signer);
}
