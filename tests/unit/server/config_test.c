/* config_test.c - ksd.conf: what is taken, and that every error names file and line and what was expected. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/config.h"
#include "tests/lib/test.h"

static char dir[64];
static char path[128];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/ksd-config-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/ksd.conf", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    char other[128];
    snprintf(other, sizeof(other), "%s/secret", dir);
    unlink(other);
    unlink(path);
    return rmdir(dir);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(name, mode), 0);
}

static err_t read_text(const char *text, struct ksd_config **out, struct conf_error *error)
{
    *error = (struct conf_error){0};
    write_file(path, text, 0600);
    return config_read(out, path, error);
}

/* The text must fail at that line, with these words in the message. */
static void refuses(const char *text, unsigned line, const char *words)
{
    struct ksd_config *config = NULL;
    struct conf_error error;
    err_t err = read_text(text, &config, &error);
    if (err != E_CONFIG)
        fail_msg("E_%s for: %s", err_name(err), text);
    assert_null(config);
    assert_string_equal(error.file, path);
    if (error.line != line || strstr(error.message, words) == NULL)
        fail_msg("line %u: %s -- wanted line %u with \"%s\"", error.line, error.message, line, words);
}

#define NODE "node = { listen = \"10.1.11.2\"; };\n"
#define GROUP(inside)                                                                                        \
    NODE "groups = ( {\nname = \"G1\"; identity = 3333; server_address = \"10.1.11.2\";\n" inside            \
         "\npolicy = ( { src = \"192.168.0.0/16\"; dst = \"192.168.0.0/16\"; } );\n} );\n"

/* The file's word, else the credential of systemd, else none: then no backup is taken. */
static void a_backup_key_is_named_given_or_absent(void **state)
{
    struct ksd_config *config = NULL;
    struct conf_error error;
    char given[128];
    (void)state;
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_ok(read_text(NODE, &config, &error));
    assert_string_equal(config->backup_key_file, "");
    config_free(config);
    snprintf(given, sizeof(given), "%s/backup.key", dir);
    write_file(given, "a key\n", 0600);
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    assert_ok(read_text(NODE, &config, &error));
    assert_string_equal(config->backup_key_file, given);
    assert_string_equal(config->node_key_file, "/etc/quorate/node.key"); /* which was not given */
    config_free(config);
    assert_ok(read_text("node = { listen = \"10.1.11.2\"; backup_key_file = \"/k\"; };\n", &config, &error));
    assert_string_equal(config->backup_key_file, "/k");
    config_free(config);
    unsetenv("CREDENTIALS_DIRECTORY");
    unlink(given);
}

static void the_example_of_deploy_is_good(void **state)
{
    (void)state;
    struct ksd_config *config = NULL;
    struct conf_error error = {0};
    char text[8192];
    char with_secret[8400];
    char secret[128];
    FILE *f = fopen(QUORATE_SOURCE_DIR "/deploy/config/ksd.conf", "r");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[len] = '\0';
    /* Its secret_file is not on this machine. */
    char *at = strstr(text, "/etc/quorate/psk-14");
    assert_non_null(at);
    snprintf(secret, sizeof(secret), "%s/secret", dir);
    write_file(secret, "from a file\n", 0600);
    snprintf(with_secret, sizeof(with_secret), "%.*s%s%s", (int)(at - text), text, secret,
             at + strlen("/etc/quorate/psk-14"));
    err_t err = read_text(with_secret, &config, &error);
    if (err != E_OK)
        fail_msg("%s:%u: %s", error.file, error.line, error.message);
    assert_int_equal(config->listen.port, 848);
    assert_int_equal(config->api.port, 8480);
    assert_int_equal(config->ike.count, 3);
    assert_int_equal(config->ike.lifetime_s, 1200);
    assert_int_equal(config->psk_count, 2);
    assert_int_equal(config->psks[1].secret.len, strlen("from a file"));
    assert_int_equal(config->group_count, 1);
    const struct group_config *group = &config->groups[0];
    struct identity number = identity_from_number(3333);
    assert_string_equal(group->name, "G1");
    assert_true(identity_equal(&group->identity, &number));
    assert_int_equal(group->kek_lifetime_s, 86400);
    assert_int_equal(group->tek_lifetime_s, 7200);
    assert_int_equal(group->ack, KEK_ACK_SHA256);
    assert_int_equal(group->retransmit_count, 2);
    assert_int_equal(group->activation_s, 10);
    assert_int_equal(group->deactivation_s, 30);
    assert_int_equal(group->selector_count, 1);
    assert_int_equal(group->rule_count, 2);
    config_free(config);
}

