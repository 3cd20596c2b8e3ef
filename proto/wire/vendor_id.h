/* vendor_id.h - the vendor ids that mean something to us. No public one exists for GDOI or COOP. */
#ifndef PROTO_WIRE_VENDOR_ID_H
#define PROTO_WIRE_VENDOR_ID_H

#include "base/wire.h"

enum vendor_id {
    VENDOR_UNKNOWN = 0,
    VENDOR_DPD = 1 << 0, /* RFC 3706 */
    VENDOR_NATT_RFC3947 = 1 << 1,
    VENDOR_CISCO_UNITY = 1 << 2,
    VENDOR_XAUTH = 1 << 3,
    VENDOR_FRAGMENTATION = 1 << 4,
    VENDOR_QUORATE = 1 << 5, /* ours: the peer speaks Quorate's private extensions */
};

/* Looks at the whole body; a Unity version and the fragmentation flags may be any. */
enum vendor_id vendor_id_classify(struct bytes body);
/* The bytes to send for one of the above; empty for VENDOR_UNKNOWN. Static. */
struct bytes vendor_id_bytes(enum vendor_id id);

#endif
