/* ike_table_test.c - the table of SAs: ids, indexes, bounds, what is kept of an idle one. */
#include <stdlib.h>
#include <string.h>

#include "server/ike_table.h"
#include "tests/lib/test.h"

static const uint64_t seed[2] = {3, 4};
static struct rng_seeded seeded;
static struct rng rng;
static struct ike_policy policy;

static struct endpoint peer_at(unsigned n)
{
    return (struct endpoint){addr_v4(10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n), 848};
}

static struct mm_params params(void)
{
    static const struct addr local = {AF_INET, {10, 1, 11, 2}};
    return (struct mm_params){.policy = &policy,
                              .psk = bytes_of_text("secret"),
                              .local_id = identity_from_addr(&local),
                              .rng = &rng};
}

static err_t begin(struct ike_table *table, unsigned n, uint64_t now_ms, struct ike_sa **out)
{
    struct endpoint peer = peer_at(n);
    struct mm_params p = params();
    uint8_t cookie[COOKIE_LEN] = {0xc0, 0, 0, 0, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    return ike_table_begin(table, cookie, &peer, &p, now_ms, out);
}

/* As if its main mode had run. */
static err_t establish(struct ike_table *table, struct ike_sa *sa, uint32_t lifetime_s, uint64_t now_ms)
{
    struct isakmp_sa *full = &sa->half->mm.sa;
    sa->half->mm.state = MM_ESTABLISHED;
    full->lifetime_s = lifetime_s;
    full->doi = DOI_GDOI;
    full->suite = (struct ike_suite){CIPHER_AES_CBC_256, HASH_SHA256, IKE_GROUP_ECP256, IKE_AUTH_PSK};
    full->peer_id = identity_from_addr(&sa->peer);
    memset(full->last_block, 7, sizeof(full->last_block));
    full->skeyid_a.len = full->key.len = 32;
    memset(full->skeyid_a.data, 8, 32);
    memset(full->key.data, 9, 32);
    return ike_table_establish(table, sa, now_ms);
}

static int setup(void **state)
{
    (void)state;
    rng = rng_seeded_init(&seeded, 11);
    ike_policy_default(&policy);
    return 0;
}

static void an_sa_is_found_by_cookies_start_id_and_peer(void **state)
{
    (void)state;
    struct ike_table table;
    struct ike_sa *sa;
    struct endpoint peer = peer_at(1), other = peer_at(2);
    ike_table_init(&table, seed);
    assert_ok(begin(&table, 1, 100, &sa));
    assert_ptr_equal(ike_table_find(&table, sa->cookies, sa->cookies + COOKIE_LEN), sa);
    assert_ptr_equal(ike_table_find_start(&table, sa->cookies, &peer), sa);
    assert_null(ike_table_find_start(&table, sa->cookies, &other));
    assert_null(ike_table_of_peer(&table, &peer.addr));
    uint64_t id = sa->id;
    assert_ptr_equal(ike_table_by_id(&table, id), sa);
    assert_ok(establish(&table, sa, 1200, 100));
    assert_ptr_equal(ike_table_by_id(&table, id), sa);
    assert_null(ike_table_find_start(&table, sa->cookies, &peer)); /* message 1 again is a new beginning */
    assert_ptr_equal(ike_table_of_peer(&table, &peer.addr), sa);
    ike_table_remove(&table, sa);
    assert_null(ike_table_by_id(&table, id));
    assert_null(ike_table_of_peer(&table, &peer.addr));
    assert_int_equal(table.count, 0);
    ike_table_close(&table);
}

static void an_id_is_never_used_twice(void **state)
{
    (void)state;
    struct ike_table table;
    struct ike_sa *sa;
    uint64_t ids[100];
    ike_table_init(&table, seed);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        assert_ok(begin(&table, 1, 100, &sa));
        ids[i] = sa->id;
        for (size_t j = 0; j < i; j++)
            assert_true(ids[j] != ids[i]);
        ike_table_remove(&table, sa);
        assert_null(ike_table_by_id(&table, ids[i]));
    }
    ike_table_close(&table);
}

