/* tcp_ask.h - one question and one answer over TCP, waited for: a u32 length and octets each way. For the
 * first start of a key server that joins and for a member that enrols; both sides of the messages prove
 * themselves, so the connection is plain. */
#ifndef BASE_TCP_ASK_H
#define BASE_TCP_ASK_H

#include "base/addr.h"

enum { TCP_ASK_LENGTH_LEN = 4 };

/* answer has room for cap octets. E_AGAIN: not in time; E_IO: refused, broken off; E_LIMIT: a longer answer.
 */
err_t tcp_ask(const struct endpoint *at, struct bytes request, uint8_t *answer, size_t cap,
              size_t *answer_len, unsigned limit_ms) MUST_USE;

#endif
