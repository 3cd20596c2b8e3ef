/* cluster_enrol.c - members that get their pre-shared key by a one-time token (proto/ike/enrol.h): tokens are
 * made, requests on the join port checked, committed, answered. Any server that is ready does all of it. */
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/hex.h"
#include "cluster/cluster_internal.h"

static struct prefix host_of(const struct addr *member)
{
    return (struct prefix){.addr = *member, .bits = (uint8_t)(addr_len(member) * 8)};
}

/* ---- tokens ---- */

static struct bytes key_context(const struct ks_state *state, const uint8_t id[ENROL_ID_LEN],
                                uint8_t out[WRAP_CONTEXT_MAX])
{
    return wrap_context(state, 0, WRAP_ENROL, (struct bytes){id, ENROL_ID_LEN}, out);
}

static err_t seal_token(struct cluster *c, const struct enrol_token *token, struct enrolment *out)
{
    struct secret key = {0};
    uint8_t context[WRAP_CONTEXT_MAX];
    err_t err = enrol_token_key(token, &key, out->id);
    if (err == E_OK)
        err = keywrap_seal(c->wrap, c->options.rng, key_context(&c->state, out->id, context),
                           secret_view(&key), &out->key);
    secret_close(&key);
    return err;
}

/* What apply would refuse, and what would come to nothing: said at once. */
static err_t may_enrol(const struct cluster *c, const struct ks_group *group, const struct addr *member)
{
    struct prefix host = host_of(member);
    struct row_key key = psk_row_key(&host);
    const struct ks_psk *psk = map_find(&c->state.psks, (struct bytes){key.data, key.len});
    struct identity identity = identity_from_addr(member);
    if (!c->ready || c->join == NULL)
        return E_STATE;
    if (group == NULL)
        return E_UNKNOWN_GROUP;
    if (psk != NULL && psk->record.psk.len != 0 && !psk->record.enrolment.is_set)
        return E_EXISTS;
    return ks_group_allows(group, &identity, member) == E_OK ? E_OK : E_NOT_AUTHORIZED;
}

err_t cluster_enrol_token(struct cluster *c, const char *name, const struct addr *member,
                          char out[ENROL_TOKEN_TEXT_MAX], cluster_done_fn done, void *context)
{
    const struct ks_group *group = ks_state_group_by_name(&c->state, name);
    struct command command = {.type = CMD_ENROL_SET, .time_ms = cluster_now_ms(c)};
    struct cmd_enrol_set *set = &command.u.enrol_set;
    struct enrol_token token = {0};
    char text[ADDR_TEXT_MAX];
    err_t err = may_enrol(c, group, member);
    if (err == E_OK)
        err = enrol_token_make(&token, member, c->options.rng);
    if (err != E_OK)
        return err;
    set->peer = host_of(member);
    set->enrolment = (struct enrolment){.is_set = true,
                                        .group_id = group->record.id,
                                        .expires_ms = command.time_ms + ENROL_TOKEN_MINUTES * 60000u};
    err = seal_token(c, &token, &set->enrolment);
    if (err == E_OK)
        err = cluster_propose(c, &command, done, context);
    if (err == E_OK) {
        enrol_token_format(&token, out);
        event(ENROL_TOKEN_MADE, addr_format(member, text), name, (unsigned)ENROL_TOKEN_MINUTES);
    }
    enrol_token_close(&token);
    return err;
}

err_t cluster_enrol_revoke(struct cluster *c, const struct addr *member, cluster_done_fn done, void *context)
{
    if (ks_state_enrolled(&c->state, member) == NULL)
        return E_NOT_FOUND;
    struct command command = {
        .type = CMD_PSK_DELETE, .time_ms = cluster_now_ms(c), .u.psk_delete.peer = host_of(member)};
    return cluster_propose(c, &command, done, context);
}

/* ---- requests ---- */

/* A request on its way through the log. */
struct enrolling {
    struct cluster *c;
    cluster_join_fn answer;
    void *context;
    char remote[ADDR_TEXT_MAX];
    size_t len;
    uint8_t bytes[ENROL_REQUEST_MAX];
    struct enrol_request request; /* into bytes */
};

static void refuse(const struct enrolling *e, err_t why)
{
    uint8_t answer[ENROL_ANSWER_MAX];
    size_t len = 0;
    if (cluster_tell_refusal(e->c))
        event(ENROL_REFUSED, e->remote, err_text(why));
    if (enrol_refusal_make(why, answer, &len) != E_OK)
        len = 0;
    e->answer(e->context, (struct bytes){answer, len});
}

/* The token's row, and its key, with which the request proves itself. */
static err_t open_token(const struct enrolling *e, const struct psk_record **row, struct secret *key)
{
    const struct cluster *c = e->c;
    uint8_t context[WRAP_CONTEXT_MAX];
    *row = ks_state_enrolled(&c->state, &e->request.member);
    if (*row == NULL || memcmp((*row)->enrolment.id, e->request.token_id, ENROL_ID_LEN) != 0)
        return E_AUTH;
    err_t err = keywrap_open(c->wrap, key_context(&c->state, (*row)->enrolment.id, context),
                             &(*row)->enrolment.key, key);
    return err == E_OK ? enrol_request_check(&e->request, key) : err;
}

