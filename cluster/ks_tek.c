/* ks_tek.c - traffic keys: drawn, wrapped for their place in the state, opened again. */
#include <string.h>

#include "cluster/ks_internal.h"

enum {
    TEK_SPI_FIRST = 256, /* 0..255 are reserved (RFC 4303 2.1) */
    SPI_TRIES = 16,
    SPI_LANE_MASK = 0xf,
};

uint32_t ks_spi_lane(const uint8_t cluster_id[CLUSTER_ID_LEN])
{
    return cluster_id[0] & SPI_LANE_MASK;
}

static err_t draw_secret(const struct rng *rng, size_t len, struct secret *out)
{
    if (len > SECRET_LEN_MAX)
        return E_BAD_KEY;
    out->len = (uint16_t)len;
    return rng_fill(rng, out->data, len);
}

/* Of any group, told already or ahead. */
static bool spi_in_use(const struct ks_state *state, uint32_t spi)
{
    for (size_t i = 0; i < state->group_count; i++) {
        const struct group_record *r = &state->groups[i]->record;
        for (size_t k = 0; k < r->tek_count; k++)
            if (r->teks[k].spi == spi)
                return true;
        for (size_t k = 0; k < r->runway_count; k++)
            if (r->runway[k].spi == spi)
                return true;
    }
    return false;
}

static err_t draw_spi(const struct ks_state *state, const struct rng *rng, uint32_t *out)
{
    for (int i = 0; i < SPI_TRIES; i++) {
        uint8_t raw[TEK_SPI_LEN];
        err_t err = rng_fill(rng, raw, sizeof(raw));
        if (err != E_OK)
            return err;
        struct reader r = reader_over(BYTES_OF(raw));
        *out = (read_u32(&r) & ~(uint32_t)SPI_LANE_MASK) | ks_spi_lane(state->cluster.cluster_id);
        if (*out >= TEK_SPI_FIRST && !spi_in_use(state, *out))
            return E_OK;
    }
    return E_CRYPTO;
}

static err_t wrap_tek(const struct ks_state *state, uint32_t id, const struct wrap_key *wrap,
                      const struct rng *rng, const struct tek *tek, struct tek_record *record)
{
    uint8_t name[TEK_SPI_LEN], context[WRAP_CONTEXT_MAX];
    struct writer w = writer_over(name, sizeof(name));
    write_u32(&w, tek->spi);
    err_t err = keywrap_seal(wrap, rng, wrap_context(state, id, WRAP_TEK_KEY, writer_bytes(&w), context),
                             secret_view(&tek->key), &record->key);
    if (err != E_OK || tek->integrity.len == 0)
        return err;
    return keywrap_seal(wrap, rng, wrap_context(state, id, WRAP_TEK_INTEGRITY, writer_bytes(&w), context),
                        secret_view(&tek->integrity), &record->integrity);
}

err_t ks_tek_draw(const struct ks_state *state, const struct ks_group *group, const struct wrap_key *wrap,
                  const struct rng *rng, struct tek_record *record, struct tek *clear)
{
    const struct group_config *config = &group->record.config;
    *record = (struct tek_record){.suite = config->suite,
                                  .sid_epoch = group->record.sid_epoch,
                                  .sid_bits = config->sid_bits,
                                  .lifetime_s = config->tek_lifetime_s};
    *clear = (struct tek){.suite = record->suite, .lifetime_s = record->lifetime_s};
    if (esp_key_len(&record->suite) == 0)
        return E_UNSUPPORTED;
    err_t err = draw_spi(state, rng, &record->spi);
    if (err == E_OK)
        err = draw_secret(rng, esp_key_len(&record->suite), &clear->key);
    if (err == E_OK)
        err = draw_secret(rng, esp_integrity_len(&record->suite), &clear->integrity);
    if (err != E_OK)
        return err;
    clear->spi = record->spi;
    return wrap_tek(state, group->record.id, wrap, rng, clear, record);
}

err_t ks_tek_open(const struct ks_state *state, const struct ks_group *group, const struct tek_record *record,
                  const struct wrap_key *wrap, uint64_t now_ms, struct tek *out)
{
    *out = (struct tek){
        .spi = record->spi, .suite = record->suite, .lifetime_s = ks_left_s(tek_end_ms(record), now_ms)};
    uint8_t name[TEK_SPI_LEN], context[WRAP_CONTEXT_MAX];
    struct writer w = writer_over(name, sizeof(name));
    write_u32(&w, record->spi);
    uint32_t id = group->record.id;
    err_t err = keywrap_open(wrap, wrap_context(state, id, WRAP_TEK_KEY, writer_bytes(&w), context),
                             &record->key, &out->key);
    if (err != E_OK || record->integrity.len == 0)
        return err;
    return keywrap_open(wrap, wrap_context(state, id, WRAP_TEK_INTEGRITY, writer_bytes(&w), context),
                        &record->integrity, &out->integrity);
}
