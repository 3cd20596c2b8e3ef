/* record.h - the rows of the replicated state, as structs, and their encoding. Equal on every node to the byte.
 * Secrets appear only wrapped (proto/crypto/keywrap.h). Times are cluster time: milliseconds since 1970 as stamped by the
 * primary into commands, never backwards. Encodings start with a format version octet. */
#ifndef STORAGE_RECORD_H
#define STORAGE_RECORD_H

#include <stdbool.h>

#include "base/addr.h"
#include "proto/crypto/keywrap.h"
#include "proto/gdoi/group_policy.h"
#include "proto/gdoi/quarantine.h"
#include "proto/ike/enrol.h"
#include "proto/wire/id_payload.h"

enum {
    GROUP_MAX = 64,
    GROUP_NAME_MAX = 64,          /* bytes with NUL */
    GROUP_RULE_MAX = 64,          /* entries of a group's member list */
    GROUP_TEK_MAX = POLICY_TEK_MAX,
    GROUP_MEMBER_MAX = 16384,
    PSK_MAX = 16384,
    RUNWAY_MAX = 4,               /* TEKs committed ahead of their time, per group */
    REKEY_HISTORY_MAX = 64,       /* finished rekeys kept per group */
    MEMBER_SEQ_SHOWN = 4,         /* last sequence numbers shown per member, as on IOS */
    MEMBER_SID_MAX = POLICY_SID_MAX,
    NODE_ID_LEN = 16,
    CLUSTER_ID_LEN = 16,
    KS_NODE_MAX = 16,                /* key servers of a cluster, of all roles */
    CA_CERT_MAX = 2048,           /* octets of the authority's certificate */
    CA_KEY_MAX = 256,             /* octets of its key, before wrapping */
    RECORD_LEN_MAX = 32768,       /* octets of one encoded row */
    MEMBER_ROW_MAX = 1024,        /* of a member's: the longest identity, the longest reason, 160 octets of numbers */
    REKEY_LOST_AFTER = 3,         /* unacknowledged rekeys in a row, then the member is removed */
};

/* Who may register: an address range, or one identity. */
struct member_rule {
    bool is_prefix;
    struct prefix prefix;
    struct identity identity;
};

/* What an operator configures for a group; replicated as it is. */
struct group_config {
    char name[GROUP_NAME_MAX];
    struct identity identity;      /* group id on the wire: number (KEY_ID), address or FQDN */
    struct addr server_addr;       /* "address ipv4": source of pushes, shown to members in SAK */
    uint32_t kek_lifetime_s;       /* 300..2592000 unless short_lifetimes */
    uint32_t tek_lifetime_s;
    uint32_t retransmit_s;         /* 10..60 unless short_lifetimes */
    uint32_t retransmit_count;     /* resends after the first: 0..10 */
    enum cipher_alg kek_cipher;
    enum hash_alg sig_hash;
    enum kek_ack ack;
    struct esp_suite suite;
    uint16_t activation_s;         /* ATD */
    uint16_t deactivation_s;       /* DTD >= ATD */
    uint16_t sid_bits;             /* 0 unless the suite is a counter mode: 8, 12, 16 */
    uint8_t runway;                /* TEKs committed ahead: 0 (off) .. RUNWAY_MAX; none in counter modes */
    uint32_t replay_window_ms;     /* time-based anti-replay: 1..100000, 0: off (and the attribute then) */
    uint16_t replay_attribute;     /* SAT attribute class that tells it, 32001..32767 */
    bool short_lifetimes;          /* laboratory: lifetimes from 5 s, retransmit from 1 s */
    struct gdoi_dialect dialect;
    struct selector selectors[POLICY_SELECTOR_MAX];
    size_t selector_count;
    struct member_rule rules[GROUP_RULE_MAX];
    size_t rule_count;             /* 0: every authenticated peer */
};

struct kek_record {
    uint32_t generation;
    uint8_t spi[KEK_SPI_LEN];
    enum cipher_alg cipher;
    enum hash_alg sig_hash;
    enum kek_ack ack;
    uint32_t signing_version;
    uint64_t created_ms;
    uint32_t lifetime_s;
    struct wrapped iv_key;
};

struct tek_record {
    uint32_t generation;
    uint32_t spi;
    struct esp_suite suite;
    uint32_t sid_epoch;
    uint16_t sid_bits; /* length of sender ids under this TEK, 0: none */
    uint64_t created_ms;
    uint32_t lifetime_s;
    struct wrapped key;
    struct wrapped integrity; /* len 0 for GCM */
};

enum rekey_kind { REKEY_INITIAL = 0, REKEY_TEK = 1, REKEY_KEK = 2 /* KEK and TEK */, REKEY_POLICY = 3 };

