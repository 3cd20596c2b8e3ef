/* cluster_cert.c - this server's certificate: told to all in its row, renewed without a restart.
 *
 * At two thirds of its life, or on an operator's word, a new key is made and a request goes to the leader
 * over the connection that the present certificate secures; the certificate comes back the same way. Whose it
 * is stands in the connection, not in the request. Connections that live go on with the old one. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/event.h"
#include "base/hex.h"
#include "cluster/cluster_internal.h"

enum { RENEW_AGAIN_MS = 5000 /* after a request that nothing came of */ };

static const char next_key_name[] = "cluster-next.key";

static err_t load_named(const struct cluster *c, const char *name, struct cert **out)
{
    char path[DISK_PATH_MAX];
    err_t err = disk_path(path, c->data_dir, name);
    return err == E_OK ? cert_load(path, out) : err;
}

static err_t load_key(const struct cluster *c, const char *name, struct cert_key **out)
{
    char path[DISK_PATH_MAX];
    err_t err = disk_path(path, c->data_dir, name);
    return err == E_OK ? cert_key_load(path, out) : err;
}

/* The next key is on disk before its certificate: after a crash between the two files it is found there. */
static err_t key_of(struct cluster *c, const struct cert *cert, struct cert_key **out)
{
    err_t err = load_key(c, "cluster.key", out);
    if (err == E_OK && cert_has_key(cert, *out))
        return E_OK;
    cert_key_free(*out);
    *out = NULL;
    err = load_key(c, next_key_name, out);
    if (err == E_OK && !cert_has_key(cert, *out))
        err = E_BAD_KEY;
    return err == E_OK ? cert_key_store(*out, c->disk, c->data_dir, "cluster.key") : err;
}

static void note_own(struct cluster *c, const struct cert *cert)
{
    cert_describe(cert, &c->own_cert);
}

err_t cluster_open_tls(struct cluster *c, struct transport_tls **out)
{
    struct cert *cert = NULL, *ca = NULL;
    struct cert_key *key = NULL;
    err_t err = load_named(c, "cluster.crt", &cert);
    if (err == E_OK)
        err = load_named(c, "ca.crt", &ca);
    if (err == E_OK)
        err = key_of(c, cert, &key);
    if (err == E_OK) {
        const struct cert *cas[] = {ca};
        err = transport_tls_open(out, cert, key, cas, 1, clock_wall_ms(c->options.clock) / 1000);
    }
    if (err == E_OK)
        note_own(c, cert);
    cert_free(cert);
    cert_free(ca);
    cert_key_free(key);
    return err;
}

/* ---- asking ---- */

static void failed(struct cluster *c, err_t err)
{
    event(CERT_RENEW_FAILED, err_text(err));
    cert_key_free(c->next_key);
    c->next_key = NULL;
}

static err_t take_over(struct cluster *c, const struct cert *cert)
{
    char path[DISK_PATH_MAX];
    struct transport_tls *tls = NULL;
    struct cert *ca = NULL;
    err_t err = cert_has_key(cert, c->next_key) ? load_named(c, "ca.crt", &ca) : E_BAD_KEY;
    if (err == E_OK)
        err = cert_verify(cert, ca, clock_wall_ms(c->options.clock) / 1000);
    cert_free(ca);
    if (err == E_OK)
        err = cert_key_store(c->next_key, c->disk, c->data_dir, next_key_name);
    if (err == E_OK)
        err = cert_store(cert, c->disk, c->data_dir, "cluster.crt");
    if (err == E_OK)
        err = cluster_open_tls(c, &tls); /* brings the key to its place */
    if (err == E_OK)
        err = raft_transport_renew(c->transport, tls);
    if (err == E_OK && disk_path(path, c->data_dir, next_key_name) == E_OK)
        (void)unlink(path); /* a copy of what is in place; the next renewal replaces it */
    return err;
}

static void finish(struct cluster *c, const struct cert *cert)
{
    err_t err = take_over(c, cert);
    if (err != E_OK) {
        failed(c, err);
        return;
    }
    cert_key_free(c->next_key);
    c->next_key = NULL;
    c->renew_asked = false;
}

