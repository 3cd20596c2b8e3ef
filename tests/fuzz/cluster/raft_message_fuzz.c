/* Messages of a peer to a Raft server that has a log, a snapshot and two peers. The input is a row of
 * messages: from u8, snapshot octets u8, length u16, body. Nothing may crash or leak; terms never fall and
 * the commit index neither. */
#include <stdlib.h>
#include <string.h>

#include "cluster/raft_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static struct raft_node *make_node(void)
{
    static const uint64_t voters[] = {11, 12, 13};
    struct raft_node_options options = {.id = 11, .seed = 1};
    struct raft_node *node;
    struct raft_node_update update;
    uint8_t *conf, data[16] = {1};
    size_t len;
    bool dropped;
    must(raft_node_bootstrap(voters, 3, &conf, &len) == E_OK);
    must(raft_node_open(&node, &options) == E_OK);
    struct raft_node_entry entry = {1, ENTRY_CHANGE, {conf, len}};
    must(raft_node_load(node, 1, &entry) == E_OK);
    for (uint64_t i = 2; i < 20; i++) {
        entry = (struct raft_node_entry){1 + i / 10, ENTRY_COMMAND, BYTES_OF(data)};
        must(raft_node_load(node, i, &entry) == E_OK);
    }
    must(raft_node_start(node, 1000, 2, 0, NULL, &dropped, &update) == E_OK);
    free(conf);
    return node;
}

/* The disk is at hand at once. Returns false when the server gives up, as it may on a peer that contradicts
 * what is committed. */
static bool carry_out(struct raft_node *node, struct raft_node_update *update)
{
    for (int i = 0; i < 8; i++) {
        err_t err;
        if (update->install)
            err = raft_node_installed(node, 1001, update);
        else if (update->first_index != 0)
            err = raft_node_persisted(node, 1001, update);
        else
            return true;
        if (err != E_OK)
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_node *node = make_node();
    struct reader r = reader_over((struct bytes){data, size});
    while (reader_left(&r) > 0) {
        uint8_t from = read_u8(&r), stream = read_u8(&r);
        struct bytes body = read_bytes(&r, read_u16(&r));
        struct bytes snapshot = read_bytes(&r, stream);
        struct raft_node_update update;
        uint64_t term = raft_node_term(node), commit = raft_node_commit(node);
        if (r.err != E_OK)
            break;
        err_t err = raft_node_receive(node, 1000, from, body, snapshot, &update);
        must(raft_node_term(node) >= term);
        if (err == E_CORRUPT)
            continue;
        if (err != E_OK || !carry_out(node, &update))
            break;
        must(raft_node_commit(node) >= commit);
    }
    raft_node_free(node);
    return 0;
}
