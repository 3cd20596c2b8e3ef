#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire/dump.h"
#include "tests/unit/proto/wire/reference_bytes.h"

#define PULL "957e3b86f602b129 232f5e1e4f192e67 08 10 20 00 3cc1f923"

static uint8_t raw[4096];
static char text[8192];

static size_t dump(const char *octets)
{
    return isakmp_dump(text, sizeof(text), hex(octets, raw, sizeof(raw)));
}

static void must_show(const char *piece)
{
    if (strstr(text, piece) == NULL)
        fail_msg("\"%s\" is not in:\n%s", piece, text);
}

static void must_hide(const char *piece)
{
    if (strstr(text, piece) != NULL)
        fail_msg("\"%s\" is in:\n%s", piece, text);
}

static void a_pull_request_names_its_group(void **state)
{
    (void)state;
    size_t len = dump(PULL "00000054" REF_PULL1);
    assert_int_equal(len, strlen(text));
    must_show("GROUPKEY-PULL (32)");
    must_show("id 3cc1f923");
    must_show("957e3b86f602b129");
    must_show("HASH (8) 24 octets");
    must_show("NONCE (10) 20 octets");
    must_show("KEY_ID protocol 0 port 0 1234");
}

static void the_policy_of_a_pull_is_shown(void **state)
{
    (void)state;
    dump(PULL "000000e3" REF_PULL2);
    must_show("SAK (15) 53 octets protocol 17 src IPV4_ADDR:848 10.0.224.44 dst IPV4_ADDR:848 239.10.1.1");
    must_show("spi 61626364656667683031323334353637");
    must_show("SAT (16) 43 octets protocol 1 selector 0");
    must_show("transform 3 spi 1122aabb");
    must_show("attribute 2 = 60");
}

static void keys_hashes_and_nonces_are_never_shown(void **state)
{
    (void)state;
    dump(PULL "000001a3" REF_PULL4);
    must_show("packets 3");
    must_show("key packet type 2 223 octets");
    must_show("attribute 1: 32 octets");
    must_show("key packet type 1 61 octets spi 1122aabb");
    must_show("SEQ (18) 8 octets 0");
    must_hide("4956495649564956"); /* IV of the KEK */
    must_hide("41424344");         /* its key */
    must_hide("30313233343536373839");
    must_hide("a97be846"); /* HASH(4) */
    dump(PULL "00000054" REF_PULL1);
    must_hide("7cb79b64"); /* Ni */
}

static void the_transforms_of_phase_1_are_shown(void **state)
{
    (void)state;
    dump("957e3b86f602b129 0000000000000000 01 10 02 00 00000000 00000050 00000034" REF_SAI_B);
    must_show("main mode (2)");
    must_show("doi 2 situation 0");
    must_show("proposal (2) 40 octets number 1 protocol 1 spi size 0 transforms 1");
    must_show("number 0 id 1");
    must_show("attribute 1 = 5");
}

static void notifies_deletes_and_vendor_ids_are_shown(void **state)
{
    (void)state;
    dump("957e3b86f602b129 232f5e1e4f192e67 0b 10 05 00 00000007 00000058"
         "0c00 000c 00000001 01 00 000e 0d00 0014 00000002 01 04 0002 c0ffee01 c0ffee02"
         "1600 0014 afcad71368a1f1c96b8696fc77570100 0000 0008 8001000f");
    must_show("doi 1 protocol 1 NO-PROPOSAL-CHOSEN (14)");
    must_show("protocol 1 count 2 c0ffee01 c0ffee02");
    must_show("afcad71368a1f1c96b8696fc77570100");
    must_show("GAP (22) 8 octets");
    must_show("attribute 1 = 15");
}

static void a_name_cannot_write_a_line_of_its_own(void **state)
{
    (void)state;
    dump("957e3b86f602b129 232f5e1e4f192e67 05 10 20 00 3cc1f923 00000029 0000000d 02 000000 0a 0d 1b 5b 6d");
    must_show("FQDN protocol 0 port 0 \\x0a\\x0d\\x1b[m");
    must_hide("\r");
    must_hide("\x1b");
}

