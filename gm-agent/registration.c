/* registration.c - main mode and PULL with one key server. */
#include "gm-agent/registration.h"

#include <stdio.h>
#include <string.h>

#include "gm-agent/tek_table.h"

static void fail(struct registration *reg, err_t reason, struct registration_effects *out)
{
    reg->state = REGISTRATION_FAILED;
    out->failed = true;
    out->reason = reason;
    if (reg->why[0] == '\0')
        snprintf(reg->why, sizeof(reg->why), "%s", err_text(reason));
}

/* A new request of ours: it is repeated until it is answered or its time is over. */
static void request(struct registration *reg, const struct writer *w, uint64_t now_ms,
                    struct registration_effects *out)
{
    reg->request_len = w->len;
    reg->resends = 0;
    reg->resend_wait_ms = reg->config->retransmit_ms;
    reg->resend_at_ms = now_ms + reg->resend_wait_ms;
    reg->deadline_ms = now_ms + 1000u * (uint64_t)reg->config->request_timeout_s;
    reg->hint = 0;
    reg->last_error = E_OK;
    out->send = true;
    out->datagram = (struct bytes){reg->request, reg->request_len};
}

static void start_pull(struct registration *reg, uint64_t now_ms, struct registration_effects *out)
{
    main_mode_take_sa(&reg->mm, &reg->sa);
    reg->state = REGISTRATION_PULL;
    reg->pull.any_dialect = reg->config->accept_dialect;
    struct writer w = writer_over(reg->request, sizeof(reg->request));
    /* A sender id for each thread that sends, if a key needs them (RFC 6407 3.3, 5.4.2). */
    uint32_t threads = reg->config->datapath.threads;
    err_t err = pull_member_start(&reg->pull, &reg->sa, reg->rng, &reg->config->group,
                                  threads > 1 ? (uint16_t)threads : 1, &w);
    if (err == E_OK)
        err = writer_end(&w);
    if (err != E_OK)
        fail(reg, err, out);
    else
        request(reg, &w, now_ms, out);
}

/* One step of main mode. The reply is written next to the request that is still being repeated, and takes its
 * place only if the step was good. */
static void step_main_mode(struct registration *reg, const struct mm_event *event, uint64_t now_ms,
                           struct registration_effects *out)
{
    uint8_t buffer[ISAKMP_MESSAGE_MAX];
    struct writer w = writer_over(buffer, sizeof(buffer));
    struct mm_effects effects = {0};
    err_t err = main_mode_step(&reg->mm, event, &w, &effects);
    if (err != E_OK) {
        reg->last_error = err;
        reg->dropped++;
        if (event->kind == MM_EVENT_DH_DONE) { /* the repeated answer of the server makes the job anew */
            reg->computing = false;
            reg->resend_at_ms = now_ms + reg->resend_wait_ms;
        }
        if (effects.failed || event->kind == MM_EVENT_START)
            fail(reg, err, out);
        return;
    }
    reg->computing = effects.compute;
    if (effects.compute) {
        out->compute = true;
        out->job = effects.job;
    }
    if (effects.send) {
        memcpy(reg->request, w.buf, w.len);
        request(reg, &w, now_ms, out);
    }
    if (effects.established) {
        out->phase1_up = true;
        start_pull(reg, now_ms, out);
    }
}

void registration_start(struct registration *reg, const struct gm_config *config, const struct rng *rng,
                        const struct endpoint *server, uint64_t now_ms, struct registration_effects *out)
{
    registration_close(reg);
    memset(out, 0, sizeof(*out));
    reg->config = config;
    reg->rng = rng;
    reg->server = *server;
    reg->state = REGISTRATION_MAIN_MODE;
    reg->started_ms = now_ms;
    struct mm_params params = {
        .policy = &config->ike,
        .psk = secret_view(&config->psk),
        .local_id = identity_from_addr(&config->local.addr),
        .doi = DOI_GDOI, /* RFC 6407 2.1; the answer's DOI is taken as it comes */
        .rng = rng,
    };
    err_t err = main_mode_initiator_init(&reg->mm, &params);
    if (err != E_OK) {
        fail(reg, err, out);
        return;
    }
    step_main_mode(reg, &(struct mm_event){.kind = MM_EVENT_START}, now_ms, out);
}

