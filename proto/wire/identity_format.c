/* identity_format.c - identities as text for logs, JSON and the CLI. What peers chose freely is escaped, so
 * that no name can move a terminal's cursor or forge a second log line. */
#include "proto/wire/id_payload.h"

#include <stdarg.h>
#include <stdio.h>

struct text {
    char *out;
    size_t len;
};

/* Appends whole pieces only: one that does not fit any more is left out with all that follow. */
__attribute__((format(printf, 2, 3))) static bool put(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->out + t->len, ID_TEXT_MAX - t->len, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= ID_TEXT_MAX - t->len) {
        t->out[t->len] = '\0';
        return false;
    }
    t->len += (size_t)n;
    return true;
}

static void put_name(struct text *t, struct bytes name)
{
    bool fits = true;
    for (size_t i = 0; i < name.len && fits; i++) {
        uint8_t c = name.data[i];
        fits = c > ' ' && c < 0x7f && c != '\\' ? put(t, "%c", c) : put(t, "\\x%02x", c);
    }
}

static void put_hex(struct text *t, struct bytes raw)
{
    bool fits = put(t, "0x");
    for (size_t i = 0; i < raw.len && fits; i++)
        fits = put(t, "%02x", raw.data[i]);
}

static void put_subnet(struct text *t, struct bytes addr, struct bytes mask)
{
    struct prefix prefix;
    char text[PREFIX_TEXT_MAX];
    if (prefix_from_mask(&prefix, addr, mask) == E_OK)
        put(t, "%s", prefix_format(&prefix, text));
    else
        put_hex(t, (struct bytes){addr.data, addr.len + mask.len});
}

static void put_range(struct text *t, struct bytes low, struct bytes high)
{
    struct addr from, to;
    char from_text[ADDR_TEXT_MAX], to_text[ADDR_TEXT_MAX];
    if (addr_from_bytes(&from, low) == E_OK && addr_from_bytes(&to, high) == E_OK)
        put(t, "%s-%s", addr_format(&from, from_text), addr_format(&to, to_text));
}

const char *identity_format(const struct identity *identity, char out[ID_TEXT_MAX])
{
    struct text t = {out, 0};
    struct bytes data = {identity->data, identity->len};
    struct bytes low = bytes_slice(data, 0, data.len / 2);
    struct bytes high = bytes_slice(data, data.len / 2, data.len);
    struct addr addr;
    char text[ADDR_TEXT_MAX];
    bool sound = id_type_data_len(identity->type) == 0 || id_type_data_len(identity->type) == data.len;

    out[0] = '\0';
    if (identity_addr(identity, &addr) == E_OK)
        put(&t, "%s", addr_format(&addr, text));
    else if (identity->type == ID_FQDN || identity->type == ID_USER_FQDN)
        put_name(&t, data);
    else if (sound && (identity->type == ID_IPV4_ADDR_SUBNET || identity->type == ID_IPV6_ADDR_SUBNET))
        put_subnet(&t, low, high);
    else if (sound && (identity->type == ID_IPV4_ADDR_RANGE || identity->type == ID_IPV6_ADDR_RANGE))
        put_range(&t, low, high);
    else if (identity->type == ID_KEY_ID && data.len == sizeof(uint32_t))
        put(&t, "%u",
            (unsigned)data.data[0] << 24 | (unsigned)data.data[1] << 16 | (unsigned)data.data[2] << 8 |
                data.data[3]);
    else
        put_hex(&t, data);
    return out;
}
