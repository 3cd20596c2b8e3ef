/* ks_state.h - the replicated state in memory, and apply(), the only thing that changes it (I3). Pure: no clock, no
 * randomness, no I/O but rows put into the given store transaction. Every node that applies the same commands holds the same
 * state and the same rows. Read it freely through const pointers on the loop thread. */
#ifndef CLUSTER_KS_STATE_H
#define CLUSTER_KS_STATE_H

#include "base/map.h"
#include "cluster/level.h"
#include "storage/store.h"

struct ks_group {
    struct group_record record;
    bool pushing;                /* a REKEY without PUSH_DONE */
    struct rekey_record rekey;   /* the one going on, or the last */
    uint8_t *push;               /* its datagram (heap), NULL when not pushing */
    size_t push_len;
    struct map members;          /* member_row_key -> struct ks_member */
};

struct ks_member {
    struct member_record record;
    uint16_t key_len;
    uint8_t key[]; /* its member_row_key, in the length that it has: most identities are an address */
};

struct ks_psk {
    struct row_key key;
    struct psk_record record;
};

/* A join token that was made; expired ones leave when room is needed. */
enum { JOIN_TOKEN_MAX = 32 };

struct ks_state {
    struct cluster_record cluster;
    bool initialised; /* CLUSTER_INIT was applied */
    uint32_t level;   /* of the cluster: 1 or more, and never less than it was */
    const struct level_build *build; /* what this server knows; the owner may set another after ks_state_init */
    struct signing_record signing;
    /* The one before, while members of some KEK verify with it: the push that brings them the new key is signed by the old one,
     * whoever is the primary by then. version 0: every KEK has moved on. */
    struct signing_record previous_signing;
    struct ks_group *groups[GROUP_MAX];
    size_t group_count;
    struct node_record nodes[KS_NODE_MAX]; /* by id */
    size_t node_count;
    struct ca_record ca;
    struct join_record tokens[JOIN_TOKEN_MAX]; /* by id */
    size_t token_count;
    struct map psks; /* psk_row_key -> struct ks_psk */
    uint64_t map_seed[2];
};

/* What a server reaches of the cluster. */
enum ks_contact {
    CONTACT_NONE,     /* not started, or has never had a leader: it serves nobody */
    CONTACT_WHOLE,    /* all of it */
    CONTACT_SPLIT,    /* the quorum, but not every server */
    CONTACT_MINORITY, /* it had the quorum and lost it: committed keys are all it has */
};

/* What a proposer wants to know of its command. */
struct apply_result {
    err_t err; /* E_OK, or why the command was refused (deterministically, on every node) */
    uint32_t group_id;
    const struct ks_group *group;   /* valid until the next apply */
    const struct ks_member *member; /* MEMBER_REGISTERED: the record as committed, with SIDs */
    uint32_t removed;               /* PUSH_DONE: members removed after REKEY_LOST_AFTER silences */
    bool created;                   /* GROUP_SET: new; MEMBER_REGISTERED: first registration */
    bool changed;                   /* GROUP_SET, PSK_SET: something differs from before */
};

void ks_state_init(struct ks_state *state, const uint64_t map_seed[2]);
void ks_state_close(struct ks_state *state);
/* Fill from the rows of a store. E_CORRUPT, E_NO_MEMORY; E_OLD_BUILD: state->level is above the build's. */
err_t ks_state_load(struct ks_state *state, struct store_txn *txn) MUST_USE;
/* Apply one command; rows go to txn (NULL: state only, for simulations). result->err tells refusals. Returns an error only
 * when this node cannot go on (E_NO_MEMORY, E_CORRUPT, E_OLD_BUILD: the cluster's level is above the build's from this command
 * on): it must stop then. A command above the cluster's level is refused (E_UNSUPPORTED) and changes nothing, also one whose fields this
 * build cannot read (command_decode). removed_members, if not NULL, gets each member dropped
 * by PUSH_DONE before it is freed. */
typedef void (*ks_member_fn)(void *context, const struct ks_group *group, const struct ks_member *member);
err_t ks_state_apply(struct ks_state *state, const struct command *command, struct store_txn *txn,
                     struct apply_result *result, ks_member_fn removed, void *context) MUST_USE;

const struct ks_group *ks_state_group(const struct ks_state *state, uint32_t group_id);
const struct ks_group *ks_state_group_by_identity(const struct ks_state *state, const struct identity *identity);
const struct ks_group *ks_state_group_by_name(const struct ks_state *state, const char *name);
const struct ks_member *ks_group_member(const struct ks_group *group, const struct identity *identity);
const struct node_record *ks_state_node(const struct ks_state *state, const uint8_t id[NODE_ID_LEN]);
const struct node_record *ks_state_node_by_raft(const struct ks_state *state, uint64_t raft_id);
/* The group's clock (RFC 6407 has none; GETVPN's pseudotime): milliseconds of the cluster's clock since the group was made. */
uint64_t ks_pseudotime_ms(const struct group_record *group, uint64_t cluster_now_ms);
const struct join_record *ks_state_token(const struct ks_state *state, const uint8_t id[JOIN_ID_LEN]);
/* A node numbers the commands that it has forwarded, rising. Applied once: false if this number, or a later one of
 * that node, was seen before; else it is noted (row to txn). Of an unknown node: true. */
