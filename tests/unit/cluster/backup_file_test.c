#include "cluster/backup_file.h"

#include <stdlib.h>
#include <string.h>

#include "proto/crypto/prf.h"
#include "tests/lib/test.h"

enum { AT_VERSION = 8, AT_INDEX = 28, AT_SEALED_LEN = BACKUP_HEAD_LEN - 8, AT_COST = AT_SEALED_LEN - 17 };

struct made {
    uint8_t *file;
    size_t len;
    struct secret key;
    struct backup_head head;
};

static const uint8_t stream[] = "a stream of rows";

static int setup(void **state)
{
    struct made *m = calloc(1, sizeof(*m));
    struct wrap_key data_key = {.version = 7, .key.len = KEYWRAP_KEY_LEN};
    memset(data_key.key.data, 0x5a, KEYWRAP_KEY_LEN);
    m->head = (struct backup_head){.cluster_id = {1, 2, 3},
                                   .index = 4711,
                                   .term = 5,
                                   .cluster_ms = 1800000000000,
                                   .wall_ms = 1800000000123,
                                   .groups = 2,
                                   .members = 30,
                                   .psks = 4,
                                   .nodes = 3};
    if (secret_set(&m->key, bytes_of_text("correct horse battery staple")) != E_OK ||
        backup_seal(&m->head, &m->key, &data_key, BYTES_OF(stream), &rng_system, &m->file, &m->len) != E_OK)
        return -1;
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct made *m = *state;
    free(m->file);
    free(m);
    return 0;
}

static struct bytes file_of(const struct made *m)
{
    return (struct bytes){m->file, m->len};
}

/* As somebody without the key would who knows the format. */
static void make_digest_good(struct made *m)
{
    struct bytes body = {m->file, m->len - BACKUP_DIGEST_LEN};
    assert_ok(hash_parts(HASH_SHA256, &body, 1, m->file + body.len));
}

static err_t open_with(const struct made *m, const struct secret *key)
{
    struct backup_head head;
    struct wrap_key data_key;
    uint8_t *plain;
    size_t len;
    struct bytes got;
    err_t err = backup_open(file_of(m), key, &head, &data_key, &plain, &len, &got);
    if (err != E_OK) {
        assert_null(plain);
        assert_int_equal(data_key.key.len, 0);
    }
    free(plain);
    secret_close(&data_key.key);
    return err;
}

static void what_was_sealed_comes_back(void **state)
{
    struct made *m = *state;
    struct backup_head head;
    struct wrap_key data_key;
    uint8_t *plain;
    size_t len;
    struct bytes got;
    assert_ok(backup_open(file_of(m), &m->key, &head, &data_key, &plain, &len, &got));
    assert_true(bytes_equal(got, BYTES_OF(stream)));
    assert_int_equal(data_key.version, 7);
    assert_int_equal(data_key.key.len, KEYWRAP_KEY_LEN);
    assert_int_equal(data_key.key.data[31], 0x5a);
    assert_int_equal(head.index, 4711);
    assert_int_equal(head.wall_ms, 1800000000123);
    assert_int_equal(head.members, 30);
    free(plain);
    secret_close(&data_key.key);
}

static void its_head_is_read_without_the_key_and_nothing_else_shows(void **state)
{
    struct made *m = *state;
    struct backup_head head;
    assert_ok(backup_check(file_of(m), &head));
    assert_int_equal(head.term, 5);
    assert_int_equal(head.groups, 2);
    assert_int_equal(head.nodes, 3);
    assert_memory_equal(head.cluster_id, m->head.cluster_id, CLUSTER_ID_LEN);
    assert_null(memmem(m->file, m->len, stream, sizeof(stream) - 1));
}

