/* crypto_pool_test.c - jobs through libuv's pool: all come back, none after a stop, no more than there is
 * room for. */
#include <stdlib.h>
#include <uv.h>

#include "server/crypto_pool.h"
#include "tests/lib/test.h"

struct seen {
    size_t done;
    size_t good;
    struct crypto_pool *pool;
    size_t more; /* jobs that a finished one submits */
};

static struct job *dh_job(void)
{
    struct job *job = job_new(JOB_DH);
    assert_non_null(job);
    job->dh.group = IKE_GROUP_ECP256;
    return job;
}

static void on_done(void *context, struct job *job)
{
    struct seen *seen = context;
    seen->done++;
    seen->good += job->dh.err == E_OK && job->dh.pub.len == 64;
    job_free(job);
    if (seen->more > 0) {
        seen->more--;
        assert_ok(crypto_pool_submit(seen->pool, dh_job()));
    }
}

static void every_job_comes_back(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct seen seen = {.more = 10};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_ok(crypto_pool_open(&seen.pool, &loop, on_done, &seen));
    for (int i = 0; i < 50; i++)
        assert_ok(crypto_pool_submit(seen.pool, dh_job()));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(seen.done, 60);
    assert_int_equal(seen.good, 60);
    crypto_pool_free(seen.pool);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void after_a_stop_none_comes_and_none_leaks(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct seen seen = {0};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_ok(crypto_pool_open(&seen.pool, &loop, on_done, &seen));
    for (int i = 0; i < 50; i++)
        assert_ok(crypto_pool_submit(seen.pool, dh_job()));
    crypto_pool_stop(seen.pool);
    struct job *late = dh_job();
    assert_err(crypto_pool_submit(seen.pool, late), E_FULL);
    job_free(late);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(seen.done, 0);
    crypto_pool_free(seen.pool);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_full_pool_refuses(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct seen seen = {0};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_ok(crypto_pool_open(&seen.pool, &loop, on_done, &seen));
    for (int i = 0; i < POOL_JOB_MAX; i++)
        assert_ok(crypto_pool_submit(seen.pool, dh_job()));
    struct job *late = dh_job();
    assert_err(crypto_pool_submit(seen.pool, late), E_FULL);
    job_free(late);
    crypto_pool_stop(seen.pool);
    uv_run(&loop, UV_RUN_DEFAULT);
    crypto_pool_free(seen.pool);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_signing_key_is_made_by_a_job(void **state)
{
    (void)state;
    static const enum sign_alg algs[] = {SIGN_RSA, SIGN_ECDSA_256, SIGN_ECDSA_384};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        struct sign_key *key;
        struct job *job = job_new(JOB_SIGN_KEY);
        job->alg = algs[i];
        job->bits = 2048;
        job_run(job);
        assert_ok(job->err);
        assert_ok(sign_key_open((struct bytes){job->private_key, job->private_len}, &key));
        assert_int_equal(sign_key_alg(key), algs[i]);
        sign_key_free(key);
        job_free(job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_comes_back),
        cmocka_unit_test(after_a_stop_none_comes_and_none_leaks),
        cmocka_unit_test(a_full_pool_refuses),
        cmocka_unit_test(a_signing_key_is_made_by_a_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