bool ks_state_take_request(struct ks_state *state, struct store_txn *txn, const uint8_t node_id[NODE_ID_LEN],
                           uint64_t request);
/* The pre-shared key record whose range has the address, most specific first; NULL if none. */
const struct psk_record *ks_state_psk(const struct ks_state *state, const struct addr *peer);
/* The row of exactly this member if it has a token, used or not; NULL otherwise. */
const struct psk_record *ks_state_enrolled(const struct ks_state *state, const struct addr *member);
/* May the request with this HMAC use the token? E_REPLAY: another one did; E_EXISTS: this one did; E_EXPIRED. */
err_t ks_enrolment_may_use(const struct enrolment *e, const uint8_t request_mac[ENROL_MAC_LEN], uint64_t now_ms) MUST_USE;
/* Does the group's member list allow the identity from that address? E_OK, E_BAD_ID (identity), E_NOT_AUTHORIZED (address). */
err_t ks_group_allows(const struct ks_group *group, const struct identity *identity, const struct addr *peer) MUST_USE;
/* SHA-256 over all rows in order: equal states hash equal. */
err_t ks_state_hash(const struct ks_state *state, uint8_t out[32]) MUST_USE;

/* What members are told of time-based anti-replay at that cluster time; nothing (zeros) where the group has none. */
struct policy_time ks_policy_time(const struct group_record *group, uint64_t now_ms);

/* The clear policy of a group as told at now_ms: current KEK, live TEKs (of the current sid_epoch for counter modes), remaining
 * lifetimes, selectors, delays. Opens wrapped keys: close the policy after use. sids of member if given. E_EXPIRED if nothing is
 * live, E_STATE before the first keys. */
err_t ks_group_policy(const struct ks_state *state, const struct ks_group *group, const struct wrap_key *wrap,
                      const struct ks_member *member, uint64_t now_ms, struct group_policy *out) MUST_USE;
/* The same for a server in that contact: the minority also tells keys of the runway whose start has come (and an ended KEK not), and
 * in a split the newest key takes over late (ks_runway.h). E_NO_QUORUM: a counter mode, in the minority. */
err_t ks_group_policy_in(const struct ks_state *state, const struct ks_group *group, const struct wrap_key *wrap,
                         const struct ks_member *member, enum ks_contact contact, uint64_t now_ms,
                         struct group_policy *out) MUST_USE;
/* A KEK record as clear kek (for ACK keys). */
err_t ks_kek_open(const struct ks_state *state, const struct ks_group *group, const struct kek_record *record,
                  const struct wrap_key *wrap, uint64_t now_ms, struct kek *out) MUST_USE;

/* Wrap contexts: cluster id | group id | object | name. What is wrapped for one place opens in no other. Names: the SPI of a KEK
 * (16 octets), that of a TEK (4 octets, network order), the psk_row_key of a pre-shared key (group 0), the version of a signing key
 * (4 octets, network order; group 0), the id of an enrolment token (16 octets, group 0). Room of WRAP_CONTEXT_MAX; a longer name is cut, which none of these is. */
enum { WRAP_CONTEXT_MAX = 64 };
enum wrap_object { WRAP_KEK = 1, WRAP_TEK_KEY, WRAP_TEK_INTEGRITY, WRAP_PSK, WRAP_SIGNING, WRAP_CA, WRAP_ENROL };
struct bytes wrap_context(const struct ks_state *state, uint32_t group_id, enum wrap_object object, struct bytes name,
                          uint8_t out[WRAP_CONTEXT_MAX]);
/* Pre-shared keys and signing keys with their contexts filled in. The caller wipes what open gives. */
err_t ks_psk_seal(const struct ks_state *state, const struct wrap_key *wrap, const struct rng *rng,
                  const struct prefix *peer, struct bytes psk, struct psk_record *out) MUST_USE;
err_t ks_psk_open(const struct ks_state *state, const struct wrap_key *wrap, const struct psk_record *record,
                  struct secret *out) MUST_USE;
/* priv is PKCS#8, pub SPKI; out->version is the next one. E_LIMIT for lengths beyond SIGN_*_MAX. */
err_t ks_signing_seal(const struct ks_state *state, const struct wrap_key *wrap, const struct rng *rng,
                      enum sign_alg alg, uint16_t bits, struct bytes priv, struct bytes pub,
                      struct signing_record *out) MUST_USE;
/* The authority's key, PKCS#8 (the caller wipes what open gives). E_LIMIT; E_STATE before there is one. */
err_t ks_ca_seal(const struct ks_state *state, const struct wrap_key *wrap, const struct rng *rng,
                 struct bytes cert, struct bytes pkcs8, struct ca_record *out) MUST_USE;
err_t ks_ca_open(const struct ks_state *state, const struct wrap_key *wrap, uint8_t out[CA_KEY_MAX],
                 size_t *out_len) MUST_USE;
/* The signing key of a version (KEKs name it), NULL if the state has it not (any more). */
const struct signing_record *ks_signing_of(const struct ks_state *state, uint32_t version);
/* out: PKCS#8. E_STATE: no signing key of that version. */
err_t ks_signing_open(const struct ks_state *state, const struct wrap_key *wrap, uint32_t version, uint8_t out[SIGN_PRIVATE_MAX],
                      size_t *out_len) MUST_USE;

#endif