bool registration_active(const struct registration *reg)
{
    return reg->state == REGISTRATION_MAIN_MODE || reg->state == REGISTRATION_PULL;
}

bool registration_owns(const struct registration *reg, const struct isakmp_header *header)
{
    if (reg->state == REGISTRATION_MAIN_MODE)
        return memcmp(header->cookie_i, reg->mm.sa.cookie_i, COOKIE_LEN) == 0;
    return reg->state == REGISTRATION_PULL && memcmp(header->cookie_i, reg->sa.cookie_i, COOKIE_LEN) == 0 &&
           memcmp(header->cookie_r, reg->sa.cookie_r, COOKIE_LEN) == 0;
}

/* The server's policy is not for us, and no use in asking again soon: these errors come out of a message that
 * its HASH proves (pull_member.h). */
static bool policy_refused(err_t err)
{
    switch (err) {
    case E_UNSUPPORTED:
    case E_UNKNOWN_CRITICAL:
    case E_MISSING:
    case E_RANGE:
    case E_BAD_KEY:
    case E_UNKNOWN_SPI:
    case E_DUPLICATE:
    case E_LIMIT:
        return true;
    default:
        return false;
    }
}

static void step_pull(struct registration *reg, struct bytes datagram, uint8_t *plain, uint64_t now_ms,
                      struct registration_effects *out)
{
    uint8_t buffer[ISAKMP_MESSAGE_MAX];
    struct writer w = writer_over(buffer, sizeof(buffer));
    err_t err = pull_member_step(&reg->pull, &reg->sa, datagram, plain, &w);
    if (err != E_OK) {
        reg->last_error = err;
        reg->dropped++;
        if (policy_refused(err)) {
            snprintf(reg->why, sizeof(reg->why), "its policy cannot be used: %s", err_text(err));
            fail(reg, E_UNSUPPORTED, out);
        }
        return;
    }
    if (reg->pull.state == PULL_M_DONE) {
        reg->state = REGISTRATION_DONE;
        out->done = true;
    } else if (w.len > 0) {
        memcpy(reg->request, w.buf, w.len);
        request(reg, &w, now_ms, out);
    }
}

static void on_protected(struct registration *reg, const struct informational *info,
                         struct registration_effects *out)
{
    uint32_t message_id = 0;
    struct writer w = writer_over(out->reply, sizeof(out->reply));
    switch (info->kind) {
    case INFO_NOTIFY:
        if (info->notify_type >= 16384) /* RFC 2408 3.14.1: a status, not an error */
            return;
        snprintf(reg->why, sizeof(reg->why), "the key server refused: %s", notify_name(info->notify_type));
        fail(reg, E_REFUSED, out);
        return;
    case INFO_DELETE_SA:
        snprintf(reg->why, sizeof(reg->why),
                 "the key server deleted the ISAKMP SA: identity or group refused?");
        fail(reg, E_REFUSED, out);
        return;
    case INFO_DPD_REQUEST:
        if (rng_fill(reg->rng, (uint8_t *)&message_id, sizeof(message_id)) == E_OK && message_id != 0 &&
            informational_dpd(&reg->sa, message_id, true, info->dpd_seq, &w) == E_OK) {
            out->send = true;
            out->datagram = writer_bytes(&w);
        }
        return;
    case INFO_DELETE_OTHER:
    case INFO_DPD_ACK:
    case INFO_INITIAL_CONTACT:
        return;
    }
}

/* Clear ones are hints: whoever saw our cookie can write them. They end the wait early, but not at once, so
 * that the true answer still wins. */