static void a_group_may_be_named_by_number_address_or_name(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t type;
    } cases[] = {{"17", ID_KEY_ID}, {"\"10.9.9.9\"", ID_IPV4_ADDR}, {"\"g1.example.net\"", ID_FQDN}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ksd_config *config = NULL;
        struct conf_error error;
        char text[1024];
        snprintf(text, sizeof(text),
                 NODE "groups = ( { name = \"G\"; identity = %s; server_address = \"10.1.11.2\";"
                      "policy = ( { src = \"10.0.0.0/8\"; dst = \"10.0.0.0/8\"; } ); } );",
                 cases[i].text);
        assert_ok(read_text(text, &config, &error));
        assert_int_equal(config->groups[0].identity.type, cases[i].type);
        config_free(config);
    }
}

static void a_policy_may_be_of_ipv6(void **state)
{
    (void)state;
    struct ksd_config *config = NULL;
    struct conf_error error;
    assert_ok(read_text(
        NODE "groups = ( { name = \"G\"; identity = 1; server_address = \"10.1.11.2\";"
             "policy = ( { src = \"2001:db8:13::/48\"; dst = \"::/0\"; protocol = \"icmp6\"; } ); } );",
        &config, &error));
    const struct selector *selector = &config->groups[0].selectors[0];
    assert_int_equal(config->groups[0].selector_count, 1);
    assert_int_equal(selector->protocol, 58);
    assert_int_equal(selector->src.addr.family, AF_INET6);
    assert_int_equal(selector->src.bits, 48);
    assert_int_equal(selector->dst.bits, 0);
    config_free(config);
}

static void defaults_hold_where_the_file_is_silent(void **state)
{
    (void)state;
    struct ksd_config *config = NULL;
    struct conf_error error;
    assert_ok(read_text(NODE, &config, &error));
    assert_int_equal(config->listen.port, 848);
    assert_int_equal(config->half_open_max, HALF_OPEN_DEFAULT);
    assert_int_equal(config->sign_alg, SIGN_RSA);
    assert_int_equal(config->sign_bits, 2048);
    assert_true(config->ike.count > 0);
    config_free(config);
}

static void errors_of_the_node_name_their_line(void **state)
{
    (void)state;
    refuses("\n", 0, "node");
    refuses("nodes = { };\n", 1, "nodes");
    refuses("node = {\n  listen = \"10.1.11.300\";\n};\n", 2, "listen");
    refuses("node = {\n  port = 848;\n};\n", 1, "listen");
    refuses("node = {\n  listen = \"10.1.11.2\";\n  port = 70000;\n};\n", 3, "port");
    refuses("node = {\n  listen = \"10.1.11.2\";\n  prot = 848;\n};\n", 3, "prot");
    refuses("node = {\n  listen = \"239.1.1.1\";\n};\n", 1, "multicast");
    refuses("node = {\n  listen = \"10.1.11.2\"\n  port = ;\n};\n", 3, "");
}

static void errors_of_api_and_ike_name_their_line(void **state)
{
    (void)state;
    refuses(NODE "api = { listen = \"10.1.11.2\"; };\n", 2, "loopback");
    refuses(NODE "ike = {\n proposals = [ \"aes256-sha256-ecp256\",\n \"aes257-sha256-ecp256\" ]; };\n", 4,
            "aes257");
    refuses(NODE "ike = {\n proposals = [ \"3des-sha1-modp1024\" ]; };\n", 3, "legacy");
    refuses(NODE "ike = {\n proposals = [ ]; };\n", 3, "at least one");
    refuses(NODE "ike = {\n half_open_max = 0; };\n", 3, "half_open_max");
    refuses(NODE "ike = {\n rate_per_s = 0; };\n", 3, "rate_per_s");
    refuses(NODE "ike = {\n lifetime_s = 5; };\n", 3, "lifetime_s");
    refuses(NODE "signing = { algorithm = \"dsa\"; };\n", 2, "rsa");
    refuses(NODE "signing = { bits = 1024; };\n", 2, "bits");
    refuses(NODE "signing = { bits = 2049; };\n", 2, "2048, 3072 or 4096");
    refuses(NODE "signing = { algorithm = \"ecdsa256\"; bits = 2048; };\n", 2, "rsa");
}

