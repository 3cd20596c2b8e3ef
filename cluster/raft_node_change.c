#include <stdlib.h>
#include <string.h>

#include "cluster/raft_node_internal.h"

size_t raft_node_members(const struct raft_node *node, uint64_t ids[RAFT_MEMBER_MAX],
                         enum raft_member roles[RAFT_MEMBER_MAX])
{
    const struct raft_configuration *conf = &node->raft.configuration;
    size_t count = conf->n < RAFT_MEMBER_MAX ? conf->n : RAFT_MEMBER_MAX;
    for (size_t i = 0; i < count; i++) {
        ids[i] = conf->servers[i].id;
        roles[i] = conf->servers[i].role == RAFT_VOTER ? MEMBER_VOTER : MEMBER_STANDBY;
    }
    return count;
}

/* The present configuration with the one server changed. */
static err_t changed(const struct raft_node *node, uint64_t id, enum raft_member role,
                     struct raft_configuration *out)
{
    const struct raft_configuration *conf = &node->raft.configuration;
    bool found = false;
    unsigned voters = 0;
    int rc = 0;
    raft_configuration_init(out);
    for (unsigned i = 0; i < conf->n && rc == 0; i++) {
        const struct raft_server *server = &conf->servers[i];
        int as = server->id != id ? server->role : role == MEMBER_VOTER ? RAFT_VOTER : RAFT_STANDBY;
        found |= server->id == id;
        if (server->id == id && role == MEMBER_NONE)
            continue;
        voters += as == RAFT_VOTER;
        rc = raft_configuration_add(out, server->id, server->address, as);
    }
    char address[RAFT_ADDRESS_MAX];
    if (rc == 0 && !found && role != MEMBER_NONE) {
        voters += role == MEMBER_VOTER;
        rc = raft_configuration_add(out, id, raft_node_address(id, address),
                                    role == MEMBER_VOTER ? RAFT_VOTER : RAFT_STANDBY);
    }
    if (rc != 0)
        return raft_node_err(rc);
    if (voters == 0 || (role == MEMBER_NONE && !found))
        return E_STATE;
    return voters > RAFT_VOTER_MAX || out->n > RAFT_MEMBER_MAX ? E_LIMIT : E_OK;
}

err_t raft_node_change(struct raft_node *node, uint64_t now_ms, uint64_t id, enum raft_member role,
                       struct raft_node_update *update)
{
    struct raft_configuration conf;
    struct raft_buffer buf = {0};
    *update = (struct raft_node_update){0};
    if (!raft_node_is_leader(node))
        return E_NOT_PRIMARY;
    if (node->raft.configuration_uncommitted_index != 0)
        return E_STATE;
    err_t err = changed(node, id, role, &conf);
    if (err == E_OK)
        err = raft_node_err(raft_configuration_encode(&conf, &buf));
    raft_configuration_close(&conf);
    if (err != E_OK)
        return err;
    uint8_t *data = calloc(1, (buf.len + 7) / 8 * 8);
    if (data != NULL)
        memcpy(data, buf.base, buf.len);
    err = data == NULL ? E_NO_MEMORY
                       : raft_node_submit(node, now_ms, ENTRY_CHANGE,
                                          (struct bytes){data, (buf.len + 7) / 8 * 8}, update);
    raft_free(buf.base);
    free(data);
    return err;
}
