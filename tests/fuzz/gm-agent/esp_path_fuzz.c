/* Packets into the user data path: from the LAN, from the WAN, clear ones at the guard, and (the first octet
 * says so) hostile inner packets that a member with the key has sealed. Whatever comes out must be within
 * bounds and allowed. */
#include <stdlib.h>
#include <string.h>

#include "gm-agent/esp_path.h"

enum { CAP = 8192, INNER_MAX = 4000 };

static uint64_t no_time(void *context)
{
    (void)context;
    return 1;
}
static const struct clock clock_fixed = {no_time, no_time, NULL};

static struct esp_path path;
static struct esp_context *sealer;
static struct rng_seeded seeded;
static struct rng rng;

static void must(bool condition)
{
    if (!condition)
        abort();
}

static struct tek make_tek(uint32_t spi, uint8_t transform, uint16_t auth)
{
    struct tek t = {.spi = spi, .suite = {transform, 256, auth}};
    uint8_t raw[64];
    memset(raw, 0x5a, sizeof(raw));
    must(secret_set(&t.key, (struct bytes){raw, esp_key_len(&t.suite)}) == E_OK);
    must(secret_set(&t.integrity, (struct bytes){raw, esp_integrity_len(&t.suite)}) == E_OK);
    return t;
}

static void start(void)
{
    static const uint32_t sid = 7;
    static struct selector selectors[3];
    struct tek cbc = make_tek(0x1001, ESP_AES_CBC, AUTH_HMAC_SHA256),
               gcm = make_tek(0x1002, ESP_AES_GCM_16, AUTH_NONE);
    must(prefix_parse(&selectors[0].src, "10.0.0.0/8") == E_OK &&
         prefix_parse(&selectors[0].dst, "10.0.0.0/8") == E_OK);
    must(prefix_parse(&selectors[1].src, "172.16.0.0/12") == E_OK &&
         prefix_parse(&selectors[1].dst, "10.0.0.0/8") == E_OK);
    selectors[1].protocol = 17;
    selectors[1].dst_port = 53;
    must(prefix_parse(&selectors[2].src, "2001:db8::/32") == E_OK &&
         prefix_parse(&selectors[2].dst, "2001:db8::/32") == E_OK);
    rng = rng_seeded_init(&seeded, 1);
    esp_path_init(&path, &rng, &clock_fixed);
    struct datapath_state state = {.selectors = selectors,
                                   .selector_count = 3,
                                   .in = {&cbc, &gcm},
                                   .in_count = 2,
                                   .out = &gcm,
                                   .sid_bits = 8,
                                   .sids = &sid,
                                   .sid_count = 1};
    must(esp_path_apply(&path, &state) == E_OK);
    must(esp_context_open(&cbc.suite, secret_view(&cbc.key), secret_view(&cbc.integrity), &sealer) == E_OK);
}

/* A delivered packet is well-formed and of the policy, and between the same hosts as the outer one. */
static void check_delivered(struct bytes packet, struct bytes got)
{
    struct ip_packet inner, outer;
    must(ip_packet_decode(&inner, got) == E_OK && inner.whole.len == got.len);
    must(ip_packet_decode(&outer, packet) == E_OK);
    must(addr_equal(&inner.src, &outer.src) && addr_equal(&inner.dst, &outer.dst) && !inner.obscured);
    /* Protected, or behind an entry that lets it pass (key management): such packets are understood. */
    must(esp_path_protects(&path, &inner) || policy_may_protect(&path.program, &inner));
}

static void from_wan(struct bytes packet)
{
    uint8_t *out = malloc(packet.len + 1);
    size_t len = 0;
    struct esp_note note;
    must(out != NULL);
    if (esp_path_decapsulate(&path, packet, out, packet.len, &len, &note) == ESP_TO_LAN)
        check_delivered(packet, (struct bytes){out, len});
    else
        must(len == 0);
    free(out);
}

static void from_lan(struct bytes packet)
{
    uint8_t *out = malloc(CAP);
    size_t len = 0;
    struct esp_note note;
    must(out != NULL);
    if (esp_path_encapsulate(&path, packet, out, CAP, &len, &note) == ESP_TO_WAN) {
        uint8_t *back = malloc(len);
        size_t back_len = 0;
        must(back != NULL && len <= CAP);
        enum esp_verdict verdict =
            esp_path_decapsulate(&path, (struct bytes){out, len}, back, len, &back_len, &note);
        if (verdict == ESP_TO_LAN)
            must(memcmp(back, packet.data, back_len) == 0);
        free(back);
    } else {
        must(len == 0);
    }
    free(out);
}

/* The first octet of data is the next header, then the outer header's addresses, then the inner packet. Of
 * IPv6 for 41. */
static void sealed_from_wan(struct bytes data)
{
    uint8_t packet[CAP], iv[ESP_IV_MAX] = {0};
    struct ip_packet like = {0};
    size_t len = 0;
    struct reader r = reader_over(data);
    uint8_t next = read_u8(&r);
    like.src.family = like.dst.family = next == IP_PROTOCOL_IPV6 ? AF_INET6 : AF_INET;
    const size_t outer_len = ip_outer_len(like.src.family);
    read_into(&r, like.src.bytes, addr_len(&like.src));
    read_into(&r, like.dst.bytes, addr_len(&like.dst));
    like.tos = next & 3;
    struct bytes inner = read_rest(&r);
    if (r.err != E_OK || inner.len > INNER_MAX)
        return;
    must(esp_seal(sealer, 0x1001, 1, iv, next, inner, packet + outer_len, CAP - outer_len, &len) == E_OK);
    ip_outer_write(packet, &like, len, 1);
    from_wan((struct bytes){packet, outer_len + len});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    struct esp_note note;
    if (!started) {
        start();
        started = true;
    }
    if (size == 0 || size > INNER_MAX)
        return 0;
    struct bytes rest = {data + 1, size - 1};
    switch (data[0] % 4) {
    case 0:
        from_lan(rest);
        break;
    case 1:
        from_wan(rest);
        break;
    case 2:
        esp_path_guard(&path, rest, &note);
        break;
    default:
        sealed_from_wan(rest);
        break;
    }
    return 0;
}