static void errors_of_keys_name_their_line(void **state)
{
    (void)state;
    char text[512];
    char secret[128];
    refuses(NODE "psk = (\n{ peer = \"10.1.13.2\"; } );\n", 3, "secret or secret_file");
    refuses(NODE "psk = (\n{ peer = \"10.1.13.2\"; secret = \"\"; } );\n", 3, "1 to 128");
    refuses(NODE "psk = (\n{ secret = \"x\"; } );\n", 3, "peer");
    refuses(NODE "psk = (\n{ peer = \"10.1.13.2/24\"; secret = \"x\"; } );\n", 3, "peer");
    refuses(NODE "psk = (\n{ peer = \"10.1.13.2\"; secret = \"x\"; },\n{ peer = \"10.1.13.2/32\"; secret = "
                 "\"y\"; } );\n",
            4, "twice");
    refuses(NODE "psk = (\n{ peer = \"10.1.13.2\"; secret_file = \"/nonexistent/psk\"; } );\n", 3,
            "cannot open");
    snprintf(secret, sizeof(secret), "%s/secret", dir);
    snprintf(text, sizeof(text), NODE "psk = (\n{ peer = \"10.1.13.2\"; secret_file = \"%s\"; } );\n",
             secret);
    write_file(secret, "secret\n", 0640);
    refuses(text, 3, "mode 0600");
    write_file(secret, "secret\n", 0604);
    refuses(text, 3, "mode 0600");
    write_file(secret, "\n", 0600);
    refuses(text, 3, "1 to 128");
    snprintf(text, sizeof(text), NODE "psk = (\n{ peer = \"10.1.13.2\"; secret_file = \"%s\"; } );\n", dir);
    refuses(text, 3, "regular file");
}

static void a_file_that_others_can_read_is_refused(void **state)
{
    (void)state;
    struct ksd_config *config = NULL;
    struct conf_error error = {0};
    write_file(path, NODE, 0644);
    assert_err(config_read(&config, path, &error), E_CONFIG);
    assert_string_equal(error.file, path);
    snprintf(path, sizeof(path), "%s/ksd.conf", dir);
}

static void errors_of_a_group_name_their_line(void **state)
{
    (void)state;
    refuses(NODE "groups = ( {\n} );\n", 2, "name");
    refuses(NODE "groups = ( {\nname = \"a b\"; } );\n", 2, "letters");
    refuses(NODE "groups = ( {\nname = \"G\"; identity = true; } );\n", 3, "identity");
    refuses(NODE "groups = ( {\nname = \"G\"; identity = \"10.1.13.300\"; } );\n", 2, "10.1.13.300");
    refuses(NODE "groups = ( {\nname = \"G\"; identity = 1; } );\n", 2, "server_address");
    refuses(GROUP("kek = { lifetime_s = 299; };"), 4, "300");
    refuses(GROUP("kek = { lifetime_s = 2592001; };"), 4, "2592000");
    refuses(GROUP("kek = { cipher = \"des\"; };"), 4, "aes256");
    refuses(GROUP("kek = { hash = \"md5\"; };"), 4, "sha256");
    refuses(GROUP("kek = { ack = \"sha1\"; };"), 4, "none");
    refuses(GROUP("tek = { lifetime_s = 10; };"), 4, "300");
    refuses(GROUP("tek = { transform = \"aes256-gcm16\"; };"), 4, "sid_bits");
    refuses(GROUP("tek = { transform = \"aes256-gcm16\"; sid_bits = 10; };"), 4, "8, 12 or 16");
    refuses(GROUP("tek = { transform = \"aes256-sha256\"; sid_bits = 8; };"), 4, "GCM");
    refuses(GROUP("replay = { window_ms = 4000; };"), 4, "GCM");
    refuses(GROUP("tek = { transform = \"aes256-gcm16\"; sid_bits = 8; }; replay = { window_ms = 100001; };"),
            4, "100000");
    refuses(
        GROUP("tek = { transform = \"aes256-gcm16\"; sid_bits = 8; }; replay = { window_ms = 1; attribute = "
              "15; };"),
        4, "32001");
    refuses(GROUP("rekey = { retransmit_s = 9; };"), 4, "10");
    refuses(GROUP("rekey = { retransmit_s = 61; };"), 4, "60");
    refuses(GROUP("rekey = { retransmit_count = 11; };"), 4, "10");
    refuses(GROUP("rekey = { activation_s = 30; deactivation_s = 29; };"), 4, "activation_s");
    refuses(GROUP("members = [ ];"), 4, "1 to 64");
    refuses(GROUP("members = [ \"10.1.13.2\",\n\"10.1.13.2/24\" ];"), 5, "10.1.13.2/24");
    refuses(GROUP("dialect = { bare = true; };"), 4, "bare");
    refuses(GROUP("lifetime = 5;"), 4, "lifetime");
}

