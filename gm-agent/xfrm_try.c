/* xfrm_try.c - one SA in, and out again. */
#include "gm-agent/xfrm_try.h"

#include <stdio.h>
#include <string.h>

#include "gm-agent/xfrm_probe.h"

static const struct esp_suite suites[] = {
    {ESP_AES_CBC, 128, AUTH_HMAC_SHA256}, {ESP_AES_CBC, 192, AUTH_HMAC_SHA256},
    {ESP_AES_CBC, 256, AUTH_HMAC_SHA256}, {ESP_AES_CBC, 128, AUTH_HMAC_SHA384},
    {ESP_AES_CBC, 192, AUTH_HMAC_SHA384}, {ESP_AES_CBC, 256, AUTH_HMAC_SHA384},
    {ESP_AES_CBC, 128, AUTH_HMAC_SHA512}, {ESP_AES_CBC, 192, AUTH_HMAC_SHA512},
    {ESP_AES_CBC, 256, AUTH_HMAC_SHA512}, {ESP_AES_GCM_8, 128, AUTH_NONE},
    {ESP_AES_GCM_8, 192, AUTH_NONE},      {ESP_AES_GCM_8, 256, AUTH_NONE},
    {ESP_AES_GCM_12, 128, AUTH_NONE},     {ESP_AES_GCM_12, 192, AUTH_NONE},
    {ESP_AES_GCM_12, 256, AUTH_NONE},     {ESP_AES_GCM_16, 128, AUTH_NONE},
    {ESP_AES_GCM_16, 192, AUTH_NONE},     {ESP_AES_GCM_16, 256, AUTH_NONE},
};
_Static_assert(sizeof(suites) / sizeof(suites[0]) == XFRM_TRY_MAX, "one place for each");

size_t xfrm_try_count(void)
{
    return XFRM_TRY_MAX;
}

struct esp_suite xfrm_try_suite(size_t at)
{
    return suites[at < XFRM_TRY_MAX ? at : 0];
}

void xfrm_try_name(const struct esp_suite *suite, char out[DATAPATH_ABILITY_NAME_MAX])
{
    unsigned hash = suite->auth == AUTH_HMAC_SHA256 ? 256 : suite->auth == AUTH_HMAC_SHA384 ? 384 : 512;
    if (suite->transform == ESP_AES_CBC)
        snprintf(out, DATAPATH_ABILITY_NAME_MAX, "esp-aes %u esp-sha%u-hmac", suite->key_bits, hash);
    else
        snprintf(out, DATAPATH_ABILITY_NAME_MAX, "esp-gcm %u icv %zu", suite->key_bits, esp_icv_len(suite));
}

err_t xfrm_try_sa(const struct xfrm_site *site, const struct esp_suite *suite, struct xfrm_sa *out)
{
    static const uint8_t key[SECRET_LEN_MAX]; /* protects nothing */
    memset(out, 0, sizeof(*out));
    memcpy(out->src, site->wan_addr, 4);
    xfrm_probe_address(site, out->dst);
    out->spi = XFRM_TRY_SPI;
    out->reqid = xfrm_plan_reqid_in(site);
    out->suite = *suite;
    err_t err = secret_set(&out->key, (struct bytes){key, esp_key_len(suite)});
    return err == E_OK ? secret_set(&out->integrity, (struct bytes){key, esp_integrity_len(suite)}) : err;
}

err_t xfrm_try(struct xfrm_socket *xfrm, const struct xfrm_site *site, const struct esp_suite *suite)
{
    uint8_t buffer[XFRM_MESSAGE_MAX];
    struct xfrm_sa sa;
    err_t err = xfrm_try_sa(site, suite, &sa);
    if (err == E_OK)
        err = xfrm_socket_request(xfrm, xfrm_build_sa(buffer, xfrm_socket_next_seq(xfrm), &sa));
    if (err == E_OK)
        err = xfrm_socket_request(xfrm, xfrm_build_sa_delete(buffer, xfrm_socket_next_seq(xfrm), &sa));
    xfrm_sa_close(&sa);
    return err;
}
