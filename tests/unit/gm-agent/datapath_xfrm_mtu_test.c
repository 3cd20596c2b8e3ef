/* Complaints of routers about our ESP become answers to hosts, on the real kernel. ESP itself is not needed.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>

#include "tests/unit/gm-agent/complaint.h"
#include "tests/unit/gm-agent/xfrm_kernel.h"

static void open_copying(void)
{
    const char *why;
    run("ip addr add 192.168.13.1/24 dev lan; ip link set lan_far up; ip route add default via 100.64.1.254; "
        "sysctl -w net.ipv4.ip_forward=1; ip neigh add 100.64.1.254 lladdr 02:00:00:00:00:01 dev wan");
    f.selectors[0] = fixture_selector("192.168.0.0/16", "192.168.0.0/16");
    fixture_tek(&f.teks[0], 0x01020304);
    config.copy_df = true;
    open_it();
    err_t err = apply(&why);
    assert_true(err == E_OK || err == E_UNSUPPORTED); /* a kernel without ESP */
}

/* From the far end of the uplink. */
static void deliver(const uint8_t *raw)
{
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_IP),
                             .sll_ifindex = (int)if_nametoindex("w"),
                             .sll_halen = 6,
                             .sll_addr = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    assert_true(fd >= 0);
    assert_int_equal(sendto(fd, raw, COMPLAINT_LEN, 0, (struct sockaddr *)&to, sizeof(to)), COMPLAINT_LEN);
    close(fd);
}

#define TO_HOST "ip route get 192.168.14.10 from 192.168.13.10 iif lan"

static void the_way_to_the_host_is_narrowed(void **state)
{
    uint8_t raw[COMPLAINT_LEN];
    (void)state;
    open_copying();
    assert_false(has(TO_HOST, "mtu"));
    complain(raw, 1300);
    deliver(raw);
    assert_true(becomes(TO_HOST, "via 100.64.1.254 dev wan"));
    assert_true(becomes(TO_HOST, "mtu 12"));
    assert_false(has("ip route get 192.168.14.11 from 192.168.13.10 iif lan", "mtu"));
    assert_false(has("ip route get 192.168.14.10", "mtu")); /* not our own packets, which ask without a LAN */
    dp->ops->close(dp);
    dp = NULL;
    assert_string_equal(run("ip route show table all proto 84; ip rule list | grep -v '^[03]'"), "");
}

static void what_is_not_about_our_esp_narrows_nothing(void **state)
{
    uint8_t raw[COMPLAINT_LEN];
    (void)state;
    open_copying();
    complain(raw, 1300);
    raw[QUOTED_AT + 20] ^= 1; /* an SPI that we do not have */
    sum_again(raw);
    deliver(raw);
    complain(raw, 1300);
    raw[QUOTED_AT + 16] = 10; /* a host that no selector has */
    sum_again(raw);
    deliver(raw);
    complain(raw, 300); /* less than is believed */
    deliver(raw);
    complain(raw, 1280); /* the last one is good, so that the others were looked at */
    deliver(raw);
    assert_true(becomes(TO_HOST, "mtu 12"));
    assert_false(has("ip route show table all proto 84", "10.168.14.10"));
    assert_true(has(TO_HOST, "mtu 1214"));
}

static void the_outer_df_bit_is_the_configurations(void **state)
{
    struct xfrm_plan plan;
    (void)state;
    for (int copy = 0; copy < 2; copy++) {
        f.site.copy_df = copy != 0;
        assert_ok(xfrm_plan_make(&plan, &f.site, &f.state));
        assert_int_equal(plan.sas[1].flags, copy != 0 ? 0 : XFRM_STATE_NOPMTUDISC);
        xfrm_plan_close(&plan);
    }
}

static void with_df_clear_nothing_is_listened_to(void **state)
{
    int fds[DATAPATH_FD_MAX];
    (void)state;
    no_keys();
    open_it();
    apply_ok();
    assert_int_equal(dp->ops->fds(dp, fds), 3);
    assert_string_equal(run("ip rule list | grep -v '^[03]'"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_way_to_the_host_is_narrowed),
        TEST(what_is_not_about_our_esp_narrows_nothing),
        TEST(the_outer_df_bit_is_the_configurations),
        TEST(with_df_clear_nothing_is_listened_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
