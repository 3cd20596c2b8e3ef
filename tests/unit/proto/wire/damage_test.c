/* Every codec against damaged input and full buffers: each prefix, each octet changed to each value, each
 * size of writer. Inputs and buffers are heap blocks of the exact size, so that AddressSanitizer sees one
 * octet too far. */
#include "tests/lib/test.h"

#include <stdlib.h>

#include "tests/unit/proto/wire/samples.h"

enum { SAMPLE_LEN_MAX = 1024 };

static union decoded x;

static struct bytes sample_bytes(const struct sample *sample)
{
    static uint8_t raw[SAMPLE_LEN_MAX];
    return hex(sample->hex, raw, sizeof(raw));
}

static uint8_t *exact_copy(struct bytes b)
{
    uint8_t *copy = malloc(b.len == 0 ? 1 : b.len);
    assert_non_null(copy);
    if (b.len != 0)
        memcpy(copy, b.data, b.len);
    return copy;
}

static void every_sample_decodes_and_repeats(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        err_t err = codec_decode_over(samples[i].codec, &x, sample_bytes(&samples[i]), 0xa5);
        if (err != E_OK)
            fail_msg("%s %s: %s", samples[i].codec->name, samples[i].name, err_text(err));
        if (!codec_repeats(samples[i].codec, &x))
            fail_msg("%s %s does not repeat", samples[i].codec->name, samples[i].name);
    }
}

/* Lists of attributes may end between two of them, texts anywhere, and GDOI's SA and the chain say their
 * length. */
static bool may_be_cut(const struct codec *codec)
{
    return codec == &codec_attributes || codec == &codec_gap || codec == &codec_id || codec == &codec_notify;
}

static void every_prefix_is_refused_or_repeats(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        const struct codec *codec = samples[i].codec;
        struct bytes whole = sample_bytes(&samples[i]);
        for (size_t len = 0; len < whole.len; len++) {
            uint8_t *cut = exact_copy((struct bytes){whole.data, len});
            err_t err = codec_decode_over(codec, &x, (struct bytes){cut, len}, 0xa5);
            if (err == E_OK && !may_be_cut(codec))
                fail_msg("%s %s cut to %zu octets is taken", codec->name, samples[i].name, len);
            if (err == E_OK && !codec_repeats(codec, &x))
                fail_msg("%s %s cut to %zu octets does not repeat", codec->name, samples[i].name, len);
            free(cut);
        }
    }
}

/* Length fields are among the octets: each gets every value. */
static void every_octet_may_have_every_value(void **state)
{
    (void)state;
    size_t refused = 0, taken = 0;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct bytes whole = sample_bytes(&samples[i]);
        uint8_t *copy = exact_copy(whole);
        for (size_t at = 0; at < whole.len; at++) {
            for (unsigned value = 0; value <= UINT8_MAX; value++) {
                copy[at] = (uint8_t)value;
                struct bytes damaged = {copy, whole.len};
                if (codec_decode_over(samples[i].codec, &x, damaged, 0xa5) != E_OK)
                    refused++;
                else if (codec_repeats(samples[i].codec, &x))
                    taken++;
                else
                    fail_msg("%s %s does not repeat with octet %zu = %02x", samples[i].codec->name,
                             samples[i].name, at, value);
            }
            copy[at] = whole.data[at];
        }
        free(copy);
    }
    assert_true(refused > 0 && taken > 0);
}

static void bytes_behind_the_end_are_refused_where_the_end_is_known(void **state)
{
    (void)state;
    static const struct codec *const closed[] = {&codec_offer, &codec_sa, &codec_kd, &codec_seq,
                                                 &codec_delete};
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        for (size_t c = 0; c < sizeof(closed) / sizeof(closed[0]); c++) {
            if (samples[i].codec != closed[c])
                continue;
            uint8_t longer[SAMPLE_LEN_MAX + 1] = {0};
            struct bytes whole = sample_bytes(&samples[i]);
            memcpy(longer, whole.data, whole.len);
            err_t err = closed[c]->decode(&x, (struct bytes){longer, whole.len + 1});
            if (err != E_TRAILING && err != E_BAD_LENGTH)
                fail_msg("%s %s with an octet more gives E_%s", closed[c]->name, samples[i].name,
                         err_name(err));
        }
    }
}

static void every_encoder_stops_at_the_end_of_a_small_buffer(void **state)
{
    (void)state;
    static uint8_t full[CODEC_BUFFER_LEN];
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        assert_ok(codec_decode_over(samples[i].codec, &x, sample_bytes(&samples[i]), 0xa5));
        struct writer whole = writer_over(full, sizeof(full));
        samples[i].codec->encode(&whole, &x);
        assert_ok(writer_end(&whole));
        for (size_t cap = 0; cap < whole.len; cap++) {
            uint8_t *small = malloc(cap == 0 ? 1 : cap);
            assert_non_null(small);
            struct writer w = writer_over(small, cap);
            samples[i].codec->encode(&w, &x);
            if (writer_end(&w) != E_FULL)
                fail_msg("%s %s in %zu octets gives E_%s", samples[i].codec->name, samples[i].name, cap,
                         err_name(writer_end(&w)));
            free(small);
        }
    }
}

static void nothing_at_all_is_refused_or_repeats(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        assert_true(codec_holds(samples[i].codec, (struct bytes){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_decodes_and_repeats),
        cmocka_unit_test(every_prefix_is_refused_or_repeats),
        cmocka_unit_test(every_octet_may_have_every_value),
        cmocka_unit_test(bytes_behind_the_end_are_refused_where_the_end_is_known),
        cmocka_unit_test(every_encoder_stops_at_the_end_of_a_small_buffer),
        cmocka_unit_test(nothing_at_all_is_refused_or_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
