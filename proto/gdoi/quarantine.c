#include "proto/gdoi/quarantine.h"

#include <string.h>

static const uint8_t tag[8] = {'q', 'u', 'o', 'r', 'a', 't', 'e', '1'};

static bool printable(uint8_t c)
{
    return c >= 0x20 && c < 0x7f;
}

void quarantine_encode(struct writer *w, const struct identity *group, const char *reason)
{
    size_t len = strnlen(reason, QUARANTINE_REASON_MAX - 1);
    write_bytes(w, BYTES_OF(tag));
    write_u8(w, group->type);
    write_u8(w, group->len);
    write_bytes(w, (struct bytes){group->data, group->len});
    for (size_t i = 0; i < len; i++)
        write_u8(w, printable((uint8_t)reason[i]) ? (uint8_t)reason[i] : '?');
    if (len == 0)
        write_u8(w, '?');
}

bool quarantine_reason_ok(const char *reason)
{
    size_t len = strnlen(reason, QUARANTINE_REASON_MAX);
    for (size_t i = 0; i < len; i++)
        if (!printable((uint8_t)reason[i]))
            return false;
    return len > 0 && len < QUARANTINE_REASON_MAX;
}

err_t quarantine_decode(struct quarantine *out, struct bytes data)
{
    struct reader r = reader_over(data);
    memset(out, 0, sizeof(*out));
    struct bytes begins = read_bytes(&r, sizeof(tag));
    if (r.err != E_OK || memcmp(begins.data, tag, sizeof(tag)) != 0)
        return E_UNSUPPORTED;
    struct id_payload group = {.type = read_u8(&r)};
    group.data = read_bytes(&r, read_u8(&r));
    struct bytes reason = read_rest(&r);
    err_t err = reader_end(&r);
    if (err == E_OK)
        err = identity_from_payload(&out->group, &group);
    if (err != E_OK)
        return err;
    if (reason.len == 0 || reason.len >= QUARANTINE_REASON_MAX)
        return E_BAD_LENGTH;
    memcpy(out->reason, reason.data, reason.len);
    return quarantine_reason_ok(out->reason) && strlen(out->reason) == reason.len ? E_OK : E_RANGE;
}