static void a_packed_sa_opens_as_it_was(void **state)
{
    (void)state;
    struct ike_table table;
    struct ike_sa *sa;
    struct isakmp_sa full;
    ike_table_init(&table, seed);
    assert_ok(begin(&table, 5, 100, &sa));
    assert_ok(establish(&table, sa, 1200, 100));
    ike_sa_open(sa, &full);
    assert_true(full.established);
    assert_memory_equal(full.cookie_i, sa->cookies, COOKIE_LEN);
    assert_memory_equal(full.cookie_r, sa->cookies + COOKIE_LEN, COOKIE_LEN);
    assert_int_equal(full.suite.hash, HASH_SHA256);
    assert_int_equal(full.skeyid_a.len, 32);
    assert_int_equal(full.skeyid_a.data[31], 8);
    assert_int_equal(full.key.data[31], 9);
    assert_int_equal(full.last_block[15], 7);
    assert_true(ike_sa_peer_is(sa, &full.peer_id));
    isakmp_sa_close(&full);
    ike_table_close(&table);
}

static void a_full_table_drops_the_one_that_was_idle_longest(void **state)
{
    (void)state;
    struct ike_table table;
    struct ike_sa *sa;
    struct endpoint first = peer_at(0), second = peer_at(1), last = peer_at(SA_MAX);
    ike_table_init(&table, seed);
    for (unsigned i = 0; i < SA_MAX; i++) {
        assert_ok(begin(&table, i, 100, &sa));
        assert_ok(establish(&table, sa, 1200, 100));
        ike_table_sweep(&table, 100 + WORK_IDLE_MS); /* keeps the memory of this test small */
    }
    assert_int_equal(table.count, SA_MAX);
    assert_non_null(ike_table_use(&table, ike_table_of_peer(&table, &first.addr), 200)); /* it spoke again */
    assert_ok(begin(&table, SA_MAX, 300, &sa));
    assert_ok(establish(&table, sa, 1200, 300));
    assert_int_equal(table.count, SA_MAX);
    assert_non_null(ike_table_of_peer(&table, &first.addr));
    assert_null(ike_table_of_peer(&table, &second.addr));
    assert_non_null(ike_table_of_peer(&table, &last.addr));
    ike_table_close(&table);
}

static void work_is_freed_when_nothing_comes(void **state)
{
    (void)state;
    struct ike_table table;
    struct ike_sa *sa;
    ike_table_init(&table, seed);
    assert_ok(begin(&table, 1, 0, &sa));
    assert_ok(establish(&table, sa, 1200, 0));
    assert_ok(answer_cache_put(&sa->work->cache, bytes_of_text("request"), bytes_of_text("reply")));
    ike_table_sweep(&table, WORK_IDLE_MS - 1);
    assert_non_null(sa->work);
    assert_non_null(ike_table_use(&table, sa, WORK_IDLE_MS - 1));
    ike_table_sweep(&table, WORK_IDLE_MS);
    assert_non_null(sa->work);
    ike_table_sweep(&table, 2 * WORK_IDLE_MS);
    assert_null(sa->work);
    assert_non_null(ike_table_use(&table, sa, 2 * WORK_IDLE_MS));
    ike_table_close(&table);
}

static void expired_sas_go(void **state)
{
    (void)state;
    struct ike_table table;
    struct ike_sa *sa;
    ike_table_init(&table, seed);
    for (unsigned i = 0; i < 100; i++) {
        assert_ok(begin(&table, i, 0, &sa));
        assert_ok(establish(&table, sa, 60 + i % 2 * 60, 0));
    }
    ike_table_sweep(&table, 60000);
    assert_int_equal(table.count, 50);
    ike_table_sweep(&table, 120000);
    assert_int_equal(table.count, 0);
    ike_table_close(&table);
}

