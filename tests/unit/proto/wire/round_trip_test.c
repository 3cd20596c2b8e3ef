/* Random structs, written and read again: the same. Seeds are printed when they fail. */
#include "tests/lib/test.h"

#include "base/rng.h"
#include "tests/unit/proto/wire/codecs.h"

enum { ROUNDS = 2000, POOL_LEN = 4096 };

static struct rng_seeded seeded;
static struct rng rng;
static uint8_t pool[POOL_LEN]; /* what views point to */
static union decoded x;

static void begin(uint64_t seed)
{
    rng = rng_seeded_init(&seeded, seed);
    assert_ok(rng_fill(&rng, pool, sizeof(pool)));
    memset(&x, 0, sizeof(x));
}

static uint32_t draw(uint32_t bound)
{
    uint32_t raw;
    assert_ok(rng_fill(&rng, (uint8_t *)&raw, sizeof(raw)));
    return bound == 0 ? raw : raw % bound;
}

static uint8_t draw_u8(void)
{
    return (uint8_t)draw(0);
}

/* Often small or zero, as numbers of algorithms are. */
static uint16_t draw_u16(void)
{
    return (uint16_t)draw(draw(2) == 0 ? 4 : UINT16_MAX + 1u);
}

static uint32_t draw_u32(void)
{
    return draw(2) == 0 ? draw(4) : draw(0);
}

static struct bytes draw_bytes(size_t min, size_t max)
{
    size_t len = min + draw((uint32_t)(max - min + 1));
    return len == 0 ? (struct bytes){0} : (struct bytes){pool + draw((uint32_t)(POOL_LEN - len)), len};
}

static void draw_into(uint8_t *out, size_t len)
{
    assert_ok(rng_fill(&rng, out, len));
}

static void must_repeat(const struct codec *codec, uint64_t seed)
{
    if (!codec_repeats(codec, &x))
        fail_msg("%s does not repeat with seed %llu", codec->name, (unsigned long long)seed);
}

static void random_offers_repeat(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        begin(seed);
        x.offer.doi = 1 + draw(2);
        x.offer.situation = draw(2);
        x.offer.count = 1 + draw(IKE_TRANSFORM_MAX);
        for (size_t i = 0; i < x.offer.count; i++) {
            struct ike_transform *t = &x.offer.transforms[i];
            *t = (struct ike_transform){.proposal = 1,
                                        .number = draw_u8(),
                                        .encryption = draw_u16(),
                                        .hash = draw_u16(),
                                        .auth = draw_u16(),
                                        .group = draw_u16(),
                                        .key_bits = draw_u16(),
                                        .life_type = (uint16_t)draw(3)};
            t->life_duration = t->life_type == 0 ? 0 : draw_u32();
            t->unknown = draw(8) == 0;
        }
        x.offer.transforms[0].unknown = false;
        must_repeat(&codec_offer, seed);
    }
}

static struct gdoi_id draw_gdoi_id(void)
{
    struct gdoi_id id = {.type = (uint8_t)draw(14), .port = draw_u16()};
    size_t len = id_type_data_len(id.type);
    if (draw(4) == 0)
        return id; /* any address */
    id.data = len != 0 ? draw_bytes(len, len) : draw_bytes(4, UINT8_MAX);
    return id;
}

static struct gdoi_gap draw_gap(void)
{
    struct gdoi_gap gap = {
        .has_activation = draw(2), .has_deactivation = draw(2), .has_sid_request = draw(2)};
    gap.activation_s = gap.has_activation ? draw_u16() : 0;
    gap.deactivation_s = gap.has_deactivation ? draw_u16() : 0;
    gap.sid_request = gap.has_sid_request ? draw_u16() : 0;
    return gap;
}

static struct gdoi_replay draw_replay(void)
{
    if (draw(2) == 0)
        return (struct gdoi_replay){0};
    uint64_t high = draw_u32();
    return (struct gdoi_replay){(uint16_t)(SAT_ATTR_PRIVATE_MIN + draw(767)), 1 + draw(100000),
                                high << 32 | draw_u32()};
}

static void random_security_associations_repeat(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        begin(seed);
        struct gdoi_sa *sa = &x.sa;
        sa->doi = DOI_GDOI;
        sa->sat_count = draw(2) == 0 ? draw(4) : draw(GDOI_SAT_MAX + 1);
        sa->has_sak = sa->sat_count == 0 || draw(2) == 0;
        sa->has_gap = draw(2);
        sa->gap = sa->has_gap ? draw_gap() : (struct gdoi_gap){0};
        if (sa->has_sak) {
            sa->sak = (struct gdoi_sak){.protocol = draw_u8(),
                                        .src = draw_gdoi_id(),
                                        .dst = draw_gdoi_id(),
                                        .algorithm = draw_u16(),
                                        .key_bits = draw_u16(),
                                        .lifetime_s = draw_u32(),
                                        .lifetime_basic = draw(2),
                                        .sig_hash = draw_u16(),
                                        .sig_algorithm = draw_u16(),
                                        .sig_key_bits = draw_u16(),
                                        .ack = draw_u16(),
                                        .management = draw_u16()};
            draw_into(sa->sak.spi, KEK_SPI_LEN);
        }
        for (size_t i = 0; i < sa->sat_count; i++)
            sa->sats[i] = (struct gdoi_sat){.protocol = (uint8_t)(1 + draw(2)),
                                            .ip_protocol = draw_u8(),
                                            .src = draw_gdoi_id(),
                                            .dst = draw_gdoi_id(),
                                            .transform = draw_u8(),
                                            .spi = draw_u32(),
                                            .lifetime_s = draw_u32(),
                                            .lifetime_kb = draw_u32(),
                                            .encapsulation = draw_u16(),
                                            .auth = draw_u16(),
                                            .key_bits = draw_u16(),
                                            .preservation = draw_u16(),
                                            .direction = draw_u16(),
                                            .esn = draw(2),
                                            .replay = draw_replay()};
        must_repeat(&codec_sa, seed);
    }
}

