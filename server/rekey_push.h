/* rekey_push.h - one rekey on its way to the members of a group: paced fan-out, acknowledgements, repeats,
 * the end. Pure: no clock, no socket; the caller says what time it is, carries datagrams out and proposes
 * PUSH_DONE.
 *
 * All members get the same bytes. Rounds: the first goes to everyone, each later one to who has not
 * acknowledged (RFC 8263 6: retransmit_s apart, retransmit_count of them), then the last answers are waited
 * for. Without acknowledgements asked for every round goes to all, and nobody counts as silent. */
#ifndef SERVER_REKEY_PUSH_H
#define SERVER_REKEY_PUSH_H

#include "cluster/ks_state.h"
#include "proto/gdoi/push_ack.h"

enum {
    PUSH_BATCH = 256, /* datagrams in one go */
    PUSH_GAP_MS = 1, /* between two goes: 10,000 members in some 40 ms, and no burst beyond a socket buffer */
    PUSH_WAIT_MS = 10000, /* for the last acknowledgements, at least (RFC 8263 6) */
    PUSH_TARGET_MAX = 2 * GROUP_MEMBER_MAX,
};

struct push_target {
    struct endpoint endpoint;
    uint32_t next;  /* of the same bucket, index + 1 */
    uint32_t id_at; /* of its identity in ids */
    uint8_t id_type;
    uint8_t id_len;
    bool closed; /* acknowledged, or needs no datagram any more */
    bool acked;
};

enum push_phase { PUSH_SENDING, PUSH_WAITING, PUSH_OVER };

struct push_run {
    uint32_t group_id;
    uint32_t seq;
    uint8_t kek_spi[KEK_SPI_LEN];
    struct addr local;
    bool wants_ack;
    struct push_ack_key ack_key; /* of the KEK that it is sealed under */
    uint8_t *datagram;
    size_t datagram_len;
    enum push_phase phase;
    uint32_t round;       /* 0: the first */
    uint32_t round_count; /* repeats after the first */
    uint64_t period_ms;
    uint64_t last_wait_ms;
    uint64_t begun_ms;
    uint64_t over_ms; /* when it was over */
    uint64_t next_ms; /* when push_run_step has something to do */
    size_t cursor;
    uint32_t open; /* targets that are not closed */
    uint32_t acked;
    uint32_t sent;
    uint32_t retransmits;
    struct push_target *targets;
    size_t count, cap;
    uint8_t *ids;
    size_t ids_len, ids_cap;
    uint32_t *buckets; /* by address */
    size_t bucket_count;
    uint64_t seed[2];
};

struct push_sink {
    void *context;
    size_t (*send_many)(void *context, const struct addr *local, struct bytes datagram,
                        const struct endpoint *to, size_t count);
};

/* A group that is pushing: its datagram and everyone whose seq_base is below. under: the KEK it is sealed
 * under, NULL if it cannot be opened any more (acknowledgements cannot be verified then). E_NO_MEMORY,
 * E_STATE (no datagram). */
err_t push_run_open(struct push_run **out, const struct ks_group *group, const struct kek *under,
                    const uint64_t seed[2], uint64_t now_ms) MUST_USE;
void push_run_free(struct push_run *run); /* NULL is fine */

/* A member registered while it goes on: it gets the push if its seq_base is below, else it needs none any
 * more. */
err_t push_run_member(struct push_run *run, const struct ks_member *member, uint64_t now_ms) MUST_USE;
void push_run_member_gone(struct push_run *run, const struct identity *identity);

/* Sends what is due and moves on. next_ms says when to come again; phase PUSH_OVER: propose PUSH_DONE. */
void push_run_step(struct push_run *run, const struct push_sink *sink, uint64_t now_ms);

/* An acknowledgement of this seq, from that end point. E_OK: counted. E_DUPLICATE: had it. E_NOT_FOUND: not
 * from where a member is. E_NOT_AUTHORIZED: it names another member. E_BAD_HASH, E_UNSUPPORTED (no key). */
err_t push_run_ack(struct push_run *run, const struct endpoint *from, const struct push_ack *ack,
                   struct bytes datagram, uint64_t now_ms) MUST_USE;

/* Who is silent, as identities on the heap (the caller frees; NULL when none). E_NO_MEMORY. */
err_t push_run_silent(const struct push_run *run, struct identity **out, size_t *count) MUST_USE;

#endif
