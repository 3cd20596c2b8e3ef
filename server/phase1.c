/* phase1.c - main mode at the key server (RFC 2409 5.4): who may begin, repeats, Diffie-Hellman in the pool.
 */
#include <stdlib.h>

#include "server/core_parts.h"

static void failed(struct core *core, const struct addr *peer, err_t reason)
{
    char text[ADDR_TEXT_MAX];
    core_count(core, METRIC_PHASE1_FAILED);
    stranger_event(core, IKMP_MODE_FAILURE, "Main", addr_format(peer, text), err_text(reason));
}

/* A wrong pre-shared key shows only as a message that decrypts to noise. */
static err_t reason_of(const struct ike_half *half, err_t err)
{
    bool sealed = half->mm.state == MM_R_AWAIT_5;
    return sealed && (err == E_BAD_PADDING || err == E_BAD_HASH) ? E_AUTH : err;
}

/* Once per negotiation, so that forged repeats of message 5 fill no log. */
static void report(struct core *core, struct ike_sa *sa, err_t err)
{
    sa->half->last_error = reason_of(sa->half, err);
    core_count(core, METRIC_MALFORMED);
    if (sa->half->reported)
        return;
    sa->half->reported = true;
    char text[ADDR_TEXT_MAX];
    stranger_event(core, IKMP_MODE_FAILURE, "Main", addr_format(&sa->peer, text),
                   err_text(sa->half->last_error));
}

/* INITIAL-CONTACT: what the peer had before, it has no more (RFC 2407 4.6.3.3). Under protection, so it is
 * believed. */
static void forget_others(struct core *core, const struct ike_sa *newest, const struct identity *identity)
{
    struct ike_sa *at = ike_table_of_peer(&core->table, &newest->peer);
    while (at != NULL) {
        struct ike_sa *next = at->peer_next;
        if (at != newest && ike_sa_peer_is(at, identity))
            ike_table_remove(&core->table, at);
        at = next;
    }
}

static void established(struct core *core, struct ike_sa *sa)
{
    char peer[ADDR_TEXT_MAX];
    char suite[IKE_SUITE_TEXT_MAX];
    struct identity identity = sa->half->mm.sa.peer_id;
    bool alone = sa->half->mm.peer_initial_contact;
    addr_format(&sa->peer, peer);
    ike_suite_format(&sa->half->mm.sa.suite, suite);
    if (ike_table_establish(&core->table, sa, core->now_ms) != E_OK)
        return; /* out of memory: the peer asks in vain and comes again */
    core_count(core, METRIC_PHASE1_ESTABLISHED);
    if (alone)
        forget_others(core, sa, &identity);
    event(IKMP_SA_UP, peer, suite);
}

/* Give the job to the pool with the request that waits for it. */
static err_t compute(struct core *core, struct ike_sa *sa, const struct ike_path *path, struct bytes request,
                     const struct dh_job *dh)
{
    struct job *job = job_new(JOB_DH);
    err_t err = job == NULL ? E_NO_MEMORY : ike_request_set(&sa->half->request, path, request);
    if (err == E_OK) {
        job->sa_id = sa->id;
        job->dh = *dh;
        err = core_compute(core, job);
    }
    if (err != E_OK) {
        core_count(core, METRIC_JOBS_REFUSED);
        job_free(job);
    }
    return err;
}

/* The computation was not done: the negotiation goes back, and message 3 may come again. */
static void take_back(struct ike_sa *sa, struct bytes request, err_t why)
{
    struct dh_job none = {.group = sa->half->mm.sa.suite.group, .err = why};
    struct mm_event event = {.kind = MM_EVENT_DH_DONE, .job = &none};
    struct mm_effects effects;
    uint8_t unused[1];
    struct writer w = writer_over(unused, sizeof(unused));
    err_t err = main_mode_step(&sa->half->mm, &event, &w, &effects);
    (void)err; /* it is 'why' */
    answer_cache_forget(&sa->work->cache, request);
    ike_request_close(&sa->half->request);
}

static void answer(struct core *core, struct ike_sa *sa, const struct ike_path *path, struct bytes request,
                   struct bytes reply)
{
    if (answer_cache_put(&sa->work->cache, request, reply) != E_OK)
        answer_cache_forget(&sa->work->cache, request);
    core_send(core, path, reply);
}

/* A message of a negotiation that we have. */
static void advance(struct core *core, struct ike_sa *sa, const struct ike_path *path, struct bytes datagram)
{
    struct mm_event event = {.kind = MM_EVENT_DATAGRAM, .datagram = datagram};
    struct mm_effects effects;
    struct writer w = writer_over(core->reply, sizeof(core->reply));
    err_t err = main_mode_step(&sa->half->mm, &event, &w, &effects);
    if (err != E_OK) {
        if (effects.failed) {
            if (effects.send)
                core_send(core, path, writer_bytes(&w));
            failed(core, &sa->peer, err);
            ike_table_remove(&core->table, sa);
        } else if (sa->half->mm.state == MM_R_AWAIT_1) {
            failed(core, &sa->peer, err);
            ike_table_remove(&core->table, sa); /* nothing was begun */
        } else {
            report(core, sa, err);
        }
        return;
    }
    if (effects.send)
        answer(core, sa, path, datagram, writer_bytes(&w));
    if (effects.compute) {
        answer_cache_begin(&sa->work->cache, datagram);
        err = compute(core, sa, path, datagram, &effects.job);
        if (err != E_OK)
            take_back(sa, datagram, err);
    }
    if (effects.established)
        established(core, sa);
}

