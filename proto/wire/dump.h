/* dump.h - a clear message as text for 'debug ... packet' and fuzz triage: headers, payload names and
 * lengths, attributes. KD, KE, NONCE and HASH contents are never shown. */
#ifndef PROTO_WIRE_DUMP_H
#define PROTO_WIRE_DUMP_H

#include "base/wire.h"

/* Writes NUL-ended text to out, cut at size. Any input is fine. Returns the length without NUL. */
size_t isakmp_dump(char *out, size_t size, struct bytes message);

#endif
