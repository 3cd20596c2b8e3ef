/* enrol_test.c - what "gm-agent enrol" writes is what gm-agent reads. */
#include "gm-agent/enrol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/test.h"

static char dir[] = "/tmp/gm-enrol-XXXXXX";
static char conf[64];

static struct enrol_site site(void)
{
    struct enrol_site s = {.member = addr_v4(10, 1, 13, 2),
                           .backend = "user",
                           .wan = "wan0",
                           .lan = {"lan0", "lan1"},
                           .lan_count = 2};
    snprintf(s.psk_path, sizeof(s.psk_path), "%s.psk", conf);
    return s;
}

static struct enrol_grant grant(void)
{
    struct enrol_grant g = {.group = "G1", .identity = identity_from_number(3333), .server_count = 2};
    g.servers[0] = addr_v4(10, 1, 11, 2);
    g.servers[1] = addr_v4(10, 1, 12, 2);
    assert_ok(secret_set(&g.psk, bytes_of_text("a key of its own")));
    return g;
}

static void what_is_written_is_what_the_agent_reads(void **state)
{
    (void)state;
    struct enrol_site s = site();
    struct enrol_grant g = grant();
    struct conf_error error;
    struct gm_config config;
    struct stat st;
    assert_ok(enrol_install(&s, &g, conf, &error));
    assert_ok(gm_config_load(&config, conf, &error));
    assert_string_equal(config.group_name, "G1");
    assert_true(identity_equal(&config.group, &g.identity));
    assert_true(secret_equal(secret_view(&config.psk), secret_view(&g.psk)));
    assert_int_equal(config.server_count, 2);
    assert_true(addr_equal(&config.servers[1].addr, &g.servers[1]));
    assert_true(addr_equal(&config.local.addr, &s.member));
    assert_string_equal(config.datapath.wan, "wan0");
    assert_int_equal(config.datapath.lan_count, 2);
    assert_string_equal(config.datapath.lan[1], "lan1");
    gm_config_close(&config);
    assert_int_equal(stat(s.psk_path, &st), 0);
    assert_int_equal(st.st_mode & 037, 0);
    assert_int_equal(stat(conf, &st), 0);
    assert_int_equal(st.st_mode & 037, 0);
    enrol_grant_close(&g);
}

static void groups_are_named_by_numbers_addresses_and_names(void **state)
{
    (void)state;
    struct enrol_site s = site();
    struct enrol_grant g = grant();
    char text[ENROL_CONFIG_MAX];
    struct addr address = addr_v4(192, 0, 2, 1);
    assert_ok(enrol_config_text(&s, &g, text));
    assert_non_null(strstr(text, "identity = 3333;"));
    g.identity = identity_from_addr(&address);
    assert_ok(enrol_config_text(&s, &g, text));
    assert_non_null(strstr(text, "identity = \"192.0.2.1\";"));
    assert_ok(identity_from_text(&g.identity, ID_FQDN, "group.example.net"));
    assert_ok(enrol_config_text(&s, &g, text));
    assert_non_null(strstr(text, "identity = \"group.example.net\";"));
    assert_ok(identity_from_text(&g.identity, ID_FQDN, "a\"; psk = \"b"));
    assert_err(enrol_config_text(&s, &g, text), E_UNSUPPORTED);
    g.identity = identity_from_number(4000000000u);
    assert_err(enrol_config_text(&s, &g, text), E_UNSUPPORTED);
    enrol_grant_close(&g);
}

static void a_configuration_that_would_not_load_replaces_none(void **state)
{
    (void)state;
    struct enrol_site s = site();
    struct enrol_grant g = grant();
    struct conf_error error;
    struct gm_config config;
    memcpy(s.lan[0], "wan0", 5); /* the LAN is the WAN */
    assert_err(enrol_install(&s, &g, conf, &error), E_CONFIG);
    assert_ok(gm_config_load(&config, conf, &error)); /* that of before */
    gm_config_close(&config);
    s = site();
    snprintf(s.psk_path, sizeof(s.psk_path), "%s/none/psk", dir);
    assert_err(enrol_install(&s, &g, conf, &error), E_CONFIG);
    enrol_grant_close(&g);
}

int main(void)
{
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(conf, sizeof(conf), "%s/gm-agent.conf", dir);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_what_the_agent_reads),
        cmocka_unit_test(groups_are_named_by_numbers_addresses_and_names),
        cmocka_unit_test(a_configuration_that_would_not_load_replaces_none),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return test_remove_tree(dir) == 0 ? failed : 1;
}
