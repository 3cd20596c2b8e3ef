/* gm-agent.conf: what is taken, and that every complaint names file and line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gm-agent/config.h"
#include "proto/wire/numbers.h"
#include "tests/lib/test.h"

#define USER "datapath = { backend = \"user\"; wan = \"wan0\"; lan = [ \"lan0\" ]; "
#define XFRM "datapath = { backend = \"xfrm\"; wan = \"wan0\"; lan = [ \"lan0\" ]; "

static char path[] = "/tmp/gm-config-XXXXXX";
static char psk_path[] = "/tmp/gm-psk-XXXXXX";

static const char base[] = "group = { name = \"G1\"; identity = 3333; };\n"
                           "servers = ( \"10.1.11.2\", \"10.1.12.2:8480\" );\n"
                           "local = { address = \"10.1.13.2\"; };\n"
                           "psk = \"a long random secret\";\n"
                           "datapath = { backend = \"user\"; wan = \"wan0\"; lan = [ \"lan0\" ]; };\n";

static void write_file(const char *to, const char *text, mode_t mode)
{
    FILE *f = fopen(to, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(to, mode), 0);
}

static err_t load(const char *text, struct gm_config *config, struct conf_error *error)
{
    write_file(path, text, 0600);
    memset(error, 0, sizeof(*error));
    return gm_config_load(config, path, error);
}

/* The base with one line replaced (by its beginning) or, if no line begins so, added. */
static const char *with(const char *beginning, const char *line)
{
    static char text[4096];
    const char *at = strstr(base, beginning);
    if (at == NULL || beginning[0] == '\0') {
        snprintf(text, sizeof(text), "%s%s\n", base, line);
    } else {
        const char *end = strchr(at, '\n');
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - base), base, line, end);
    }
    return text;
}

static void the_example_of_the_distribution_is_fine(void **state)
{
    (void)state;
    struct gm_config config;
    struct conf_error error;
    char text[8192] = "";
    FILE *f = fopen(QUORATE_SOURCE_DIR "/deploy/config/gm-agent.conf", "r");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
    fclose(f);
    if (load(text, &config, &error) != E_OK)
        fail_msg("%s:%u: %s", error.file, error.line, error.message);
    assert_string_equal(config.group_name, "G1");
    assert_int_equal(config.server_count, 2);
    assert_int_equal(config.servers[1].port, 848);
    assert_int_equal(config.ike.count, 2);
    assert_string_equal(config.datapath.lan[0], "lan0");
    gm_config_close(&config);
}

static void defaults_are_those_of_the_example(void **state)
{
    (void)state;
    struct gm_config c;
    struct conf_error error;
    assert_ok(load(base, &c, &error));
    assert_int_equal(c.local.port, 848);
    assert_int_equal(c.servers[1].port, 8480);
    assert_int_equal(c.group.type, ID_KEY_ID);
    assert_int_equal(c.reregister_before_s, 60);
    assert_int_equal(c.retry_first_s, 2);
    assert_int_equal(c.retry_max_s, 60);
    assert_int_equal(c.request_timeout_s, 10);
    assert_int_equal(c.retransmit_ms, 500);
    assert_int_equal(c.ack_jitter_ms, 0);
    assert_false(c.accept_dialect);
    assert_string_equal(c.datapath.tun, "gdoi0");
    assert_true(c.ike.count > 5);
    gm_config_close(&c);
}

static void identities_are_numbers_addresses_or_names(void **state)
{
    (void)state;
    struct gm_config c;
    struct conf_error error;
    assert_ok(load(with("group", "group = { name = \"G\"; identity = \"10.9.9.9\"; };"), &c, &error));
    assert_int_equal(c.group.type, ID_IPV4_ADDR);
    gm_config_close(&c);
    assert_ok(load(with("group", "group = { name = \"G\"; identity = \"g1.example.net\"; };"), &c, &error));
    assert_int_equal(c.group.type, ID_FQDN);
    gm_config_close(&c);
}

