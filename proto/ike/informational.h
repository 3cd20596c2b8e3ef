/* informational.h - the informational exchange (RFC 2409 5.7): notify, delete, DPD (RFC 3706).
 * Only messages under a phase-1 SA with a good HASH are believed; clear ones are hints for a log line. */
#ifndef PROTO_IKE_INFORMATIONAL_H
#define PROTO_IKE_INFORMATIONAL_H

#include "proto/ike/isakmp_sa.h"
#include "proto/wire/notify.h"

enum informational_kind {
    INFO_NOTIFY,
    INFO_DELETE_SA, /* the peer deletes this phase-1 SA */
    INFO_DELETE_OTHER,
    INFO_DPD_REQUEST, /* answer with informational_dpd_ack */
    INFO_DPD_ACK,
    INFO_INITIAL_CONTACT,
};

struct informational {
    enum informational_kind kind;
    uint16_t notify_type;
    uint32_t dpd_seq;
    struct bytes data; /* of a notify; views plain, or a clear message */
    bool protected;    /* HASH was good */
};

/* Decode and check one informational message (header already decoded). Under an SA: E flag and HASH are
 * required, else E_BAD_HASH / E_UNEXPECTED and nothing is believed. sa NULL: a clear message; protected is
 * false. plain: scratch of body.len. */
err_t informational_open(const struct isakmp_sa *sa, const struct isakmp_header *header, struct bytes body,
                         uint8_t *plain, struct informational *out) MUST_USE;

/* Build: message_id must be fresh, non-zero and random. Notify with spi = both cookies and PROTO_ISAKMP. */
err_t informational_notify(const struct isakmp_sa *sa, uint32_t message_id, uint16_t type, struct bytes data,
                           struct writer *w) MUST_USE;
err_t informational_delete_sa(const struct isakmp_sa *sa, uint32_t message_id, struct writer *w) MUST_USE;
err_t informational_dpd(const struct isakmp_sa *sa, uint32_t message_id, bool ack, uint32_t seq,
                        struct writer *w) MUST_USE;
/* A clear notify before keys exist (no proposal, aggressive mode refused ...), answering the given header. */
err_t informational_clear_notify(const struct isakmp_header *request, uint32_t doi, uint16_t type,
                                 struct writer *w) MUST_USE;
/* Which notify answers an error; 0: none, stay silent. */
uint16_t notify_for_error(err_t err);

#endif
