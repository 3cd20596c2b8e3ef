/* registration.c - GROUPKEY-PULL at the key server (RFC 6407 3.2). Keys are told only after the registration
 * is committed (I1): message 3 becomes a proposal, and message 4 is built when the state machine has applied
 * it. */
#include <stdlib.h>

#include "server/core_parts.h"

/* A message under its SA, and what belongs to it. */
struct pull_call {
    struct core *core;
    const struct ike_path *path;
    struct ike_sa *sa;
    struct ike_work *work;
    struct isakmp_sa full;
    struct bytes datagram;
};

static void answer(struct core *core, struct ike_work *work, const struct ike_path *path,
                   struct bytes request, struct bytes reply)
{
    if (answer_cache_put(&work->cache, request, reply) != E_OK)
        answer_cache_forget(&work->cache, request);
    core_send(core, path, reply);
}

static void refuse(struct core *core, struct ike_work *work, const struct isakmp_sa *full,
                   const struct ike_path *path, struct bytes request, uint16_t notify)
{
    struct bytes reply;
    if (notices_protected(core, full, notify, &reply) == E_OK)
        answer(core, work, path, request, reply);
}

/* A rekey overtook the exchange: the keys that message 2 announced are not those of now. The member pulls
 * again. */
static void refuse_stale(struct core *core, struct ike_work *work, const struct isakmp_sa *full,
                         const struct ike_path *path, struct bytes request)
{
    core_count(core, METRIC_PULL_STALE);
    refuse(core, work, full, path, request, NOTIFY_INVALID_SPI);
}

static void malformed(const struct pull_call *call, err_t err)
{
    char peer[ADDR_TEXT_MAX];
    core_count(call->core, METRIC_MALFORMED);
    stranger_event(call->core, IKMP_BAD_MESSAGE, core_peer_text(call->path, peer), err_text(err));
}

/* With pre-shared keys an address is what proves the key, so an address as identity must be that one: else
 * one member could register as another whose key it has not (PROTOCOL 7 rows 4 and 17). */
static err_t identity_fits(const struct pull_call *call)
{
    struct addr claimed;
    if (identity_addr(&call->full.peer_id, &claimed) != E_OK)
        return E_OK; /* a name */
    return addr_equal(&claimed, &call->path->peer.addr) ? E_OK : E_NOT_AUTHORIZED;
}

/* The group that was asked for, if this member may have it. Logs a refusal. */
static const struct ks_group *authorised_group(const struct pull_call *call, const struct identity *identity)
{
    char text[ID_TEXT_MAX];
    char peer[ADDR_TEXT_MAX];
    core_peer_text(call->path, peer);
    const struct ks_group *group = ks_state_group_by_identity(core_state(call->core), identity);
    if (group == NULL) {
        stranger_event(call->core, KS_UNKNOWN_GROUP, peer, identity_format(identity, text));
        return NULL;
    }
    err_t err = ks_group_allows(group, &call->full.peer_id, &call->path->peer.addr);
    if (err == E_OK)
        err = identity_fits(call);
    if (err == E_OK)
        return group;
    if (err == E_BAD_ID)
        stranger_event(call->core, UNAUTHORIZED_IDENTITY, group->record.config.name,
                       identity_format(&call->full.peer_id, text));
    else
        stranger_event(call->core, UNAUTHORIZED_IPADDR, group->record.config.name, peer);
    return NULL;
}

static err_t group_policy_now(struct core *core, const struct ks_group *group, const struct ks_member *member,
                              struct group_policy *out)
{
    enum ks_contact contact = minority_contact(core, group);
    if (contact == CONTACT_NONE)
        return E_STATE;
    return ks_group_policy_in(core_state(core), group, core->ports.wrap_key(core->ports.context), member,
                              contact, core_cluster_now(core), out);
}

static err_t offer(const struct pull_call *call, struct ike_pull *pull, const struct ks_group *group,
                   struct writer *w)
{
    struct core *core = call->core;
    struct group_policy policy = {0};
    err_t err = group_policy_now(core, group, NULL, &policy);
    if (err == E_OK)
        err =
            pull_server_offer(&pull->pull, &call->full, core->rng, &policy, &group->record.config.dialect, w);
    group_policy_close(&policy);
    pull->group_id = group->record.id;
    pull->generation = group->record.generation;
    pull->seq = group->record.seq;
    return err;
}

