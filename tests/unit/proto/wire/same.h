/* same.h - equality of decoded structs by what they mean: views by content, fields that are never written and
 * padding left out. For unit tests and fuzz targets. */
#ifndef TESTS_UNIT_PROTO_WIRE_SAME_H
#define TESTS_UNIT_PROTO_WIRE_SAME_H

#include <string.h>

#include "proto/wire/gdoi_kd.h"
#include "proto/wire/gdoi_sa.h"
#include "proto/wire/id_payload.h"
#include "proto/wire/isakmp_header.h"
#include "proto/wire/notify.h"
#include "proto/wire/payload.h"
#include "proto/wire/sa_payload.h"

static inline bool same_transform(const struct ike_transform *a, const struct ike_transform *b)
{
    return a->number == b->number && a->encryption == b->encryption && a->hash == b->hash &&
           a->auth == b->auth && a->group == b->group && a->key_bits == b->key_bits &&
           a->life_type == b->life_type && a->life_duration == b->life_duration && a->unknown == b->unknown;
}

/* The next transform from *at on that is not unknown, or NULL: unknown ones are not written. */
static inline const struct ike_transform *next_known(const struct ike_offer *offer, size_t *at)
{
    while (*at < offer->count) {
        const struct ike_transform *t = &offer->transforms[(*at)++];
        if (!t->unknown)
            return t;
    }
    return NULL;
}

static inline bool same_offer(const struct ike_offer *a, const struct ike_offer *b)
{
    size_t i = 0, j = 0;
    if (a->doi != b->doi || a->situation != b->situation)
        return false;
    for (;;) {
        const struct ike_transform *x = next_known(a, &i);
        const struct ike_transform *y = next_known(b, &j);
        if (x == NULL || y == NULL)
            return x == y;
        if (!same_transform(x, y))
            return false;
    }
}

static inline bool same_gdoi_id(const struct gdoi_id *a, const struct gdoi_id *b)
{
    return a->type == b->type && a->port == b->port && bytes_equal(a->data, b->data);
}

static inline bool same_sak(const struct gdoi_sak *a, const struct gdoi_sak *b)
{
    return a->protocol == b->protocol && same_gdoi_id(&a->src, &b->src) && same_gdoi_id(&a->dst, &b->dst) &&
           memcmp(a->spi, b->spi, KEK_SPI_LEN) == 0 && a->algorithm == b->algorithm &&
           a->key_bits == b->key_bits && a->lifetime_s == b->lifetime_s && a->sig_hash == b->sig_hash &&
           a->sig_algorithm == b->sig_algorithm && a->sig_key_bits == b->sig_key_bits && a->ack == b->ack &&
           a->management == b->management;
}

static inline bool same_gap(const struct gdoi_gap *a, const struct gdoi_gap *b)
{
    return a->has_activation == b->has_activation && a->has_deactivation == b->has_deactivation &&
           a->has_sid_request == b->has_sid_request && a->activation_s == b->activation_s &&
           a->deactivation_s == b->deactivation_s && a->sid_request == b->sid_request;
}

static inline bool same_sat(const struct gdoi_sat *a, const struct gdoi_sat *b)
{
    return a->protocol == b->protocol && a->ip_protocol == b->ip_protocol && same_gdoi_id(&a->src, &b->src) &&
           same_gdoi_id(&a->dst, &b->dst) && a->transform == b->transform && a->spi == b->spi &&
           a->lifetime_s == b->lifetime_s && a->lifetime_kb == b->lifetime_kb &&
           a->encapsulation == b->encapsulation && a->auth == b->auth && a->key_bits == b->key_bits &&
           a->preservation == b->preservation && a->direction == b->direction && a->esn == b->esn &&
           a->replay.attribute == b->replay.attribute && a->replay.window_ms == b->replay.window_ms &&
           a->replay.pseudotime_us == b->replay.pseudotime_us;
}

static inline bool same_sa(const struct gdoi_sa *a, const struct gdoi_sa *b)
{
    if (a->doi != b->doi || a->situation != b->situation || a->has_sak != b->has_sak ||
        a->has_gap != b->has_gap || a->sat_count != b->sat_count)
        return false;
    if ((a->has_sak && !same_sak(&a->sak, &b->sak)) || (a->has_gap && !same_gap(&a->gap, &b->gap)))
        return false;
    for (size_t i = 0; i < a->sat_count; i++)
        if (!same_sat(&a->sats[i], &b->sats[i]))
            return false;
    return true;
}

static inline bool same_tek(const struct kd_tek *a, const struct kd_tek *b)
{
    return a->protocol_spi_len == b->protocol_spi_len && a->spi == b->spi && bytes_equal(a->key, b->key) &&
           bytes_equal(a->integrity, b->integrity);
}

static inline bool same_kek(const struct kd_kek *a, const struct kd_kek *b)
{
    return memcmp(a->spi, b->spi, KEK_SPI_LEN) == 0 && bytes_equal(a->iv_and_key, b->iv_and_key) &&
           bytes_equal(a->sig_key, b->sig_key);
}

static inline bool same_kd(const struct gdoi_kd *a, const struct gdoi_kd *b)
{
    if (a->has_kek != b->has_kek || (a->has_kek && !same_kek(&a->kek, &b->kek)))
        return false;
    if (a->tek_count != b->tek_count || a->has_sid != b->has_sid || a->sid_bits != b->sid_bits ||
        a->sid_count != b->sid_count)
        return false;
    for (size_t i = 0; i < a->tek_count; i++)
        if (!same_tek(&a->teks[i], &b->teks[i]))
            return false;
    return memcmp(a->sids, b->sids, a->sid_count * sizeof(a->sids[0])) == 0;
}

static inline bool same_id(const struct id_payload *a, const struct id_payload *b)
{
    return a->type == b->type && a->protocol == b->protocol && a->port == b->port &&
           bytes_equal(a->data, b->data);
}

static inline bool same_notify(const struct notify_payload *a, const struct notify_payload *b)
{
    return a->doi == b->doi && a->protocol == b->protocol && a->type == b->type &&
           bytes_equal(a->spi, b->spi) && bytes_equal(a->data, b->data);
}

static inline bool same_delete(const struct delete_payload *a, const struct delete_payload *b)
{
    return a->doi == b->doi && a->protocol == b->protocol && a->spi_len == b->spi_len &&
           a->count == b->count && bytes_equal(a->spis, b->spis);
}

#endif
