/* certs_test.c - the cluster's authority, requests, node certificates and their files. */
#include "cluster/certs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/test.h"

enum { NOW_S = 1700000000, DAY_S = 86400 };

struct fixture {
    struct cert_name name;
    struct cert_key *ca_key, *key;
    struct cert *ca;
    uint8_t request[CERT_DER_MAX];
    size_t request_len;
    char dir[64];
};

static struct bytes request_of(const struct fixture *f)
{
    return (struct bytes){f->request, f->request_len};
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    memset(f->name.cluster_id, 0xc1, CLUSTER_ID_LEN);
    memset(f->name.node_id, 0x0d, NODE_ID_LEN);
    assert_ok(cert_key_make(&f->ca_key));
    assert_ok(cert_key_make(&f->key));
    assert_ok(cert_make_ca(f->ca_key, f->name.cluster_id, &rng_system, NOW_S, CERT_CA_DAYS, &f->ca));
    assert_ok(cert_request_make(f->key, &f->name, f->request, &f->request_len));
    snprintf(f->dir, sizeof(f->dir), "/tmp/quorate-certs-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cert_free(f->ca);
    cert_key_free(f->ca_key);
    cert_key_free(f->key);
    static const char *const names[] = {"node.key", "node.crt", "link.key"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static struct cert *issue(struct fixture *f, uint64_t now_s, unsigned days)
{
    struct cert *cert = NULL;
    assert_ok(cert_issue(f->ca_key, f->ca, request_of(f), &f->name, &rng_system, now_s, days, &cert));
    return cert;
}

static void an_issued_certificate_names_its_node_and_verifies(void **state)
{
    struct fixture *f = *state;
    struct cert_name name;
    struct cert *cert = issue(f, NOW_S, 30);
    assert_ok(cert_verify(cert, f->ca, NOW_S));
    assert_ok(cert_get_name(cert, &name));
    assert_true(cert_name_equal(&name, &f->name));
    assert_true(cert_has_key(cert, f->key));
    assert_false(cert_has_key(cert, f->ca_key));
    assert_false(cert_is_ca(cert));
    assert_true(cert_is_ca(f->ca));
    assert_true(cert_seconds_left(cert, NOW_S) == 30 * DAY_S);
    assert_true(cert_seconds_left(cert, NOW_S + 31 * DAY_S) == -DAY_S);
    cert_free(cert);
}

static void serials_and_fingerprints_differ(void **state)
{
    struct fixture *f = *state;
    struct cert *a = issue(f, NOW_S, 30), *b = issue(f, NOW_S, 30);
    char serial_a[CERT_SERIAL_MAX], serial_b[CERT_SERIAL_MAX];
    uint8_t print_a[CERT_FINGERPRINT_LEN], print_b[CERT_FINGERPRINT_LEN], again[CERT_FINGERPRINT_LEN];
    assert_string_not_equal(cert_serial(a, serial_a), cert_serial(b, serial_b));
    assert_int_equal(strlen(serial_a), CERT_SERIAL_MAX - 1);
    cert_fingerprint(a, print_a);
    cert_fingerprint(b, print_b);
    cert_fingerprint(a, again);
    assert_memory_not_equal(print_a, print_b, sizeof(print_a));
    assert_memory_equal(print_a, again, sizeof(again));
    cert_free(a);
    cert_free(b);
}

static void a_certificate_is_refused_before_and_after_its_time(void **state)
{
    struct fixture *f = *state;
    struct cert *cert = issue(f, NOW_S, 30);
    assert_ok(cert_verify(cert, f->ca, NOW_S - CERT_BACKDATE_S));
    assert_err(cert_verify(cert, f->ca, NOW_S - CERT_BACKDATE_S - 1), E_EXPIRED);
    assert_ok(cert_verify(cert, f->ca, NOW_S + 30 * DAY_S - 1));
    assert_err(cert_verify(cert, f->ca, NOW_S + 30 * DAY_S + 1), E_EXPIRED);
    cert_free(cert);
}

static void a_node_certificate_does_not_outlive_its_authority(void **state)
{
    struct fixture *f = *state;
    struct cert *cert = issue(f, NOW_S, CERT_CA_DAYS * 2);
    assert_true(cert_seconds_left(cert, NOW_S) == cert_seconds_left(f->ca, NOW_S));
    cert_free(cert);
}

static void another_authority_of_the_same_name_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct cert_key *key = NULL;
    struct cert *ca = NULL, *cert = NULL;
    assert_ok(cert_key_make(&key));
    assert_ok(cert_make_ca(key, f->name.cluster_id, &rng_system, NOW_S, 30, &ca));
    assert_ok(cert_issue(key, ca, request_of(f), &f->name, &rng_system, NOW_S, 30, &cert));
    assert_ok(cert_verify(cert, ca, NOW_S));
    assert_err(cert_verify(cert, f->ca, NOW_S), E_AUTH);
    assert_err(cert_verify(f->ca, f->ca, NOW_S), E_AUTH); /* an authority is no node */
    assert_err(cert_verify(cert, cert, NOW_S), E_AUTH);
    cert_free(cert);
    cert_free(ca);
    cert_key_free(key);
}

static void only_what_was_asked_for_and_authorized_is_issued(void **state)
{
    struct fixture *f = *state;
    struct cert *cert = NULL;
    struct cert_name other = f->name;
    other.node_id[0] ^= 1;
    assert_err(cert_issue(f->ca_key, f->ca, request_of(f), &other, &rng_system, NOW_S, 30, &cert), E_BAD_ID);
    assert_err(cert_issue(f->key, f->ca, request_of(f), &f->name, &rng_system, NOW_S, 30, &cert), E_BAD_KEY);
    /* a request for another cluster, authorized or not */
    other = f->name;
    other.cluster_id[0] ^= 1;
    uint8_t foreign[CERT_DER_MAX];
    size_t len = 0;
    assert_ok(cert_request_make(f->key, &other, foreign, &len));
    assert_err(
        cert_issue(f->ca_key, f->ca, (struct bytes){foreign, len}, &other, &rng_system, NOW_S, 30, &cert),
        E_BAD_ID);
    assert_null(cert);
}

static void a_request_that_was_touched_is_refused(void **state)
{
    struct fixture *f = *state;
    struct cert_name name;
    assert_ok(cert_request_check(request_of(f), &name));
    assert_true(cert_name_equal(&name, &f->name));
    for (size_t i = 0; i < f->request_len; i++) {
        uint8_t copy[CERT_DER_MAX];
        memcpy(copy, f->request, f->request_len);
        copy[i] ^= 1;
        if (cert_request_check((struct bytes){copy, f->request_len}, &name) == E_OK)
            fail_msg("octet %zu changed and nothing noticed", i);
        if (cert_request_check((struct bytes){f->request, i}, &name) == E_OK)
            fail_msg("cut to %zu octets and nothing noticed", i);
    }
}

static void a_name_has_one_spelling(void **state)
{
    (void)state;
    struct cert_name name, back;
    char text[CERT_URI_MAX];
    for (size_t i = 0; i < NODE_ID_LEN; i++) {
        name.cluster_id[i] = (uint8_t)(0x10 * i + 1);
        name.node_id[i] = (uint8_t)(0xff - i);
    }
    assert_string_equal(cert_uri_format(&name, text),
                        "quorate:01112131415161718191a1b1c1d1e1f1:fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0");
    assert_ok(cert_uri_parse(&back, bytes_of_text(text)));
    assert_true(cert_name_equal(&name, &back));
    assert_true(node_raft_id(name.node_id) == 0xfffefdfcfbfaf9f8u);
    static const char *const wrong[] = {
        "",
        "quorate:",
        "quorate:01112131415161718191A1b1c1d1e1f1:fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0",
        "quorate:01112131415161718191a1b1c1d1e1f1/fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0",
        "quorate:01112131415161718191a1b1c1d1e1f1:fffefdfcfbfaf9f8f7f6f5f4f3f2f1f",
        "quorate:01112131415161718191a1b1c1d1e1f1:fffefdfcfbfaf9f8f7f6f5f4f3f2f1f00",
        "quorata:01112131415161718191a1b1c1d1e1f1:fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0",
        "quorate:0111213141516171g191a1b1c1d1e1f1:fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_err(cert_uri_parse(&back, bytes_of_text(wrong[i])), E_BAD_ID);
}

static void keys_and_certificates_survive_their_files(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct stat st;
    struct cert_key *key = NULL;
    struct cert *cert = issue(f, NOW_S, 30), *back = NULL;
    assert_ok(cert_key_store(f->key, &disk_real, f->dir, "node.key"));
    assert_ok(cert_store(cert, &disk_real, f->dir, "node.crt"));
    snprintf(path, sizeof(path), "%s/node.crt", f->dir);
    assert_ok(cert_load(path, &back));
    assert_true(bytes_equal(cert_der(cert), cert_der(back)));
    snprintf(path, sizeof(path), "%s/node.key", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_ok(cert_key_load(path, &key));
    assert_true(cert_has_key(back, key));
    cert_key_free(key);
    cert_free(back);
    cert_free(cert);
}

static void a_key_that_others_may_read_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[128], link_path[128];
    struct cert_key *key = NULL;
    snprintf(path, sizeof(path), "%s/node.key", f->dir);
    snprintf(link_path, sizeof(link_path), "%s/link.key", f->dir);
    assert_err(cert_key_load(path, &key), E_NOT_FOUND);
    assert_ok(cert_key_store(f->key, &disk_real, f->dir, "node.key"));
    static const mode_t modes[] = {0640, 0604, 0620, 0601};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_err(cert_key_load(path, &key), E_PERMISSION);
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(symlink(path, link_path), 0);
    assert_err(cert_key_load(link_path, &key), E_PERMISSION);
    assert_err(cert_key_load(f->dir, &key), E_PERMISSION);
    assert_ok(cert_key_load(path, &key));
    cert_key_free(key);
}

static void a_damaged_key_or_certificate_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t der[CERT_KEY_MAX];
    size_t len = 0;
    struct cert_key *key = NULL;
    struct cert *cert = NULL;
    assert_ok(cert_key_encode(f->key, der, &len));
    assert_ok(cert_key_open((struct bytes){der, len}, &key));
    assert_true(cert_has_key(f->ca, f->ca_key));
    assert_false(cert_has_key(f->ca, key));
    cert_key_free(key);
    for (size_t i = 0; i < len; i++)
        assert_err(cert_key_open((struct bytes){der, i}, &key), E_BAD_KEY);
    struct bytes ca = cert_der(f->ca);
    for (size_t i = 0; i < ca.len; i++)
        assert_err(cert_open((struct bytes){ca.data, i}, &cert), E_CORRUPT);
    assert_err(
        cert_open(bytes_of_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), &cert),
        E_CORRUPT);
}

static void every_allocation_failure_is_an_error(void **state)
{
    struct fixture *f = *state;
    for (long n = 0;; n++) {
        struct cert_key *key = NULL;
        struct cert *cert = NULL;
        heap_fault_after(n);
        err_t err = cert_key_make(&key);
        if (err == E_OK)
            err = cert_issue(f->ca_key, f->ca, request_of(f), &f->name, &rng_system, NOW_S, 30, &cert);
        int hit = heap_fault_hit();
        heap_fault_after(-1);
        cert_free(cert);
        cert_key_free(key);
        if (!hit) {
            assert_ok(err);
            assert_true(n >= 2);
            break;
        }
        assert_err(err, E_NO_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_issued_certificate_names_its_node_and_verifies, setup, teardown),
        cmocka_unit_test_setup_teardown(serials_and_fingerprints_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(a_certificate_is_refused_before_and_after_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_certificate_does_not_outlive_its_authority, setup, teardown),
        cmocka_unit_test_setup_teardown(another_authority_of_the_same_name_is_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_was_asked_for_and_authorized_is_issued, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_that_was_touched_is_refused, setup, teardown),
        cmocka_unit_test(a_name_has_one_spelling),
        cmocka_unit_test_setup_teardown(keys_and_certificates_survive_their_files, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_others_may_read_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_key_or_certificate_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(every_allocation_failure_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