/* A sender id that is not committed could be given twice, and a nonce with it (RFC 6054 4). */
static void refuse_counter_mode(const struct pull_call *call, const struct ks_group *group)
{
    char identity[ID_TEXT_MAX];
    core_count(call->core, METRIC_PULL_REFUSED);
    stranger_event(call->core, KS_MINORITY_REFUSED, identity_format(&call->full.peer_id, identity),
                   group->record.config.name, "its sender ids need a quorum of key servers");
    refuse(call->core, call->work, &call->full, call->path, call->datagram, NOTIFY_NO_PROPOSAL_CHOSEN);
}

static void on_group(const struct pull_call *call, struct ike_pull *fresh, const struct ks_group *group)
{
    struct core *core = call->core;
    struct writer w = writer_over(core->reply, sizeof(core->reply));
    err_t err = offer(call, fresh, group, &w);
    if (err == E_OK)
        err = ike_work_keep(call->work, fresh);
    if (err == E_OK) {
        answer(core, call->work, call->path, call->datagram, writer_bytes(&w));
    } else if (err == E_NO_QUORUM) {
        refuse_counter_mode(call, group);
    } else {
        core_count(core, METRIC_NOT_READY); /* no keys yet, or none that live: the member asks again */
    }
}

/* Message 1: nothing is kept of it before its HASH is good. */
static void on_request(const struct pull_call *call)
{
    struct core *core = call->core;
    struct ike_pull fresh = {.last_ms = core->now_ms};
    err_t err = pull_server_request(&fresh.pull, &call->full, call->datagram, core->plain);
    if (err != E_OK) {
        malformed(call, err);
        return;
    }
    core_count(core, METRIC_PULL_STARTED);
    const struct ks_group *group = authorised_group(call, &fresh.pull.group);
    if (group == NULL) {
        core_count(core, METRIC_PULL_REFUSED);
        refuse(core, call->work, &call->full, call->path, call->datagram, notify_for_error(E_UNKNOWN_GROUP));
    } else {
        on_group(call, &fresh, group);
    }
    secret_wipe(&fresh, sizeof(fresh));
}

/* What a commit must find again: ids only, for the SA may be gone by then. */
struct commit {
    struct core *core;
    uint64_t sa_id;
    uint32_t message_id;
};

/* The fate is unknown, or it was not taken: nothing is said, and message 3 may come again. */
static void take_back(struct ike_work *work, struct ike_pull *pull)
{
    answer_cache_forget(&work->cache, ike_request_view(&pull->request));
    ike_request_close(&pull->request);
    pull->pull = pull->before;
    pull->committing = false;
}

/* A rekey may have been committed since message 2. Its key is not for this exchange: the push brings it. */
static void keep_offered(struct group_policy *policy, const struct pull_server *pull)
{
    size_t kept = 0;
    for (size_t i = 0; i < policy->tek_count; i++) {
        bool offered = false;
        for (size_t j = 0; j < pull->tek_count; j++)
            offered = offered || pull->tek_spis[j] == policy->teks[i].spi;
        if (offered && kept != i)
            policy->teks[kept] = policy->teks[i];
        kept += offered;
    }
    if (kept < policy->tek_count)
        secret_wipe(&policy->teks[kept], (policy->tek_count - kept) * sizeof(policy->teks[0]));
    policy->tek_count = kept;
}

/* Message 4 from the committed state. */
static err_t deliver(struct core *core, struct ike_pull *pull, const struct isakmp_sa *full,
                     const struct apply_result *result, struct writer *w)
{
    struct group_policy policy = {0};
    err_t err = group_policy_now(core, result->group, result->member, &policy);
    if (err == E_OK) {
        keep_offered(&policy, &pull->pull);
        err = pull_server_deliver(&pull->pull, full, &policy, pull->seq, w);
    }
    group_policy_close(&policy);
    return err;
}