static void on_informational(struct registration *reg, const struct isakmp_header *header, struct bytes body,
                             uint8_t *plain, uint64_t now_ms, struct registration_effects *out)
{
    struct informational info = {0};
    const struct isakmp_sa *sa = reg->state == REGISTRATION_PULL ? &reg->sa : NULL;
    bool clear = (header->flags & ISAKMP_FLAG_ENCRYPTED) == 0;
    err_t err = informational_open(clear ? NULL : sa, header, body, plain, &info);
    if (err != E_OK || (!clear && sa == NULL)) {
        reg->last_error = err != E_OK ? err : E_STATE;
        reg->dropped++;
        return;
    }
    if (info.protected) {
        on_protected(reg, &info, out);
    } else if (info.kind == INFO_NOTIFY && info.notify_type < 16384 && reg->hint == 0) {
        reg->hint = info.notify_type;
        if (reg->deadline_ms > now_ms + REGISTRATION_HINT_MS)
            reg->deadline_ms = now_ms + REGISTRATION_HINT_MS;
    }
}

void registration_receive(struct registration *reg, struct bytes datagram, uint8_t *plain, uint64_t now_ms,
                          struct registration_effects *out)
{
    memset(out, 0, sizeof(*out));
    struct isakmp_header header;
    struct bytes body;
    if (!registration_active(reg) || isakmp_header_decode(&header, &body, datagram) != E_OK)
        return;
    reg->heard = true;
    if (header.exchange == EXCHANGE_INFORMATIONAL)
        on_informational(reg, &header, body, plain, now_ms, out);
    else if (reg->state == REGISTRATION_MAIN_MODE)
        step_main_mode(reg, &(struct mm_event){.kind = MM_EVENT_DATAGRAM, .datagram = datagram}, now_ms, out);
    else
        step_pull(reg, datagram, plain, now_ms, out);
}

void registration_dh_done(struct registration *reg, struct dh_job *job, uint64_t now_ms,
                          struct registration_effects *out)
{
    memset(out, 0, sizeof(*out));
    if (reg->state != REGISTRATION_MAIN_MODE || !reg->computing) {
        dh_job_close(job);
        return;
    }
    step_main_mode(reg, &(struct mm_event){.kind = MM_EVENT_DH_DONE, .job = job}, now_ms, out);
}

static void time_out(struct registration *reg, struct registration_effects *out)
{
    if (reg->hint != 0)
        snprintf(reg->why, sizeof(reg->why), "the key server refused: %s (unprotected)",
                 notify_name(reg->hint));
    else if (reg->state == REGISTRATION_MAIN_MODE && reg->mm.state == MM_I_AWAIT_6)
        snprintf(reg->why, sizeof(reg->why),
                 "no good answer to our identity: is the pre-shared key the same?");
    else if (reg->heard && reg->last_error != E_OK)
        snprintf(reg->why, sizeof(reg->why), "no good answer: %s", err_text(reg->last_error));
    else if (reg->state == REGISTRATION_PULL)
        snprintf(reg->why, sizeof(reg->why), "no answer to GROUPKEY-PULL: is the group known there?");
    else
        out->dead = true;
    fail(reg, reg->hint != 0 ? E_REFUSED : E_TIMEOUT, out);
}

void registration_timer(struct registration *reg, uint64_t now_ms, struct registration_effects *out)
{
    memset(out, 0, sizeof(*out));
    if (!registration_active(reg))
        return;
    if (now_ms >= reg->deadline_ms) {
        time_out(reg, out);
        return;
    }
    if (reg->computing || now_ms < reg->resend_at_ms || reg->resends >= REGISTRATION_RESEND_MAX)
        return;
    reg->resends++;
    reg->resend_wait_ms *= 2;
    if (reg->resend_wait_ms > REGISTRATION_RESEND_MS_MAX)
        reg->resend_wait_ms = REGISTRATION_RESEND_MS_MAX;
    reg->resend_at_ms = now_ms + reg->resend_wait_ms;
    out->send = true;
    out->datagram = (struct bytes){reg->request, reg->request_len};
}

uint64_t registration_wake_ms(const struct registration *reg)
{
    if (!registration_active(reg))
        return TIME_NEVER;
    if (reg->computing || reg->resends >= REGISTRATION_RESEND_MAX || reg->resend_at_ms > reg->deadline_ms)
        return reg->deadline_ms;
    return reg->resend_at_ms;
}

void registration_close(struct registration *reg)
{
    main_mode_close(&reg->mm);
    isakmp_sa_close(&reg->sa);
    pull_member_close(&reg->pull);
    secret_wipe(reg, sizeof(*reg));
}
