#include "tests/lib/test.h"

#include <string.h>

#include "proto/wire/isakmp_header.h"

#define COOKIES "957e3b86f602b129 232f5e1e4f192e67"

static uint8_t raw[ISAKMP_MESSAGE_MAX + 64];
static struct isakmp_header header;
static struct bytes body;

static err_t decode(const char *text)
{
    return isakmp_header_decode(&header, &body, hex(text, raw, sizeof(raw)));
}

static void fields_stand_in_the_order_of_the_figure(void **state)
{
    (void)state;
    assert_ok(decode(COOKIES "08 10 20 01 3cc1f923 00000020 0a000004"));
    assert_bytes(BYTES_OF(header.cookie_i), "957e3b86f602b129");
    assert_bytes(BYTES_OF(header.cookie_r), "232f5e1e4f192e67");
    assert_int_equal(header.next_payload, PAYLOAD_HASH);
    assert_int_equal(header.version, ISAKMP_VERSION);
    assert_int_equal(header.exchange, EXCHANGE_PULL);
    assert_int_equal(header.flags, ISAKMP_FLAG_ENCRYPTED);
    assert_int_equal(header.message_id, 0x3cc1f923);
    assert_int_equal(header.length, 32);
    assert_bytes(body, "0a000004");
}

static void a_header_alone_is_a_message(void **state)
{
    (void)state;
    assert_ok(decode(COOKIES "00 10 05 00 00000000 0000001c"));
    assert_int_equal(body.len, 0);
}

static void bytes_behind_the_length_are_dropped(void **state)
{
    (void)state;
    assert_ok(decode(COOKIES "00 10 05 00 00000000 0000001d aa bbcc"));
    assert_bytes(body, "aa");
}

static void a_datagram_shorter_than_its_length_is_truncated(void **state)
{
    (void)state;
    assert_err(decode(COOKIES "00 10 05 00 00000000 0000001e aa"), E_TRUNCATED);
    assert_int_equal(body.len, 0);
    assert_err(decode(COOKIES "00 10 05 00 00000000 000000"), E_TRUNCATED);
    assert_err(decode(""), E_TRUNCATED);
}

static void lengths_outside_of_28_to_the_maximum_are_bad(void **state)
{
    (void)state;
    assert_err(decode(COOKIES "00 10 05 00 00000000 0000001b"), E_BAD_LENGTH);
    assert_err(decode(COOKIES "00 10 05 00 00000000 00000000"), E_BAD_LENGTH);
    assert_err(decode(COOKIES "00 10 05 00 00000000 00002801"), E_BAD_LENGTH);
    assert_err(decode(COOKIES "00 10 05 00 00000000 ffffffff"), E_BAD_LENGTH);
}

static void the_largest_message_is_taken(void **state)
{
    (void)state;
    size_t len = hex(COOKIES "00 10 05 00 00000000 00002800", raw, sizeof(raw)).len;
    memset(raw + len, 0, sizeof(raw) - len);
    assert_ok(isakmp_header_decode(&header, &body, (struct bytes){raw, ISAKMP_MESSAGE_MAX}));
    assert_int_equal(body.len, ISAKMP_MESSAGE_MAX - ISAKMP_HEADER_LEN);
}

static void only_major_version_1_is_served(void **state)
{
    (void)state;
    assert_err(decode(COOKIES "21 20 22 08 00000000 0000001c"), E_BAD_VERSION); /* IKEv2 */
    assert_err(decode(COOKIES "00 00 05 00 00000000 0000001c"), E_BAD_VERSION);
    assert_ok(decode(COOKIES "00 11 05 00 00000000 0000001c")); /* a minor version is the peer's */
}

static void the_length_is_set_when_the_message_ends(void **state)
{
    (void)state;
    assert_ok(decode(COOKIES "08 10 20 01 3cc1f923 0000001c"));
    uint8_t out[64];
    struct writer w = writer_over(out, sizeof(out));
    write_u32(&w, 0); /* a non-ESP marker before */
    isakmp_header_encode(&w, &header);
    write_u32(&w, 0x01020304);
    isakmp_message_end(&w, NON_ESP_MARKER_LEN);
    assert_ok(writer_end(&w));
    assert_bytes(writer_bytes(&w), "00000000" COOKIES "08 10 20 01 3cc1f923 00000020 01020304");
}

static void a_message_beyond_the_maximum_is_not_made(void **state)
{
    (void)state;
    struct writer w = writer_over(raw, sizeof(raw));
    isakmp_header_encode(&w, &header);
    write_zeros(&w, ISAKMP_MESSAGE_MAX - ISAKMP_HEADER_LEN + 1);
    isakmp_message_end(&w, 0);
    assert_err(writer_end(&w), E_BAD_LENGTH);
}

static void a_message_that_did_not_fit_is_not_patched(void **state)
{
    (void)state;
    uint8_t out[ISAKMP_HEADER_LEN] = {0};
    struct writer w = writer_over(out, 10);
    isakmp_header_encode(&w, &header);
    isakmp_message_end(&w, 0);
    assert_err(writer_end(&w), E_FULL);
    for (size_t i = 10; i < sizeof(out); i++)
        assert_int_equal(out[i], 0);
}

static void the_non_esp_marker_is_stripped_once(void **state)
{
    (void)state;
    bool had = false;
    assert_bytes(non_esp_marker_strip(hex("00000000 957e", raw, sizeof(raw)), &had), "957e");
    assert_true(had);
    assert_bytes(non_esp_marker_strip(hex("00000000 00000000", raw, sizeof(raw)), &had), "00000000");
    assert_true(had);
    assert_bytes(non_esp_marker_strip(hex("00000000", raw, sizeof(raw)), &had), "");
    assert_true(had);
}

static void what_has_no_marker_is_left_alone(void **state)
{
    (void)state;
    bool had = true;
    assert_bytes(non_esp_marker_strip(hex("957e3b86", raw, sizeof(raw)), &had), "957e3b86");
    assert_false(had);
    assert_bytes(non_esp_marker_strip(hex("000000", raw, sizeof(raw)), &had),
                 "000000"); /* NAT keep-alives are ff */
    assert_false(had);
    assert_int_equal(non_esp_marker_strip((struct bytes){0}, &had).len, 0);
    assert_false(had);
}

static void a_zero_cookie_is_known(void **state)
{
    (void)state;
    uint8_t cookie[COOKIE_LEN] = {0};
    assert_true(cookie_is_zero(cookie));
    cookie[COOKIE_LEN - 1] = 1;
    assert_false(cookie_is_zero(cookie));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_stand_in_the_order_of_the_figure),
        cmocka_unit_test(a_header_alone_is_a_message),
        cmocka_unit_test(bytes_behind_the_length_are_dropped),
        cmocka_unit_test(a_datagram_shorter_than_its_length_is_truncated),
        cmocka_unit_test(lengths_outside_of_28_to_the_maximum_are_bad),
        cmocka_unit_test(the_largest_message_is_taken),
        cmocka_unit_test(only_major_version_1_is_served),
        cmocka_unit_test(the_length_is_set_when_the_message_ends),
        cmocka_unit_test(a_message_beyond_the_maximum_is_not_made),
        cmocka_unit_test(a_message_that_did_not_fit_is_not_patched),
        cmocka_unit_test(the_non_esp_marker_is_stripped_once),
        cmocka_unit_test(what_has_no_marker_is_left_alone),
        cmocka_unit_test(a_zero_cookie_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
