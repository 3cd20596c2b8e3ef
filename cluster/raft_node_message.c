#include <stdlib.h>
#include <string.h>

#include "cluster/raft_node_internal.h"
#include "storage/record_part.h"

/* version u8 | type u8 | libraft's version of the type u8 | term u64 | fields of the type */
enum { WIRE_VERSION = 1, APPEND_ENTRY_HEAD = 8 + 1 + 4, SMALL_MAX = 128 };

/* Of its answer to a message of an older term libraft leaves fields as they were on the stack:
 * last_log_index, and of a snapshot's rejected too. They are no peer's business, and a leader that took them
 * at their word dropped the answer. */
static void encode_result(struct writer *w, const struct raft_append_entries_result *m, int refused)
{
    write_u64(w, m->term);
    write_u64(w, refused == RAFT_INSTALL_SNAPSHOT ? 0 : m->rejected);
    write_u64(w, refused != 0 ? 0 : m->last_log_index);
    write_u16(w, m->features);
    write_u16(w, m->capacity);
}

static void encode_vote(struct writer *w, const struct raft_request_vote *m)
{
    write_u64(w, m->term);
    write_u64(w, m->candidate_id);
    write_u64(w, m->last_log_index);
    write_u64(w, m->last_log_term);
    bool_encode(w, m->disrupt_leader);
    bool_encode(w, m->pre_vote);
}

static void encode_vote_result(struct writer *w, const struct raft_request_vote_result *m)
{
    write_u64(w, m->term);
    bool_encode(w, m->vote_granted);
    bool_encode(w, m->pre_vote);
    write_u16(w, m->features);
    write_u16(w, m->capacity);
}

static void encode_timeout_now(struct writer *w, const struct raft_timeout_now *m)
{
    write_u64(w, m->term);
    write_u64(w, m->last_log_index);
    write_u64(w, m->last_log_term);
}

static void encode_install(struct writer *w, const struct raft_node *node,
                           const struct raft_install_snapshot *m)
{
    write_u64(w, m->term);
    write_u64(w, m->last_index);
    write_u64(w, m->last_term);
    write_u64(w, node->snapshot.conf_index);
    blob_encode(w, node->snapshot.conf, node->snapshot.conf_len);
}

/* Returns how many of the wanted entries fit, 0 is a heartbeat. What is left out goes with a later message:
 * libraft sees from the answer how far this one reached. */
static unsigned entries_that_fit(const struct raft_node *node, const struct raft_append_entries *m,
                                 size_t *len)
{
    unsigned n = 0;
    *len = 0;
    for (; n < m->n_entries && n < RAFT_APPEND_MAX; n++) {
        const struct raft_node_entry *entry = entry_log_at(&node->log, m->prev_log_index + 1 + n);
        if (entry == NULL || *len + APPEND_ENTRY_HEAD + entry->data.len + SMALL_MAX > RAFT_MESSAGE_MAX)
            break;
        *len += APPEND_ENTRY_HEAD + entry->data.len;
    }
    return n;
}

static void encode_append(struct writer *w, const struct raft_node *node, const struct raft_append_entries *m,
                          unsigned n)
{
    write_u64(w, m->term);
    write_u64(w, m->prev_log_index);
    write_u64(w, m->prev_log_term);
    write_u64(w, m->leader_commit);
    write_u32(w, n);
    for (unsigned i = 0; i < n; i++) {
        const struct raft_node_entry *entry = entry_log_at(&node->log, m->prev_log_index + 1 + i);
        write_u64(w, entry->term);
        write_u8(w, (uint8_t)entry->kind);
        write_u32(w, (uint32_t)entry->data.len);
        write_bytes(w, entry->data);
    }
}

static void encode_fields(struct writer *w, const struct raft_node *node, const struct raft_message *m,
                          unsigned n)
{
    write_u8(w, WIRE_VERSION);
    write_u8(w, (uint8_t)m->type);
    write_u8(w, m->append_entries.version); /* stands first in every member of the union */
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        encode_append(w, node, &m->append_entries, n);
        return;
    case RAFT_APPEND_ENTRIES_RESULT:
        encode_result(w, &m->append_entries_result, node->refused);
        return;
    case RAFT_REQUEST_VOTE:
        encode_vote(w, &m->request_vote);
        return;
    case RAFT_REQUEST_VOTE_RESULT:
        encode_vote_result(w, &m->request_vote_result);
        return;
    case RAFT_INSTALL_SNAPSHOT:
        encode_install(w, node, &m->install_snapshot);
        return;
    case RAFT_TIMEOUT_NOW:
        encode_timeout_now(w, &m->timeout_now);
        return;
    }
    writer_fail(w, E_INTERNAL);
}

