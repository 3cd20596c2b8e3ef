/* push_ack_kat_test.c - the acknowledgement against values that make_push_ack.py computed from the RFC's
 * text. */
#include "tests/lib/test.h"

#include <jansson.h>
#include <string.h>

#include "proto/gdoi/push_ack.h"

static json_t *root;

static const char *text_of(const json_t *item, const char *name)
{
    const char *text = json_string_value(json_object_get(item, name));
    if (text == NULL)
        fail_msg("no %s in push_ack.json", name);
    return text;
}

static uint32_t number_of(const json_t *item, const char *name)
{
    return (uint32_t)json_integer_value(json_object_get(item, name));
}

static void kek_of(const json_t *item, struct kek *kek)
{
    uint8_t raw[64];
    memset(kek, 0, sizeof(*kek));
    kek->ack = (enum kek_ack)number_of(item, "mode");
    memcpy(kek->spi, hex(text_of(item, "spi"), raw, sizeof(raw)).data, KEK_SPI_LEN);
    struct bytes iv_key = hex(text_of(item, "iv_and_key"), raw, sizeof(raw));
    kek->cipher = iv_key.len == 32 ? CIPHER_AES_CBC_128 : CIPHER_AES_CBC_256;
    assert_ok(secret_set(&kek->iv_key, iv_key));
}

static void check(const json_t *item)
{
    struct kek kek;
    struct push_ack_key key;
    struct push_ack ack;
    struct addr member;
    uint8_t buf[PUSH_ACK_LEN_MAX], wanted[PUSH_ACK_LEN_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    kek_of(item, &kek);
    assert_ok(addr_parse(&member, text_of(item, "member")));
    assert_ok(push_ack_key_derive(&key, &kek));
    bool is_short = number_of(item, "l") == (kek.ack == KEK_ACK_SHA256 ? 256 : 512);

    assert_bytes(secret_view(&key.keys[is_short ? 1 : 0]), text_of(item, "ack_key"));
    assert_ok(push_ack_build(&key, number_of(item, "seq"), &member, is_short, &w));
    assert_bytes(writer_bytes(&w), text_of(item, "datagram"));

    struct bytes datagram = hex(text_of(item, "datagram"), wanted, sizeof(wanted));
    assert_ok(push_ack_verify(&key, datagram)); /* trap 6: both readings of L */
    assert_ok(push_ack_decode(&ack, datagram));
    assert_int_equal(ack.seq, number_of(item, "seq"));
    assert_true(addr_equal(&ack.member, &member));
    push_ack_key_close(&key);
}

static void trap_6_both_readings_of_l_are_derived_as_the_script_does(void **state)
{
    (void)state;
    json_t *cases = json_object_get(root, "cases");
    size_t i;
    json_t *item;
    assert_int_equal(json_array_size(cases), 16);
    json_array_foreach(cases, i, item)
    {
        check(item);
    }
}

static int open_file(void **state)
{
    (void)state;
    root = json_load_file(QUORATE_SOURCE_DIR "/tests/vectors/push_ack.json", 0, NULL);
    return root != NULL ? 0 : -1;
}

static int close_file(void **state)
{
    (void)state;
    json_decref(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_6_both_readings_of_l_are_derived_as_the_script_does),
    };
    return cmocka_run_group_tests(tests, open_file, close_file);
}