static void errors_of_the_policy_name_their_line(void **state)
{
    (void)state;
#define HEAD NODE "groups = ( { name = \"G\"; identity = 1; server_address = \"10.1.11.2\"; policy = (\n"
    refuses(NODE "groups = ( { name = \"G\"; identity = 1; server_address = \"10.1.11.2\"; } );\n", 2,
            "1 to 100");
    refuses(HEAD "{ src = \"10.0.0.0/8\"; } ); } );\n", 3, "dst");
    refuses(HEAD "{ src = \"10.0.0.1/8\"; dst = \"10.0.0.0/8\"; } ); } );\n", 3, "src");
    refuses(HEAD "{ src = \"10.0.0.0/8\"; dst = \"2001:db8::/32\"; } ); } );\n", 3, "one IP version");
    refuses(HEAD "{ src = \"10.0.0.0/8\"; dst = \"10.0.0.0/8\"; src_port = 5; } ); } );\n", 3, "tcp");
    refuses(HEAD "{ src = \"10.0.0.0/8\"; dst = \"10.0.0.0/8\"; },\n{ src = \"10.0.0.0/8\"; dst = "
                 "\"10.0.0.0/8\"; } ); } );\n",
            4, "equals entry 1");
}

static void more_than_100_policy_entries_are_refused(void **state)
{
    (void)state;
    static char text[32768];
    int len = snprintf(text, sizeof(text), "%s", HEAD);
    for (int i = 0; i < 101; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len,
                        "%s{ src = \"10.%d.0.0/16\"; dst = \"10.0.0.0/8\"; }\n", i == 0 ? "" : ",", i);
    snprintf(text + len, sizeof(text) - (size_t)len, "); } );\n");
    refuses(text, 2, "1 to 100");
}

static void two_groups_may_not_share_name_or_identity(void **state)
{
    (void)state;
#define ONE(name, id)                                                                                        \
    "{ name = \"" name "\"; identity = " id "; server_address = \"10.1.11.2\";"                              \
    "policy = ( { src = \"10.0.0.0/8\"; dst = \"10.0.0.0/8\"; } ); }\n"
    refuses(NODE "groups = (\n" ONE("G", "1") "," ONE("G", "2") ");\n", 4, "twice");
    refuses(NODE "groups = (\n" ONE("G", "1") "," ONE("H", "1") ");\n", 4, "different identities");
}

static void short_lifetimes_are_for_the_laboratory(void **state)
{
    (void)state;
    struct ksd_config *config = NULL;
    struct conf_error error;
    assert_ok(read_text(GROUP("short_lifetimes = true; kek = { lifetime_s = 10; }; tek = { lifetime_s = 5; };"
                              "rekey = { retransmit_s = 1; activation_s = 0; deactivation_s = 1; };"),
                        &config, &error));
    assert_int_equal(config->groups[0].tek_lifetime_s, 5);
    config_free(config);
    refuses(GROUP("short_lifetimes = true; tek = { lifetime_s = 4; };"), 4, "5");
}

