#include "cluster/raft_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/raft_node_internal.h"

enum {
    ELECTION_MS = 1000,
    HEARTBEAT_MS = 100,
};

err_t raft_node_err(int rc)
{
    switch (rc) {
    case 0:
        return E_OK;
    case RAFT_NOMEM:
        return E_NO_MEMORY;
    case RAFT_NOTLEADER:
    case RAFT_LEADERSHIPLOST:
        return E_NOT_PRIMARY;
    case RAFT_MALFORMED:
        return E_CORRUPT;
    case RAFT_CANTCHANGE:
        return E_STATE;
    default:
        return E_INTERNAL;
    }
}

const char *raft_node_address(uint64_t id, char out[RAFT_ADDRESS_MAX])
{
    snprintf(out, RAFT_ADDRESS_MAX, "%016llx", (unsigned long long)id);
    return out;
}

static uint64_t read_u64_le(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 64; i += 8)
        value |= (uint64_t)read_u8(r) << i;
    return value;
}

static void check_server(struct reader *r)
{
    uint64_t id = read_u64_le(r);
    size_t len = 0;
    while (r->err == E_OK && len < RAFT_ADDRESS_MAX && read_u8(r) != 0)
        len++;
    uint8_t role = read_u8(r);
    reader_require(r, id != 0 && len > 0 && len < RAFT_ADDRESS_MAX && role <= RAFT_SPARE);
}

/* Is it what raft_configuration_encode makes? libraft's decoder trusts counts and looks for the end of
 * strings beyond the buffer. */
static err_t check_conf(struct bytes conf)
{
    struct reader r = reader_over(conf);
    reader_require(&r, read_u8(&r) == 1 && conf.len % 8 == 0);
    uint64_t count = read_u64_le(&r);
    reader_require(&r, count > 0 && count <= RAFT_SERVER_MAX);
    for (uint64_t i = 0; i < count && r.err == E_OK; i++)
        check_server(&r);
    reader_require(&r, reader_left(&r) < 8);
    return r.err == E_OK ? E_OK : E_CORRUPT;
}

err_t raft_conf_decode(struct bytes conf, struct raft_configuration *out)
{
    raft_configuration_init(out);
    if (check_conf(conf) != E_OK)
        return E_CORRUPT;
    struct raft_buffer buf = {(void *)(uintptr_t)conf.data, conf.len}; /* only read */
    int rc = raft_configuration_decode(&buf, out);
    if (rc == 0)
        return E_OK;
    raft_configuration_init(out); /* it has freed what it made, and left it in there */
    return rc == RAFT_NOMEM ? E_NO_MEMORY : E_CORRUPT;
}

err_t raft_conf_encode(const struct raft_configuration *conf, struct snapshot_meta *out)
{
    struct raft_buffer buf;
    int rc = raft_configuration_encode(conf, &buf);
    if (rc != 0)
        return raft_node_err(rc);
    err_t err = buf.len <= SNAPSHOT_CONF_MAX ? E_OK : E_LIMIT;
    if (err == E_OK) {
        memcpy(out->conf, buf.base, buf.len);
        out->conf_len = (uint16_t)buf.len;
    }
    raft_free(buf.base);
    return err;
}

err_t raft_node_bootstrap(const uint64_t *voters, size_t count, uint8_t **out, size_t *out_len)
{
    struct raft_configuration conf;
    struct snapshot_meta meta = {0};
    raft_configuration_init(&conf);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        char address[RAFT_ADDRESS_MAX];
        rc = raft_configuration_add(&conf, voters[i], raft_node_address(voters[i], address), RAFT_VOTER);
    }
    err_t err = rc == 0 ? raft_conf_encode(&conf, &meta) : raft_node_err(rc);
    raft_configuration_close(&conf);
    if (err != E_OK)
        return err;
    *out_len = ((size_t)meta.conf_len + 7) / 8 * 8;
    *out = calloc(1, *out_len);
    if (*out == NULL)
        return E_NO_MEMORY;
    memcpy(*out, meta.conf, meta.conf_len);
    return E_OK;
}

static void quiet(struct raft_tracer *tracer, int type, const void *info)
{
    (void)tracer;
    (void)type;
    (void)info;
}