static void every_mistake_names_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *beginning, *line;
        unsigned at;
        const char *says;
    } cases[] = {
        {"", "colour = 1;", 6, "colour"},
        {"group", "group = { name = \"G1\"; };", 1, "identity"},
        {"group", "group = { name = \"G1\"; identity = -1; };", 1, "identity"},
        {"group", "group = { name = \"G1\"; identity = 3333; size = 1; };", 1, "size"},
        {"servers", "servers = ( );", 2, "at least one"},
        {"servers", "servers = ( \"ten\" );", 2, "address"},
        {"servers", "servers = ( \"10.1.11.2:0\" );", 2, "address"},
        {"servers", "servers = ( \"10.1.11.2:99999\" );", 2, "address"},
        {"servers", "servers = ( \"10.1.11.2:84x\" );", 2, "address"},
        {"servers", "servers = ( \"10.1.11.2\", \"10.1.11.2\" );", 2, "twice"},
        {"servers", "servers = ( \"2001:db8::1\" );", 2, "family"},
        {"local", "local = { address = \"0.0.0.0\"; };", 3, "address"},
        {"local", "local = { address = \"10.1.13.2\"; port = 0; };", 3, "port"},
        {"local", "local = { address = \"10.1.13.2\"; vrf = \"a/b\"; };", 3, "vrf"},
        {"psk", "", 0, "exactly one"},
        {"psk", "psk = \"\";", 0, "psk"},
        {"datapath", "datapath = { backend = \"magic\"; };", 5, "user"},
        {"datapath", "datapath = { backend = \"user\"; wan = \"wan0\"; };", 5, "lan"},
        {"datapath", "datapath = { backend = \"user\"; wan = \"wan0\"; lan = [ \"wan0\" ]; };", 5, "not wan"},
        {"datapath", "datapath = { backend = \"user\"; wan = \"a/b\"; lan = [ \"lan0\" ]; };", 5, "wan"},
        {"datapath", "datapath = { backend = \"user\"; wan = \"wan0\"; lan = [ \"lan0\" ]; mtu = 100; };", 5,
         "mtu"},
        {"datapath",
         "datapath = { backend = \"user\"; wan = \"wan0\"; lan = [ \"lan0\" ]; tun = \"fourteenletter\"; };",
         5, "tun"},
        {"datapath", XFRM "anchor = \"239.1.1.1\"; };", 5, "anchor"},
        {"datapath", XFRM "anchor = \"2001:db8::1\"; };", 5, "anchor"},
        {"datapath", XFRM "deny = ( { src = \"10.0.0.0/8\"; }, ); };", 5, ""},
        {"datapath", XFRM "deny = ( { src = \"10.0.0.0/8\"; dst = \"10.0.0.0/8\"; dst_port = 53; } ); };", 5,
         "udp"},
        {"datapath", XFRM "deny = ( { src = \"2001:db8::/32\"; dst = \"2001:db8::/32\"; } ); };", 5, "IPv4"},
        {"datapath", XFRM "deny = ( { src = \"2001:db8::/32\"; dst = \"10.1.0.0/16\"; } ); };", 5,
         "one family"},
        {"datapath", XFRM "direction = \"sideways\"; };", 5, "inbound-optional"},
        {"datapath", XFRM "time_attribute = 14; };", 5, "32001"},
        {"datapath", XFRM "replay_window = 64; };", 5, "user"},
        {"datapath", XFRM "threads = 2; };", 5, "user"},
        {"datapath", USER "threads = 9; };", 5, "1 to 8"},
        {"datapath", USER "threads = 0; };", 5, "1 to 8"},
        {"datapath", USER "replay_window = 100; };", 5, "multiple of 64"},
        {"datapath", USER "fail_close = 3; };", 5, "fail_close"},
        {"datapath", "datapath = { backend = \"user\"; wan = [ \"a\", \"b\" ]; lan = [ \"lan0\" ]; };", 5,
         "xfrm"},
        {"datapath", "datapath = { backend = \"xfrm\"; wan = [ \"a\", \"a\" ]; lan = [ \"lan0\" ]; };", 5,
         "once"},
        {"datapath", "datapath = { backend = \"xfrm\"; wan = [ ]; lan = [ \"lan0\" ]; };", 5, "1 to 4"},
        {"datapath", "datapath = { backend = \"xfrm\"; wan = [ \"a\", \"b\" ]; lan = [ \"b\" ]; };", 5,
         "not wan"},
        {"datapath", USER "address = \"10.1.13.2\"; };", 5, "xfrm"},
        {"datapath", USER "probe = [ \"239.1.1.1\" ]; };", 5, "IPv4"},
        {"datapath", USER "probe = [ \"2001:db8::1\" ]; };", 5, "IPv4"},
        {"datapath", USER "df = \"clear\"; };", 5, "xfrm"},
        {"datapath", XFRM "df = \"perhaps\"; };", 5, "copy"},
        {"datapath", XFRM "address = \"2001:db8::1\"; };", 5, "IPv4"},
        {"", "ike = { proposals = [ \"des-md5-modp768\" ]; };", 6, "aes256-sha256-ecp256"},
        {"", "ike = { proposals = [ \"3des-sha1-modp1024\" ]; };", 6, "legacy"},
        {"", "ike = { lifetime_s = 1; };", 6, "lifetime_s"},
        {"", "retry_first_s = 100;", 0, "retry_max_s"},
        {"", "ack_jitter_ms = 6000;", 6, "ack_jitter_ms"},
        {"", "psk_file = \"/none\";", 0, "exactly one"},
        {"group", "group = { name = ", 2, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gm_config c;
        struct conf_error error;
        err_t err = load(with(cases[i].beginning, cases[i].line), &c, &error);
        if (err != E_CONFIG || error.line != cases[i].at || strstr(error.message, cases[i].says) == NULL)
            fail_msg("%s: E_%s, line %u: %s", cases[i].line, err_name(err), error.line, error.message);
        assert_string_equal(error.file, path);
    }
}