static err_t make_request(struct cluster *c, uint8_t csr[CERT_DER_MAX], size_t *len)
{
    struct cert_name name;
    memcpy(name.cluster_id, c->state.cluster.cluster_id, CLUSTER_ID_LEN);
    memcpy(name.node_id, c->node_id, NODE_ID_LEN);
    cert_key_free(c->next_key);
    c->next_key = NULL;
    err_t err = cert_key_make(&c->next_key);
    return err == E_OK ? cert_request_make(c->next_key, &name, csr, len) : err;
}

static err_t request(struct cluster *c)
{
    uint8_t csr[CERT_DER_MAX];
    size_t len = 0;
    struct cert *ca = NULL, *cert = NULL;
    err_t err = make_request(c, csr, &len);
    if (err != E_OK)
        return err;
    if (cluster_leads(c)) {
        err = cluster_issue(c, (struct bytes){csr, len}, c->node_id, &ca, &cert);
        if (err == E_OK)
            finish(c, cert);
        cert_free(ca);
        cert_free(cert);
        return err;
    }
    const struct peer *leader = cluster_peer_by_raft(c, raft_node_leader(c->node));
    return leader != NULL && leader->up
               ? raft_transport_send(c->transport, leader->id, MSG_CERT_ASK, (struct bytes){csr, len})
               : E_NO_QUORUM;
}

static bool is_due(const struct cluster *c)
{
    uint64_t now_s = clock_wall_ms(c->options.clock) / 1000, end = c->own_cert.not_after_s;
    uint64_t from = c->own_cert.not_before_s + CERT_BACKDATE_S;
    return c->renew_asked || (end > from && now_s >= from + (end - from) / 3 * 2);
}

void cluster_cert_tick(struct cluster *c, uint64_t now_ms)
{
    if (!c->ready || now_ms < c->renew_ms || !is_due(c))
        return;
    c->renew_ms = now_ms + RENEW_AGAIN_MS;
    err_t err = request(c);
    if (err != E_OK)
        failed(c, err);
}

/* ---- what comes ---- */

void cluster_cert_ask_take(struct cluster *c, const struct peer *from, struct bytes csr)
{
    struct cert *ca = NULL, *cert = NULL;
    char serial[CERT_SERIAL_MAX], node[2 * NODE_ID_LEN + 1];
    if (!cluster_leads(c) || !c->ready || ks_state_node(&c->state, from->id) == NULL)
        return; /* it asks again, whoever leads then */
    err_t err = cluster_issue(c, csr, from->id, &ca, &cert);
    if (err == E_OK && raft_transport_send(c->transport, from->id, MSG_CERT, cert_der(cert)) == E_OK)
        event(CERT_ISSUED, cert_serial(cert, serial), hex_text(node, from->id, NODE_ID_LEN));
    cert_free(ca);
    cert_free(cert);
}

void cluster_cert_take(struct cluster *c, const struct peer *from, struct bytes der)
{
    struct cert *cert = NULL;
    if (c->next_key == NULL || from->raft_id != raft_node_leader(c->node))
        return; /* nothing was asked */
    err_t err = cert_open(der, &cert);
    if (err == E_OK)
        finish(c, cert);
    else
        failed(c, err);
    cert_free(cert);
}

void cluster_cert_due_take(struct cluster *c)
{
    c->renew_asked = true;
    c->renew_ms = 0;
}

err_t cluster_cert_renew(struct cluster *c, const uint8_t *id)
{
    if (!c->ready || c->transport == NULL)
        return E_STATE;
    if (id == NULL || memcmp(id, c->node_id, NODE_ID_LEN) == 0) {
        cluster_cert_due_take(c);
        return E_OK;
    }
    if (ks_state_node(&c->state, id) == NULL)
        return E_NOT_FOUND;
    return raft_transport_send(c->transport, id, MSG_CERT_DUE, (struct bytes){0});
}
