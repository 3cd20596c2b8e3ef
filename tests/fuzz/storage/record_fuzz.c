/* Rows of the store: the first octet picks the kind. What decodes must encode to the same bytes; a row of an
 * older version to one of today's, which then stays as it is. */
#include <stdlib.h>
#include <string.h>

#include "storage/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static union {
    struct group_record group;
    struct member_record member;
    struct rekey_record rekey;
    struct psk_record psk;
    struct signing_record signing;
    struct cluster_record cluster;
} row;

static uint8_t again[RECORD_LEN_MAX * 2], third[RECORD_LEN_MAX * 2];

static err_t decode(uint8_t kind, struct bytes in, struct writer *w)
{
    err_t err;
    switch (kind % 6) {
    case 0:
        err = group_record_decode(&row.group, in);
        if (err == E_OK)
            group_record_encode(w, &row.group);
        return err;
    case 1:
        err = member_record_decode(&row.member, in);
        if (err == E_OK)
            member_record_encode(w, &row.member);
        return err;
    case 2:
        err = rekey_record_decode(&row.rekey, in);
        if (err == E_OK)
            rekey_record_encode(w, &row.rekey);
        return err;
    case 3:
        err = psk_record_decode(&row.psk, in);
        if (err == E_OK)
            psk_record_encode(w, &row.psk);
        return err;
    case 4:
        err = signing_record_decode(&row.signing, in);
        if (err == E_OK)
            signing_record_encode(w, &row.signing);
        return err;
    default:
        err = cluster_record_decode(&row.cluster, in);
        if (err == E_OK)
            cluster_record_encode(w, &row.cluster);
        return err;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct bytes in = {data + 1, size - 1};
    struct writer w = writer_over(again, sizeof(again));
    if (decode(data[0], in, &w) != E_OK)
        return 0;
    if (w.err != E_OK)
        abort();
    struct bytes first = writer_bytes(&w);
    bool same_version = first.len > 0 && in.data[0] == first.data[0];
    if (same_version && !bytes_equal(first, in))
        abort();
    struct writer t = writer_over(third, sizeof(third));
    if (decode(data[0], first, &t) != E_OK || t.err != E_OK || !bytes_equal(writer_bytes(&t), first))
        abort();
    return 0;
}
