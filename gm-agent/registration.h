/* registration.h - one try to register with one key server: main mode, then GROUPKEY-PULL, with
 * retransmissions. Pure: the caller sends what is in the effects, runs the Diffie-Hellman job and calls
 * registration_timer when registration_wake_ms has come. */
#ifndef GM_AGENT_REGISTRATION_H
#define GM_AGENT_REGISTRATION_H

#include "base/rng.h"
#include "gm-agent/config.h"
#include "proto/gdoi/pull_member.h"
#include "proto/ike/informational.h"
#include "proto/ike/main_mode.h"

enum {
    REGISTRATION_RESEND_MAX = 12,      /* copies of one request behind the first */
    REGISTRATION_RESEND_MS_MAX = 4000, /* longest wait between two of them */
    REGISTRATION_HINT_MS = 1000,       /* how long we still wait after a notify that nobody vouches for */
};

enum registration_state {
    REGISTRATION_IDLE,
    REGISTRATION_MAIN_MODE,
    REGISTRATION_PULL,
    REGISTRATION_DONE, /* pull.policy is complete */
    REGISTRATION_FAILED,
};

struct registration {
    enum registration_state state;
    const struct gm_config *config;
    const struct rng *rng;
    struct endpoint server;
    struct main_mode mm;
    struct isakmp_sa sa;
    struct pull_member pull;
    bool computing;                      /* a job is out */
    uint8_t request[ISAKMP_MESSAGE_MAX]; /* the latest, for retransmission */
    size_t request_len;
    unsigned resends;
    uint64_t resend_wait_ms;
    uint64_t resend_at_ms;
    uint64_t started_ms;
    uint64_t deadline_ms;
    bool heard;       /* the server answered at all */
    uint16_t hint;    /* notify type of a clear notify: a hint for the log, not believed */
    err_t last_error; /* why the latest datagram was dropped */
    unsigned dropped;
    char why[160]; /* after FAILED: for the log */
};

struct registration_effects {
    bool send;
    struct bytes datagram; /* borrows the registration or its reply buffer, until the next call */
    bool compute;
    struct dh_job job; /* to run and give back; owned by the caller until then */
    bool phase1_up;    /* main mode has just ended well */
    bool done;
    bool failed;
    bool dead; /* failed because nobody answered */
    err_t reason;
    uint8_t reply[ISAKMP_HEADER_LEN + 512]; /* answers to DPD */
};

/* Begins: message 1 of main mode is in the effects. */
void registration_start(struct registration *reg, const struct gm_config *config, const struct rng *rng,
                        const struct endpoint *server, uint64_t now_ms, struct registration_effects *out);
bool registration_active(const struct registration *reg);
/* Is this datagram of our exchange? By the cookies in its header. */
bool registration_owns(const struct registration *reg, const struct isakmp_header *header);
/* plain: scratch of datagram.len. */
void registration_receive(struct registration *reg, struct bytes datagram, uint8_t *plain, uint64_t now_ms,
                           struct registration_effects *out);
/* Consumes the job. */
void registration_dh_done(struct registration *reg, struct dh_job *job, uint64_t now_ms,
                          struct registration_effects *out);
void registration_timer(struct registration *reg, uint64_t now_ms, struct registration_effects *out);
uint64_t registration_wake_ms(const struct registration *reg); /* TIME_NEVER if idle */
void registration_close(struct registration *reg);             /* wipes; fine on a zeroed struct */

#endif