err_t raft_message_encode(const struct raft_node *node, const struct raft_message *message,
                          struct raft_node_message *out)
{
    *out = (struct raft_node_message){.to = message->server_id};
    size_t cap = SMALL_MAX, entries_len = 0;
    unsigned n = 0;
    if (message->type == RAFT_APPEND_ENTRIES) {
        n = entries_that_fit(node, &message->append_entries, &entries_len);
        if (n == 0 && message->append_entries.n_entries > 0)
            return E_NOT_FOUND;
        cap += entries_len;
    }
    if (message->type == RAFT_INSTALL_SNAPSHOT) {
        if (message->install_snapshot.last_index != node->snapshot.index)
            return E_NOT_FOUND; /* a newer one is there by now; libraft comes again */
        out->with_snapshot = true;
        out->snapshot_index = node->snapshot.index;
        cap += node->snapshot.conf_len;
    }
    uint8_t *buf = malloc(cap);
    if (buf == NULL)
        return E_NO_MEMORY;
    struct writer w = writer_over(buf, cap);
    encode_fields(&w, node, message, n);
    out->body = writer_bytes(&w);
    err_t err = writer_end(&w);
    if (err != E_OK)
        free(buf);
    return err;
}

static void decode_result(struct reader *r, struct raft_append_entries_result *m)
{
    m->term = read_u64(r);
    m->rejected = read_u64(r);
    m->last_log_index = read_u64(r);
    m->features = read_u16(r);
    m->capacity = read_u16(r);
}

static void decode_vote(struct reader *r, struct raft_request_vote *m)
{
    m->term = read_u64(r);
    m->candidate_id = read_u64(r);
    m->last_log_index = read_u64(r);
    m->last_log_term = read_u64(r);
    m->disrupt_leader = bool_decode(r);
    m->pre_vote = bool_decode(r);
    reader_require(r, m->candidate_id != 0 && (m->last_log_index == 0) == (m->last_log_term == 0));
}

static void decode_vote_result(struct reader *r, struct raft_request_vote_result *m)
{
    m->term = read_u64(r);
    m->vote_granted = bool_decode(r);
    m->pre_vote = bool_decode(r);
    m->features = read_u16(r);
    m->capacity = read_u16(r);
}

static void decode_timeout_now(struct reader *r, struct raft_timeout_now *m)
{
    m->term = read_u64(r);
    m->last_log_index = read_u64(r);
    m->last_log_term = read_u64(r);
}

/* libraft reads terms and configurations of entries without doubt: everything is checked here. */
static void decode_entry(struct reader *r, struct raft_entry *out, raft_term least, raft_term most)
{
    out->term = read_u64(r);
    uint8_t kind = read_u8(r);
    uint32_t len = read_u32(r);
    reader_require(r, out->term >= least && out->term <= most && out->term > 0);
    reader_require(r, kind >= RAFT_COMMAND && kind <= RAFT_CHANGE && len % 8 == 0 && len > 0);
    struct bytes data = read_bytes(r, r->err == E_OK ? len : 0);
    out->type = kind;
    out->buf = (struct raft_buffer){(void *)(uintptr_t)data.data, data.len}; /* moved into the batch later */
    struct raft_configuration conf;
    if (r->err != E_OK || kind != RAFT_CHANGE)
        return;
    err_t err = raft_conf_decode(data, &conf);
    if (err == E_OK)
        raft_configuration_close(&conf);
    else
        reader_fail(r, err);
}

/* All entries of a message share one piece of memory: libraft frees the first one's batch. */
static err_t share_batch(struct raft_append_entries *m)
{
    size_t total = 0;
    for (unsigned i = 0; i < m->n_entries; i++)
        total += m->entries[i].buf.len;
    uint8_t *batch = raft_malloc(total);
    if (batch == NULL)
        return E_NO_MEMORY;
    size_t at = 0;
    for (unsigned i = 0; i < m->n_entries; i++) {
        struct raft_entry *entry = &m->entries[i];
        memcpy(batch + at, entry->buf.base, entry->buf.len);
        entry->buf.base = batch + at;
        entry->batch = batch;
        at += entry->buf.len;
    }
    return E_OK;
}