static void a_member_may_have_several_uplinks(void **state)
{
    (void)state;
    struct gm_config c;
    struct conf_error error;
    assert_ok(load(with("datapath",
                        "datapath = { backend = \"xfrm\"; wan = [ \"a\", \"b\", \"c\" ]; "
                        "lan = [ \"lan0\" ]; address = \"10.9.9.9\"; probe = [ \"192.168.14.10\" ]; };"),
                   &c, &error));
    assert_int_equal(c.datapath.more_wan_count, 2);
    assert_string_equal(gm_config_wan(&c.datapath, 0), "a");
    assert_string_equal(gm_config_wan(&c.datapath, 2), "c");
    assert_int_equal(c.datapath.probe_count, 1);
    assert_memory_equal(c.datapath.address.bytes, "\x0a\x09\x09\x09", 4);
    gm_config_close(&c);
}

static void the_secret_may_lie_in_a_private_file(void **state)
{
    (void)state;
    struct gm_config c;
    struct conf_error error;
    char line[128];
    snprintf(line, sizeof(line), "psk_file = \"%s\";", psk_path);
    write_file(psk_path, "from a file\n", 0600);
    assert_ok(load(with("psk", line), &c, &error));
    assert_true(bytes_equal(secret_view(&c.psk), bytes_of_text("from a file")));
    gm_config_close(&c);
    write_file(psk_path, "from a file\n", 0644);
    assert_err(load(with("psk", line), &c, &error), E_CONFIG);
    assert_non_null(strstr(error.message, "0640"));
    write_file(psk_path, "\n", 0600);
    assert_err(load(with("psk", line), &c, &error), E_CONFIG);
    unlink(psk_path);
    assert_err(load(with("psk", line), &c, &error), E_CONFIG);
    assert_non_null(strstr(error.message, psk_path));
}

