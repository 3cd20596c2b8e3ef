/* recorded.h - the recorded exchanges of tests/vectors as values: gdoi_kat.json, and the capture of the
 * reference implementation with AES-128, SHA-256 and MODP-2048 with the keys of its log. */
#ifndef TESTS_VECTORS_PROTO_RECORDED_H
#define TESTS_VECTORS_PROTO_RECORDED_H

#include "tests/lib/test.h"

#include <jansson.h>
#include <string.h>

#include "proto/ike/isakmp_sa.h"
#include "tests/lib/pcap.h"

#define VECTORS QUORATE_SOURCE_DIR "/tests/vectors/"

static json_t *kat;

static inline int recorded_kat_open(void **state)
{
    (void)state;
    kat = json_load_file(VECTORS "gdoi_kat.json", 0, NULL);
    return kat != NULL ? 0 : -1;
}

static inline int recorded_kat_close(void **state)
{
    (void)state;
    json_decref(kat);
    return 0;
}

/* One value of the vector. Valid until KAT_LIVE further calls. */
static inline struct bytes kat_bytes(const char *name)
{
    enum { KAT_LIVE = 8 };
    static uint8_t room[KAT_LIVE][1024];
    static size_t next;
    const char *text = json_string_value(json_object_get(kat, name));
    if (text == NULL)
        fail_msg("no %s in gdoi_kat.json", name);
    uint8_t *out = room[next++ % KAT_LIVE];
    return hex(text, out, sizeof(room[0]));
}

static inline void kat_copy(const char *name, uint8_t *out, size_t len)
{
    struct bytes value = kat_bytes(name);
    assert_int_equal(value.len, len);
    memcpy(out, value.data, len);
}

static inline void assert_same(struct bytes got, struct bytes wanted)
{
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.data, wanted.data, wanted.len);
}

/* gdoid_psk_aes128_sha256_modp2048.pcap: main mode, one PULL, three pushes under the first KEK and one under
 * the second. */
struct recorded_aes {
    struct pcap pcap;
    struct isakmp_sa sa;
    struct bytes pull[4];
    struct bytes push[4];
};

static inline void recorded_aes_open(struct recorded_aes *out)
{
    uint8_t raw[64];
    memset(out, 0, sizeof(*out));
    pcap_read(&out->pcap, VECTORS "gdoid_psk_aes128_sha256_modp2048.pcap");
    assert_int_equal(out->pcap.count, 14);
    for (size_t i = 0; i < 4; i++) {
        out->pull[i] = out->pcap.items[6 + i].payload;
        out->push[i] = out->pcap.items[10 + i].payload;
    }
    struct bytes last = out->pcap.items[5].payload; /* message 6 of main mode */
    struct isakmp_sa *sa = &out->sa;
    sa->suite = (struct ike_suite){.cipher = CIPHER_AES_CBC_128, .hash = HASH_SHA256};
    memcpy(sa->cookie_i, last.data, COOKIE_LEN);
    memcpy(sa->cookie_r, last.data + COOKIE_LEN, COOKIE_LEN);
    memcpy(sa->last_block, last.data + last.len - 16, 16);
    /* SKEYID_a and the cipher key, as in gdoid_psk_aes128_sha256_modp2048.keys.txt */
    assert_ok(
        secret_set(&sa->skeyid_a, hex("6eb74084b19eb9157b764af3f865936a208414f78a5b23d7f4edaf59db792c9f", raw,
                                      sizeof(raw))));
    assert_ok(secret_set(&sa->key, hex("b3c60aa434e7aebbd8d23fc2acb35aef", raw, sizeof(raw))));
}

static inline void recorded_aes_close(struct recorded_aes *aes)
{
    pcap_close(&aes->pcap);
    isakmp_sa_close(&aes->sa);
}

#endif