/* Seen before? Answers it then as it was answered. */
static bool is_repeat(struct core *core, struct ike_work *work, const struct ike_path *path,
                      struct bytes datagram)
{
    struct bytes reply;
    switch (answer_cache_look(&work->cache, datagram, &reply)) {
    case ANSWER_NEW:
        return false;
    case ANSWER_RESEND:
        core_count(core, METRIC_ANSWERS_REPEATED);
        core_send(core, path, reply);
        return true;
    default:
        core_count(core, METRIC_REQUESTS_DROPPED);
        return true;
    }
}

/* Our end, as identity: the address that the peer spoke to. */
static struct identity local_identity(const struct core *core, const struct ike_path *path)
{
    return identity_from_addr(path->local.family != 0 ? &path->local : &core->config->listen.addr);
}

/* The table of negotiations is full. A flood from forged addresses never gets beyond message 1, so the oldest
 * that has stayed there makes room, unless it is too young to tell. */
static bool has_room(struct core *core, const struct ike_path *path)
{
    if (core->table.half_count < core->config->half_open_max)
        return true;
    struct ike_sa *oldest = core->table.half.first;
    if (oldest->half->mm.state == MM_R_AWAIT_3 &&
        core->now_ms >= oldest->half->begun_ms + HALF_OPEN_YOUNG_MS) {
        ike_table_remove(&core->table, oldest);
        return true;
    }
    char text[ADDR_TEXT_MAX];
    core_count(core, METRIC_HALF_OPEN_REFUSED);
    stranger_event(core, IKMP_HALF_OPEN_LIMIT, (unsigned)core->table.half_count, core_peer_text(path, text));
    return false;
}

/* All peers without a key get the same answer, and nothing is kept of them. */
static void refuse_stranger(struct core *core, const struct ike_path *path,
                            const struct isakmp_header *header)
{
    char text[ADDR_TEXT_MAX];
    core_count(core, METRIC_PHASE1_UNAUTHORIZED);
    stranger_event(core, KS_UNAUTHORIZED, core_peer_text(path, text));
    notices_refuse(core, path, header, notify_for_error(E_NOT_AUTHORIZED));
}

static void begin(struct core *core, const struct ike_path *path, const struct isakmp_header *header,
                  struct bytes datagram)
{
    struct secret psk = {0};
    struct ike_sa *sa = NULL;
    if (cookie_is_zero(header->cookie_i) || !core_admit(core, path))
        return;
    err_t err = state_psk(core, &path->peer.addr, &psk);
    if (err == E_NOT_FOUND) {
        refuse_stranger(core, path, header);
        return;
    }
    if (err == E_OK && has_room(core, path)) {
        struct mm_params params = {.policy = &core->policy,
                                   .psk = secret_view(&psk),
                                   .local_id = local_identity(core, path),
                                   .rng = core->rng};
        err = ike_table_begin(&core->table, header->cookie_i, &path->peer, &params, core->now_ms, &sa);
    }
    secret_close(&psk);
    if (err != E_OK)
        failed(core, &path->peer.addr, err);
    if (sa == NULL)
        return;
    core_count(core, METRIC_PHASE1_STARTED);
    advance(core, sa, path, datagram);
}

void phase1_datagram(struct core *core, const struct ike_path *path, const struct isakmp_header *header,
                     struct bytes datagram)
{
    struct ike_sa *sa;
    if (!core_serves(core)) {
        core_count(core, METRIC_NOT_READY);
        return;
    }
    bool first = cookie_is_zero(header->cookie_r);
    if (first)
        sa = ike_table_find_start(&core->table, header->cookie_i, &path->peer);
    else
        sa = ike_table_find(&core->table, header->cookie_i, header->cookie_r);
    if (sa == NULL && first) {
        begin(core, path, header, datagram);
        return;
    }
    if (sa == NULL || !addr_equal(&sa->peer, &path->peer.addr)) {
        core_count(core, METRIC_NO_SUCH_SA);
        return;
    }
    if (sa->work != NULL && is_repeat(core, sa->work, path, datagram))
        return;
    if (sa->half != NULL)
        advance(core, sa, path, datagram);
    else
        core_count(core, METRIC_REQUESTS_DROPPED); /* phase 1 is over */
}

void phase1_job_done(struct core *core, struct job *job)
{
    struct ike_sa *sa = ike_table_by_id(&core->table, job->sa_id);
    if (sa == NULL || sa->half == NULL)
        return; /* given up meanwhile */
    struct mm_event event = {.kind = MM_EVENT_DH_DONE, .job = &job->dh};
    struct mm_effects effects;
    struct writer w = writer_over(core->reply, sizeof(core->reply));
    struct ike_request *request = &sa->half->request;
    err_t err = main_mode_step(&sa->half->mm, &event, &w, &effects);
    if (err == E_OK && effects.send) {
        answer(core, sa, &request->path, ike_request_view(request), writer_bytes(&w));
    } else if (err != E_OK) {
        report(core, sa, err);
        answer_cache_forget(&sa->work->cache, ike_request_view(request));
    }
    ike_request_close(request);
}

void phase1_tick(struct core *core)
{
    struct ike_sa *sa;
    while ((sa = ike_table_overdue(&core->table, core->now_ms)) != NULL) {
        if (!sa->half->reported)
            failed(core, &sa->peer, sa->half->last_error != E_OK ? sa->half->last_error : E_TIMEOUT);
        else
            core_count(core, METRIC_PHASE1_FAILED);
        ike_table_remove(&core->table, sa);
    }
    if (core->now_ms < core->sweep_ms)
        return;
    core->sweep_ms = core->now_ms + SWEEP_GAP_MS;
    ike_table_sweep(&core->table, core->now_ms);
}