static void a_refused_file_leaves_no_secret_behind(void **state)
{
    (void)state;
    struct gm_config c;
    struct conf_error error;
    static const struct gm_config empty;
    assert_err(load(with("datapath", "datapath = { backend = \"magic\"; };"), &c, &error), E_CONFIG);
    assert_memory_equal(&c, &empty, sizeof(c));
}

static void a_data_path_is_not_needed(void **state)
{
    (void)state;
    struct gm_config c;
    struct conf_error error;
    assert_ok(load(with("datapath", "datapath = { backend = \"none\"; };"), &c, &error));
    assert_int_equal(c.datapath.backend, GM_BACKEND_NONE);
    gm_config_close(&c);
}

static void the_kernel_can_move_the_packets(void **state)
{
    (void)state;
    struct gm_config c;
    struct conf_error error;
    struct addr nobody = addr_v4(100, 127, 0, 1);
    assert_ok(load(with("datapath",
                        XFRM "deny = ( { src = \"10.0.0.0/8\"; dst = \"10.1.0.0/16\"; protocol = \"udp\"; "
                             "dst_port = 5353; } ); };"),
                   &c, &error));
    assert_int_equal(c.datapath.backend, GM_BACKEND_XFRM);
    assert_true(addr_equal(&c.datapath.anchor, &nobody));
    assert_int_equal(c.datapath.deny_count, 1);
    assert_int_equal(c.datapath.deny[0].protocol, IPPROTO_UDP);
    assert_int_equal(c.datapath.deny[0].dst_port, 5353);
    gm_config_close(&c);
}

static void what_passes_and_what_is_checked_can_be_chosen(void **state)
{
    (void)state;
    struct gm_config c;
    struct conf_error error;
    assert_ok(load(with("datapath", USER "};"), &c, &error));
    assert_false(c.datapath.fail_open);
    assert_false(c.datapath.revert);
    assert_int_equal(c.datapath.direction, DATAPATH_BOTH);
    assert_int_equal(c.datapath.time_attribute, 32301);
    assert_int_equal(c.datapath.replay_window, 0);
    assert_true(c.datapath.offload);
    assert_int_equal(c.datapath.threads, 1);
    gm_config_close(&c);
    assert_ok(
        load(with("datapath", USER
                  "fail_close = false; revert = true; direction = \"receive-only\"; "
                  "offload = false; threads = 4; replay_window = 128; time_attribute = 32002; counter_file = "
                  "\"/var/lib/quorate/g1\"; deny = ( { src = \"10.0.0.0/8\"; dst = "
                  "\"10.0.0.0/8\"; } ); };"),
             &c, &error));
    assert_true(c.datapath.fail_open);
    assert_true(c.datapath.revert);
    assert_int_equal(c.datapath.direction, DATAPATH_RECEIVE_ONLY);
    assert_int_equal(c.datapath.time_attribute, 32002);
    assert_int_equal(c.datapath.replay_window, 128);
    assert_false(c.datapath.offload);
    assert_int_equal(c.datapath.threads, 4);
    assert_string_equal(c.datapath.counter_file, "/var/lib/quorate/g1");
    assert_int_equal(c.datapath.deny_count, 1);
    gm_config_close(&c);
}

static int make_files(void **state)
{
    (void)state;
    int a = mkstemp(path), b = mkstemp(psk_path);
    if (a < 0 || b < 0)
        return -1;
    close(a);
    close(b);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(path);
    unlink(psk_path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_distribution_is_fine),
        cmocka_unit_test(defaults_are_those_of_the_example),
        cmocka_unit_test(identities_are_numbers_addresses_or_names),
        cmocka_unit_test(every_mistake_names_its_line),
        cmocka_unit_test(a_member_may_have_several_uplinks),
        cmocka_unit_test(the_secret_may_lie_in_a_private_file),
        cmocka_unit_test(a_refused_file_leaves_no_secret_behind),
        cmocka_unit_test(a_data_path_is_not_needed),
        cmocka_unit_test(the_kernel_can_move_the_packets),
        cmocka_unit_test(what_passes_and_what_is_checked_can_be_chosen),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
