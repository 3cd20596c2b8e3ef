/* xfrm_kernel.h - the XFRM back end on the real kernel, in a network namespace of the test's own: one uplink
 * "wan" (far end "w") and one "lan". Skipped without the privileges. */
#ifndef TESTS_UNIT_GM_AGENT_XFRM_KERNEL_H
#define TESTS_UNIT_GM_AGENT_XFRM_KERNEL_H

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gm-agent/datapath.h"
#include "gm-agent/datapath_xfrm.h"
#include "tests/unit/gm-agent/xfrm_fixture.h"

enum { OUTPUT_MAX = 65536, DEADLINE_MS = 5000 };

static struct fixture f;
static struct gm_datapath_config config;
static struct datapath *dp;
static int home = -1;
static char output[OUTPUT_MAX];

/* What a command prints, both streams. */
static inline const char *run(const char *command)
{
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t len = fread(output, 1, sizeof(output) - 1, pipe);
    output[len] = '\0';
    pclose(pipe);
    return output;
}

static inline bool has(const char *command, const char *text)
{
    return strstr(run(command), text) != NULL;
}

static inline int setup(void **state)
{
    (void)state;
    home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (unshare(CLONE_NEWNET) != 0 ||
        system("ip link add wan type veth peer name w && ip link add lan type veth peer name lan_far && "
               "ip link set wan up && ip link set w up && ip link set lan up && ip addr add 100.64.1.1/24 "
               "dev wan && "
               "nft list ruleset && ip xfrm policy") != 0) {
        print_message("skipped: no privileges for a network namespace, or no ip, nft, veth\n");
        skip();
    }
    fixture_init(&f);
    memset(&config, 0, sizeof(config));
    config.backend = GM_BACKEND_XFRM;
    config.anchor = addr_v4(100, 127, 0, 1);
    memcpy(config.wan, "wan", 4);
    memcpy(config.lan[0], "lan", 4);
    config.lan_count = 1;
    memcpy(config.tun, "gdoi0", 6);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    if (dp != NULL)
        dp->ops->close(dp);
    dp = NULL;
    assert_int_equal(setns(home, CLONE_NEWNET), 0);
    close(home);
    return 0;
}

static inline void open_it(void)
{
    const char *why = NULL;
    err_t err = datapath_open(&config, &dp, &why);
    if (err != E_OK)
        fail_msg("%s: %s", why, err_text(err));
}

static inline void no_keys(void)
{
    f.state.in_count = 0;
    f.state.out = NULL;
}

static inline err_t apply(const char **why)
{
    *why = NULL;
    return dp->ops->apply(dp, &f.state, why);
}

static inline void apply_ok(void)
{
    const char *why;
    err_t err = apply(&why);
    if (err != E_OK)
        fail_msg("%s: %s", why, err_text(err));
}

/* Lets the back end handle what the kernel tells, until the text is there. */
static inline bool becomes(const char *command, const char *text)
{
    int fds[DATAPATH_FD_MAX];
    size_t count = dp->ops->fds(dp, fds);
    for (int waited = 0; waited < DEADLINE_MS; waited += 50) {
        struct pollfd polls[DATAPATH_FD_MAX];
        for (size_t i = 0; i < count; i++)
            polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        if (poll(polls, count, 50) > 0)
            for (size_t i = 0; i < count; i++)
                if (polls[i].revents != 0)
                    dp->ops->ready(dp, fds[i]);
        if (has(command, text))
            return true;
    }
    return false;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
