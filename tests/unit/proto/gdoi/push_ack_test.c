#include "tests/lib/gdoi_fixture.h"
#include "tests/lib/test.h"

static struct kek kek;
static struct push_ack_key key;
static uint8_t buf[PUSH_ACK_LEN_MAX];
static const struct addr member = {AF_INET, {192, 0, 2, 77}};

static int setup(void **state)
{
    (void)state;
    fixture_kek(&kek, 1, CIPHER_AES_CBC_256, SIGN_RSA);
    must(push_ack_key_derive(&key, &kek));
    return 0;
}

static struct bytes build(uint32_t seq, const struct addr *addr, bool short_length)
{
    struct writer w = writer_over(buf, sizeof(buf));
    must(push_ack_build(&key, seq, addr, short_length, &w));
    return writer_bytes(&w);
}

static void an_acknowledgement_names_seq_and_member_and_proves_them(void **state)
{
    (void)state;
    struct push_ack ack;
    struct bytes datagram = build(17, &member, false);
    assert_ok(push_ack_decode(&ack, datagram));
    assert_memory_equal(ack.spi, kek.spi, KEK_SPI_LEN);
    assert_int_equal(ack.seq, 17);
    assert_true(addr_equal(&ack.member, &member));
    assert_ok(push_ack_verify(&key, datagram));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_acknowledgement_names_seq_and_member_and_proves_them, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