struct rekey_record {
    uint32_t group_id;
    uint32_t seq;
    enum rekey_kind kind;
    uint64_t created_ms;
    uint64_t done_ms; /* 0: going on */
    uint32_t members; /* to how many it went */
    uint32_t acked;
    uint32_t silent;
    uint32_t retransmits; /* datagrams sent again, all members */
    uint32_t push_len;    /* octets of the datagram */
    uint8_t kek_spi[KEK_SPI_LEN]; /* KEK that it is sealed under */
};

/* A group without members: configuration, keys, counters. */
struct group_record {
    uint32_t id;             /* internal, never reused */
    uint32_t policy_version; /* grows with each change of config */
    uint32_t told_version;   /* policy version that members know; behind policy_version: a REKEY_POLICY is due */
    struct group_config config;
    uint32_t generation;     /* of keys: grows with each REKEY command */
    uint32_t seq;            /* last used push sequence number; only grows (I2) */
    bool has_kek;
    struct kek_record kek;
    bool has_previous_kek;   /* to verify late ACKs and to send an unfinished push again */
    struct kek_record previous_kek;
    struct tek_record teks[GROUP_TEK_MAX]; /* oldest first */
    size_t tek_count;
    /* The next TEKs, in the order of their use, for servers that lose the others: cluster/ks_runway.h. Their created_ms is 0 until
     * a rekey takes them. */
    struct tek_record runway[RUNWAY_MAX];
    size_t runway_count;
    uint64_t pseudotime_base_ms; /* cluster time of the group's making: its pseudotime began at 0 then */
    uint32_t next_sid;
    uint32_t sid_epoch;      /* grows when SIDs start again: only TEKs of this epoch are told to new members */
    uint64_t rekeys_sent;    /* pushes since the group exists */
};

struct member_record {
    uint32_t group_id;
    struct identity identity;   /* proven in phase 1: the key, with group_id */
    struct endpoint endpoint;   /* where pushes go: source of its PULL */
    uint8_t key_server[NODE_ID_LEN]; /* that registered it */
    uint64_t first_ms;
    uint64_t last_ms;           /* of the last registration */
    uint32_t registrations;
    uint32_t seq_base;          /* pushes up to this one are not for it */
    uint32_t rekeys_sent;
    uint32_t acks;
    uint32_t missed;            /* rekeys without ACK, in total */
    uint8_t missed_in_row;
    uint32_t sent_seq[MEMBER_SEQ_SHOWN];  /* newest first */
    uint32_t acked_seq[MEMBER_SEQ_SHOWN]; /* newest first */
    uint16_t sid_count;
    uint32_t first_sid;         /* its SIDs are first_sid .. first_sid + sid_count - 1 */
    uint64_t quarantined_ms;    /* since then it cannot do the policy; 0: it can, as far as it said */
    const char *quarantine;     /* why; NULL when quarantined_ms is 0. Of a decoded row: in the row */
};

/* The one-time token by which a member of one address gets its pre-shared key (proto/ike/enrol.h). */
struct enrolment {
    bool is_set;         /* false: the key is of a configuration, and the rest is zero */
    uint32_t group_id;   /* the group that the member is told */
    uint8_t id[ENROL_ID_LEN];
    struct wrapped key;  /* of the token, under the cluster's data key */
    uint64_t expires_ms; /* cluster time */
    bool used;
    uint8_t used_by[ENROL_MAC_LEN]; /* the request's HMAC: the same request may ask again */
};

/* A pre-shared key for peers of a range (most specific wins). */
struct psk_record {
    struct prefix peer;
    struct wrapped psk; /* len 0: none yet, its token was not used; the range around it counts */
    struct enrolment enrolment;
};

struct signing_record {
    uint32_t version; /* 1, 2, ...; 0: none yet */
    enum sign_alg alg;
    uint16_t bits;
    uint16_t public_len;
    uint8_t public_key[SIGN_PUBLIC_MAX];
    uint16_t private_len; /* wrapped PKCS#8 */
    uint8_t private_key[SIGN_PRIVATE_MAX + KEYWRAP_OVERHEAD];
};

enum node_role { NODE_VOTER = 1, NODE_WITNESS = 2, NODE_STANDBY = 3 };

enum { NODE_SERIAL_LEN = 16, NODE_FINGERPRINT_LEN = 32 };

/* The certificate that a key server shows to the others; times in seconds since 1970. */
struct node_cert {
    uint8_t serial[NODE_SERIAL_LEN];
    uint8_t fingerprint[NODE_FINGERPRINT_LEN]; /* SHA-256 of the DER */
    uint64_t not_before_s;
    uint64_t not_after_s; /* 0: none is known */
};

