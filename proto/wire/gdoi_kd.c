#include "proto/wire/gdoi_kd.h"

#include "proto/wire/attribute.h"

enum {
    KEY_PACKET_HEADER_LEN = 4, /* KD type, RESERVED, KD length */
    SID_BITS_MIN = 8,          /* RFC 6054 3: 8, 12 and 16 */
    SID_BITS_MID = 12,
    SID_BITS_MAX = 16,
};

/* Keys are variable attributes with something in them. */
static struct bytes take_key(struct attribute_walk *walk, const struct attribute *attribute)
{
    if (attribute->basic || attribute->body.len == 0)
        reader_fail(&walk->r, E_BAD_LENGTH);
    return attribute->body;
}

static err_t tek_decode(struct gdoi_kd *out, struct bytes spi, struct bytes list)
{
    if (spi.len != TEK_SPI_LEN)
        return E_BAD_LENGTH;
    if (out->tek_count == KD_TEK_MAX)
        return E_LIMIT;
    struct kd_tek *tek = &out->teks[out->tek_count];
    struct reader spi_reader = reader_over(spi);
    *tek = (struct kd_tek){.protocol_spi_len = TEK_SPI_LEN, .spi = read_u32(&spi_reader)};
    for (size_t i = 0; i < out->tek_count; i++)
        if (out->teks[i].spi == tek->spi)
            return E_DUPLICATE;

    struct attribute attribute;
    struct attribute_walk walk = attribute_walk_over(list, 0);
    while (attribute_walk_next(&walk, &attribute)) {
        if (attribute.type == TEK_ALGORITHM_KEY)
            tek->key = take_key(&walk, &attribute);
        else if (attribute.type == TEK_INTEGRITY_KEY)
            tek->integrity = take_key(&walk, &attribute);
        else
            reader_fail(&walk.r, attribute.type == TEK_SOURCE_AUTH_KEY ? E_UNSUPPORTED : E_UNKNOWN_CRITICAL);
    }
    err_t err = reader_end(&walk.r);
    if (err == E_OK && tek->key.len == 0 && tek->integrity.len == 0)
        return E_MISSING;
    out->tek_count += err == E_OK;
    return err;
}

static err_t kek_decode(struct gdoi_kd *out, struct bytes spi, struct bytes list)
{
    if (spi.len != KEK_SPI_LEN)
        return E_BAD_LENGTH;
    if (out->has_kek)
        return E_DUPLICATE; /* "there MUST be only one", RFC 6407 5.6.2 */
    struct reader spi_reader = reader_over(spi);
    out->has_kek = true;
    read_into(&spi_reader, out->kek.spi, KEK_SPI_LEN);

    struct attribute attribute;
    struct attribute_walk walk = attribute_walk_over(list, 0);
    while (attribute_walk_next(&walk, &attribute)) {
        if (attribute.type == KEK_ALGORITHM_KEY)
            out->kek.iv_and_key = take_key(&walk, &attribute);
        else if (attribute.type == SIG_ALGORITHM_KEY)
            out->kek.sig_key = take_key(&walk, &attribute);
        else
            reader_fail(&walk.r, E_UNKNOWN_CRITICAL);
    }
    err_t err = reader_end(&walk.r);
    return err == E_OK && out->kek.iv_and_key.len == 0 ? E_MISSING : err;
}

static void take_sid(struct gdoi_kd *out, struct attribute_walk *walk, const struct attribute *attribute)
{
    uint32_t sid = attribute_walk_u32(walk, attribute);
    if (out->sid_count == KD_SID_MAX) {
        reader_fail(&walk->r, E_LIMIT);
        return;
    }
    for (size_t i = 0; i < out->sid_count; i++)
        if (out->sids[i] == sid)
            reader_fail(&walk->r, E_DUPLICATE);
    out->sids[out->sid_count++] = sid;
}

/* Sizes of RFC 6054, and every SID fits them: two members whose SIDs are the same once cut to size would use
 * the same nonces. */
static err_t check_sids(const struct gdoi_kd *kd)
{
    if (kd->sid_bits == 0 || kd->sid_count == 0)
        return E_MISSING;
    if (kd->sid_bits != SID_BITS_MIN && kd->sid_bits != SID_BITS_MID && kd->sid_bits != SID_BITS_MAX)
        return E_RANGE;
    for (size_t i = 0; i < kd->sid_count; i++)
        if (kd->sids[i] >> kd->sid_bits != 0)
            return E_RANGE;
    return E_OK;
}

static err_t sid_decode(struct gdoi_kd *out, struct bytes spi, struct bytes list)
{
    if (spi.len != 0)
        return E_BAD_LENGTH; /* "the SPI Size field MUST be zero", RFC 6407 5.6.4 */
    if (out->has_sid)
        return E_DUPLICATE;
    out->has_sid = true;

    struct attribute attribute;
    struct attribute_walk walk = attribute_walk_over(list, UINT64_C(1) << SID_VALUE);
    while (attribute_walk_next(&walk, &attribute)) {
        if (attribute.type == SID_NUMBER_OF_BITS)
            out->sid_bits = attribute_walk_u16(&walk, &attribute);
        else if (attribute.type == SID_VALUE)
            take_sid(out, &walk, &attribute);
        else
            reader_fail(&walk.r, E_UNKNOWN_CRITICAL);
    }
    err_t err = reader_end(&walk.r);
    return err == E_OK ? check_sids(out) : err;
}

