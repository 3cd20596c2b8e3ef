#include "proto/wire/attribute.h"
#include "proto/wire/gdoi_parts.h"

/* RFC 6407 5.3.2: "MUST abort if it encounters an attribute or capability that it does not understand". */
static void take_attribute(struct gdoi_sak *out, struct attribute_walk *walk,
                           const struct attribute *attribute)
{
    switch (attribute->type) {
    case KEK_ATTR_MANAGEMENT:
        out->management = attribute_walk_u16(walk, attribute);
        break;
    case KEK_ATTR_ALGORITHM:
        out->algorithm = attribute_walk_u16(walk, attribute);
        break;
    case KEK_ATTR_KEY_LENGTH:
        out->key_bits = attribute_walk_u16(walk, attribute);
        break;
    case KEK_ATTR_LIFETIME: /* 4 octets (5.3.4), but the reference implementation sends it basic */
        out->lifetime_s = attribute_walk_u32(walk, attribute);
        break;
    case KEK_ATTR_SIG_HASH:
        out->sig_hash = attribute_walk_u16(walk, attribute);
        break;
    case KEK_ATTR_SIG_ALGORITHM:
        out->sig_algorithm = attribute_walk_u16(walk, attribute);
        break;
    case KEK_ATTR_SIG_KEY_LENGTH:
        out->sig_key_bits = attribute_walk_u16(walk, attribute);
        break;
    case KEK_ATTR_ACK_REQUESTED:
        out->ack = attribute_walk_u16(walk, attribute);
        break;
    default:
        reader_fail(&walk->r, E_UNKNOWN_CRITICAL);
    }
}

static err_t attributes_decode(struct gdoi_sak *out, struct bytes list)
{
    const uint64_t needed = UINT64_C(1) << KEK_ATTR_ALGORITHM | UINT64_C(1) << KEK_ATTR_SIG_ALGORITHM;
    struct attribute attribute;
    struct attribute_walk walk = attribute_walk_over(list, 0);
    while (attribute_walk_next(&walk, &attribute))
        take_attribute(out, &walk, &attribute);
    err_t err = reader_end(&walk.r);
    return err == E_OK && (needed & ~walk.seen) != 0 ? E_MISSING : err;
}

err_t gdoi_sak_decode(struct gdoi_sak *out, struct bytes body)
{
    struct reader r = reader_over(body);
    *out = (struct gdoi_sak){0};
    out->protocol = read_u8(&r);
    out->src = gdoi_id_read(&r);
    out->dst = gdoi_id_read(&r);
    read_into(&r, out->spi, KEK_SPI_LEN);
    read_skip(&r, 4); /* RESERVED2: POP algorithm and key length in RFC 3547, so not always zero */
    struct bytes attributes = read_rest(&r);
    return r.err != E_OK ? r.err : attributes_decode(out, attributes);
}

void gdoi_sak_encode(struct writer *w, const struct gdoi_sak *sak)
{
    write_u8(w, sak->protocol);
    gdoi_id_write(w, &sak->src);
    gdoi_id_write(w, &sak->dst);
    write_bytes(w, BYTES_OF(sak->spi));
    write_zeros(w, 4);
    gdoi_put_basic(w, KEK_ATTR_MANAGEMENT, sak->management);
    attribute_put_basic(w, KEK_ATTR_ALGORITHM, sak->algorithm);
    gdoi_put_basic(w, KEK_ATTR_KEY_LENGTH, sak->key_bits);
    if (sak->lifetime_basic && sak->lifetime_s <= UINT16_MAX)
        gdoi_put_basic(w, KEK_ATTR_LIFETIME, (uint16_t)sak->lifetime_s);
    else
        gdoi_put_u32(w, KEK_ATTR_LIFETIME, sak->lifetime_s);
    gdoi_put_basic(w, KEK_ATTR_SIG_HASH, sak->sig_hash);
    attribute_put_basic(w, KEK_ATTR_SIG_ALGORITHM, sak->sig_algorithm);
    gdoi_put_basic(w, KEK_ATTR_SIG_KEY_LENGTH, sak->sig_key_bits);
    gdoi_put_basic(w, KEK_ATTR_ACK_REQUESTED, sak->ack);
}
