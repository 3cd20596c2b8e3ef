#include "proto/wire/vendor_id.h"

/* A row: what we send, how much of it must match, and which lengths are seen. */
static const struct row {
    enum vendor_id id;
    uint8_t data[20];
    uint8_t len;
    uint8_t fixed_len; /* the rest is a version or flags */
    bool may_end_there;
} rows[] = {
    /* RFC 3706 5.1 */
    {VENDOR_DPD,
     {0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57, 0x01, 0x00},
     16,
     16,
     false},
    /* RFC 3947 3.1 */
    {VENDOR_NATT_RFC3947,
     {0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45, 0x5c, 0x57, 0x28, 0xf2, 0x0e, 0x95, 0x45, 0x2f},
     16,
     16,
     false},
    /* then major and minor version */
    {VENDOR_CISCO_UNITY,
     {0x12, 0xf5, 0xf2, 0x8c, 0x45, 0x71, 0x68, 0xa9, 0x70, 0x2d, 0x9f, 0xe2, 0x74, 0xcc, 0x01, 0x00},
     16,
     14,
     false},
    /* draft-ietf-ipsec-isakmp-xauth-06 */
    {VENDOR_XAUTH, {0x09, 0x00, 0x26, 0x89, 0xdf, 0xd6, 0xb7, 0x12}, 8, 8, false},
    /* then, from some, four octets of flags */
    {VENDOR_FRAGMENTATION,
     {0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7,
      0xde, 0x7f, 0x00, 0xd6, 0xc2, 0xd3, 0x80, 0x00, 0x00, 0x00},
     20,
     16,
     true},
    /* the first half of SHA-256("Quorate GETVPN extensions 1") */
    {VENDOR_QUORATE,
     {0xa9, 0x0c, 0x6b, 0x40, 0x8c, 0xb2, 0xbf, 0x05, 0x93, 0x88, 0x8f, 0x52, 0x4b, 0xaf, 0x29, 0x1b},
     16,
     16,
     false},
};

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

static bool row_is(const struct row *row, struct bytes body)
{
    struct bytes fixed = {row->data, row->fixed_len};
    if (body.len != row->len && !(row->may_end_there && body.len == row->fixed_len))
        return false;
    return bytes_equal(bytes_slice(body, 0, row->fixed_len), fixed);
}

enum vendor_id vendor_id_classify(struct bytes body)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (row_is(&rows[i], body))
            return rows[i].id;
    return VENDOR_UNKNOWN;
}

struct bytes vendor_id_bytes(enum vendor_id id)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].id == id)
            return (struct bytes){rows[i].data, rows[i].len};
    return (struct bytes){0};
}