static err_t key_packet_decode(struct gdoi_kd *out, struct reader *r)
{
    uint8_t type = read_u8(r);
    read_skip(r, 1); /* RESERVED */
    size_t len = read_u16(r);
    if (r->err == E_OK && len < KEY_PACKET_HEADER_LEN)
        reader_fail(r, E_BAD_LENGTH);
    struct reader packet = reader_over(read_bytes(r, len - KEY_PACKET_HEADER_LEN));
    if (r->err != E_OK)
        return r->err;
    size_t spi_len = read_u8(&packet);
    struct bytes spi = read_bytes(&packet, spi_len);
    struct bytes attributes = read_rest(&packet);
    if (packet.err != E_OK)
        return packet.err;
    switch (type) {
    case KD_TEK:
        return tek_decode(out, spi, attributes);
    case KD_KEK:
        return kek_decode(out, spi, attributes);
    case KD_SID:
        return sid_decode(out, spi, attributes);
    case KD_LKH:
        return E_UNSUPPORTED;
    default:
        return E_UNKNOWN_CRITICAL;
    }
}

err_t gdoi_kd_decode(struct gdoi_kd *out, struct bytes body)
{
    struct reader r = reader_over(body);
    *out = (struct gdoi_kd){0};
    uint16_t count = read_u16(&r);
    read_skip(&r, 2); /* RESERVED2 */
    for (size_t i = 0; i < count && r.err == E_OK; i++) {
        err_t err = key_packet_decode(out, &r);
        if (err != E_OK)
            return err;
    }
    return reader_end(&r);
}

static size_t key_packet_begin(struct writer *w, uint8_t type, uint8_t spi_len)
{
    size_t begun = write_reserve(w, KEY_PACKET_HEADER_LEN);
    writer_patch_u8(w, begun, type);
    write_u8(w, spi_len);
    return begun;
}

static void key_packet_end(struct writer *w, size_t begun)
{
    if (w->len - begun > UINT16_MAX) {
        writer_fail(w, E_BAD_LENGTH);
        return;
    }
    writer_patch_u16(w, begun + 2, (uint16_t)(w->len - begun));
}

static void put_key(struct writer *w, uint16_t type, struct bytes key)
{
    if (key.len != 0)
        attribute_put_bytes(w, type, key);
}

static void kek_encode(struct writer *w, const struct kd_kek *kek)
{
    size_t begun = key_packet_begin(w, KD_KEK, KEK_SPI_LEN);
    write_bytes(w, BYTES_OF(kek->spi));
    put_key(w, KEK_ALGORITHM_KEY, kek->iv_and_key);
    put_key(w, SIG_ALGORITHM_KEY, kek->sig_key);
    key_packet_end(w, begun);
}

static void tek_encode(struct writer *w, const struct kd_tek *tek)
{
    size_t begun = key_packet_begin(w, KD_TEK, TEK_SPI_LEN);
    write_u32(w, tek->spi);
    put_key(w, TEK_ALGORITHM_KEY, tek->key);
    put_key(w, TEK_INTEGRITY_KEY, tek->integrity);
    key_packet_end(w, begun);
}

/* RFC 6407 5.6.4.2 leaves the octets of a SID_VALUE open: we send as few as hold the bits. */
static void sid_encode(struct writer *w, const struct gdoi_kd *kd)
{
    err_t err = check_sids(kd);
    if (err != E_OK) {
        writer_fail(w, err);
        return;
    }
    size_t begun = key_packet_begin(w, KD_SID, 0);
    attribute_put_basic(w, SID_NUMBER_OF_BITS, kd->sid_bits);
    for (size_t i = 0; i < kd->sid_count; i++) {
        uint8_t raw[] = {(uint8_t)(kd->sids[i] >> 8), (uint8_t)kd->sids[i]};
        struct bytes two = BYTES_OF(raw);
        attribute_put_bytes(w, SID_VALUE, kd->sid_bits > 8 ? two : bytes_slice(two, 1, 1));
    }
    key_packet_end(w, begun);
}

void gdoi_kd_encode(struct writer *w, const struct gdoi_kd *kd)
{
    if (kd->tek_count > KD_TEK_MAX || kd->sid_count > KD_SID_MAX) {
        writer_fail(w, E_LIMIT);
        return;
    }
    write_u16(w, (uint16_t)(kd->tek_count + kd->has_kek + kd->has_sid));
    write_zeros(w, 2);
    if (kd->has_kek)
        kek_encode(w, &kd->kek);
    for (size_t i = 0; i < kd->tek_count; i++)
        tek_encode(w, &kd->teks[i]);
    if (kd->has_sid)
        sid_encode(w, kd);
}

err_t gdoi_seq_decode(uint32_t *out, struct bytes body)
{
    struct reader r = reader_over(body);
    *out = read_u32(&r);
    return reader_end(&r);
}

void gdoi_seq_encode(struct writer *w, uint32_t seq)
{
    write_u32(w, seq);
}