static void registered(struct core *core, const struct ks_group *group, const struct ks_member *member)
{
    char identity[ID_TEXT_MAX];
    char address[ADDR_TEXT_MAX];
    core_count(core, METRIC_REGISTRATIONS);
    event(KS_GM_REGISTERED, identity_format(&member->record.identity, identity), group->record.config.name,
          endpoint_format(&member->record.endpoint, address));
}

static void finish(struct core *core, struct ike_sa *sa, struct ike_pull *pull,
                   const struct apply_result *result)
{
    struct isakmp_sa full;
    struct ike_work *work = sa->work;
    struct writer w = writer_over(core->reply, sizeof(core->reply));
    ike_sa_open(sa, &full);
    err_t err = result->err;
    if (err == E_OK) {
        registered(core, result->group, result->member);
        err = deliver(core, pull, &full, result, &w);
    }
    if (err == E_OK) {
        answer(core, work, &pull->request.path, ike_request_view(&pull->request), writer_bytes(&w));
        ike_work_end(work, pull);
    } else if (err == E_CANCELED || err == E_NO_QUORUM || err == E_NO_MEMORY) {
        core_count(core, METRIC_PULL_UNCOMMITTED);
        take_back(work, pull);
    } else {
        refuse_stale(core, work, &full, &pull->request.path, ike_request_view(&pull->request));
        ike_work_end(work, pull);
    }
    isakmp_sa_close(&full);
}

static void on_committed(void *context, const struct apply_result *result)
{
    struct commit *commit = context;
    struct core *core = commit->core;
    core->now_ms = clock_mono_ms(core->clock);
    struct ike_sa *sa = ike_table_by_id(&core->table, commit->sa_id);
    struct ike_pull *pull = sa != NULL && sa->work != NULL ? ike_work_pull(sa->work, commit->message_id) : NULL;
    free(commit);
    if (pull != NULL && pull->committing)
        finish(core, sa, pull, result);
}

static err_t propose(const struct pull_call *call, const struct ike_pull *pull)
{
    struct core *core = call->core;
    struct commit *commit = malloc(sizeof(*commit));
    if (commit == NULL)
        return E_NO_MEMORY;
    *commit = (struct commit){core, call->sa->id, pull->pull.message_id};
    uint16_t sids = pull->pull.sid_request;
    struct command command = {
        .type = CMD_MEMBER_REGISTERED,
        .time_ms = core_cluster_now(core),
        .u.member_registered = {.group_id = pull->group_id,
                                .identity = call->full.peer_id,
                                .endpoint = call->path->peer,
                                .sid_request = sids > MEMBER_SID_MAX ? MEMBER_SID_MAX : sids,
                                .offered_generation = pull->generation,
                                .offered_seq = pull->seq}};
    const uint8_t *node_id = core->ports.node_id(core->ports.context);
    for (size_t i = 0; i < NODE_ID_LEN; i++)
        command.u.member_registered.key_server[i] = node_id[i];
    err_t err = core->ports.propose(core->ports.context, &command, on_committed, commit);
    if (err != E_OK)
        free(commit);
    return err;
}

/* One identity, one registration: the newer one wins, and it is said (PROTOCOL 7 row 17). */
static void report_move(const struct pull_call *call, const struct ike_pull *pull)
{
    char identity[ID_TEXT_MAX];
    char now[ADDR_TEXT_MAX];
    char before[ADDR_TEXT_MAX];
    const struct ks_group *group = ks_state_group(core_state(call->core), pull->group_id);
    const struct ks_member *member = group != NULL ? ks_group_member(group, &call->full.peer_id) : NULL;
    if (member == NULL || addr_equal(&member->record.endpoint.addr, &call->path->peer.addr))
        return;
    stranger_event(call->core, KS_GM_MOVED, identity_format(&call->full.peer_id, identity),
                   group->record.config.name, core_peer_text(call->path, now),
                   addr_format(&member->record.endpoint.addr, before));
}

