/* push_ack_fuzz.c - an acknowledgement at the key server: [octet][datagram]; with an even octet the harness
 * writes a right HASH in where there is room for one. */
#include "tests/lib/gdoi_forge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct push_ack_key keys[2];

static void prepare(void)
{
    struct kek kek;
    fixture_kek(&kek, 1, CIPHER_AES_CBC_128, SIGN_ECDSA_256);
    must(push_ack_key_derive(&keys[0], &kek));
    kek.ack = KEK_ACK_SHA512;
    must(push_ack_key_derive(&keys[1], &kek));
}

/* HASH over all behind the first payload, if that is a HASH of 32 octets. */
static void fix_hash(uint8_t *raw, size_t len)
{
    enum { HASH_AT = ISAKMP_HEADER_LEN + PAYLOAD_HEADER_LEN, HASH_OCTETS = 32 };
    if (len < HASH_AT + HASH_OCTETS)
        return;
    struct bytes hashed = {raw + HASH_AT + HASH_OCTETS, len - HASH_AT - HASH_OCTETS};
    must(prf_parts(HASH_SHA256, secret_view(&keys[0].keys[0]), &hashed, 1, raw + HASH_AT));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (keys[1].mode == KEK_ACK_NONE)
        prepare();
    if (size == 0)
        return 0;
    size_t len = size - 1;
    uint8_t *raw = malloc(len != 0 ? len : 1);
    if (raw == NULL)
        return 0;
    memcpy(raw, data + 1, len);
    if (data[0] % 2 == 0)
        fix_hash(raw, len);
    struct push_ack ack = {0};
    struct bytes datagram = {raw, len};
    err_t decoded = push_ack_decode(&ack, datagram);
    err_t verified = push_ack_verify(&keys[0], datagram);
    (void)!push_ack_verify(&keys[1], datagram);
    if (decoded == E_OK && addr_len(&ack.member) == 0)
        abort();
    if (decoded == E_OK && verified == E_OK && memcmp(ack.spi, keys[0].spi, KEK_SPI_LEN) != 0)
        abort();
    free(raw);
    return 0;
}
