/* ike_capture_test.c - four captures, decrypted with the keys beside them: main mode and PULL. */
#include "tests/vectors/proto/kat.h"

#include <stdlib.h>

#include "proto/ike/isakmp_sa.h"
#include "proto/wire/sa_payload.h"
#include "tests/lib/pcap.h"

/* A capture that is walked message by message under a given cipher key. */
struct walk {
    struct pcap pcap;
    struct isakmp_sa sa;
    struct value g_xi;
    struct value g_xr;
    uint8_t iv[CIPHER_BLOCK_MAX];
    uint8_t plain[ISAKMP_MESSAGE_MAX];
};

static void keep(struct value *out, struct bytes from)
{
    assert_true(from.len <= sizeof(out->data));
    out->len = from.len;
    memcpy(out->data, from.data, from.len);
}

/* Payloads of message n (from 0) of the capture; opened if sealed. */
static struct payload_list walk_message(struct walk *walk, size_t n, struct isakmp_header *header)
{
    struct bytes body;
    struct payload_list list;
    bool marker;
    assert_true(n < walk->pcap.count);
    struct bytes datagram = non_esp_marker_strip(walk->pcap.items[n].payload, &marker);
    assert_ok(isakmp_header_decode(header, &body, datagram));
    if (header->flags & ISAKMP_FLAG_ENCRYPTED)
        assert_ok(isakmp_sa_open(&walk->sa, walk->iv, body, walk->plain, &body));
    assert_ok(payload_list_decode(&list, header->next_payload, body));
    return list;
}

/* Messages 1 to 6: SA, then KE and NONCE, then ID and HASH in each direction. */
static void walk_main_mode(struct walk *walk)
{
    struct isakmp_header header;
    const struct payload_rule rules[] = {
        {P(SA), P(VENDOR), P(VENDOR)},
        {P(KE) | P(NONCE), P(VENDOR) | P(NATD), P(VENDOR) | P(NATD)},
        {P(ID) | P(HASH), P(NOTIFY), P(NOTIFY)},
    };
    for (size_t n = 0; n < 6; n++) {
        if (n == 4)
            assert_ok(isakmp_sa_phase1_iv(&walk->sa, view(&walk->g_xi), view(&walk->g_xr), walk->iv));
        struct payload_list list = walk_message(walk, n, &header);
        assert_int_equal(header.exchange, EXCHANGE_MAIN);
        assert_int_equal((header.flags & ISAKMP_FLAG_ENCRYPTED) != 0, n >= 4);
        assert_ok(payload_rule_check(&rules[n / 2], &list));
        if (n / 2 == 0) {
            struct ike_offer offer;
            assert_ok(ike_offer_decode(&offer, payload_find(&list, PAYLOAD_SA, 0)->body));
        } else if (n / 2 == 1) {
            keep(n == 2 ? &walk->g_xi : &walk->g_xr, payload_find(&list, PAYLOAD_KE, 0)->body);
        } else {
            struct id_payload id;
            assert_ok(id_payload_decode(&id, payload_find(&list, PAYLOAD_ID, 0)->body));
            assert_int_equal(id.type, ID_IPV4_ADDR);
            assert_memory_equal(id.data.data, walk->pcap.items[n].from.addr.bytes, 4);
            assert_int_equal(payload_find(&list, PAYLOAD_HASH, 0)->body.len, hash_len(walk->sa.suite.hash));
        }
    }
    memcpy(walk->sa.last_block, walk->iv, sizeof(walk->iv));
}

/* Messages 7 to 10 are one PULL. Gives its first message's payloads through check, if there is a SKEYID_a. */
static void walk_pull(struct walk *walk)
{
    const struct payload_rule rules[] = {
        {P(HASH) | P(NONCE) | P(ID), 0, 0},
        {P(HASH) | P(NONCE) | P(SA), 0, 0},
        {P(HASH), 0, 0},
        {P(HASH) | P(SEQ) | P(KD), 0, 0},
    };
    for (size_t n = 0; n < 4; n++) {
        struct isakmp_header header;
        struct bytes datagram = walk->pcap.items[6 + n].payload;
        struct bytes body;
        assert_ok(isakmp_header_decode(&header, &body, datagram));
        assert_int_equal(header.exchange, EXCHANGE_PULL);
        if (n == 0)
            assert_ok(isakmp_sa_exchange_iv(&walk->sa, header.message_id, walk->iv));
        struct payload_list list = walk_message(walk, 6 + n, &header);
        assert_ok(payload_rule_check(&rules[n], &list));
        assert_int_equal(list.items[0].type, PAYLOAD_HASH);
        struct bytes covered[] = {list.items[1].whole, list.items[2].whole};
        if (n == 0 && walk->sa.skeyid_a.len != 0)
            assert_ok(isakmp_sa_check_hash(&walk->sa, header.message_id, covered, 2, list.items[0].body));
    }
}

