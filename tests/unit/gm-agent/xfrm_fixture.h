/* xfrm_fixture.h - a site and a policy for the tests of the XFRM back end. */
#ifndef TESTS_UNIT_GM_AGENT_XFRM_FIXTURE_H
#define TESTS_UNIT_GM_AGENT_XFRM_FIXTURE_H

#include <string.h>

#include "gm-agent/xfrm_plan.h"
#include "tests/lib/test.h"

struct fixture {
    struct xfrm_site site;
    struct selector selectors[3];
    struct tek teks[2];
    struct datapath_state state;
};

static inline struct selector fixture_selector(const char *src, const char *dst)
{
    struct selector s = {.protocol = 0};
    assert_ok(prefix_parse(&s.src, src));
    assert_ok(prefix_parse(&s.dst, dst));
    return s;
}

static inline void fixture_tek(struct tek *tek, uint32_t spi)
{
    uint8_t raw[64];
    memset(raw, (int)spi, sizeof(raw));
    memset(tek, 0, sizeof(*tek));
    tek->spi = spi;
    tek->suite = (struct esp_suite){ESP_AES_CBC, 256, AUTH_HMAC_SHA256};
    assert_ok(secret_set(&tek->key, (struct bytes){raw, 32}));
    assert_ok(secret_set(&tek->integrity, (struct bytes){raw, 32}));
}

/* One selector, one key that receives and sends. */
static inline void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->site = (struct xfrm_site){
        .instance = "gdoi0",
        .wan =
            {{.name = "wan", .index = 3, .mtu = 1500, .ethernet = true, .up = true, .addr = {100, 64, 1, 1}}},
        .wan_count = 1,
        .table = 254,
        .wan_mtu = 1500,
        .wan_addr = {100, 64, 1, 1},
        .anchor = {100, 127, 0, 1},
        .lan_index = {5, 6},
        .lan_count = 1};
    f->selectors[0] = fixture_selector("10.0.0.0/8", "10.0.0.0/8");
    fixture_tek(&f->teks[0], 0x1000);
    fixture_tek(&f->teks[1], 0x1001);
    f->state.selectors = f->selectors;
    f->state.selector_count = 1;
    f->state.in[0] = &f->teks[0];
    f->state.in_count = 1;
    f->state.out = &f->teks[0];
}

#endif
