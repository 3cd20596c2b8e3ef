/* esp_fixture.h - suites, buffers and contexts that the ESP tests share. */
#ifndef TESTS_UNIT_PROTO_CRYPTO_ESP_FIXTURE_H
#define TESTS_UNIT_PROTO_CRYPTO_ESP_FIXTURE_H

#include "proto/crypto/esp.h"
#include "tests/lib/test.h"

enum { PACKET_MAX = ESP_PAYLOAD_MAX + ESP_OVERHEAD_MAX };

static const struct esp_suite suites[] = {
    {ESP_AES_GCM_16, 128, AUTH_NONE},     {ESP_AES_GCM_16, 192, AUTH_NONE},
    {ESP_AES_GCM_16, 256, AUTH_NONE},     {ESP_AES_GCM_12, 128, AUTH_NONE},
    {ESP_AES_GCM_12, 256, AUTH_NONE},     {ESP_AES_GCM_8, 128, AUTH_NONE},
    {ESP_AES_GCM_8, 256, AUTH_NONE},      {ESP_AES_CBC, 128, AUTH_HMAC_SHA256},
    {ESP_AES_CBC, 192, AUTH_HMAC_SHA384}, {ESP_AES_CBC, 256, AUTH_HMAC_SHA512},
    {ESP_AES_CBC, 256, AUTH_HMAC_SHA256},
};

static uint8_t packet[PACKET_MAX];
static uint8_t opened[PACKET_MAX];
static uint8_t inner[PACKET_MAX];

/* Keys of the right lengths: octets counting up from first. */
static struct esp_context *open_counting(const struct esp_suite *suite, uint8_t first)
{
    uint8_t k[128];
    struct esp_context *context = NULL;
    for (size_t i = 0; i < sizeof(k); i++)
        k[i] = (uint8_t)(first + i);
    assert_ok(esp_context_open(suite, (struct bytes){k, esp_key_len(suite)},
                               (struct bytes){k + 64, esp_integrity_len(suite)}, &context));
    return context;
}

static size_t seal_counting(struct esp_context *context, size_t len)
{
    uint8_t iv[ESP_IV_MAX] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    size_t sealed = 0;
    for (size_t i = 0; i < len; i++)
        inner[i] = (uint8_t)(i * 3);
    assert_ok(esp_seal(context, 0x11223344, 77, iv, 4, (struct bytes){inner, len}, packet, sizeof(packet),
                       &sealed));
    return sealed;
}

#endif
