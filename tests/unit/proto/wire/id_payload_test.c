#include "tests/lib/test.h"

#include <string.h>

#include "proto/wire/id_payload.h"

static uint8_t raw[1024];
static struct id_payload id;
static struct identity identity;
static char text[ID_TEXT_MAX];

static err_t decode(const char *octets)
{
    return id_payload_decode(&id, hex(octets, raw, sizeof(raw)));
}

static const char *format(const char *octets)
{
    assert_ok(decode(octets));
    assert_ok(identity_from_payload(&identity, &id));
    return identity_format(&identity, text);
}

static void fields_are_given_as_received(void **state)
{
    (void)state;
    assert_ok(decode("01 11 0350 0a00e025"));
    assert_int_equal(id.type, ID_IPV4_ADDR);
    assert_int_equal(id.protocol, 17);
    assert_int_equal(id.port, 848);
    assert_bytes(id.data, "0a00e025");
}

static void addresses_have_the_length_of_their_type(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        size_t len;
    } rows[] = {{ID_IPV4_ADDR, 4},       {ID_IPV6_ADDR, 16},        {ID_IPV4_ADDR_SUBNET, 8},
                {ID_IPV4_ADDR_RANGE, 8}, {ID_IPV6_ADDR_SUBNET, 32}, {ID_IPV6_ADDR_RANGE, 32}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        memset(raw, 0, sizeof(raw));
        raw[0] = rows[i].type;
        assert_int_equal(id_type_data_len(rows[i].type), rows[i].len);
        for (size_t len = 0; len < 40; len++)
            assert_err(id_payload_decode(&id, (struct bytes){raw, 4 + len}),
                       len == rows[i].len ? E_OK : E_BAD_LENGTH);
    }
}

static void names_have_1_to_255_octets(void **state)
{
    (void)state;
    memset(raw, 'a', sizeof(raw));
    for (uint8_t type = ID_FQDN; type <= ID_OID; type++) {
        if (id_type_data_len(type) != 0)
            continue;
        raw[0] = type;
        assert_err(id_payload_decode(&id, (struct bytes){raw, 4}), E_BAD_LENGTH);
        assert_ok(id_payload_decode(&id, (struct bytes){raw, 5}));
        assert_ok(id_payload_decode(&id, (struct bytes){raw, 4 + ID_DATA_MAX}));
        assert_err(id_payload_decode(&id, (struct bytes){raw, 5 + ID_DATA_MAX}), E_BAD_LENGTH);
    }
}

static void types_that_do_not_exist_are_out_of_range(void **state)
{
    (void)state;
    assert_err(decode("00 00 0000 01020304"), E_RANGE);
    assert_err(decode("0e 00 0000 01020304"), E_RANGE);
    assert_err(decode("ff 00 0000 01020304"), E_RANGE);
    assert_err(decode("01 00 00"), E_TRUNCATED);
}

static void a_group_number_is_a_key_id_of_4_octets(void **state)
{
    (void)state;
    identity = identity_from_number(3333);
    assert_int_equal(identity.type, ID_KEY_ID);
    struct id_payload view = identity_as_payload(&identity);
    struct writer w = writer_over(raw, sizeof(raw));
    id_payload_encode(&w, &view);
    assert_bytes(writer_bytes(&w), "0b 000000 00000d05");
    assert_string_equal(identity_format(&identity, text), "3333");
    identity = identity_from_number(UINT32_MAX);
    assert_string_equal(identity_format(&identity, text), "4294967295");
}

static void an_address_becomes_an_identity_and_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"10.1.13.2", "2001:db8::7"};
    for (size_t i = 0; i < 2; i++) {
        struct addr addr, back;
        assert_ok(addr_parse(&addr, texts[i]));
        identity = identity_from_addr(&addr);
        assert_ok(identity_addr(&identity, &back));
        assert_true(addr_equal(&addr, &back));
        assert_string_equal(identity_format(&identity, text), texts[i]);
    }
    struct addr none = {0};
    identity = identity_from_addr(&none);
    assert_int_equal(identity.type, 0);
    assert_int_equal(identity.len, 0);
}

static void only_addresses_are_addresses(void **state)
{
    (void)state;
    struct addr addr = addr_v4(1, 2, 3, 4);
    identity = identity_from_number(0x01020304);
    assert_err(identity_addr(&identity, &addr), E_BAD_ID);
    assert_int_equal(addr.family, 0);
    identity = (struct identity){.type = ID_IPV4_ADDR, .len = 3}; /* made by hand, not by us */
    assert_err(identity_addr(&identity, &addr), E_BAD_ID);
}