/* RFC 4754. */
static void a_curve_brings_its_hash(void **state)
{
    (void)state;
    struct ksd_config *config = NULL;
    struct conf_error error;
    refuses("signing = { algorithm = \"ecdsa384\"; };" GROUP(""), 2, "sha384");
    refuses("signing = { algorithm = \"ecdsa256\"; };" GROUP("kek = { hash = \"sha384\"; };"), 2, "sha256");
    assert_ok(read_text("signing = { algorithm = \"ecdsa384\"; };" GROUP("kek = { hash = \"sha384\"; };"),
                        &config, &error));
    config_free(config);
}

static void every_allocation_failure_is_survived(void **state)
{
    (void)state;
    write_file(path, "psk = ( { peer = \"10.1.13.2\"; secret = \"x\"; } );" GROUP(""), 0600);
    for (long n = 0;; n++) {
        struct ksd_config *config = NULL;
        struct conf_error error = {0};
        heap_fault_after(n);
        err_t err = config_read(&config, path, &error);
        bool hit = heap_fault_hit();
        heap_fault_after(-1);
        assert_true(n < 10000);
        if (err != E_OK)
            assert_null(config);
        config_free(config);
        if (hit)
            continue;
        assert_ok(err);
        return;
    }
}

static void a_cluster_is_read_and_its_errors_name_their_line(void **state)
{
    (void)state;
    struct ksd_config *config;
    struct conf_error error;
    assert_ok(
        read_text("node = { listen = \"10.1.12.2\"; };\n"
                  "cluster = { listen = \"10.1.12.2\"; port = 9000; priority = 90; election_ms = 1000;\n"
                  "  advertise = \"10.9.9.9\"; join = \"10.1.11.2:8482\"; token_file = \"/tmp/t\"; };\n",
                  &config, &error));
    assert_int_equal(config->cluster.port, 9000);
    assert_int_equal(config->priority, 90);
    assert_int_equal(config->election_ms, 1000);
    struct addr join = addr_v4(10, 1, 11, 2), advertise = addr_v4(10, 9, 9, 9);
    assert_true(addr_equal(&config->join.addr, &join));
    assert_int_equal(config->join.port, 8482);
    assert_true(addr_equal(&config->advertise, &advertise));
    assert_string_equal(config->token_file, "/tmp/t");
    config_free(config);
    refuses("node = { listen = \"10.1.12.2\"; };\ncluster = { priority = 90; };\n", 2, "listen");
    refuses("node = { listen = \"10.1.12.2\"; };\ncluster = { listen = \"::\";\n  priority = 256; };\n", 3,
            "priority");
    refuses("node = { listen = \"10.1.12.2\"; };\ncluster = { listen = \"::\"; join = \"10.1.11.2\"; };\n", 2,
            "join");
    refuses("node = { listen = \"10.1.12.2\"; };\ncluster = { listen = \"::\"; join = \"10.1.11.2:x\"; };\n",
            2, "join");
    refuses("node = { listen = \"10.1.12.2\"; };\ncluster = { listen = \"::\"; port = 65535; };\n", 2,
            "port");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_deploy_is_good),
        cmocka_unit_test(a_backup_key_is_named_given_or_absent),
        cmocka_unit_test(a_group_may_be_named_by_number_address_or_name),
        cmocka_unit_test(a_policy_may_be_of_ipv6),
        cmocka_unit_test(defaults_hold_where_the_file_is_silent),
        cmocka_unit_test(a_cluster_is_read_and_its_errors_name_their_line),
        cmocka_unit_test(errors_of_the_node_name_their_line),
        cmocka_unit_test(errors_of_api_and_ike_name_their_line),
        cmocka_unit_test(errors_of_keys_name_their_line),
        cmocka_unit_test(a_file_that_others_can_read_is_refused),
        cmocka_unit_test(errors_of_a_group_name_their_line),
        cmocka_unit_test(errors_of_the_policy_name_their_line),
        cmocka_unit_test(more_than_100_policy_entries_are_refused),
        cmocka_unit_test(two_groups_may_not_share_name_or_identity),
        cmocka_unit_test(short_lifetimes_are_for_the_laboratory),
        cmocka_unit_test(a_curve_brings_its_hash),
        cmocka_unit_test(every_allocation_failure_is_survived),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