/* Without a quorum: committed keys only, and that it was here is proposed later. */
static void confirm_in_minority(const struct pull_call *call, struct ike_pull *pull,
                                const struct ks_group *group)
{
    char identity[ID_TEXT_MAX];
    struct core *core = call->core;
    struct writer w = writer_over(core->reply, sizeof(core->reply));
    struct apply_result result = {.group = group, .group_id = group->record.id};
    err_t err = deliver(core, pull, &call->full, &result, &w);
    if (err != E_OK) {
        refuse_stale(core, call->work, &call->full, call->path, call->datagram);
        ike_work_end(call->work, pull);
        return;
    }
    struct cmd_member_served served = {.group_id = group->record.id,
                                       .identity = call->full.peer_id,
                                       .endpoint = call->path->peer,
                                       .served_ms = core_cluster_now(core)};
    const uint8_t *node_id = core->ports.node_id(core->ports.context);
    for (size_t i = 0; i < NODE_ID_LEN; i++)
        served.key_server[i] = node_id[i];
    minority_keep(core, &served);
    core_count(core, METRIC_MINORITY_REGISTRATIONS);
    event(KS_MINORITY_SERVED, identity_format(&call->full.peer_id, identity), group->record.config.name);
    answer(core, call->work, call->path, call->datagram, writer_bytes(&w));
    ike_work_end(call->work, pull);
}

/* Message 3: the member proved itself. */
static void on_confirm(const struct pull_call *call, struct ike_pull *pull)
{
    struct core *core = call->core;
    struct pull_server before = pull->pull;
    err_t err = pull_server_confirm(&pull->pull, &call->full, call->datagram, core->plain);
    if (err != E_OK) {
        malformed(call, err);
        secret_wipe(&before, sizeof(before));
        return;
    }
    const struct ks_group *group = ks_state_group(core_state(core), pull->group_id);
    if (group != NULL && minority_contact(core, group) == CONTACT_MINORITY) {
        confirm_in_minority(call, pull, group);
        secret_wipe(&before, sizeof(before));
        return;
    }
    pull->before = before;
    pull->last_ms = core->now_ms;
    pull->committing = true;
    secret_wipe(&before, sizeof(before));
    report_move(call, pull);
    err = ike_request_set(&pull->request, call->path, call->datagram);
    if (err == E_OK) {
        answer_cache_begin(&call->work->cache, call->datagram);
        err = propose(call, pull);
    }
    if (err != E_OK) {
        core_count(core, METRIC_PULL_UNCOMMITTED);
        take_back(call->work, pull);
    }
}

static void dispatch(const struct pull_call *call, uint32_t message_id)
{
    struct core *core = call->core;
    struct bytes reply;
    switch (answer_cache_look(&call->work->cache, call->datagram, &reply)) {
    case ANSWER_NEW:
        break;
    case ANSWER_RESEND:
        core_count(core, METRIC_ANSWERS_REPEATED);
        core_send(core, call->path, reply);
        return;
    default:
        core_count(core, METRIC_REQUESTS_DROPPED);
        return;
    }
    struct ike_pull *pull = ike_work_pull(call->work, message_id);
    if (pull != NULL && !pull->committing)
        on_confirm(call, pull);
    else if (pull != NULL)
        core_count(core, METRIC_REQUESTS_DROPPED);
    else if (core_admit(core, call->path))
        on_request(call);
}

void registration_datagram(struct core *core, const struct ike_path *path, const struct isakmp_header *header,
                           struct bytes datagram)
{
    struct ike_sa *sa = ike_table_find(&core->table, header->cookie_i, header->cookie_r);
    bool ours = sa != NULL && sa->half == NULL && core->now_ms < sa->expires_ms &&
                addr_equal(&sa->peer, &path->peer.addr);
    if (!ours) {
        core_count(core, METRIC_NO_SUCH_SA);
        /* After our restart a member would wait for its timers: a clear hint shortens that, and costs no more
         * than it got. */
        if (sa == NULL && core_admit(core, path))
            notices_refuse(core, path, header, NOTIFY_INVALID_COOKIE);
        return;
    }
    if (!core_serves(core)) {
        core_count(core, METRIC_NOT_READY);
        return;
    }
    struct pull_call call = {.core = core, .path = path, .sa = sa, .datagram = datagram};
    call.work = ike_table_use(&core->table, sa, core->now_ms);
    if (call.work == NULL)
        return;
    ike_sa_open(sa, &call.full);
    dispatch(&call, header->message_id);
    isakmp_sa_close(&call.full);
}
