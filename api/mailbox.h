/* mailbox.h - requests from the HTTP thread to the loop thread: a bounded queue under a mutex, and a wake
 * function (uv_async_send in the daemon, a condition in tests). The loop takes requests with mailbox_take and
 * answers each once. */
#ifndef API_MAILBOX_H
#define API_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/record.h"

enum { MAILBOX_MAX = 64 }; /* requests waiting or being worked on; E_FULL beyond: the client gets 503 */

enum { MAIL_TEXT_MAX = 176 }; /* bytes with NUL */

enum mailbox_kind {
    MAIL_REKEY,       /* POST /v1/groups/{g}/rekey */
    MAIL_JOIN_TOKEN,  /* POST /v1/cluster/tokens; the answer's text is the token */
    MAIL_NODE_REMOVE, /* POST /v1/cluster/nodes/{node}/remove; group is the node's id in hex */
    MAIL_TRANSFER,    /* POST /v1/cluster/transfer; group is the node's id in hex, or empty: the primary */
    MAIL_STEP_DOWN,   /* POST /v1/cluster/step-down */
    MAIL_PRIORITY,    /* POST /v1/cluster/nodes/{node}/priority; number, 0: as configured */
    MAIL_STATE_MARK,  /* POST /v1/cluster/hash */
    MAIL_CERT_RENEW,  /* POST /v1/cluster/nodes/{node}/renew */
    MAIL_BACKUP,      /* POST /v1/cluster/backup; the answer's octets are the sealed file */
    MAIL_ENROL_TOKEN, /* POST /v1/groups/{g}/enrolments; member; the answer's text is the token */
    MAIL_SIGNING_ROTATE, /* POST /v1/signing-key/rotate */
    MAIL_ENROL_REVOKE, /* POST /v1/enrolments/{member}/revoke; member */
};

struct mail {
    uint64_t id; /* for the answer; ids are never reused */
    enum mailbox_kind kind;
    char group[GROUP_NAME_MAX];
    uint32_t number; /* MAIL_JOIN_TOKEN: enum node_role */
    struct addr member;
};

struct mail_answer {
    err_t err;
    uint32_t seq;   /* MAIL_REKEY: the sequence number that was committed; MAIL_SIGNING_ROTATE: the version */
    uint64_t index; /* applied Raft index after it */
    char text[MAIL_TEXT_MAX]; /* with E_UNSUPPORTED: the reason, if the cluster's level is it */
    uint8_t *octets; /* MAIL_BACKUP: heap, of whoever has the answer; NULL: none */
    size_t octets_len;
};

struct mailbox;

/* wake is called on the HTTP thread after each put. E_NO_MEMORY. */
err_t mailbox_open(struct mailbox **out, void (*wake)(void *context), void *context) MUST_USE;
void mailbox_free(struct mailbox *box);
/* Loop thread: next request, false when there is none. */
bool mailbox_take(struct mailbox *box, struct mail *out);
/* Loop thread: answer a taken request; the octets are given away. Unknown or timed-out ids are ignored. */
void mailbox_answer(struct mailbox *box, uint64_t id, const struct mail_answer *answer);

/* HTTP side: put a request; 'answered' runs once, on the loop thread, unless mailbox_cancel won the race. */
typedef void (*mailbox_answered_fn)(void *context, const struct mail_answer *answer);
err_t mailbox_put(struct mailbox *box, const struct mail *mail, mailbox_answered_fn answered, void *context,
                  uint64_t *id) MUST_USE;
/* true: 'answered' has not run and never will. */
bool mailbox_cancel(struct mailbox *box, uint64_t id);

#endif
