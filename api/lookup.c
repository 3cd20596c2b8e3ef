#include "api/lookup.h"

#include <string.h>

static struct bytes key_bytes(const struct row_key *key)
{
    return (struct bytes){key->data, key->len};
}

struct scan {
    struct row_key prefix;
    store_row_fn row;
    void *context;
};

static bool scan_row(void *context, struct bytes key, struct bytes value)
{
    struct scan *scan = context;
    struct bytes head = bytes_slice(key, 0, scan->prefix.len);
    return bytes_equal(head, key_bytes(&scan->prefix)) && scan->row(scan->context, key, value);
}

err_t lookup_rows(struct store_txn *txn, enum store_table table, uint32_t group_id,
                  const struct row_key *after, store_row_fn row, void *context)
{
    struct scan scan = {group_row_key(group_id), row, context};
    uint8_t start[ROW_KEY_MAX + 1];
    struct bytes from = key_bytes(after != NULL ? after : &scan.prefix);
    memcpy(start, from.data, from.len);
    if (after != NULL)
        start[from.len++] = 0; /* the least key behind it */
    return store_each(txn, table, (struct bytes){start, from.len}, scan_row, &scan);
}

struct group_search {
    const char *name;
    struct group_record *out;
    err_t err;
};

static bool find_group(void *context, struct bytes key, struct bytes value)
{
    struct group_search *search = context;
    (void)key;
    if (group_record_decode(search->out, value) != E_OK)
        search->err = E_CORRUPT;
    else if (strcmp(search->out->config.name, search->name) == 0)
        search->err = E_OK;
    return search->err == E_NOT_FOUND;
}

err_t lookup_group(struct store_txn *txn, const char *name, struct group_record *out)
{
    struct group_search search = {name, out, E_NOT_FOUND};
    err_t err = store_each(txn, TABLE_GROUP, (struct bytes){0}, find_group, &search);
    return err != E_OK ? err : search.err;
}

struct member_search {
    const char *text;
    struct member_record *out;
    err_t err;
};

static bool find_member(void *context, struct bytes key, struct bytes value)
{
    struct member_search *search = context;
    char text[ID_TEXT_MAX];
    (void)key;
    if (member_record_decode(search->out, value) != E_OK)
        search->err = E_CORRUPT;
    else if (strcmp(identity_format(&search->out->identity, text), search->text) == 0)
        search->err = E_OK;
    return search->err == E_NOT_FOUND;
}

err_t lookup_member(struct store_txn *txn, uint32_t group_id, const char *text, struct member_record *out)
{
    struct addr addr;
    if (addr_parse(&addr, text) == E_OK) { /* as most are: no need to look at all of them */
        struct identity identity = identity_from_addr(&addr);
        struct row_key key = member_row_key(group_id, &identity);
        struct bytes row;
        err_t err = store_get(txn, TABLE_MEMBER, key_bytes(&key), &row);
        if (err != E_OK)
            return err;
        return member_record_decode(out, row) == E_OK ? E_OK : E_CORRUPT;
    }
    struct member_search search = {text, out, E_NOT_FOUND};
    err_t err = lookup_rows(txn, TABLE_MEMBER, group_id, NULL, find_member, &search);
    return err != E_OK ? err : search.err;
}

struct rekey_search {
    struct rekey_record *out;
    err_t err;
};

static bool keep_rekey(void *context, struct bytes key, struct bytes value)
{
    struct rekey_search *search = context;
    (void)key;
    search->err = rekey_record_decode(search->out, value) == E_OK ? E_OK : E_CORRUPT;
    return search->err == E_OK;
}

err_t lookup_last_rekey(struct store_txn *txn, uint32_t group_id, struct rekey_record *out)
{
    struct rekey_search search = {out, E_NOT_FOUND};
    err_t err = lookup_rows(txn, TABLE_REKEY, group_id, NULL, keep_rekey, &search);
    return err != E_OK ? err : search.err;
}

static err_t signing_row(struct store_txn *txn, struct row_key key, struct signing_record *out)
{
    struct bytes row;
    err_t err = store_get(txn, TABLE_SIGNING, key_bytes(&key), &row);
    if (err != E_OK)
        return err;
    return signing_record_decode(out, row) == E_OK ? E_OK : E_CORRUPT;
}

err_t lookup_signing(struct store_txn *txn, uint32_t version, struct signing_record *out)
{
    err_t err = signing_row(txn, single_row_key(), out);
    if (err != E_OK || version == 0 || version == out->version)
        return err;
    err = signing_row(txn, previous_row_key(), out);
    return err == E_NOT_FOUND ? signing_row(txn, single_row_key(), out) : err;
}

struct member_tally {
    const uint8_t *node_id;
    struct member_count *count;
    err_t err;
};

static bool count_member(void *context, struct bytes key, struct bytes value)
{
    struct member_tally *tally = context;
    struct member_record member;
    (void)key;
    if (member_record_decode(&member, value) != E_OK) {
        tally->err = E_CORRUPT;
        return false;
    }
    tally->count->all++;
    if (memcmp(member.key_server, tally->node_id, NODE_ID_LEN) == 0)
        tally->count->here++;
    return true;
}

err_t lookup_member_count(struct store_txn *txn, uint32_t group_id, const uint8_t node_id[NODE_ID_LEN],
                          struct member_count *out)
{
    *out = (struct member_count){0};
    struct member_tally tally = {node_id, out, E_OK};
    err_t err = lookup_rows(txn, TABLE_MEMBER, group_id, NULL, count_member, &tally);
    return err != E_OK ? err : tally.err;
}
