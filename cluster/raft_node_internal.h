/* raft_node_internal.h - what raft_node*.c share; nobody else includes it, so that raft.h stays here. */
#ifndef CLUSTER_RAFT_NODE_INTERNAL_H
#define CLUSTER_RAFT_NODE_INTERNAL_H

#include <raft.h>

#include "cluster/entry_log.h"

enum {
    RAFT_ADDRESS_MAX = 24,
    RAFT_SERVER_MAX = 16, /* voters and others in a configuration */
};

/* A write to the log that was handed out: how far it counts once it is on disk. A later write that replaces a
 * part of it lowers that, down to nothing (last < first). */
struct pending_write {
    uint64_t first;
    uint64_t last;
};

struct raft_node {
    struct raft raft;
    struct raft_tracer tracer;
    uint64_t id;
    struct entry_log log;
    struct snapshot_meta snapshot; /* the newest; index 0: none */
    bool started;
    struct raft_buffer install;    /* stream that is being installed */
    struct pending_write *pending; /* ring of RAFT_PENDING_MAX */
    size_t pending_head;
    size_t pending_count;
    struct raft_node_message *messages;
    size_t message_cap;
    size_t message_count;
    int refused; /* type of the message of an older term that is being answered; 0: none */
};

err_t raft_node_err(int rc);
/* One raft_step with everything behind it: entries into the log, messages encoded. */
err_t raft_node_step(struct raft_node *node, uint64_t now_ms, struct raft_event *event,
                     struct raft_node_update *update) MUST_USE;
void raft_node_drop_messages(struct raft_node *node); /* of the event before */
const char *raft_node_address(uint64_t id, char out[RAFT_ADDRESS_MAX]);
err_t raft_conf_decode(struct bytes conf, struct raft_configuration *out) MUST_USE;
/* Into the meta data of a snapshot. E_LIMIT: longer than SNAPSHOT_CONF_MAX; E_NO_MEMORY. */
err_t raft_conf_encode(const struct raft_configuration *conf, struct snapshot_meta *out) MUST_USE;

/* A message of libraft as bytes (heap), entries taken from the node's log. E_NOT_FOUND: they are gone; the
 * message is dropped, which Raft allows. */
err_t raft_message_encode(const struct raft_node *node, const struct raft_message *message,
                          struct raft_node_message *out) MUST_USE;
/* The other way. Entries and their one batch, configuration and stream are made with raft_malloc, as libraft
 * wants to free them. */
err_t raft_message_decode(struct raft_message *out, struct bytes body, struct bytes snapshot) MUST_USE;
/* Frees what decode made, of a message that libraft did not take. */
void raft_message_close(struct raft_message *message);

#endif