static void walk_open(struct walk *walk, const char *file, struct ike_suite suite, struct bytes key)
{
    memset(walk, 0, sizeof(*walk));
    pcap_read(&walk->pcap, file);
    walk->sa.suite = suite;
    assert_ok(secret_set(&walk->sa.key, key));
}

static const struct ike_suite aes128_sha256 = {CIPHER_AES_CBC_128, HASH_SHA256, IKE_GROUP_MODP2048,
                                               IKE_AUTH_PSK};
static const struct ike_suite tripledes_sha1 = {CIPHER_3DES_CBC, HASH_SHA1, IKE_GROUP_MODP1024, IKE_AUTH_PSK};

static void the_reference_capture_decodes(void **state)
{
    (void)state;
    struct walk walk;
    struct value ka = value_of("ka");
    walk_open(&walk, VECTORS "gdoid.pcap", tripledes_sha1, view(&ka));
    assert_ok(secret_set(&walk.sa.skeyid_a, (struct bytes){value_of("skeyid_a").data, 20}));
    walk_main_mode(&walk);
    walk_pull(&walk);
    pcap_close(&walk.pcap);
}

static void the_capture_with_doi_1_decodes(void **state)
{
    (void)state;
    struct walk walk;
    struct value ka = value_of("ka");
    walk_open(&walk, VECTORS "gdoid_doi1.pcap", tripledes_sha1, view(&ka));
    walk_main_mode(&walk);
    walk_pull(&walk);
    pcap_close(&walk.pcap);
}

/* The hex that follows a label in a keys file, up to the end of its line; skip words before it are left out.
 */
static struct value hex_after(const char *text, const char *label, int skip)
{
    struct value value;
    char line[256] = {0};
    const char *at = strstr(text, label);
    if (at == NULL)
        fail_msg("no \"%s\" in the keys file", label);
    at += strlen(label);
    for (int i = 0; i < skip; i++) {
        at += strspn(at, " \n");
        at += strcspn(at, " \n");
    }
    at += strspn(at, " \n");
    memcpy(line, at, strspn(at, "0123456789abcdef "));
    value.len = hex(line, value.data, sizeof(value.data)).len;
    return value;
}

static void the_aes_capture_of_the_reference_decodes(void **state)
{
    (void)state;
    struct walk walk;
    char *keys = text_file_read(VECTORS "gdoid_psk_aes128_sha256_modp2048.keys.txt");
    struct value key = hex_after(keys, "phase1_key(Ka)=", 0);
    struct value skeyid_a = hex_after(keys, "KE_NONCE: SKEYID_a:", 3); /* behind time, class and level */
    walk_open(&walk, VECTORS "gdoid_psk_aes128_sha256_modp2048.pcap", aes128_sha256, view(&key));
    assert_ok(secret_set(&walk.sa.skeyid_a, view(&skeyid_a)));
    assert_int_equal(skeyid_a.len, 32);
    walk_main_mode(&walk);
    walk_pull(&walk);
    pcap_close(&walk.pcap);
    free(keys);
}

static void the_capture_of_charon_decodes(void **state)
{
    (void)state;
    struct walk walk;
    char *keys = text_file_read(VECTORS "charon.keys.txt");
    struct value key = hex_after(strstr(keys, "charon_psk:"), " key ", 0);
    walk_open(&walk, VECTORS "charon_psk_aes128_sha256_modp2048.pcap", aes128_sha256, view(&key));
    walk_main_mode(&walk);
    pcap_close(&walk.pcap);
    free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_capture_decodes),
        cmocka_unit_test(the_capture_with_doi_1_decodes),
        cmocka_unit_test(the_aes_capture_of_the_reference_decodes),
        cmocka_unit_test(the_capture_of_charon_decodes),
    };
    return cmocka_run_group_tests_name("vectors/proto/ike_capture", tests, setup, teardown);
}
