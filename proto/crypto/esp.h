/* esp.h - ESP packet protection of the user data path (RFC 4303): AES-GCM (RFC 4106) and AES-CBC with
 * HMAC-SHA-2 (RFC 3602, RFC 4868). One context per key and thread; no allocation per packet. */
#ifndef PROTO_CRYPTO_ESP_H
#define PROTO_CRYPTO_ESP_H

#include "base/wire.h"
#include "proto/wire/numbers.h"

enum {
    ESP_HEADER_LEN = 8, /* SPI and sequence number */
    ESP_IV_MAX = 16,
    ESP_ICV_MAX = 32,
    ESP_PAYLOAD_MAX = 65535,
    ESP_OVERHEAD_MAX = ESP_HEADER_LEN + ESP_IV_MAX + 255 + 2 + ESP_ICV_MAX,
};

struct esp_suite {
    uint8_t transform; /* ESP_AES_CBC, ESP_AES_GCM_8/12/16 */
    uint16_t key_bits; /* 128, 192, 256 */
    uint16_t auth;     /* AUTH_HMAC_SHA256/384/512 with CBC, AUTH_NONE with GCM */
};

/* Octets in TEK_ALGORITHM_KEY, salt included, and in TEK_INTEGRITY_KEY; these and the next are 0 for an
 * unknown suite. */
size_t esp_key_len(const struct esp_suite *suite);
size_t esp_integrity_len(const struct esp_suite *suite);
size_t esp_iv_len(const struct esp_suite *suite);
size_t esp_icv_len(const struct esp_suite *suite);
/* Octets on the wire (without IP header) for an inner packet of len octets. */
size_t esp_sealed_len(const struct esp_suite *suite, size_t len);
/* The longest inner packet for which that is at most wire; 0: none. */
size_t esp_inner_len_max(const struct esp_suite *suite, size_t wire);

struct esp_context; /* key schedules; heap, wiped when freed */
/* E_BAD_KEY (lengths), E_UNSUPPORTED (suite), E_NO_MEMORY. */
err_t esp_context_open(const struct esp_suite *suite, struct bytes key, struct bytes integrity,
                       struct esp_context **out) MUST_USE;
void esp_context_free(struct esp_context *context);
/* Seal: out gets SPI | seq | IV | ciphertext | ICV; padding 1, 2, 3 ... (RFC 4303 2.4) to 4 octets or the
 * block. iv has esp_iv_len octets and is sent as given (the caller keeps it unique). inner may already lie in
 * out, best at its place behind the IV. E_FULL if cap is short, E_BAD_LENGTH beyond ESP_PAYLOAD_MAX. */
err_t esp_seal(struct esp_context *context, uint32_t spi, uint32_t seq, const uint8_t *iv,
               uint8_t next_header, struct bytes inner, uint8_t *out, size_t cap, size_t *out_len) MUST_USE;
/* Open: packet is SPI .. ICV. out has room for packet.len and does not overlap it. Nothing is believed before
 * the ICV is checked; on error what was written to out is zeroed. E_TRUNCATED, E_BAD_LENGTH, E_AUTH (ICV),
 * E_BAD_PADDING. */
err_t esp_open(struct esp_context *context, struct bytes packet, uint8_t *out, size_t *out_len,
               uint8_t *next_header) MUST_USE;

#endif
