/* main_mode.h - IKEv1 main mode with pre-shared keys (RFC 2409 5.4), both roles, as pure steps.
 *
 *   initiator                    responder
 *   1 HDR, SA               ->
 *                           <-   2 HDR, SA
 *   3 HDR, KE, Ni           ->
 *                           <-   4 HDR, KE, Nr
 *   5 HDR*, IDii, HASH_I    ->
 *                           <-   6 HDR*, IDir, HASH_R
 *
 * A step takes one event and writes at most one datagram to 'reply'. Diffie-Hellman is not done in a step:
 * the step hands out a job of copies, the shell runs dh_job_run (in its thread pool or at once) and gives it
 * back. NAT-T payloads, CERTREQ, unknown vendor ids and notifies (INITIAL-CONTACT) are tolerated where peers
 * send them. The state never changes before the message that asks for it has been checked in full. */
#ifndef PROTO_IKE_MAIN_MODE_H
#define PROTO_IKE_MAIN_MODE_H

#include "base/rng.h"
#include "proto/crypto/dh.h"
#include "proto/ike/isakmp_sa.h"

enum {
    NONCE_MIN = 8,
    NONCE_MAX = 128,    /* octets, RFC 6407 3.2 has the same bounds as RFC 2409 5 */
    NONCE_LEN = 32,     /* octets of ours */
    SA_BODY_MAX = 4096, /* octets of SAi_b that are kept for HASH_I and HASH_R; longer offers: E_LIMIT */
};

/* Work for a pool: copies only. Generate: key == NULL on entry. peer.len != 0: derive shared too. */
struct dh_job {
    uint16_t group;
    struct dh_public peer;
    struct dh_key
        *key; /* in: key to derive with, or NULL to generate; out: the key (owned by the job until taken) */
    struct dh_public pub;
    struct dh_shared shared;
    err_t err;
};
void dh_job_run(struct dh_job *job);
void dh_job_close(struct dh_job *job); /* frees the key, wipes the secret */

enum mm_state {
    MM_IDLE,
    MM_R_AWAIT_1, /* responder */
    MM_R_AWAIT_3,
    MM_R_COMPUTING,
    MM_R_AWAIT_5,
    MM_I_AWAIT_2, /* initiator */
    MM_I_GENERATING,
    MM_I_AWAIT_4,
    MM_I_DERIVING,
    MM_I_AWAIT_6,
    MM_ESTABLISHED,
    MM_FAILED,
};

enum mm_event_kind {
    MM_EVENT_START,    /* initiator only: make message 1 */
    MM_EVENT_DATAGRAM, /* a message of this exchange, header included, non-ESP marker stripped */
    MM_EVENT_DH_DONE,  /* a job that we handed out is done */
};

struct mm_event {
    enum mm_event_kind kind;
    struct bytes datagram;
    struct dh_job *job; /* DH_DONE: consumed (key taken, secret wiped) */
};

struct mm_effects {
    bool send;        /* 'reply' holds a datagram for the peer */
    bool compute;     /* job is filled in: run it, give it back */
    bool established; /* the SA is up now (responder: after sending message 6) */
    bool failed;      /* the exchange is over; reason says why; a clear notify may be in reply */
    uint16_t notify;  /* notify type that was or should be sent, 0 none */
    err_t reason;
    struct dh_job job;
};

struct mm_params {
    const struct ike_policy *policy; /* outlives the exchange */
    struct bytes psk;                /* copied at init */
    struct identity local_id;
    uint32_t doi; /* initiator: DOI offered (2, RFC 6407 2.1) */
    const struct rng *rng;
    bool expect_peer_id; /* refuse message 5/6 whose identity is not peer_id: E_BAD_ID */
    struct identity peer_id;
    bool send_initial_contact; /* initiator: notify INITIAL-CONTACT in message 5 */
};

struct main_mode {
    enum mm_state state;
    const struct ike_policy *policy;
    const struct rng *rng;
    struct secret psk;
    bool expect_peer_id;
    bool send_initial_contact;
    bool peer_initial_contact; /* the peer sent INITIAL-CONTACT under protection */
    struct identity expected_id;
    struct isakmp_sa sa;
    struct ike_transform chosen;
    uint32_t situation;
    uint8_t sa_body[SA_BODY_MAX]; /* SAi_b */
    size_t sa_body_len;
    uint8_t ni[NONCE_MAX];
    size_t ni_len;
    uint8_t nr[NONCE_MAX];
    size_t nr_len;
    struct dh_public g_xi;
    struct dh_public g_xr;
    struct dh_key *dh_key; /* initiator, between messages 3 and 4 */
    uint8_t iv[CIPHER_BLOCK_MAX];
    uint32_t bad_messages; /* dropped so far in this exchange */
};

/* Responder: message 1 comes as the first DATAGRAM event. Draws the responder cookie. */
err_t main_mode_responder_init(struct main_mode *mm, const struct mm_params *params) MUST_USE;
err_t main_mode_initiator_init(struct main_mode *mm, const struct mm_params *params) MUST_USE;
void main_mode_close(struct main_mode *mm);

/* One step. reply is empty on entry. Returns E_OK when the event was taken; else the datagram was dropped
 * with that reason, nothing changed, and effects are empty but for failed/notify where the exchange cannot go
 * on (no proposal, bad identity). A wrong PSK shows as E_BAD_PADDING or E_BAD_HASH on message 5 or 6: the
 * exchange stays, so that a forged message cannot kill it; the shell lets it time out and reports it. */
err_t main_mode_step(struct main_mode *mm, const struct mm_event *event, struct writer *reply,
                     struct mm_effects *out) MUST_USE;

/* Take the SA out of an established exchange (moved; mm is closed afterwards). */
void main_mode_take_sa(struct main_mode *mm, struct isakmp_sa *out);

#endif