static err_t fill_grant(const struct cluster *c, const struct psk_record *row, struct enrol_grant *grant)
{
    const struct ks_group *group = ks_state_group(&c->state, row->enrolment.group_id);
    if (group == NULL)
        return E_NOT_FOUND;
    memcpy(grant->group, group->record.config.name, sizeof(grant->group));
    grant->identity = group->record.config.identity;
    for (size_t i = 0; i < c->state.node_count && grant->server_count < ENROL_SERVER_MAX; i++) {
        const struct node_record *node = &c->state.nodes[i];
        if (node->role != NODE_WITNESS && node->address.family == row->peer.addr.family)
            grant->servers[grant->server_count++] = node->address;
    }
    return ks_psk_open(&c->state, c->wrap, row, &grant->psk);
}

/* From committed state. */
static void answer_now(const struct enrolling *e)
{
    uint8_t answer[ENROL_ANSWER_MAX];
    size_t len = 0;
    char member[ADDR_TEXT_MAX];
    const struct psk_record *row;
    struct secret key = {0};
    struct enrol_grant grant = {0};
    err_t err = open_token(e, &row, &key);
    if (err == E_OK)
        err = fill_grant(e->c, row, &grant);
    if (err == E_OK)
        err = enrol_answer_make(&e->request, &key, &grant, answer, &len);
    if (err == E_OK) {
        event(ENROL_GRANTED, addr_format(&e->request.member, member), grant.group, e->remote);
        e->answer(e->context, (struct bytes){answer, len});
    } else {
        refuse(e, err);
    }
    enrol_grant_close(&grant);
    secret_close(&key);
}

static void on_used(void *context, const struct apply_result *result)
{
    struct enrolling *e = context;
    if (result->err == E_OK)
        answer_now(e);
    else
        refuse(e, result->err);
    free(e);
}

/* Draws the member's key; what else asks with this token meanwhile is refused by apply. */
static err_t use_token(struct enrolling *e, const struct psk_record *row)
{
    struct cluster *c = e->c;
    struct command command = {.type = CMD_ENROL_USED, .time_ms = cluster_now_ms(c)};
    struct cmd_enrol_used *used = &command.u.enrol_used;
    struct psk_record sealed;
    uint8_t raw[ENROL_PSK_LEN / 2];
    char text[ENROL_PSK_LEN + 1];
    used->peer = row->peer;
    memcpy(used->token_id, e->request.token_id, ENROL_ID_LEN);
    memcpy(used->request_mac, e->request.mac, ENROL_MAC_LEN);
    err_t err = rng_fill(c->options.rng, raw, sizeof(raw));
    if (err == E_OK)
        err = ks_psk_seal(&c->state, c->wrap, c->options.rng, &row->peer,
                          bytes_of_text(hex_text(text, raw, sizeof(raw))), &sealed);
    if (err == E_OK) {
        used->psk = sealed.psk;
        err = cluster_propose(c, &command, on_used, e);
    }
    secret_wipe(raw, sizeof(raw));
    secret_wipe(text, sizeof(text));
    return err;
}

/* E_EXISTS: it was granted before, answer again. */
static err_t check(struct enrolling *e, const struct psk_record **row)
{
    struct secret key = {0};
    err_t err = enrol_request_decode(&e->request, (struct bytes){e->bytes, e->len});
    if (err == E_OK && !e->c->ready)
        err = E_NO_QUORUM;
    if (err == E_OK)
        err = open_token(e, row, &key);
    if (err == E_OK)
        err = ks_enrolment_may_use(&(*row)->enrolment, e->request.mac, cluster_now_ms(e->c));
    secret_close(&key);
    return err;
}

void cluster_enrol_request(struct cluster *c, struct bytes encoded, const char *remote,
                           cluster_join_fn answer, void *context)
{
    struct enrolling *e = calloc(1, sizeof(*e));
    const struct psk_record *row = NULL;
    if (e == NULL || encoded.len > ENROL_REQUEST_MAX) {
        free(e);
        answer(context, (struct bytes){0});
        return;
    }
    *e = (struct enrolling){.c = c, .answer = answer, .context = context, .len = encoded.len};
    memcpy(e->bytes, encoded.data, encoded.len);
    memcpy(e->remote, remote, strnlen(remote, ADDR_TEXT_MAX - 1));
    err_t err = check(e, &row);
    if (err == E_OK)
        err = use_token(e, row);
    else if (err == E_EXISTS) {
        answer_now(e);
        free(e);
        return;
    }
    if (err == E_OK)
        return; /* on_used goes on */
    refuse(e, err);
    free(e);
}
