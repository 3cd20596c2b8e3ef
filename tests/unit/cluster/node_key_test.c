#include "cluster/node_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/test.h"

static char dir[64];
static char file[96];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/node-key-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(file, sizeof(file), "%s/node.key", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_remove_tree(dir);
    return 0;
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    unlink(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void a_node_id_is_made_once_and_never_zero(void **state)
{
    (void)state;
    uint8_t first[NODE_ID_LEN], again[NODE_ID_LEN];
    assert_err(node_id_open(dir, &disk_real, &rng_system, false, first), E_NOT_FOUND);
    assert_ok(node_id_open(dir, &disk_real, &rng_system, true, first));
    assert_ok(node_id_open(dir, &disk_real, &rng_system, true, again));
    assert_memory_equal(first, again, sizeof(first));
    assert_true(first[0] & 0x80);
}

static void a_node_key_is_made_with_mode_0600(void **state)
{
    (void)state;
    struct secret first, again;
    struct stat st;
    assert_err(node_key_open(file, &disk_real, &rng_system, false, &first), E_NOT_FOUND);
    assert_ok(node_key_open(file, &disk_real, &rng_system, true, &first));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 65);
    assert_ok(node_key_open(file, &disk_real, &rng_system, false, &again));
    assert_true(secret_equal(secret_view(&first), secret_view(&again)));
    secret_close(&first);
    secret_close(&again);
}

static void a_node_key_that_is_open_to_others_or_malformed_is_refused(void **state)
{
    (void)state;
    static const char good[] = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F\n";
    static const mode_t open_modes[] = {0640, 0604, 0660, 0601, 0777};
    struct secret key;
    for (size_t i = 0; i < ARRAY_LEN(open_modes); i++) {
        write_text(file, good, open_modes[i]);
        assert_err(node_key_open(file, &disk_real, &rng_system, true, &key), E_PERMISSION);
        assert_int_equal(key.len, 0);
    }
    static const char *const bad[] = {"", "00",
                                      "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                                      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        write_text(file, bad[i], 0600);
        assert_err(node_key_open(file, &disk_real, &rng_system, true, &key), E_CORRUPT);
    }
    write_text(file, good, 0400);
    assert_ok(node_key_open(file, &disk_real, &rng_system, false, &key));
    assert_int_equal(key.data[31], 0x1f);
    secret_close(&key);
    unlink(file);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_int_not_equal(node_key_open(file, &disk_real, &rng_system, true, &key), E_OK);
}

static void a_data_key_opens_only_with_its_node_and_node_key(void **state)
{
    (void)state;
    uint8_t node[NODE_ID_LEN] = {1}, other[NODE_ID_LEN] = {2};
    struct secret node_key = {.len = KEYWRAP_KEY_LEN, .data = {1}},
                  wrong = {.len = KEYWRAP_KEY_LEN, .data = {2}};
    struct wrap_key first, again;
    assert_err(data_key_open(dir, &disk_real, &rng_system, node, &node_key, false, &first), E_NOT_FOUND);
    assert_ok(data_key_open(dir, &disk_real, &rng_system, node, &node_key, true, &first));
    assert_int_equal(first.version, 1);
    assert_ok(data_key_open(dir, &disk_real, &rng_system, node, &node_key, true, &again));
    assert_true(secret_equal(secret_view(&first.key), secret_view(&again.key)));
    assert_err(data_key_open(dir, &disk_real, &rng_system, other, &node_key, true, &again), E_CORRUPT);
    assert_err(data_key_open(dir, &disk_real, &rng_system, node, &wrong, true, &again), E_CORRUPT);
    assert_int_equal(again.key.len, 0);
    secret_close(&first.key);
}

static void a_damaged_data_key_is_refused_at_every_octet(void **state)
{
    (void)state;
    uint8_t node[NODE_ID_LEN] = {1};
    struct secret node_key = {.len = KEYWRAP_KEY_LEN, .data = {1}};
    struct wrap_key key;
    uint8_t *data;
    size_t len;
    char path[96];
    assert_ok(data_key_open(dir, &disk_real, &rng_system, node, &node_key, true, &key));
    snprintf(path, sizeof(path), "%s/data.key", dir);
    assert_ok(disk_read(path, 1024, &data, &len));
    for (size_t at = 0; at < len; at++) {
        data[at] ^= 1;
        assert_ok(disk_replace(&disk_real, dir, "data.key", (struct bytes){data, len}));
        err_t err = data_key_open(dir, &disk_real, &rng_system, node, &node_key, true, &key);
        if (err != E_CORRUPT)
            fail_msg("octet %zu: E_%s", at, err_name(err));
        data[at] ^= 1;
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_node_id_is_made_once_and_never_zero, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_key_is_made_with_mode_0600, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_key_that_is_open_to_others_or_malformed_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_data_key_opens_only_with_its_node_and_node_key, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_data_key_is_refused_at_every_octet, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
