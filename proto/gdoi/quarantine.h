/* quarantine.h - a member's word to its key server that it cannot do the group's policy, and why: the data of
 * a Notify under the phase-1 SA with that server. RFC 6407 has no such message. The type is a status of the
 * private range, which others ignore (RFC 2408 3.14.1), and the data begins with a tag, in case somebody else
 * has the number: "quorate1", type and length of the group's identity, the identity, then the reason in
 * ASCII. Pure. */
#ifndef PROTO_GDOI_QUARANTINE_H
#define PROTO_GDOI_QUARANTINE_H

#include "proto/wire/id_payload.h"

enum {
    QUARANTINE_REASON_MAX = 96, /* bytes with NUL */
    QUARANTINE_LEN_MAX = 8 + 2 + ID_DATA_MAX + QUARANTINE_REASON_MAX,
};

struct quarantine {
    struct identity group;
    char reason[QUARANTINE_REASON_MAX]; /* printable ASCII, not empty */
};

/* What is not printable becomes '?', what is too long is cut. */
void quarantine_encode(struct writer *w, const struct identity *group, const char *reason);
/* E_UNSUPPORTED: not such a word. E_TRUNCATED, E_BAD_LENGTH, E_RANGE (octets that are no text). */
err_t quarantine_decode(struct quarantine *out, struct bytes data) MUST_USE;
/* Is it text as quarantine_decode gives it? */
bool quarantine_reason_ok(const char *reason);

#endif
