/* esp_open over fixed keys. The first octet picks the suite and whether the ICV is made right before opening,
 * since no fuzzer finds one and the padding check behind it would stay dark; then the rest is sealed and must
 * come back. */
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/esp.h"
#include "proto/crypto/prf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4096, FORGE = 0x80 };

static const struct esp_suite suites[] = {
    {ESP_AES_CBC, 128, AUTH_HMAC_SHA256},
    {ESP_AES_CBC, 256, AUTH_HMAC_SHA512},
    {ESP_AES_GCM_16, 256, AUTH_NONE},
    {ESP_AES_GCM_8, 128, AUTH_NONE},
};
static const enum hash_alg hashes[] = {HASH_SHA256, HASH_SHA512, HASH_NONE, HASH_NONE};
/* the key of RFC 3602 case 5 in front, so that its packet is a seed */
static const uint8_t keys[64] = {0x90, 0xd3, 0x82, 0xb4, 0x10, 0xee, 0xba, 0x7a,
                                 0xd9, 0x38, 0xc4, 0x6c, 0xec, 0x1a, 0x82, 0xbf};
static const uint8_t integrity[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                      16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

static void check(int good)
{
    if (!good)
        abort();
}

static void open_packet(struct esp_context *context, const uint8_t *packet, size_t len)
{
    uint8_t *out = malloc(len + 1); /* exactly as much as is promised */
    size_t out_len = 0;
    uint8_t next_header = 0;
    check(out != NULL);
    err_t err = esp_open(context, (struct bytes){packet, len}, out, &out_len, &next_header);
    check(err == E_OK ? out_len < len : out_len == 0);
    free(out);
}

static void forge_icv(size_t which, uint8_t *packet, size_t len)
{
    uint8_t mac[HASH_LEN_MAX];
    size_t icv_len = esp_icv_len(&suites[which]);
    if (hashes[which] == HASH_NONE || len < icv_len)
        return;
    struct bytes covered = {packet, len - icv_len};
    check(prf_parts(hashes[which], (struct bytes){integrity, hash_len(hashes[which])}, &covered, 1, mac) ==
          E_OK);
    memcpy(packet + covered.len, mac, icv_len);
}

static void round_trip(struct esp_context *context, const uint8_t *data, size_t size)
{
    static uint8_t packet[INPUT_MAX + ESP_OVERHEAD_MAX];
    static uint8_t out[sizeof(packet)];
    const uint8_t iv[ESP_IV_MAX] = {1};
    size_t len = 0;
    size_t out_len = 0;
    uint8_t next_header = 0;
    check(esp_seal(context, 1, 2, iv, 41, (struct bytes){data, size}, packet, sizeof(packet), &len) == E_OK);
    check(esp_open(context, (struct bytes){packet, len}, out, &out_len, &next_header) == E_OK);
    check(out_len == size && next_header == 41 && (size == 0 || memcmp(out, data, size) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t packet[INPUT_MAX];
    if (size < 1 || size > INPUT_MAX)
        return 0;
    size_t which = data[0] % ARRAY_LEN(suites);
    struct esp_context *context = NULL;
    check(esp_context_open(&suites[which], (struct bytes){keys, esp_key_len(&suites[which])},
                           (struct bytes){integrity, esp_integrity_len(&suites[which])}, &context) == E_OK);
    memcpy(packet, data + 1, size - 1);
    if (data[0] & FORGE)
        forge_icv(which, packet, size - 1);
    open_packet(context, packet, size - 1);
    round_trip(context, data + 1, size - 1);
    esp_context_free(context);
    return 0;
}
