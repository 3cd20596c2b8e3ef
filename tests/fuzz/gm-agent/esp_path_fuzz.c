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
    static struct selector selectors[2];
    struct tek cbc = make_tek(0x1001, ESP_AES_CBC, AUTH_HMAC_SHA256),
               gcm = make_tek(0x1002, ESP_AES_GCM_16, AUTH_NONE);
    must(prefix_parse(&selectors[0].src, "10.0.0.0/8") == E_OK &&
         prefix_parse(&selectors[0].dst, "10.0.0.0/8") == E_OK);
    must(prefix_parse(&selectors[1].src, "172.16.0.0/12") == E_OK &&
         prefix_parse(&selectors[1].dst, "10.0.0.0/8") == E_OK);
    selectors[1].protocol = 17;
    selectors[1].dst_port = 53;
    rng = rng_seeded_init(&seeded, 1);
    esp_path_init(&path, &rng, &clock_fixed);
    struct datapath_state state = {.selectors = selectors,
                                   .selector_count = 2,
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
static void check_delivered(const uint8_t *outer, struct bytes got)
{
    struct ip_packet inner;
    must(ip_packet_decode(&inner, got) == E_OK && inner.whole.len == got.len);
    must(memcmp(inner.src, outer + 12, 4) == 0 && memcmp(inner.dst, outer + 16, 4) == 0);
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
        check_delivered(packet.data, (struct bytes){out, len});
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

/* The first octet of data is the next header, then the outer header's addresses, then the inner packet. */
static void sealed_from_wan(struct bytes data)
{
    uint8_t packet[CAP], iv[ESP_IV_MAX] = {0};
    struct ip_packet like = {0};
    size_t len = 0;
    if (data.len < 9 || data.len > INNER_MAX)
        return;
    memcpy(like.src, data.data + 1, 4);
    memcpy(like.dst, data.data + 5, 4);
    must(esp_seal(sealer, 0x1001, 1, iv, data.data[0], bytes_slice(data, 9, data.len), packet + IP_HEADER_LEN,
                  CAP - IP_HEADER_LEN, &len) == E_OK);
    ip_outer_write(packet, &like, len, 1);
    packet[1] = data.data[0] & 3;
    from_wan((struct bytes){packet, IP_HEADER_LEN + len});
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