static err_t decode_append(struct reader *r, struct raft_append_entries *m)
{
    m->term = read_u64(r);
    m->prev_log_index = read_u64(r);
    m->prev_log_term = read_u64(r);
    m->leader_commit = read_u64(r);
    uint32_t n = read_u32(r);
    reader_require(r, n <= RAFT_APPEND_MAX && (m->prev_log_index == 0) == (m->prev_log_term == 0));
    reader_require(r, m->prev_log_term <= m->term && m->prev_log_index < UINT64_MAX - RAFT_APPEND_MAX);
    if (r->err != E_OK || n == 0)
        return reader_end(r);
    struct raft_entry *entries = raft_calloc(n, sizeof(*entries));
    if (entries == NULL)
        return E_NO_MEMORY;
    raft_term least = m->prev_log_term;
    for (uint32_t i = 0; i < n && r->err == E_OK; i++) {
        decode_entry(r, &entries[i], least, m->term);
        least = entries[i].term;
    }
    m->entries = entries;
    m->n_entries = n;
    err_t err = reader_end(r);
    if (err == E_OK)
        err = share_batch(m);
    if (err != E_OK) {
        raft_free(entries);
        m->entries = NULL;
        m->n_entries = 0;
    }
    return err;
}

static err_t decode_install(struct reader *r, struct raft_install_snapshot *m, struct bytes snapshot)
{
    uint8_t conf[SNAPSHOT_CONF_MAX];
    m->term = read_u64(r);
    m->last_index = read_u64(r);
    m->last_term = read_u64(r);
    m->conf_index = read_u64(r);
    uint16_t len = blob_decode(r, conf, sizeof(conf));
    reader_require(r, m->last_index > 0 && m->last_term > 0 && m->last_term <= m->term && m->conf_index > 0 &&
                          m->conf_index <= m->last_index && snapshot.len > 0);
    err_t err = reader_end(r);
    if (err == E_OK)
        err = raft_conf_decode((struct bytes){conf, len}, &m->conf);
    if (err != E_OK)
        return err;
    m->data = (struct raft_buffer){raft_malloc(snapshot.len), snapshot.len};
    if (m->data.base == NULL) {
        raft_configuration_close(&m->conf);
        return E_NO_MEMORY;
    }
    memcpy(m->data.base, snapshot.data, snapshot.len);
    return E_OK;
}

err_t raft_message_decode(struct raft_message *out, struct bytes body, struct bytes snapshot)
{
    *out = (struct raft_message){0};
    struct reader r = reader_over(body);
    uint8_t version = read_u8(&r);
    uint8_t type = read_u8(&r);
    reader_require(&r, version == WIRE_VERSION && type >= RAFT_APPEND_ENTRIES && type <= RAFT_TIMEOUT_NOW);
    if (r.err != E_OK)
        return E_CORRUPT;
    out->type = type;
    out->append_entries.version = read_u8(&r);
    err_t err = E_OK;
    switch (out->type) {
    case RAFT_APPEND_ENTRIES:
        err = decode_append(&r, &out->append_entries);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        decode_result(&r, &out->append_entries_result);
        break;
    case RAFT_REQUEST_VOTE:
        decode_vote(&r, &out->request_vote);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        decode_vote_result(&r, &out->request_vote_result);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        err = decode_install(&r, &out->install_snapshot, snapshot);
        break;
    case RAFT_TIMEOUT_NOW:
        decode_timeout_now(&r, &out->timeout_now);
        break;
    }
    if (err == E_OK)
        err = reader_end(&r);
    return err == E_OK || err == E_NO_MEMORY ? err : E_CORRUPT;
}

void raft_message_close(struct raft_message *message)
{
    if (message->type == RAFT_APPEND_ENTRIES && message->append_entries.n_entries > 0) {
        raft_free(message->append_entries.entries[0].batch);
        raft_free(message->append_entries.entries);
    }
    if (message->type == RAFT_INSTALL_SNAPSHOT) {
        raft_configuration_close(&message->install_snapshot.conf);
        raft_free(message->install_snapshot.data.base);
    }
}