static void two_of_the_same_differ(void **state)
{
    struct made *m = *state, other = {.key.len = 0};
    struct wrap_key data_key = {.version = 7, .key.len = KEYWRAP_KEY_LEN};
    assert_ok(
        backup_seal(&m->head, &m->key, &data_key, BYTES_OF(stream), &rng_system, &other.file, &other.len));
    assert_int_equal(other.len, m->len);
    assert_memory_not_equal(other.file + AT_COST, m->file + AT_COST, PASSPHRASE_SALT_LEN + 1);
    free(other.file);
}

static void another_key_is_refused(void **state)
{
    struct made *m = *state;
    struct secret other = {0};
    assert_ok(secret_set(&other, bytes_of_text("correct horse battery stable")));
    assert_err(open_with(m, &other), E_AUTH);
}

static void a_flipped_octet_anywhere_is_found_without_the_key(void **state)
{
    struct made *m = *state;
    struct backup_head head;
    for (size_t i = 0; i < m->len; i++) {
        m->file[i] ^= 0x10;
        assert_true(backup_check(file_of(m), &head) != E_OK);
        m->file[i] ^= 0x10;
    }
    assert_ok(backup_check(file_of(m), &head));
}

static void a_forged_head_is_found_with_the_key(void **state)
{
    struct made *m = *state;
    struct backup_head head;
    m->file[AT_INDEX + 7]++;
    make_digest_good(m);
    assert_ok(backup_check(file_of(m), &head));
    assert_err(open_with(m, &m->key), E_AUTH);
}

static void a_file_that_ends_early_or_late_is_refused(void **state)
{
    struct made *m = *state;
    struct backup_head head;
    for (size_t len = 0; len < m->len; len++)
        assert_err(backup_check((struct bytes){m->file, len}, &head), E_TRUNCATED);
    uint8_t *longer = malloc(m->len + 1);
    memcpy(longer, m->file, m->len);
    longer[m->len] = 0;
    assert_err(backup_check((struct bytes){longer, m->len + 1}, &head), E_TRAILING);
    free(longer);
}

static void other_versions_and_other_files_are_refused(void **state)
{
    struct made *m = *state;
    struct backup_head head;
    m->file[AT_VERSION + 3] = BACKUP_VERSION + 1;
    make_digest_good(m);
    assert_err(backup_check(file_of(m), &head), E_BAD_VERSION);
    m->file[0] = 'X';
    assert_err(backup_check(file_of(m), &head), E_CORRUPT);
}

/* Whoever hands us a file does not decide how much memory we spend on it. */
static void a_cost_or_a_length_beyond_reason_is_refused(void **state)
{
    struct made *m = *state;
    struct backup_head head;
    m->file[AT_COST] = PASSPHRASE_COST_MAX + 1;
    make_digest_good(m);
    assert_err(backup_check(file_of(m), &head), E_RANGE);
    assert_err(open_with(m, &m->key), E_RANGE);
    memset(m->file + AT_SEALED_LEN, 0xff, 8);
    assert_err(backup_check(file_of(m), &head), E_CORRUPT);
    memset(m->file + AT_SEALED_LEN, 0, 8);
    assert_err(backup_check(file_of(m), &head), E_CORRUPT);
}

static void a_short_key_seals_nothing(void **state)
{
    struct made *m = *state;
    struct secret small = {0};
    struct wrap_key data_key = {.version = 1, .key.len = KEYWRAP_KEY_LEN};
    uint8_t *file;
    size_t len;
    assert_ok(secret_set(&small, bytes_of_text("fifteen octets!")));
    assert_err(backup_seal(&m->head, &small, &data_key, BYTES_OF(stream), &rng_system, &file, &len),
               E_BAD_KEY);
    assert_null(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_sealed_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(its_head_is_read_without_the_key_and_nothing_else_shows, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(two_of_the_same_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(another_key_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_octet_anywhere_is_found_without_the_key, setup, teardown),
        cmocka_unit_test_setup_teardown(a_forged_head_is_found_with_the_key, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_ends_early_or_late_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(other_versions_and_other_files_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cost_or_a_length_beyond_reason_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_short_key_seals_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