static void several_sas_of_a_peer_can_go_in_any_order(void **state)
{
    (void)state;
    static const size_t orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}};
    for (size_t n = 0; n < ARRAY_LEN(orders); n++) {
        struct ike_table table;
        struct ike_sa *sa[4];
        struct endpoint peer = peer_at(1);
        ike_table_init(&table, seed);
        for (size_t i = 0; i < 4; i++) {
            struct mm_params p = params();
            uint8_t cookie[COOKIE_LEN] = {1, 2, 3, 4, 5, 6, 7, (uint8_t)i};
            assert_ok(ike_table_begin(&table, cookie, &peer, &p, 0, &sa[i]));
            assert_ok(establish(&table, sa[i], 1200, 0));
        }
        for (size_t i = 0; i < 4; i++) {
            ike_table_remove(&table, sa[orders[n][i]]);
            size_t left = 0;
            for (struct ike_sa *at = ike_table_of_peer(&table, &peer.addr); at != NULL; at = at->peer_next)
                left++;
            assert_int_equal(left, 3 - i);
        }
        ike_table_close(&table);
    }
}

static err_t keep(struct ike_work *work, uint32_t message_id, uint64_t last_ms, bool committing)
{
    struct ike_pull fresh = {.pull = {.message_id = message_id}, .last_ms = last_ms, .committing = committing};
    return ike_work_keep(work, &fresh);
}

static void a_new_pull_takes_the_place_of_the_quietest(void **state)
{
    struct ike_work work = {0};
    (void)state;
    _Static_assert(PULL_PER_SA_MAX == 2, "the cases below are of two places");
    assert_null(ike_work_pull(&work, 1));
    assert_int_equal(keep(&work, 1, 20, false), E_OK);
    assert_int_equal(keep(&work, 2, 10, false), E_OK);
    assert_int_equal(keep(&work, 3, 30, false), E_OK);
    assert_non_null(ike_work_pull(&work, 1));
    assert_null(ike_work_pull(&work, 2));

    /* What waits for its commit stays, though it is older. */
    ike_work_pull(&work, 1)->committing = true;
    assert_int_equal(keep(&work, 4, 40, false), E_OK);
    assert_non_null(ike_work_pull(&work, 1));
    assert_null(ike_work_pull(&work, 3));

    /* All do: the older one goes. */
    ike_work_pull(&work, 4)->committing = true;
    assert_int_equal(keep(&work, 5, 50, false), E_OK);
    assert_null(ike_work_pull(&work, 1));
    assert_non_null(ike_work_pull(&work, 4));

    /* Its place is free again when one is over. */
    ike_work_end(&work, ike_work_pull(&work, 4));
    assert_null(ike_work_pull(&work, 4));
    assert_int_equal(keep(&work, 6, 5, false), E_OK);
    assert_non_null(ike_work_pull(&work, 5));
    ike_work_end(&work, ike_work_pull(&work, 5));
    ike_work_end(&work, ike_work_pull(&work, 6));
    for (size_t i = 0; i < PULL_PER_SA_MAX; i++)
        assert_null(work.pulls[i]);
}

static void every_allocation_failure_leaves_the_table_as_it_was(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct ike_table table;
        struct ike_sa *sa = NULL;
        ike_table_init(&table, seed);
        heap_fault_after(n);
        err_t err = begin(&table, 1, 0, &sa);
        if (err == E_OK)
            err = establish(&table, sa, 1200, 0);
        bool hit = heap_fault_hit();
        heap_fault_after(-1);
        assert_int_equal(table.count, err == E_OK ? 1 : 0);
        assert_int_equal(table.half_count, 0);
        assert_int_equal(table.by_cookies.count, table.count);
        assert_int_equal(table.by_start.count, 0);
        ike_table_close(&table);
        if (!hit) {
            assert_ok(err);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_sa_is_found_by_cookies_start_id_and_peer, setup),
        cmocka_unit_test_setup(an_id_is_never_used_twice, setup),
        cmocka_unit_test_setup(a_packed_sa_opens_as_it_was, setup),
        cmocka_unit_test_setup(a_full_table_drops_the_one_that_was_idle_longest, setup),
        cmocka_unit_test_setup(work_is_freed_when_nothing_comes, setup),
        cmocka_unit_test_setup(expired_sas_go, setup),
        cmocka_unit_test_setup(several_sas_of_a_peer_can_go_in_any_order, setup),
        cmocka_unit_test_setup(a_new_pull_takes_the_place_of_the_quietest, setup),
        cmocka_unit_test_setup(every_allocation_failure_leaves_the_table_as_it_was, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
