/* push_ack.h - GROUPKEY-PUSH ACK (RFC 8263): HDR, HASH, SEQ, ID; not encrypted. */
#ifndef PROTO_GDOI_PUSH_ACK_H
#define PROTO_GDOI_PUSH_ACK_H

#include "proto/gdoi/group_policy.h"

enum { PUSH_ACK_LEN_MAX = 28 + 4 + 64 + 8 + 24 };

/* ack_key of one KEK: prf(KEK without IV, "GROUPKEY-PUSH ACK" NUL | SPI | L) (RFC 8263 3.2). Two keys because
 * L is ambiguous (trap 6): [0] L = 512 or 1024 is sent, [1] L = 256 or 512 is taken too. */
struct push_ack_key {
    enum kek_ack mode;
    uint8_t spi[KEK_SPI_LEN];
    struct secret keys[2];
};

/* E_UNSUPPORTED for LKH modes and KEK_ACK_NONE. */
err_t push_ack_key_derive(struct push_ack_key *out, const struct kek *kek) MUST_USE;
void push_ack_key_close(struct push_ack_key *key);

/* Member side: the acknowledgement of seq; member is the address of the latest PULL. short_length: use L =
 * 256/512. */
err_t push_ack_build(const struct push_ack_key *key, uint32_t seq, const struct addr *member,
                     bool short_length, struct writer *w) MUST_USE;

struct push_ack {
    uint8_t spi[KEK_SPI_LEN];
    uint32_t seq;
    struct addr member;
};

/* Server side, in two steps: decode tells which KEK and member it claims; verify proves it. E_BAD_HASH. */
err_t push_ack_decode(struct push_ack *out, struct bytes datagram) MUST_USE;
err_t push_ack_verify(const struct push_ack_key *key, struct bytes datagram) MUST_USE;

#endif
