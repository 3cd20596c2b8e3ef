/* job.h - work for the thread pool: copies and ids only, so that it may outlive what it was made for.
 * Whoever takes a job back looks its id up again and frees it. */
#ifndef SERVER_JOB_H
#define SERVER_JOB_H

#include "cluster/rekey_plan.h"
#include "proto/crypto/sign.h"
#include "proto/ike/main_mode.h"

enum job_kind {
    JOB_DH,       /* Diffie-Hellman of a main mode */
    JOB_SIGN_KEY, /* a new signing key */
    JOB_SEAL,     /* a rekey built, signed and sealed */
};

/* An opened signing key, shared by the jobs that sign with it. Counted on the loop thread only. */
struct signer {
    uint32_t version;
    unsigned refs;
    struct sign_key *key;
};
void signer_release(struct signer *signer); /* NULL is fine; the last one frees the key */

struct job {
    enum job_kind kind;
    uint64_t sa_id; /* DH */
    struct dh_job dh;
    enum sign_alg alg; /* SIGN_KEY */
    unsigned bits;
    uint8_t private_key[SIGN_PRIVATE_MAX];
    size_t private_len;
    uint8_t public_key[SIGN_PUBLIC_MAX];
    size_t public_len;
    struct rekey_draft *draft; /* SEAL */
    struct signer *signer;
    err_t err; /* SIGN_KEY */
};

struct job *job_new(enum job_kind kind); /* NULL: out of memory */
void job_run(struct job *job);           /* any thread */
/* Loop thread: wipes, frees, lets go of draft and signer. NULL is fine. */
void job_free(struct job *job);

#endif
