/* load_register.c - main mode and PULL of one member after the other. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ike/informational.h"
#include "tests/torture/load.h"

static const struct endpoint *server_of(const struct load *load, const struct flight *flight)
{
    return &load->options.servers[flight->server];
}

static void text_of(struct addr addr, char out[ADDR_TEXT_MAX])
{
    addr_format(&addr, out);
}

/* Sent now, and again until it is answered or the try is over. */
static void ask(struct load *load, struct flight *flight, const struct writer *w, uint64_t now_us)
{
    if (writer_end(w) != E_OK || w->len == 0)
        return;
    memcpy(flight->request, w->buf, w->len);
    flight->request_len = w->len;
    flight->resend_us = now_us + 1000ull * LOAD_RESEND_MS;
    load_send(load, flight->member, server_of(load, flight),
              (struct bytes){flight->request, flight->request_len});
}

static void step_main_mode(struct load *load, struct flight *flight, const struct mm_event *first,
                           uint64_t now_us)
{
    uint8_t buffer[ISAKMP_MESSAGE_MAX];
    struct mm_event event = *first;
    struct dh_job job;
    for (;;) {
        struct mm_effects effects = {0};
        struct writer w = writer_over(buffer, sizeof(buffer));
        if (main_mode_step(&flight->mm, &event, &w, &effects) != E_OK)
            return; /* not the answer, or damaged */
        if (effects.compute) {
            job = effects.job;
            dh_job_run(&job);
            event = (struct mm_event){.kind = MM_EVENT_DH_DONE, .job = &job};
            continue;
        }
        if (effects.send)
            ask(load, flight, &w, now_us);
        if (!effects.established)
            return;
        main_mode_take_sa(&flight->mm, &flight->sa);
        flight->pulling = true;
        w = writer_over(buffer, sizeof(buffer));
        if (pull_member_start(&flight->pull, &flight->sa, &rng_system, &load->options.group, 1, &w) == E_OK)
            ask(load, flight, &w, now_us);
        return;
    }
}

static void forget(struct flight *flight)
{
    pull_member_close(&flight->pull);
    isakmp_sa_close(&flight->sa);
    main_mode_close(&flight->mm);
    memset(&flight->pull, 0, sizeof(flight->pull));
    flight->pulling = false;
    flight->request_len = 0;
}

/* A try at the flight's server, from the first message on. */
static void begin_try(struct load *load, struct flight *flight, uint64_t now_us)
{
    struct addr me = load_member_addr(load, flight->member);
    struct mm_params params = {.policy = &load->options.policy,
                               .psk = secret_view(&load->options.psk),
                               .local_id = identity_from_addr(&me),
                               .doi = DOI_GDOI,
                               .rng = &rng_system};
    flight->try_end_us = now_us + 1000ull * load->options.try_ms;
    flight->resend_us = flight->try_end_us;
    if (main_mode_initiator_init(&flight->mm, &params) == E_OK)
        step_main_mode(load, flight, &(struct mm_event){.kind = MM_EVENT_START}, now_us);
}

static void try_next(struct load *load, struct flight *flight, uint64_t now_us)
{
    char member[ADDR_TEXT_MAX], server[ADDR_TEXT_MAX];
    text_of(load_member_addr(load, flight->member), member);
    text_of(server_of(load, flight)->addr, server);
    if (!load->options.quiet)
        printf("F %.6f %s %s %d\n", (double)now_us / 1e6, member, server,
               flight->pulling ? 100 + (int)flight->pull.state : (int)flight->mm.state);
    forget(flight);
    load->failed++;
    flight->tried++;
    flight->server = (flight->server + 1) % load->options.server_count;
    begin_try(load, flight, now_us);
}

