/* ks_internal.h - what ks_*.c share: one apply in progress and the writing of rows. */
#ifndef CLUSTER_KS_INTERNAL_H
#define CLUSTER_KS_INTERNAL_H

#include "cluster/ks_state.h"

struct ks_apply {
    struct ks_state *state;
    struct store_txn *txn; /* NULL: state only */
    uint64_t now_ms;       /* cluster time with this command; I3: never a clock */
    struct apply_result *result;
    ks_member_fn removed;
    void *context;
};

/* Rows of what they name, into a->txn; nothing without one. Errors stick to the transaction. */
void ks_put_cluster(const struct ks_apply *a);
void ks_put_signing(const struct ks_apply *a); /* and the one before, if it is kept */
void ks_put_group(const struct ks_apply *a, const struct ks_group *group);
/* key is its member_row_key: who changes a member has just looked it up by that. */
void ks_put_member(const struct ks_apply *a, const struct row_key *key, const struct ks_member *member);
void ks_put_rekey(const struct ks_apply *a, const struct rekey_record *rekey);
void ks_put_push(const struct ks_apply *a, const struct ks_group *group);
void ks_put_psk(const struct ks_apply *a, const struct ks_psk *psk);
void ks_put_node(const struct ks_apply *a, const struct node_record *node);
void ks_put_ca(const struct ks_apply *a);
void ks_put_level(const struct ks_apply *a); /* none at level 1 */
void ks_put_token(const struct ks_apply *a, const struct join_record *token);
void ks_drop(const struct ks_apply *a, enum store_table table, const struct row_key *key);

struct ks_group *ks_group_at(struct ks_state *state, uint32_t group_id);
/* An empty group of the given id, appended to the state. E_FULL, E_NO_MEMORY. */
err_t ks_group_add(struct ks_state *state, uint32_t group_id, struct ks_group **out) MUST_USE;
void ks_group_free(struct ks_group *group);
/* A member of that group and identity, zeroed but for these, not in the group's map yet. NULL: out of memory. */
struct ks_member *ks_member_new(uint32_t group_id, const struct identity *identity);
struct bytes ks_member_key(const struct ks_member *member); /* borrows */
struct bytes row_key_bytes(const struct row_key *key); /* borrows */

/* After a KEK came or a group went: the signing key before is dropped once no KEK is verified with it. */
void ks_signing_settle(struct ks_apply *a);

/* One command each. A refusal is result->err; the return value is only for what this node cannot survive. */
err_t ks_apply_group_set(struct ks_apply *a, const struct cmd_group_set *c) MUST_USE;
void ks_apply_group_delete(struct ks_apply *a, const struct cmd_group_delete *c);
err_t ks_apply_member_registered(struct ks_apply *a, const struct cmd_member_registered *c) MUST_USE;
err_t ks_apply_member_quarantined(struct ks_apply *a, const struct cmd_member_quarantined *c) MUST_USE;
/* Owns a copy of the reason. E_NO_MEMORY: nothing is changed. */
err_t ks_member_quarantine(struct ks_member *member, uint64_t since_ms, const char *reason) MUST_USE;
void ks_member_release(struct ks_member *member); /* it takes the policy again */
void ks_member_free(struct ks_member *member);    /* NULL is fine */
void ks_apply_member_removed(struct ks_apply *a, const struct cmd_member_removed *c);
err_t ks_apply_rekey(struct ks_apply *a, const struct cmd_rekey *c) MUST_USE;
err_t ks_apply_node_set(struct ks_apply *a, const struct cmd_node_set *c) MUST_USE;      /* the refusal */
err_t ks_apply_node_remove(struct ks_apply *a, const struct cmd_node_remove *c) MUST_USE; /* the refusal */
err_t ks_apply_ca_set(struct ks_apply *a, const struct cmd_ca_set *c) MUST_USE;           /* the refusal */
/* The row of these peers, a new one without a key if there was none. *out NULL with E_OK: no room, which stands in the result. */
err_t ks_psk_row(struct ks_apply *a, const struct prefix *peer, struct ks_psk **out) MUST_USE;
err_t ks_apply_enrol_set(struct ks_apply *a, const struct cmd_enrol_set *c) MUST_USE;
err_t ks_apply_enrol_used(struct ks_apply *a, const struct cmd_enrol_used *c) MUST_USE;
err_t ks_apply_token_set(struct ks_apply *a, const struct cmd_join_token_set *c) MUST_USE;
err_t ks_apply_token_used(struct ks_apply *a, const struct cmd_join_token_used *c) MUST_USE;
err_t ks_apply_node_priority(struct ks_apply *a, const struct cmd_node_priority *c) MUST_USE; /* the refusal */
err_t ks_apply_node_cert(struct ks_apply *a, const struct cmd_node_cert *c) MUST_USE;         /* the refusal */
/* E_OLD_BUILD: applied, and this build cannot go on with it. */
err_t ks_apply_level_set(struct ks_apply *a, const struct cmd_cluster_level_set *c) MUST_USE;
/* At load, before any other row: a build that is too old for them is told so. E_OLD_BUILD with the level in the state, E_CORRUPT. */
err_t ks_load_level(struct ks_state *state, struct store_txn *txn) MUST_USE;
/* At load: appended, which keeps the order of the rows. E_CORRUPT beyond the bounds. */
err_t ks_load_node(struct ks_state *state, const struct node_record *node) MUST_USE;
err_t ks_load_token(struct ks_state *state, const struct join_record *token) MUST_USE;
err_t ks_apply_push_done(struct ks_apply *a, const struct cmd_push_done *c) MUST_USE;

void ks_apply_runway_set(struct ks_apply *a, const struct cmd_runway_set *c);
err_t ks_apply_member_served(struct ks_apply *a, const struct cmd_member_served *c) MUST_USE;
/* Seconds until end_ms, at least 1: a key that is told is live, and a lifetime of 0 means something else on the wire. */
uint32_t ks_left_s(uint64_t end_ms, uint64_t now_ms);
/* A record as clear key, its lifetime what is left of it. The caller wipes out. */
err_t ks_tek_open(const struct ks_state *state, const struct ks_group *group, const struct tek_record *record,
                  const struct wrap_key *wrap, uint64_t now_ms, struct tek *out) MUST_USE;
/* A rekey's TEK: is it the one that the runway has under this SPI, if it has one? Then, that it was used: it and those before it
 * leave the runway; all do if it is none of them. */
bool ks_runway_allows(const struct group_record *record, const struct tek_record *tek);
void ks_runway_used(struct group_record *record, const struct tek_record *tek);
/* A fresh TEK for the group's configuration, clear and as a record (created_ms and generation 0); SPI of no other key of
 * the state. E_CRYPTO, E_UNSUPPORTED. The caller wipes clear. */
err_t ks_tek_draw(const struct ks_state *state, const struct ks_group *group, const struct wrap_key *wrap, const struct rng *rng,
                  struct tek_record *record, struct tek *clear) MUST_USE;

/* The lowest bits of every TEK's SPI: of the cluster's id, so that a restored cluster (ks_restore.h), whose id names another
 * lane, draws none that the one before it drew. */
uint32_t ks_spi_lane(const uint8_t cluster_id[CLUSTER_ID_LEN]);

/* When a key is no longer accepted: its lifetime is over, and for a TEK the deactivation delay too. */
uint64_t kek_end_ms(const struct kek_record *kek);
uint64_t tek_end_ms(const struct tek_record *tek);
/* The acknowledgement that the group's push going on, or last, asks for: that of the KEK it is sealed under.
 */
enum kek_ack ks_push_ack(const struct ks_group *group);

#endif
