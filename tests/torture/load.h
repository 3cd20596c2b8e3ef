/* load.h - many group members in one process, on one socket: what drives a cluster of key servers in
 * tests/torture and tests/bench. Members are addresses of their own (FIRST, FIRST + 1, ...); they register
 * with the protocol library's member side, loop over the key servers when one is silent, and acknowledge
 * every push.
 *
 * What a member was told goes to standard output, one line a fact, to be compared with what the servers hold:
 *   R START END MEMBER SERVER SEQ KEK_SPI TEK_SPI=DIGEST...       a registration: message 4 is here
 *   P TIME SEQ KEK_SPI OCTETS DIGEST NEW_KEK TEK_SPI=DIGEST...    the first copy of a push
 *   Q SEQ FIRST LAST MEMBERS COPIES    a push is over: when its copies came, how many members it was new to;
 *                                      SEQ 0: copies under a KEK that no member has, and nobody acknowledges
 *   E TIME REASON                      a push that cannot be used
 *   F TIME MEMBER SERVER STATE         a try that ended without keys
 * Times are seconds of CLOCK_MONOTONIC. A DIGEST of a key tells keys apart and nothing else. */
#ifndef TESTS_TORTURE_LOAD_H
#define TESTS_TORTURE_LOAD_H

#include <netinet/in.h>

#include "base/map.h"
#include "proto/gdoi/pull_member.h"
#include "proto/gdoi/push.h"
#include "proto/gdoi/push_ack.h"
#include "proto/ike/main_mode.h"

enum {
    LOAD_SERVER_MAX = 7,
    LOAD_MEMBER_MAX = 30000,
    LOAD_FLIGHT_MAX = 2048, /* registrations at once */
    LOAD_KEK_MAX = 8,       /* KEKs that are remembered; a member may be that far behind */
    LOAD_RESEND_MS = 250,
    LOAD_PUSH_IDLE_MS = 500, /* without a copy: the push is over */
};

struct load_options {
    struct endpoint servers[LOAD_SERVER_MAX];
    size_t server_count;
    uint32_t first; /* host order */
    size_t members;
    uint16_t port;
    struct secret psk;
    struct ike_policy policy;
    struct identity group;
    size_t flight;   /* registrations at once */
    double rate;     /* begun a second; 0: as fast as they end */
    uint64_t total;  /* registrations, then no more are begun; 0: no end */
    unsigned try_ms; /* until the next server is asked */
    bool ordered;    /* every registration begins at the first server; else each begins at the next one */
    bool quiet;      /* no R lines */
    bool quit;       /* end after 'total' */
    bool no_ack;
};

/* One registration on its way. */
struct flight {
    size_t member;
    size_t server, tried;
    struct main_mode mm; /* first this */
    struct isakmp_sa sa; /* then this */
    struct pull_member pull;
    bool pulling;
    uint8_t request[ISAKMP_MESSAGE_MAX];
    size_t request_len;
    uint64_t begun_us, resend_us, try_end_us;
};

struct load_kek {
    struct push_member push;
    struct push_ack_key ack;
    uint8_t datagram[ISAKMP_MESSAGE_MAX]; /* the newest push under it */
    size_t datagram_len;
    uint32_t datagram_seq;
};

struct load_push { /* the newest push */
    uint32_t seq;
    uint64_t first_us, last_us;
    uint64_t members, copies;
    bool open;
};

struct load {
    struct load_options options;
    int fd;
    struct flight *flights[LOAD_FLIGHT_MAX]; /* in no order */
    size_t flight_count;
    uint8_t *busy;       /* per member: registers now */
    uint32_t *acked_seq; /* per member: the highest push acknowledged */
    size_t next_member, next_server;
    uint64_t begun, done, failed, unwanted;
    uint64_t latency_us_sum, first_us, end_us;
    uint32_t *latencies_us; /* of the first LOAD_MEMBER_MAX registrations */
    struct load_kek keks[LOAD_KEK_MAX];
    size_t kek_count, kek_next;
    struct load_push push;
};

uint64_t load_now_us(void);
void load_send(struct load *load, size_t member, const struct endpoint *to, struct bytes datagram);
struct addr load_member_addr(const struct load *load, size_t member);

/* load_register.c */
bool load_begin(struct load *load, uint64_t now_us); /* false: no member is free */
void load_answer(struct load *load, size_t member, struct bytes datagram, uint64_t now_us);
void load_timers(struct load *load, uint64_t now_us);

/* load_push.c */
void load_push_datagram(struct load *load, size_t member, const struct endpoint *from, struct bytes datagram,
                        uint64_t now_us);
void load_push_idle(struct load *load, uint64_t now_us); /* says that a push is over */
/* The KEK that a registration told is remembered. */
void load_kek_learn(struct load *load, const struct kek *kek, uint32_t seq);
void load_print_keys(const struct group_policy *policy);

#endif
