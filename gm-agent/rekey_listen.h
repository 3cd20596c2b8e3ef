/* rekey_listen.h - takes GROUPKEY-PUSH datagrams: which Rekey SA, is it new, is it genuine, and what to
 * answer (RFC 6407 4.4, RFC 8263). Pure. Nothing is used before signature and sequence number were checked.
 */
#ifndef GM_AGENT_REKEY_LISTEN_H
#define GM_AGENT_REKEY_LISTEN_H

#include "proto/gdoi/push.h"
#include "proto/gdoi/push_ack.h"

enum rekey_verdict {
    REKEY_NEW,      /* message is filled in: install it, then rekey_listen_accept */
    REKEY_REPEATED, /* the one that was taken last, again: acknowledge again, nothing else */
    REKEY_UNKNOWN,  /* no Rekey SA under this SPI */
    REKEY_REPLAYED, /* an old sequence number; message->seq has it */
    REKEY_BAD,      /* not genuine or not understood; why tells */
};

struct rekey_listen {
    bool active;
    struct push_member member;
    uint64_t expires_ms; /* of the KEK, monotonic */
    uint64_t installed_ms;
    uint64_t taken_ms; /* when the newest push was accepted; 0: none since the Rekey SA came by registration */
    /* The push that was taken last, and its acknowledgement: for repeats, also when it replaced the KEK. */
    uint8_t last_push[ISAKMP_MESSAGE_MAX];
    size_t last_push_len;
    uint8_t last_ack[PUSH_ACK_LEN_MAX];
    size_t last_ack_len;               /* 0: none was asked for */
    uint8_t plain[ISAKMP_MESSAGE_MAX]; /* scratch */
};

/* A new Rekey SA from a registration. seq: highest number in use there. When the same KEK is told again the
 * number does not go back. E_BAD_KEY and others: the old one is kept. */
err_t rekey_listen_open(struct rekey_listen *listen, const struct kek *kek, uint32_t seq, bool any_dialect,
                        uint64_t now_ms) MUST_USE;
/* Was a push taken since 'since_ms' (the begin of a registration) that its answer, made at sequence number seq,
 * does not know of? Then that answer is older than what we have, and its keys and policy must not undo it. */
bool rekey_listen_overtook(const struct rekey_listen *listen, uint32_t seq, uint64_t since_ms);
/* *message must be zeroed; the caller closes it by push_received_close whatever the verdict. member: our
 * address in the latest PULL, for the acknowledgement of a repeat. */
enum rekey_verdict rekey_listen_look(struct rekey_listen *listen, struct bytes datagram,
                                     const struct addr *member, struct push_received *message, err_t *why);
/* The message was installed: sequence number and KEK move on, and the acknowledgement stands in last_ack, if
 * the latest KEK asked for one that we can give (RFC 8263 7.2). After an error (the new KEK cannot be used)
 * all is as before. */
err_t rekey_listen_accept(struct rekey_listen *listen, struct bytes datagram,
                          const struct push_received *message, const struct addr *member,
                          uint64_t now_ms) MUST_USE;
/* The Rekey SA is over. What was acknowledged last is remembered, for repeats. */
void rekey_listen_drop(struct rekey_listen *listen);
void rekey_listen_close(struct rekey_listen *listen); /* wipes; fine on a zeroed struct */

#endif
