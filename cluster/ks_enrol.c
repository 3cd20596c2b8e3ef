/* ks_enrol.c - members that get their pre-shared key by a one-time token, as replicated state: the token is a
 * part of the row of that member's key, so there can be as many as there are keys. */
#include <string.h>

#include "cluster/ks_internal.h"

const struct psk_record *ks_state_enrolled(const struct ks_state *state, const struct addr *member)
{
    struct prefix peer = {.addr = *member, .bits = (uint8_t)(addr_len(member) * 8)};
    struct row_key key = psk_row_key(&peer);
    const struct ks_psk *psk = map_find(&state->psks, (struct bytes){key.data, key.len});
    return psk != NULL && psk->record.enrolment.is_set ? &psk->record : NULL;
}

/* A key that the member has already stays in force until the new token is used. */
err_t ks_apply_enrol_set(struct ks_apply *a, const struct cmd_enrol_set *c)
{
    struct ks_psk *psk;
    size_t len = addr_len(&c->peer.addr);
    a->result->err = E_OK;
    if (len == 0 || c->peer.bits != len * 8)
        a->result->err = E_RANGE;
    else if (ks_state_group(a->state, c->enrolment.group_id) == NULL)
        a->result->err = E_UNKNOWN_GROUP;
    if (a->result->err != E_OK)
        return E_OK;
    err_t err = ks_psk_row(a, &c->peer, &psk);
    if (err != E_OK || psk == NULL)
        return err;
    if (psk->record.psk.len != 0 && !psk->record.enrolment.is_set) {
        a->result->err = E_EXISTS;
        return E_OK;
    }
    psk->record.enrolment = c->enrolment;
    psk->record.enrolment.is_set = true;
    psk->record.enrolment.used = false;
    a->result->changed = true;
    ks_put_psk(a, psk);
    return E_OK;
}

err_t ks_enrolment_may_use(const struct enrolment *e, const uint8_t request_mac[ENROL_MAC_LEN],
                           uint64_t now_ms)
{
    if (e->used)
        return memcmp(e->used_by, request_mac, ENROL_MAC_LEN) == 0 ? E_EXISTS : E_REPLAY;
    return e->expires_ms <= now_ms ? E_EXPIRED : E_OK;
}

err_t ks_apply_enrol_used(struct ks_apply *a, const struct cmd_enrol_used *c)
{
    struct row_key key = psk_row_key(&c->peer);
    struct ks_psk *psk = map_find(&a->state->psks, row_key_bytes(&key));
    struct enrolment *e = psk != NULL ? &psk->record.enrolment : NULL;
    if (e == NULL || !e->is_set || memcmp(e->id, c->token_id, ENROL_ID_LEN) != 0)
        return E_AUTH;
    err_t err = ks_enrolment_may_use(e, c->request_mac, a->now_ms);
    if (err == E_EXISTS)
        return E_OK; /* this very request was granted before */
    if (err != E_OK)
        return err;
    psk->record.psk = c->psk;
    e->used = true;
    memcpy(e->used_by, c->request_mac, ENROL_MAC_LEN);
    a->result->changed = true;
    ks_put_psk(a, psk);
    return E_OK;
}
