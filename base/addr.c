#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

struct addr addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return (struct addr){AF_INET, {a, b, c, d}};
}

size_t addr_len(const struct addr *addr)
{
    if (addr->family == AF_INET)
        return 4;
    return addr->family == AF_INET6 ? 16 : 0;
}

struct bytes addr_bytes(const struct addr *addr)
{
    return (struct bytes){addr->bytes, addr_len(addr)};
}

err_t addr_from_bytes(struct addr *out, struct bytes raw)
{
    *out = (struct addr){0};
    if (raw.len != 4 && raw.len != 16)
        return E_BAD_LENGTH;
    out->family = raw.len == 4 ? AF_INET : AF_INET6;
    memcpy(out->bytes, raw.data, raw.len);
    return E_OK;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    return addr_compare(a, b) == 0;
}

int addr_compare(const struct addr *a, const struct addr *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(a->bytes, b->bytes, addr_len(a)); /* network order: bytes compare like numbers */
}

bool addr_is_multicast(const struct addr *addr)
{
    if (addr->family == AF_INET)
        return addr->bytes[0] >> 4 == 0xe; /* 224.0.0.0/4 */
    return addr->family == AF_INET6 && addr->bytes[0] == 0xff;
}

const char *addr_format(const struct addr *addr, char *out)
{
    if (addr_len(addr) == 0 || inet_ntop(addr->family, addr->bytes, out, ADDR_TEXT_MAX) == NULL)
        snprintf(out, ADDR_TEXT_MAX, "none");
    return out;
}

err_t addr_parse(struct addr *out, const char *text)
{
    *out = (struct addr){0};
    if (inet_pton(AF_INET, text, out->bytes) == 1)
        out->family = AF_INET;
    else if (inet_pton(AF_INET6, text, out->bytes) == 1)
        out->family = AF_INET6;
    else
        return E_RANGE;
    return E_OK;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

const char *endpoint_format(const struct endpoint *endpoint, char *out)
{
    char text[ADDR_TEXT_MAX];
    addr_format(&endpoint->addr, text);
    if (endpoint->addr.family == AF_INET6)
        snprintf(out, ADDR_TEXT_MAX, "[%.46s]:%u", text, (unsigned)endpoint->port);
    else
        snprintf(out, ADDR_TEXT_MAX, "%.46s:%u", text, (unsigned)endpoint->port);
    return out;
}

struct endpoint endpoint_from_sockaddr(const struct sockaddr *sa)
{
    struct endpoint out = {0};
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, sa, sizeof(v4));
        out.addr.family = AF_INET;
        memcpy(out.addr.bytes, &v4.sin_addr, 4);
        out.port = ntohs(v4.sin_port);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, sa, sizeof(v6));
        out.addr.family = AF_INET6;
        memcpy(out.addr.bytes, &v6.sin6_addr, 16);
        out.port = ntohs(v6.sin6_port);
    }
    return out;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *endpoint, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (endpoint->addr.family == AF_INET) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
        memcpy(&v4.sin_addr, endpoint->addr.bytes, 4);
        memcpy(out, &v4, sizeof(v4));
        return sizeof(v4);
    }
    if (endpoint->addr.family == AF_INET6) {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
        memcpy(&v6.sin6_addr, endpoint->addr.bytes, 16);
        memcpy(out, &v6, sizeof(v6));
        return sizeof(v6);
    }
    return 0;
}

/* The i-th byte of a mask of that many leading ones. */
static uint8_t mask_byte(unsigned bits, size_t i)
{
    unsigned before = (unsigned)i * 8;
    unsigned ones = bits <= before ? 0 : bits - before;
    return (uint8_t)(ones >= 8 ? 0xff : 0xff00u >> ones);
}

static bool host_bits_clear(const struct addr *addr, unsigned bits)
{
    for (size_t i = 0; i < addr_len(addr); i++) {
        if ((addr->bytes[i] & (uint8_t)~mask_byte(bits, i)) != 0)
            return false;
    }
    return true;
}

bool prefix_has(const struct prefix *prefix, const struct addr *addr)
{
    if (addr_len(addr) == 0 || prefix->addr.family != addr->family)
        return false;
    for (size_t i = 0; i < addr_len(addr); i++) {
        if (((addr->bytes[i] ^ prefix->addr.bytes[i]) & mask_byte(prefix->bits, i)) != 0)
            return false;
    }
    return true;
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
    return a->bits == b->bits && addr_equal(&a->addr, &b->addr);
}

/* One to three digits without a leading zero, at most max. */
static err_t parse_bits(const char *text, size_t max, uint8_t *out)
{
    size_t len = strlen(text);
    if (len == 0 || len > 3 || strspn(text, "0123456789") != len || (text[0] == '0' && len > 1))
        return E_RANGE;
    unsigned bits = 0;
    for (size_t i = 0; i < len; i++)
        bits = bits * 10 + (unsigned)(text[i] - '0');
    if (bits > max)
        return E_RANGE;
    *out = (uint8_t)bits;
    return E_OK;
}

err_t prefix_parse(struct prefix *out, const char *text)
{
    struct prefix found = {0};
    *out = found;
    char host[ADDR_TEXT_MAX];
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof(host))
        return E_RANGE;
    memcpy(host, text, len);
    host[len] = '\0';
    err_t err = addr_parse(&found.addr, host);
    if (err != E_OK)
        return err;
    size_t max = addr_len(&found.addr) * 8;
    found.bits = (uint8_t)max;
    if (slash != NULL)
        err = parse_bits(slash + 1, max, &found.bits);
    if (err == E_OK && !host_bits_clear(&found.addr, found.bits))
        err = E_RANGE;
    if (err == E_OK)
        *out = found;
    return err;
}

const char *prefix_format(const struct prefix *prefix, char *out)
{
    char text[ADDR_TEXT_MAX];
    if (addr_len(&prefix->addr) == 0)
        snprintf(out, PREFIX_TEXT_MAX, "none");
    else
        snprintf(out, PREFIX_TEXT_MAX, "%.46s/%u", addr_format(&prefix->addr, text), (unsigned)prefix->bits);
    return out;
}

err_t prefix_from_mask(struct prefix *out, struct bytes addr, struct bytes mask)
{
    struct prefix found = {0};
    *out = found;
    if (addr.len != mask.len)
        return E_BAD_LENGTH;
    err_t err = addr_from_bytes(&found.addr, addr);
    if (err != E_OK)
        return err;
    unsigned bits = 0;
    while (bits < mask.len * 8 && (mask.data[bits / 8] >> (7 - bits % 8) & 1) != 0)
        bits++;
    for (size_t i = 0; i < mask.len; i++) {
        if (mask.data[i] != mask_byte(bits, i))
            return E_RANGE;
    }
    if (!host_bits_clear(&found.addr, bits))
        return E_RANGE;
    found.bits = (uint8_t)bits;
    *out = found;
    return E_OK;
}

void prefix_mask(const struct prefix *prefix, uint8_t out[16])
{
    memset(out, 0, 16);
    for (size_t i = 0; i < addr_len(&prefix->addr); i++)
        out[i] = mask_byte(prefix->bits, i);
}