err_t raft_node_open(struct raft_node **out, const struct raft_node_options *options)
{
    *out = NULL;
    struct raft_node *node = calloc(1, sizeof(*node));
    if (node == NULL)
        return E_NO_MEMORY;
    node->id = options->id;
    entry_log_init(&node->log);
    node->pending = calloc(RAFT_PENDING_MAX, sizeof(*node->pending));
    char address[RAFT_ADDRESS_MAX];
    int rc = node->pending == NULL
                 ? RAFT_NOMEM
                 : raft_init(&node->raft, NULL, NULL, options->id, raft_node_address(options->id, address));
    if (rc != 0) {
        free(node->pending);
        free(node);
        return raft_node_err(rc);
    }
    node->tracer = (struct raft_tracer){.version = 2, .emit = quiet};
    node->raft.tracer = &node->tracer;
    raft_seed(&node->raft, options->seed);
    raft_set_pre_vote(&node->raft, true);
    raft_set_election_timeout(&node->raft, options->election_ms != 0 ? options->election_ms : ELECTION_MS);
    raft_set_heartbeat_timeout(&node->raft,
                               options->heartbeat_ms != 0 ? options->heartbeat_ms : HEARTBEAT_MS);
    raft_set_max_inflight_entries(&node->raft, RAFT_APPEND_MAX);
    *out = node;
    return E_OK;
}

void raft_node_drop_messages(struct raft_node *node)
{
    for (size_t i = 0; i < node->message_count; i++)
        free((void *)(uintptr_t)node->messages[i].body.data);
    node->message_count = 0;
}

void raft_node_free(struct raft_node *node)
{
    if (node == NULL)
        return;
    raft_node_drop_messages(node);
    free(node->messages);
    raft_free(node->install.base);
    raft_close(&node->raft, NULL);
    entry_log_close(&node->log);
    free(node->pending);
    free(node);
}

/* The new write may replace entries that are still on their way to disk: those then count for nothing when
 * they arrive. */
static err_t note_write(struct raft_node *node, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < node->pending_count; i++) {
        struct pending_write *write = &node->pending[(node->pending_head + i) % RAFT_PENDING_MAX];
        if (write->last >= first)
            write->last = first - 1;
    }
    if (node->pending_count == RAFT_PENDING_MAX)
        return E_LIMIT;
    node->pending[(node->pending_head + node->pending_count++) % RAFT_PENDING_MAX] =
        (struct pending_write){first, last};
    return E_OK;
}

static err_t take_entries(struct raft_node *node, const struct raft_update *from,
                          struct raft_node_update *update)
{
    err_t err = E_OK;
    for (unsigned i = 0; i < from->entries.n && err == E_OK; i++) {
        const struct raft_entry *entry = &from->entries.batch[i];
        struct raft_node_entry copy = {
            entry->term, (enum raft_entry_kind)entry->type, {entry->buf.base, entry->buf.len}};
        err = entry_log_put(&node->log, from->entries.index + i, &copy);
    }
    raft_free(from->entries.batch[0].batch);
    if (err == E_OK)
        err = note_write(node, from->entries.index, from->entries.index + from->entries.n - 1);
    update->first_index = from->entries.index;
    update->entry_count = from->entries.n;
    return err;
}

static err_t take_install(struct raft_node *node, struct raft_update *from, struct raft_node_update *update)
{
    struct raft_snapshot_metadata *meta = &from->snapshot.metadata;
    update->install = true;
    update->install_meta = (struct snapshot_meta){
        .index = meta->index, .term = meta->term, .conf_index = meta->configuration_index};
    err_t err = raft_conf_encode(&meta->configuration, &update->install_meta);
    raft_configuration_close(&meta->configuration);
    node->install = from->snapshot.chunk;
    update->install_stream = (struct bytes){node->install.base, node->install.len};
    node->snapshot = update->install_meta;
    entry_log_reset(&node->log, meta->index + 1);
    for (size_t i = 0; i < node->pending_count;
         i++) /* what is still being written is of the log that was given up */
        node->pending[(node->pending_head + i) % RAFT_PENDING_MAX].last = 0;
    return err;
}

static err_t take_messages(struct raft_node *node, const struct raft_update *from)
{
    for (unsigned i = 0; i < from->messages.n; i++) {
        if (node->message_count == node->message_cap) {
            size_t cap = node->message_cap * 2 + 8;
            struct raft_node_message *messages = realloc(node->messages, cap * sizeof(*messages));
            if (messages == NULL)
                return E_NO_MEMORY;
            node->messages = messages;
            node->message_cap = cap;
        }
        err_t err = raft_message_encode(node, &from->messages.batch[i], &node->messages[node->message_count]);
        if (err == E_OK)
            node->message_count++;
        else if (err != E_NOT_FOUND)
            return err;
    }
    return E_OK;
}

/* A configuration that a server found in its log when it started may stay "uncommitted" in libraft for good
 * although the commit index is beyond it, and a leader that thinks so changes nothing any more: no server
 * could be replaced (docs/decisions/0008). What is below the commit index is committed. */
