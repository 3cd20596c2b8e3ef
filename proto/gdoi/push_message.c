#include "proto/gdoi/push_message.h"

#include <string.h>

struct isakmp_header push_header(const uint8_t spi[KEK_SPI_LEN], uint8_t first, uint32_t length)
{
    struct isakmp_header header = {
        .next_payload = first,
        .version = ISAKMP_VERSION,
        .exchange = EXCHANGE_PUSH,
        .flags = ISAKMP_FLAG_ENCRYPTED,
        .length = length,
    };
    memcpy(header.cookie_i, spi, COOKIE_LEN);
    memcpy(header.cookie_r, spi + COOKIE_LEN, COOKIE_LEN);
    return header;
}

err_t push_digest(enum hash_alg hash, const struct isakmp_header *header, struct bytes payloads, uint8_t *out)
{
    uint8_t raw[ISAKMP_HEADER_LEN];
    struct writer w = writer_over(raw, sizeof(raw));
    isakmp_header_encode(&w, header);
    struct bytes parts[] = {bytes_of_text("rekey"), writer_bytes(&w), payloads};
    err_t err = writer_end(&w);
    return err == E_OK ? hash_parts(hash, parts, ARRAY_LEN(parts), out) : err;
}

void push_iv(const struct kek *kek, uint8_t iv[CIPHER_BLOCK_MAX])
{
    memset(iv, 0, CIPHER_BLOCK_MAX);
    memcpy(iv, kek->iv_key.data, cipher_block_len(kek->cipher));
}