bool load_begin(struct load *load, uint64_t now_us)
{
    size_t looked = 0;
    while (load->busy[load->next_member] && ++looked < load->options.members)
        load->next_member = (load->next_member + 1) % load->options.members;
    if (load->busy[load->next_member] || load->flight_count == LOAD_FLIGHT_MAX)
        return false;
    struct flight *flight = calloc(1, sizeof(*flight));
    if (flight == NULL)
        return false;
    flight->member = load->next_member;
    flight->server = load->options.ordered ? 0 : load->next_server;
    flight->begun_us = now_us;
    load->next_server = (load->next_server + 1) % load->options.server_count;
    load->next_member = (load->next_member + 1) % load->options.members;
    load->busy[flight->member] = 1;
    load->flights[load->flight_count++] = flight;
    if (load->begun++ == 0)
        load->first_us = now_us;
    begin_try(load, flight, now_us);
    return true;
}

static void registered(struct load *load, size_t at, uint64_t now_us)
{
    struct flight *flight = load->flights[at];
    const struct pull_member *pull = &flight->pull;
    char member[ADDR_TEXT_MAX], server[ADDR_TEXT_MAX];
    text_of(load_member_addr(load, flight->member), member);
    text_of(server_of(load, flight)->addr, server);
    if (!load->options.quiet) {
        printf("R %.6f %.6f %s %s %" PRIu32 " ", (double)flight->begun_us / 1e6, (double)now_us / 1e6, member,
               server, pull->seq);
        load_print_keys(&pull->policy);
    }
    if (pull->policy.has_kek)
        load_kek_learn(load, &pull->policy.kek, pull->seq);
    if (load->acked_seq[flight->member] < pull->seq)
        load->acked_seq[flight->member] = pull->seq;
    if (load->done < LOAD_MEMBER_MAX)
        load->latencies_us[load->done] = (uint32_t)(now_us - flight->begun_us);
    load->done++;
    load->end_us = now_us;
    load->busy[flight->member] = 0;
    load->flights[at] = load->flights[--load->flight_count];
    forget(flight);
    free(flight);
}

/* The server refuses under protection (most often: a rekey overtook the exchange): begin anew, at the next
 * one. */
static bool refuses(const struct flight *flight, const struct isakmp_header *header, struct bytes body)
{
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    struct informational info;
    return flight->pulling && body.len <= sizeof(plain) &&
           informational_open(&flight->sa, header, body, plain, &info) == E_OK && info.protected &&
           info.kind == INFO_NOTIFY && info.notify_type < 16384;
}

void load_answer(struct load *load, size_t member, struct bytes datagram, uint64_t now_us)
{
    static uint8_t plain[ISAKMP_MESSAGE_MAX];
    static uint8_t reply[ISAKMP_MESSAGE_MAX];
    struct isakmp_header header;
    struct bytes body;
    if (isakmp_header_decode(&header, &body, datagram) != E_OK)
        return;
    for (size_t i = 0; i < load->flight_count; i++) {
        struct flight *flight = load->flights[i];
        const uint8_t *cookie = flight->pulling ? flight->sa.cookie_i : flight->mm.sa.cookie_i;
        if (flight->member != member || memcmp(cookie, header.cookie_i, COOKIE_LEN) != 0)
            continue;
        if (!flight->pulling) {
            step_main_mode(load, flight, &(struct mm_event){.kind = MM_EVENT_DATAGRAM, .datagram = datagram},
                           now_us);
        } else if (header.exchange == EXCHANGE_INFORMATIONAL) {
            if (refuses(flight, &header, body))
                try_next(load, flight, now_us);
        } else {
            struct writer w = writer_over(reply, sizeof(reply));
            if (pull_member_step(&flight->pull, &flight->sa, datagram, plain, &w) != E_OK)
                return;
            if (flight->pull.state == PULL_M_DONE)
                registered(load, i, now_us);
            else
                ask(load, flight, &w, now_us);
        }
        return;
    }
    load->unwanted++;
}

void load_timers(struct load *load, uint64_t now_us)
{
    for (size_t i = 0; i < load->flight_count; i++) {
        struct flight *flight = load->flights[i];
        if (now_us >= flight->try_end_us) {
            try_next(load, flight, now_us);
        } else if (now_us >= flight->resend_us && flight->request_len != 0) {
            flight->resend_us = now_us + 1000ull * LOAD_RESEND_MS;
            load_send(load, flight->member, server_of(load, flight),
                      (struct bytes){flight->request, flight->request_len});
        }
    }
}
