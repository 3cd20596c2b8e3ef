/* gdoi_net.h - one key server (end 0) and its members (ends 1..) on a network that loses, repeats, reorders
 * and damages datagrams, and keeps old ones to replay them. Everything is drawn from the seed. */
#ifndef TESTS_SIM_PROTO_GDOI_NET_H
#define TESTS_SIM_PROTO_GDOI_NET_H

#include "tests/lib/gdoi_fixture.h"
#include "tests/unit/proto/ike/exchange.h"

#include "tests/lib/test.h"

enum {
    MEMBERS = 3,
    FLIGHT_MAX = 512,  /* datagrams on the way; more are lost */
    RECORDED_MAX = 32, /* kept by the attacker */
};

struct flight {
    bool used;
    uint8_t from, to;
    uint64_t due_ms;
    struct datagram datagram;
};

static struct net {
    uint64_t now_ms;
    struct rng_seeded net_seed, end_seed;
    struct rng rng,
        ends; /* the network's draws and those of the ends, so that one does not disturb the other */
    unsigned loss, repeat, damage, replay, delay_ms_max; /* chances of 1000 */
    struct flight flights[FLIGHT_MAX];
    struct flight recorded[RECORDED_MAX];
    uint8_t cut; /* a member that is cut off for a while */
    uint64_t cut_from_ms, cut_to_ms;
    unsigned sent, lost, damaged, replayed;
} net;

static inline struct addr sim_addr(uint8_t end)
{
    return addr_v4(10, 1, 13, end);
}

static inline uint32_t net_draw(uint32_t below)
{
    uint8_t raw[4];
    must(rng_fill(&net.rng, raw, sizeof(raw)));
    struct reader r = reader_over(BYTES_OF(raw));
    return read_u32(&r) % below;
}

static inline void net_open(uint64_t seed)
{
    memset(&net, 0, sizeof(net));
    net.rng = rng_seeded_init(&net.net_seed, seed);
    net.ends = rng_seeded_init(&net.end_seed, ~seed);
    net.loss = net_draw(300);
    net.repeat = net_draw(200);
    net.damage = net_draw(100);
    net.replay = net_draw(50);
    net.delay_ms_max = 2 + net_draw(1500);
    net.cut = (uint8_t)(1 + net_draw(MEMBERS));
    net.cut_from_ms = net_draw(250000);
    net.cut_to_ms = net.cut_from_ms + net_draw(150000);
}

static inline void net_launch(const struct flight *what)
{
    for (size_t i = 0; i < FLIGHT_MAX; i++) {
        struct flight *flight = &net.flights[i];
        if (flight->used)
            continue;
        *flight = *what;
        flight->used = true;
        flight->due_ms = net.now_ms + 1 + net_draw(net.delay_ms_max);
        if (net_draw(1000) < net.damage) {
            flight->datagram.data[net_draw((uint32_t)flight->datagram.len)] ^= (uint8_t)(1u << net_draw(8));
            net.damaged++;
        }
        return;
    }
}

static inline void net_send(uint8_t from, uint8_t to, struct bytes data)
{
    static struct flight flight;
    flight = (struct flight){.from = from, .to = to};
    flight.datagram.len = data.len;
    memcpy(flight.datagram.data, data.data, data.len);
    net.sent++;
    bool is_cut =
        (from == net.cut || to == net.cut) && net.now_ms >= net.cut_from_ms && net.now_ms < net.cut_to_ms;
    if (is_cut || net_draw(1000) < net.loss)
        net.lost++;
    else
        net_launch(&flight);
    while (!is_cut && net_draw(1000) < net.repeat)
        net_launch(&flight);
    net.recorded[net_draw(RECORDED_MAX)] = flight;
    if (net_draw(1000) < net.replay) {
        const struct flight *old = &net.recorded[net_draw(RECORDED_MAX)];
        net.replayed += old->datagram.len != 0;
        if (old->datagram.len != 0)
            net_launch(old);
    }
}

static inline uint64_t net_next_ms(uint64_t next)
{
    for (size_t i = 0; i < FLIGHT_MAX; i++)
        if (net.flights[i].used && net.flights[i].due_ms < next)
            next = net.flights[i].due_ms;
    return next;
}

/* As exchange_feed, with Diffie-Hellman from the seed. */
static inline err_t net_main_mode(struct main_mode *mm, const struct mm_event *event, struct writer *w,
                                  struct mm_effects *out)
{
    err_t err = main_mode_step(mm, event, w, out);
    if (!out->compute)
        return err;
    struct dh_job job = out->job;
    uint8_t private_octets[32];
    must(rng_fill(&net.ends, private_octets, sizeof(private_octets)));
    private_octets[0] = 1;
    if (job.key == NULL)
        job.err = dh_key_from_private(job.group, BYTES_OF(private_octets), &job.key, &job.pub);
    if (job.err == E_OK && job.peer.len != 0)
        job.err = dh_derive(job.key, (struct bytes){job.peer.data, job.peer.len}, &job.shared);
    struct mm_event done = {.kind = MM_EVENT_DH_DONE, .job = &job};
    *w = writer_over(w->buf, w->cap);
    return main_mode_step(mm, &done, w, out);
}

#endif
