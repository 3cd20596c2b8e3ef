/* payload.h - the chain of payloads after a header (RFC 2408 3.2): decoding to borrowed views, and
 * encoding with the next-payload octets filled in as payloads are added. */
#ifndef PROTO_WIRE_PAYLOAD_H
#define PROTO_WIRE_PAYLOAD_H

#include <stdbool.h>

#include "base/wire.h"
#include "proto/wire/numbers.h"

enum {
    PAYLOAD_MAX = 64, /* payloads in one chain; E_LIMIT beyond (a rekey of many D payloads, an SA of 100 ACEs
                         has its own bound) */
    PAYLOAD_HEADER_LEN = 4,
};

struct payload {
    uint8_t type;
    struct bytes whole; /* with its generic header, as hashed by "Ni", "SA", ... */
    struct bytes body;  /* without, as hashed by "Ni_b", ... */
};

struct payload_list {
    struct payload items[PAYLOAD_MAX];
    size_t count;
    size_t consumed; /* bytes of all payloads, less padding after the last one */
};

/* One payload off the reader. *next becomes the type of the one behind it (PAYLOAD_NONE after an error).
 * Sets E_TRUNCATED, or E_BAD_LENGTH (length < 4), in the reader and gives an empty payload then. For chains
 * with a bound of their own: proposals, transforms, what stands inside a GDOI SA. */
struct payload payload_read(struct reader *r, uint8_t type, uint8_t *next);

/* Walk the chain that starts with a payload of type first. Views borrow body. Bytes after the last payload
 * (encryption padding) are allowed and not counted in consumed. Reserved octets are ignored (RFC 2408: must
 * be zero, peers err). E_TRUNCATED, E_BAD_LENGTH (payload length < 4), E_LIMIT; the list is empty then. first
 * = PAYLOAD_NONE gives an empty list. */
err_t payload_list_decode(struct payload_list *out, uint8_t first, struct bytes body) MUST_USE;
/* The n-th payload of a type (n from 0), or NULL. */
const struct payload *payload_find(const struct payload_list *list, uint8_t type, size_t n);
size_t payload_count(const struct payload_list *list, uint8_t type);

/* What may stand in a message: bit n = payload type n (types 0..63; fragments are handled before).
 * VENDOR, NOTIFY where allowed, are up to the caller's masks. */
#define P(name) (UINT64_C(1) << PAYLOAD_##name)
struct payload_rule {
    uint64_t need; /* each exactly once, unless also in many */
    uint64_t may;
    uint64_t many; /* may stand more than once */
};
/* E_MISSING, E_UNEXPECTED (type not in need/may), E_DUPLICATE. */
err_t payload_rule_check(const struct payload_rule *rule, const struct payload_list *list) MUST_USE;

/* Encoding: payload_begin patches the previous next-payload octet and writes the generic header;
 * payload_end fills its length. The chain remembers where the octet to patch is. */
struct payload_chain {
    struct writer *w;
    size_t next_at; /* offset of the next-payload octet to patch */
};
/* next_at: offset in w of the octet that names the first payload (16 in an ISAKMP header that starts at 0).
 */
struct payload_chain payload_chain_over(struct writer *w, size_t next_at);
size_t payload_begin(struct payload_chain *chain, uint8_t type); /* offset of its generic header */
void payload_end(struct payload_chain *chain, size_t begun);
/* A whole payload with the given body. */
void payload_put(struct payload_chain *chain, uint8_t type, struct bytes body);

#endif