/* An informational message of one payload: its type and its octets. */
static void dump_one(const char *type, const char *payload)
{
    uint8_t body[1024];
    struct writer w = writer_over(raw, sizeof(raw));
    uint8_t first;
    (void)hex(type, &first, 1);
    write_zeros(&w, 16);
    write_u32(&w, (uint32_t)first << 24 | 0x102100); /* as a push: an SA is GDOI's */
    write_zeros(&w, 4);
    struct bytes b = hex(payload, body, sizeof(body));
    write_u32(&w, (uint32_t)(28 + b.len));
    write_bytes(&w, b);
    (void)isakmp_dump(text, sizeof(text), writer_bytes(&w));
}

static void long_and_unknown_contents_are_cut(void **state)
{
    (void)state;
    dump_one("0d", "0000 0020 000102030405060708090a0b0c0d0e0f101112131415161718191a1b"); /* VENDOR */
    must_show("000102030405060708090a0b0c0d0e0f10111213..");
    dump_one("16", "0000 000f 0080 0007 01020304050607"); /* GAP: a private attribute */
    must_show("attribute 128 = 7 octets");
    dump_one("05", "0000 0009 01 000000 0a"); /* an address of one octet */
    must_show("IPV4_ADDR protocol 0 port 0 0a");
    dump_one("84", "0000 0008 00010101");
    must_show("fragment (132) 8 octets");
}

static void inner_payloads_are_shown_however_odd(void **state)
{
    (void)state;
    dump_one("01", "0000 0024 00000002 00000000 0016 0000 1000 0008 8001000f 0000 000c 03 060b2a864886ce");
    must_show("GAP (22) 8 octets");
    must_show("attribute 1 = 15");
    must_show("SAT (16) 12 octets protocol 3");
    dump_one("01", "0000 0018 00000002 00000000 0010 0000 0000 0008 01 00 01 00");
    must_show("SAT (16) 8 octets protocol 1 selector 0");
    must_show("(the data ends too early)");
    dump_one("01", "0000 0010 00000002 00000000 0116 0000");
    must_show("(a field is out of its range)");
    dump_one("0b", "0000 000c 00000001 01 10 000e"); /* a SPI that is not there */
    must_show("(the data ends too early)");
    dump_one("11", "0000 000c 0001 0000 01 00 0040"); /* a key packet that is not there */
    must_show("(the data ends too early)");
    dump_one("11", "0000 000c 0001 0000 01 00 0003");
    must_show("key packet type 1 3 octets");
}

static void damage_is_named(void **state)
{
    (void)state;
    dump("957e");
    must_show("(the data ends too early)");
    dump("957e3b86f602b129 232f5e1e4f192e67 08 20 20 00 3cc1f923 0000001c");
    must_show("(an unknown protocol version)");
    dump(PULL "00000020 0a000003");
    must_show("(a length does not fit its content)");
    dump(PULL "00000024 0000000600000000");
    must_show("2 octets of padding");
}

static void the_text_is_cut_at_the_size_and_always_ended(void **state)
{
    (void)state;
    struct bytes message = hex(PULL "000000e3" REF_PULL2, raw, sizeof(raw));
    size_t whole = isakmp_dump(text, sizeof(text), message);
    for (size_t size = 1; size <= whole + 1; size++) {
        char *cut = malloc(size);
        assert_non_null(cut);
        assert_int_equal(isakmp_dump(cut, size, message), size - 1);
        assert_int_equal(strlen(cut), size - 1);
        assert_memory_equal(cut, text, size - 1);
        free(cut);
    }
    assert_int_equal(isakmp_dump(NULL, 0, message), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pull_request_names_its_group),
        cmocka_unit_test(the_policy_of_a_pull_is_shown),
        cmocka_unit_test(keys_hashes_and_nonces_are_never_shown),
        cmocka_unit_test(the_transforms_of_phase_1_are_shown),
        cmocka_unit_test(notifies_deletes_and_vendor_ids_are_shown),
        cmocka_unit_test(a_name_cannot_write_a_line_of_its_own),
        cmocka_unit_test(long_and_unknown_contents_are_cut),
        cmocka_unit_test(inner_payloads_are_shown_however_odd),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(the_text_is_cut_at_the_size_and_always_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