static void random_group_policies_repeat(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        begin(seed);
        x.gap = draw_gap();
        must_repeat(&codec_gap, seed);
    }
}

static void random_key_downloads_repeat(void **state)
{
    (void)state;
    static const uint16_t sizes[] = {8, 12, 16};
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        begin(seed);
        struct gdoi_kd *kd = &x.kd;
        kd->has_kek = draw(2);
        if (kd->has_kek) {
            draw_into(kd->kek.spi, KEK_SPI_LEN);
            kd->kek.iv_and_key = draw_bytes(1, 48);
            kd->kek.sig_key = draw_bytes(0, 600);
        }
        kd->tek_count = draw(KD_TEK_MAX + 1);
        for (size_t i = 0; i < kd->tek_count; i++) {
            bool aead = draw(2);
            kd->teks[i] = (struct kd_tek){.protocol_spi_len = TEK_SPI_LEN,
                                          .spi = draw(0) << 4 | (uint32_t)i, /* no two alike */
                                          .key = draw_bytes(1, 36),
                                          .integrity = aead ? (struct bytes){0} : draw_bytes(1, 64)};
        }
        kd->has_sid = draw(2);
        if (kd->has_sid) {
            kd->sid_bits = sizes[draw(3)];
            kd->sid_count = 1 + draw(KD_SID_MAX);
            for (size_t i = 0; i < kd->sid_count; i++)
                kd->sids[i] = (draw(1u << (kd->sid_bits - 4)) << 4) | (uint32_t)i;
        }
        must_repeat(&codec_kd, seed);
    }
}

static void random_sequence_numbers_repeat(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        begin(seed);
        x.seq = draw_u32();
        must_repeat(&codec_seq, seed);
    }
}

static void random_identities_repeat(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        begin(seed);
        x.id = (struct id_payload){
            .type = (uint8_t)(1 + draw(ID_OID)), .protocol = draw_u8(), .port = draw_u16()};
        size_t len = id_type_data_len(x.id.type);
        x.id.data = len != 0 ? draw_bytes(len, len) : draw_bytes(1, ID_DATA_MAX);
        must_repeat(&codec_id, seed);

        struct identity identity;
        assert_ok(identity_from_payload(&identity, &x.id));
        struct id_payload view = identity_as_payload(&identity);
        assert_int_equal(view.type, x.id.type);
        assert_true(bytes_equal(view.data, x.id.data));
    }
}

static void random_notifications_and_deletes_repeat(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        begin(seed);
        x.notify = (struct notify_payload){.doi = draw_u32(),
                                           .protocol = draw_u8(),
                                           .type = draw_u16(),
                                           .spi = draw_bytes(0, UINT8_MAX),
                                           .data = draw_bytes(0, 1000)};
        must_repeat(&codec_notify, seed);

        memset(&x, 0, sizeof(x));
        x.del = (struct delete_payload){.doi = draw_u32(),
                                        .protocol = draw_u8(),
                                        .spi_len = (uint8_t)(1 + draw(16)),
                                        .count = (uint16_t)(1 + draw(DELETE_SPI_MAX))};
        size_t len = (size_t)x.del.spi_len * x.del.count;
        x.del.spis = draw_bytes(len, len);
        must_repeat(&codec_delete, seed);
    }
}

static void random_messages_repeat(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        begin(seed);
        struct isakmp_header *header = &x.message.header;
        draw_into(header->cookie_i, COOKIE_LEN);
        draw_into(header->cookie_r, COOKIE_LEN);
        header->version = (uint8_t)(ISAKMP_VERSION | draw(16));
        header->exchange = draw_u8();
        header->flags = draw_u8();
        header->message_id = draw_u32();
        struct payload_list *list = &x.message.list;
        list->count = draw(PAYLOAD_MAX + 1);
        for (size_t i = 0; i < list->count; i++) {
            list->items[i] = (struct payload){.type = (uint8_t)(1 + draw(255)), .body = draw_bytes(0, 150)};
            list->consumed += PAYLOAD_HEADER_LEN + list->items[i].body.len;
        }
        header->next_payload = list->count == 0 ? PAYLOAD_NONE : list->items[0].type;
        must_repeat(&codec_message, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_offers_repeat),
        cmocka_unit_test(random_security_associations_repeat),
        cmocka_unit_test(random_group_policies_repeat),
        cmocka_unit_test(random_key_downloads_repeat),
        cmocka_unit_test(random_sequence_numbers_repeat),
        cmocka_unit_test(random_identities_repeat),
        cmocka_unit_test(random_notifications_and_deletes_repeat),
        cmocka_unit_test(random_messages_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
