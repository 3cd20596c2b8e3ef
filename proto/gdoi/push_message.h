/* push_message.h - what both ends of a GROUPKEY-PUSH do alike: its header and the hash that is signed. */
#ifndef PROTO_GDOI_PUSH_MESSAGE_H
#define PROTO_GDOI_PUSH_MESSAGE_H

#include "proto/gdoi/push.h"

/* The header as it is hashed: cookies of the KEK, E flag set already, M-ID 0, length as given (trap 3).
 * first: type of the first payload, which is SEQ. */
struct isakmp_header push_header(const uint8_t spi[KEK_SPI_LEN], uint8_t first, uint32_t length);
/* hash("rekey" | HDR | payloads before SIG) (RFC 6407 4). out has room for HASH_LEN_MAX. */
err_t push_digest(enum hash_alg hash, const struct isakmp_header *header, struct bytes payloads,
                  uint8_t *out) MUST_USE;
/* The IV that was delivered with the KEK, anew for each push (trap 4). */
void push_iv(const struct kek *kek, uint8_t iv[CIPHER_BLOCK_MAX]);

#endif