static err_t settle_configuration(struct raft *raft)
{
    struct raft_configuration copy;
    int rc = 0;
    if (raft->configuration_uncommitted_index == 0 ||
        raft->configuration_uncommitted_index > raft_commit_index(raft))
        return E_OK;
    raft_configuration_init(&copy);
    for (unsigned i = 0; i < raft->configuration.n && rc == 0; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        rc = raft_configuration_add(&copy, server->id, server->address, server->role);
    }
    if (rc != 0) {
        raft_configuration_close(&copy);
        return raft_node_err(rc);
    }
    raft_configuration_close(&raft->configuration_committed);
    raft->configuration_committed = copy;
    raft->configuration_committed_index = raft->configuration_uncommitted_index;
    raft->configuration_uncommitted_index = 0;
    return E_OK;
}

err_t raft_node_step(struct raft_node *node, uint64_t now_ms, struct raft_event *event,
                     struct raft_node_update *update)
{
    struct raft_update from = {0};
    *update = (struct raft_node_update){0};
    raft_node_drop_messages(node);
    event->time = now_ms;
    int rc = raft_step(&node->raft, event, &from);
    if (rc != 0)
        return raft_node_err(rc);
    update->term_changed =
        (from.flags & (RAFT_UPDATE_CURRENT_TERM)) != 0 || (from.flags & (RAFT_UPDATE_VOTED_FOR)) != 0;
    update->term = raft_current_term(&node->raft);
    update->vote = raft_voted_for(&node->raft);
    update->role_changed = (from.flags & (RAFT_UPDATE_STATE)) != 0;
    err_t err = settle_configuration(&node->raft);
    if ((from.flags & (RAFT_UPDATE_SNAPSHOT)) != 0)
        err = take_install(node, &from, update);
    if (err == E_OK && (from.flags & (RAFT_UPDATE_ENTRIES)) != 0)
        err = take_entries(node, &from, update);
    if (err == E_OK && (from.flags & (RAFT_UPDATE_MESSAGES)) != 0)
        err = take_messages(node, &from);
    update->messages = node->messages;
    update->message_count = node->message_count;
    return err;
}

err_t raft_node_submit(struct raft_node *node, uint64_t now_ms, enum raft_entry_kind kind, struct bytes data,
                       struct raft_node_update *update)
{
    *update = (struct raft_node_update){0};
    if (!raft_node_is_leader(node))
        return E_NOT_PRIMARY;
    if (raft_node_transferee(node) != 0)
        return E_AGAIN;
    if (data.len == 0 || data.len % 8 != 0 || node->pending_count == RAFT_PENDING_MAX)
        return E_LIMIT;
    void *copy = raft_malloc(data.len);
    if (copy == NULL)
        return E_NO_MEMORY;
    memcpy(copy, data.data, data.len);
    struct raft_entry entry = {.term = raft_current_term(&node->raft),
                               .type = (enum raft_entry_type)kind,
                               .buf = {copy, data.len},
                               .batch = copy};
    struct raft_event event = {.type = RAFT_SUBMIT, .submit = {&entry, 1}};
    err_t err = raft_node_step(node, now_ms, &event, update);
    if (err != E_OK && update->first_index == 0)
        raft_free(copy);
    return err;
}

err_t raft_node_persisted(struct raft_node *node, uint64_t now_ms, struct raft_node_update *update)
{
    *update = (struct raft_node_update){0};
    if (node->pending_count == 0)
        return E_STATE;
    struct pending_write write = node->pending[node->pending_head];
    node->pending_head = (node->pending_head + 1) % RAFT_PENDING_MAX;
    node->pending_count--;
    if (write.last < write.first || node->raft.snapshot.installing) {
        raft_node_drop_messages(node);
        return E_OK;
    }
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES, .persisted_entries.index = write.last};
    return raft_node_step(node, now_ms, &event, update);
}

err_t raft_node_timeout(struct raft_node *node, uint64_t now_ms, struct raft_node_update *update)
{
    struct raft_event event = {.type = RAFT_TIMEOUT};
    return raft_node_step(node, now_ms, &event, update);
}

err_t raft_node_applied(struct raft_node *node, uint64_t now_ms, uint64_t index,
                        struct raft_node_update *update)
{
    *update = (struct raft_node_update){0};
    const struct raft_node_entry *entry = entry_log_at(&node->log, index);
    if (entry == NULL || entry->kind != ENTRY_CHANGE)
        return E_OK;
    struct raft_event event = {.type = RAFT_CONFIGURATION, .configuration.index = index};
    err_t err = raft_conf_decode(entry->data, &event.configuration.conf);
    return err == E_OK ? raft_node_step(node, now_ms, &event, update) : err;
}
