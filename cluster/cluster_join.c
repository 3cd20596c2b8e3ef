/* cluster_join.c - the first start of a server that joins: it asks with its token for a certificate, and
 * notes whom it may connect to. Blocking: nothing else runs yet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/cluster_internal.h"

enum {
    JOIN_LIMIT_MS = 10000,
    PEER_ROW = NODE_ID_LEN + 1 + 16 + 2,
    PEERS_FILE_MAX = 8 + 1 + KS_NODE_MAX * (PEER_ROW + 8),
};
static const uint8_t peers_magic[8] = {'Q', 'R', 'T', 'P', 'E', 'E', 'R', '1'};

/* DIR/peers: whom the join answer named, then who is in the node table; of use while that is not here. That it
 * is there says that this server is one of several. */
err_t cluster_peers_file_write(struct cluster *c, const struct transport_peer *members, size_t count)
{
    uint8_t buf[PEERS_FILE_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    write_bytes(&w, BYTES_OF(peers_magic));
    write_u8(&w, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        struct addr addr;
        err_t err = addr_parse(&addr, members[i].host);
        if (err != E_OK)
            return err;
        write_bytes(&w, BYTES_OF(members[i].id));
        write_u8(&w, (uint8_t)addr_len(&addr));
        write_bytes(&w, addr_bytes(&addr));
        write_u16(&w, members[i].port);
    }
    err_t err = writer_end(&w);
    return err == E_OK ? disk_replace(c->disk, c->data_dir, "peers", writer_bytes(&w)) : err;
}

err_t cluster_peers_file_read(struct cluster *c)
{
    char path[DISK_PATH_MAX];
    uint8_t *data = NULL;
    size_t len = 0;
    err_t err = disk_path(path, c->data_dir, "peers");
    if (err == E_OK)
        err = disk_read(path, PEERS_FILE_MAX, &data, &len);
    if (err != E_OK)
        return err;
    struct reader r = reader_over((struct bytes){data, len});
    reader_require(&r, bytes_equal(read_bytes(&r, sizeof(peers_magic)), BYTES_OF(peers_magic)));
    uint8_t count = read_u8(&r);
    reader_require(&r, count <= KS_NODE_MAX);
    for (uint8_t i = 0; i < count && r.err == E_OK; i++) {
        struct peer peer = {0};
        read_into(&r, peer.id, NODE_ID_LEN);
        struct bytes addr = read_bytes(&r, read_u8(&r));
        peer.at.port = read_u16(&r);
        reader_require(&r, r.err == E_OK && addr_from_bytes(&peer.at.addr, addr) == E_OK);
        peer.raft_id = node_raft_id(peer.id);
        if (r.err == E_OK)
            c->peers[c->peer_count++] = peer;
    }
    err = reader_end(&r) == E_OK ? E_OK : E_CORRUPT;
    free(data);
    return err;
}

static err_t store_result(struct cluster *c, const struct cert_key *key, const struct join_result *result)
{
    err_t err = cluster_peers_file_write(c, result->members, result->member_count);
    if (err == E_OK)
        err = cert_key_store(key, c->disk, c->data_dir, "cluster.key");
    if (err == E_OK)
        err = cert_store(result->ca, c->disk, c->data_dir, "ca.crt");
    return err == E_OK ? cert_store(result->cert, c->disk, c->data_dir, "cluster.crt") : err;
}

static err_t ask(struct cluster *c, const struct join_token *token, const struct cert_key *key)
{
    struct transport_peer self = {.port = c->options.listen.port};
    struct addr own = cluster_own_address(c);
    char text[ADDR_TEXT_MAX];
    uint8_t request[JOIN_REQUEST_MAX], *answer = malloc(JOIN_ANSWER_MAX);
    struct join_result *result = calloc(1, sizeof(*result));
    size_t request_len = 0, answer_len = 0;
    err_t reason = E_OK, err = answer != NULL && result != NULL ? E_OK : E_NO_MEMORY;
    memcpy(self.id, c->node_id, NODE_ID_LEN);
    addr_format(&own, text);
    memcpy(self.host, text, strlen(text) + 1);
    if (err == E_OK)
        err = join_request_make(token, key, &self, c->build->level, c->options.rng, request, &request_len);
    if (err == E_OK)
        err = cluster_join_ask(&c->options.join, (struct bytes){request, request_len}, answer, &answer_len,
                               JOIN_LIMIT_MS);
    if (err == E_OK) {
        err = join_answer_open(result, token, key, (struct bytes){request, request_len},
                               (struct bytes){answer, answer_len}, clock_wall_ms(c->options.clock) / 1000,
                               &reason);
        if (err == E_REFUSED && reason != E_OK)
            err = reason;
        if (err == E_OK)
            err = store_result(c, key, result);
        join_result_close(result);
    }
    free(answer);
    free(result);
    return err;
}

err_t cluster_join_fetch(struct cluster *c)
{
    struct join_token token = {0};
    struct cert_key *key = NULL;
    err_t err = join_token_parse(&token, bytes_of_text(c->options.join_token));
    if (err == E_OK)
        err = cert_key_make(&key);
    if (err == E_OK)
        err = ask(c, &token, key);
    join_token_close(&token);
    cert_key_free(key);
    return err;
}