/* A key server of the cluster. Raft knows it by the first eight octets of its id. */
struct node_record {
    uint8_t id[NODE_ID_LEN];
    enum node_role role;
    uint8_t priority;        /* 1..255: the live one with the highest becomes primary */
    struct endpoint cluster; /* where its peers reach it (TCP) */
    struct addr address;     /* where members reach it; decides between equal priorities */
    uint64_t changed_ms;
    uint64_t request;        /* the last of its forwarded commands that was applied: none is applied twice */
    bool priority_set;       /* by an operator's command, which counts more than the node's configuration */
    struct node_cert cert;
};

/* The cluster's certificate authority. */
struct ca_record {
    uint16_t cert_len; /* DER; 0: none yet */
    uint8_t cert[CA_CERT_MAX];
    uint16_t key_len; /* wrapped PKCS#8 */
    uint8_t key[CA_KEY_MAX + KEYWRAP_OVERHEAD];
};

struct cluster_record {
    uint8_t cluster_id[CLUSTER_ID_LEN];
    uint32_t coop_epoch;              /* grows with each election of a primary */
    uint8_t primary_id[NODE_ID_LEN];
    uint64_t time_ms;                 /* newest cluster time seen in a command */
    uint32_t next_group_id;
};

/* A group row of version 1, without runway and pseudotime base, is still read. */
/* encode writes one row; decode takes exactly one (E_TRAILING, E_BAD_VERSION, E_RANGE ...: E_CORRUPT at the floor above). */
void group_record_encode(struct writer *w, const struct group_record *r);
err_t group_record_decode(struct group_record *out, struct bytes row) MUST_USE;
void member_record_encode(struct writer *w, const struct member_record *r);
err_t member_record_decode(struct member_record *out, struct bytes row) MUST_USE;
void rekey_record_encode(struct writer *w, const struct rekey_record *r);
err_t rekey_record_decode(struct rekey_record *out, struct bytes row) MUST_USE;
void psk_record_encode(struct writer *w, const struct psk_record *r);
err_t psk_record_decode(struct psk_record *out, struct bytes row) MUST_USE;
/* The part without is_set. */
void enrolment_encode(struct writer *w, const struct enrolment *e);
void enrolment_decode(struct reader *r, struct enrolment *out);
void signing_record_encode(struct writer *w, const struct signing_record *r);
err_t signing_record_decode(struct signing_record *out, struct bytes row) MUST_USE;
void cluster_record_encode(struct writer *w, const struct cluster_record *r);
err_t cluster_record_decode(struct cluster_record *out, struct bytes row) MUST_USE;
/* The cluster's level, a row of its own that stays as it is: whatever the other rows of a newer build look like, an older one can
 * tell that it is too old for them. 1, where there is no such row. */
void level_record_encode(struct writer *w, uint32_t level);
err_t level_record_decode(uint32_t *out, struct bytes row) MUST_USE; /* E_RANGE: 0 */
void node_record_encode(struct writer *w, const struct node_record *r);
err_t node_record_decode(struct node_record *out, struct bytes row) MUST_USE;
void node_cert_encode(struct writer *w, const struct node_cert *cert);
void node_cert_decode(struct reader *r, struct node_cert *out);
void ca_record_encode(struct writer *w, const struct ca_record *r);
err_t ca_record_decode(struct ca_record *out, struct bytes row) MUST_USE;

/* The parts, for commands that carry them. */
void group_config_encode(struct writer *w, const struct group_config *c);
void group_config_decode(struct reader *r, struct group_config *out); /* runway is not in it: the row and the command add it */
void kek_record_encode(struct writer *w, const struct kek_record *r);
void kek_record_decode(struct reader *r, struct kek_record *out);
void tek_record_encode(struct writer *w, const struct tek_record *r);
void tek_record_decode(struct reader *r, struct tek_record *out);
void identity_encode(struct writer *w, const struct identity *identity);
void identity_decode(struct reader *r, struct identity *out);
void endpoint_encode(struct writer *w, const struct endpoint *endpoint);
void endpoint_decode(struct reader *r, struct endpoint *out);
/* Field by field, not bytewise. */
bool group_config_equal(const struct group_config *a, const struct group_config *b);

/* Keys of rows, big-endian so that LMDB's order is the natural one. */
enum { ROW_KEY_MAX = 4 + 2 + ID_DATA_MAX };
struct row_key {
    uint16_t len;
    uint8_t data[ROW_KEY_MAX];
};
struct row_key group_row_key(uint32_t group_id);
struct row_key member_row_key(uint32_t group_id, const struct identity *identity);
struct row_key rekey_row_key(uint32_t group_id, uint32_t seq);
struct row_key psk_row_key(const struct prefix *peer);
struct row_key node_row_key(const uint8_t node_id[NODE_ID_LEN]);
struct row_key level_row_key(void);
struct row_key single_row_key(void); /* tables with one row */
struct row_key previous_row_key(void); /* the signing key before, while a KEK is verified with it */

#endif