static void texts_become_names(void **state)
{
    (void)state;
    assert_ok(identity_from_text(&identity, ID_FQDN, "branch7.example.net"));
    assert_int_equal(identity.type, ID_FQDN);
    assert_int_equal(identity.len, 19);
    assert_string_equal(identity_format(&identity, text), "branch7.example.net");
    assert_ok(identity_from_text(&identity, ID_USER_FQDN, "a@example.net"));
    assert_ok(identity_from_text(&identity, ID_KEY_ID, "blue"));
    assert_err(identity_from_text(&identity, ID_IPV4_ADDR, "1.2.3.4"), E_BAD_ID);
    assert_err(identity_from_text(&identity, ID_FQDN, ""), E_BAD_LENGTH);
    char longest[ID_DATA_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[ID_DATA_MAX + 1] = '\0';
    assert_err(identity_from_text(&identity, ID_FQDN, longest), E_BAD_LENGTH);
    longest[ID_DATA_MAX] = '\0';
    assert_ok(identity_from_text(&identity, ID_FQDN, longest));
    assert_int_equal(identity.len, ID_DATA_MAX);
}

static void identities_are_equal_by_type_and_octets(void **state)
{
    (void)state;
    struct identity a, b;
    assert_ok(identity_from_text(&a, ID_FQDN, "gm1"));
    assert_ok(identity_from_text(&b, ID_FQDN, "gm1"));
    assert_true(identity_equal(&a, &b));
    b.data[ID_DATA_MAX - 1] = 1; /* behind the end: means nothing */
    assert_true(identity_equal(&a, &b));
    assert_ok(identity_from_text(&b, ID_FQDN, "gm2"));
    assert_false(identity_equal(&a, &b));
    assert_ok(identity_from_text(&b, ID_FQDN, "gm12"));
    assert_false(identity_equal(&a, &b));
    assert_ok(identity_from_text(&b, ID_USER_FQDN, "gm1"));
    assert_false(identity_equal(&a, &b));
}

static void an_identity_that_is_not_one_is_refused(void **state)
{
    (void)state;
    static const uint8_t data[300];
    struct id_payload bad = {.type = ID_KEY_ID, .data = BYTES_OF(data)};
    assert_err(identity_from_payload(&identity, &bad), E_BAD_LENGTH);
    bad = (struct id_payload){.type = 0, .data = {data, 4}};
    assert_err(identity_from_payload(&identity, &bad), E_RANGE);
    bad = (struct id_payload){.type = ID_IPV4_ADDR, .data = {data, 5}};
    assert_err(identity_from_payload(&identity, &bad), E_BAD_LENGTH);
}

static void subnets_and_ranges_have_their_usual_text(void **state)
{
    (void)state;
    assert_string_equal(format("04 00 0000 0a010000 ffff0000"), "10.1.0.0/16");
    assert_string_equal(
        format("06 00 0000 20010db8000000000000000000000000 ffffffff000000000000000000000000"),
        "2001:db8::/32");
    assert_string_equal(format("07 00 0000 0a010001 0a010009"), "10.1.0.1-10.1.0.9");
    assert_string_equal(format("04 00 0000 0a010000 ff00ff00"), "0x0a010000ff00ff00"); /* no such prefix */
}

static void control_bytes_of_names_are_escaped(void **state)
{
    (void)state;
    assert_string_equal(format("02 00 0000 61 1b 5b 32 4a 0a 62 00 5c 20 7f c3bc"),
                        "a\\x1b[2J\\x0ab\\x00\\x5c\\x20\\x7f\\xc3\\xbc");
}

static void key_ids_of_other_lengths_are_hexadecimal(void **state)
{
    (void)state;
    assert_string_equal(format("0b 00 0000 0a0b0c"), "0x0a0b0c");
    assert_string_equal(format("0d 00 0000 0d060b"), "0x0d060b");
}

static void the_longest_text_is_cut_at_a_whole_piece(void **state)
{
    (void)state;
    identity = (struct identity){.type = ID_FQDN, .len = ID_DATA_MAX};
    identity_format(&identity, text); /* 255 times "\x00" is more than fits */
    size_t len = strlen(text);
    assert_true(len < ID_TEXT_MAX && len > ID_TEXT_MAX - 5);
    assert_int_equal(len % 4, 0);
    identity.type = ID_KEY_ID;
    identity_format(&identity, text);
    assert_true(strlen(text) < ID_TEXT_MAX);
    assert_int_equal(strlen(text) % 2, 0);
    memset(identity.data, 'x', ID_DATA_MAX);
    identity.type = ID_FQDN;
    assert_int_equal(strlen(identity_format(&identity, text)), ID_DATA_MAX);
}

static void identities_made_by_hand_are_formatted_safely(void **state)
{
    (void)state;
    for (unsigned type = 0; type <= UINT8_MAX; type++) {
        for (unsigned len = 0; len < 40; len++) {
            identity = (struct identity){.type = (uint8_t)type, .len = (uint8_t)len};
            assert_true(strlen(identity_format(&identity, text)) < ID_TEXT_MAX);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_given_as_received),
        cmocka_unit_test(addresses_have_the_length_of_their_type),
        cmocka_unit_test(names_have_1_to_255_octets),
        cmocka_unit_test(types_that_do_not_exist_are_out_of_range),
        cmocka_unit_test(a_group_number_is_a_key_id_of_4_octets),
        cmocka_unit_test(an_address_becomes_an_identity_and_back),
        cmocka_unit_test(only_addresses_are_addresses),
        cmocka_unit_test(texts_become_names),
        cmocka_unit_test(identities_are_equal_by_type_and_octets),
        cmocka_unit_test(an_identity_that_is_not_one_is_refused),
        cmocka_unit_test(subnets_and_ranges_have_their_usual_text),
        cmocka_unit_test(control_bytes_of_names_are_escaped),
        cmocka_unit_test(key_ids_of_other_lengths_are_hexadecimal),
        cmocka_unit_test(the_longest_text_is_cut_at_a_whole_piece),
        cmocka_unit_test(identities_made_by_hand_are_formatted_safely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
