/* Group policy <-> KD payload (RFC 6407 5.6). */
#include <string.h>

#include "proto/gdoi/group_policy.h"

/* --- encode --- */

static err_t kek_fill(struct kd_kek *out, const struct kek *kek, const uint8_t spi[KEK_SPI_LEN])
{
    if (kek_key(kek).len == 0 || kek->public_len > SIGN_PUBLIC_MAX)
        return E_BAD_KEY;
    memcpy(out->spi, spi, KEK_SPI_LEN);
    out->iv_and_key = secret_view(&kek->iv_key);
    out->sig_key = (struct bytes){kek->public_key, kek->public_len};
    return E_OK;
}

static bool tek_keys_fit(const struct esp_suite *suite, size_t key_len, size_t integrity_len)
{
    return key_len != 0 && key_len == tek_key_len(suite) && integrity_len == tek_integrity_len(suite);
}

err_t group_policy_encode_kd(const struct group_policy *policy, const uint8_t kek_spi[KEK_SPI_LEN],
                             struct writer *w)
{
    struct gdoi_kd kd = {
        .has_kek = policy->has_kek, .has_sid = policy->sid_count != 0, .sid_bits = policy->sid_bits};
    if (policy->tek_count > POLICY_TEK_MAX || policy->sid_count > POLICY_SID_MAX)
        return E_LIMIT;
    err_t err = kd.has_kek ? kek_fill(&kd.kek, &policy->kek, kek_spi) : E_OK;
    if (err != E_OK)
        return err;
    for (size_t i = 0; i < policy->tek_count; i++) {
        const struct tek *tek = &policy->teks[i];
        if (!tek_keys_fit(&tek->suite, tek->key.len, tek->integrity.len))
            return E_BAD_KEY;
        kd.teks[kd.tek_count++] =
            (struct kd_tek){TEK_SPI_LEN, tek->spi, secret_view(&tek->key), secret_view(&tek->integrity)};
    }
    for (size_t i = 0; i < policy->sid_count; i++)
        kd.sids[kd.sid_count++] = policy->sids[i];
    gdoi_kd_encode(w, &kd);
    return writer_end(w);
}

/* --- decode --- */

static const struct kd_tek *find_packet(const struct gdoi_kd *kd, uint32_t spi)
{
    for (size_t i = 0; i < kd->tek_count; i++)
        if (kd->teks[i].spi == spi)
            return &kd->teks[i];
    return NULL;
}

/* The codec has seen to it that no SPI stands twice, so equal numbers and no gap mean one packet for each. */
static err_t check_teks(const struct group_policy *policy, const struct gdoi_kd *kd)
{
    for (size_t i = 0; i < policy->tek_count; i++) {
        const struct kd_tek *packet = find_packet(kd, policy->teks[i].spi);
        if (packet == NULL)
            return E_MISSING;
        if (!tek_keys_fit(&policy->teks[i].suite, packet->key.len, packet->integrity.len))
            return E_BAD_KEY;
    }
    return kd->tek_count == policy->tek_count ? E_OK : E_UNKNOWN_SPI;
}

/* Under its own SPI (RFC 6407 5.6), or under that of the KEK which it replaces, as the reference
 * implementation has it (PROTOCOL 11.1): one KEK packet and one SAK leave no doubt. */
static err_t check_kek(const struct group_policy *policy, const struct gdoi_kd *kd,
                       const uint8_t old_spi[KEK_SPI_LEN])
{
    if (!policy->has_kek)
        return kd->has_kek ? E_UNEXPECTED : E_OK;
    if (!kd->has_kek)
        return E_MISSING;
    bool own = memcmp(kd->kek.spi, policy->kek.spi, KEK_SPI_LEN) == 0;
    bool old = old_spi != NULL && memcmp(kd->kek.spi, old_spi, KEK_SPI_LEN) == 0;
    if (!own && !old)
        return E_UNKNOWN_SPI;
    enum cipher_alg cipher = policy->kek.cipher;
    if (kd->kek.iv_and_key.len != cipher_block_len(cipher) + cipher_key_len(cipher))
        return E_BAD_KEY;
    if (kd->kek.sig_key.len > SIGN_PUBLIC_MAX)
        return E_BAD_KEY;
    return kd->kek.sig_key.len == 0 && old_spi == NULL ? E_MISSING : E_OK;
}

static err_t fill(struct group_policy *policy, const struct gdoi_kd *kd)
{
    err_t err = E_OK;
    if (kd->has_kek) {
        err = secret_set(&policy->kek.iv_key, kd->kek.iv_and_key);
        policy->kek.public_len = (uint16_t)kd->kek.sig_key.len;
        if (kd->kek.sig_key.len != 0)
            memcpy(policy->kek.public_key, kd->kek.sig_key.data, kd->kek.sig_key.len);
    }
    for (size_t i = 0; i < policy->tek_count && err == E_OK; i++) {
        const struct kd_tek *packet = find_packet(kd, policy->teks[i].spi);
        err = secret_set(&policy->teks[i].key, packet->key);
        if (err == E_OK)
            err = secret_set(&policy->teks[i].integrity, packet->integrity);
    }
    policy->sid_bits = kd->has_sid ? kd->sid_bits : 0;
    policy->sid_count = kd->sid_count;
    memcpy(policy->sids, kd->sids, sizeof(policy->sids));
    return err;
}

err_t group_policy_add_kd(struct group_policy *policy, struct bytes kd_body,
                          const uint8_t old_kek_spi[KEK_SPI_LEN])
{
    struct gdoi_kd kd;
    err_t err = gdoi_kd_decode(&kd, kd_body);
    if (err == E_OK)
        err = check_kek(policy, &kd, old_kek_spi);
    if (err == E_OK)
        err = check_teks(policy, &kd);
    if (err == E_OK)
        err = fill(policy, &kd); /* all lengths were checked against their suites: cannot fail half-way */
    return err;
}
