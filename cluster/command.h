/* command.h - replicated commands: what may change the state, with everything that it needs (I3): times and keys are made by
 * the primary and travel in the command. One Raft entry is a batch of up to BATCH_MAX of them. */
#ifndef CLUSTER_COMMAND_H
#define CLUSTER_COMMAND_H

#include "cluster/join.h"
#include "proto/wire/isakmp_header.h"
#include "storage/record.h"

enum {
    BATCH_MAX = 128,            /* commands in one entry */
    BATCH_LEN_MAX = 256 * 1024, /* octets of one entry */
    SILENT_MAX = GROUP_MEMBER_MAX,
};

enum command_type {
#define COMMAND(name, number, level, text) CMD_##name = number,
#include "cluster/command.def"
#undef COMMAND
};

struct cmd_cluster_init {
    uint8_t cluster_id[CLUSTER_ID_LEN];
};
struct cmd_elect {
    uint32_t epoch; /* must be the current one + 1, else E_STALE */
    uint8_t primary_id[NODE_ID_LEN];
};
struct cmd_group_set {
    struct group_config config; /* by name; equal config: no change, E_OK */
};
struct cmd_group_delete {
    char name[GROUP_NAME_MAX];
};
struct cmd_psk_set {
    struct psk_record psk;
};
struct cmd_psk_delete {
    struct prefix peer;
};
struct cmd_signing_key {
    struct signing_record key; /* version must be the current one + 1, else E_STALE; E_STATE: a KEK still needs the one before */
};
struct cmd_member_registered {
    uint32_t group_id;
    struct identity identity;
    struct endpoint endpoint;
    uint8_t key_server[NODE_ID_LEN];
    uint16_t sid_request;
    uint32_t offered_generation; /* key generation that PULL message 2 told; too old: E_STALE, the member pulls again */
    uint32_t offered_seq;        /* group seq at that moment: pushes after it are for this member */
};
struct cmd_member_removed {
    uint32_t group_id;
    struct identity identity;
};
struct cmd_rekey {
    uint32_t group_id;
    uint32_t epoch;      /* of the primary that made it; other: E_STALE */
    uint32_t generation; /* current + 1, else E_STALE */
    uint32_t seq;        /* current + 1, else E_STALE; unchanged for REKEY_INITIAL */
    uint32_t policy_version; /* of the config that it was made from; other: E_STALE */
    enum rekey_kind kind;
    bool has_kek;
    struct kek_record kek; /* of another signing key than the current: E_STALE */
    bool has_tek;
    struct tek_record tek;
    bool sid_reset;      /* SIDs start again: sid_epoch + 1 */
    uint8_t kek_spi[KEK_SPI_LEN]; /* the push is sealed under this one */
    struct bytes push;   /* the datagram, empty for REKEY_INITIAL; borrowed */
};
struct cmd_push_done {
    uint32_t group_id;
    uint32_t seq;
    uint32_t retransmits;
    const struct identity *silent; /* members without ACK; borrowed on encode, owned by the decoder's arena on decode */
    size_t silent_count;
};

struct cmd_runway_set {
    uint32_t group_id;
    uint32_t epoch;          /* of the primary that made it; other: E_STALE */
    uint32_t generation;     /* of the group's keys then; other: E_STALE */
    uint32_t policy_version; /* other: E_STALE */
    struct tek_record teks[RUNWAY_MAX]; /* all of it: those that stay, then the new ones */
    size_t count;
};
/* Counter modes: E_UNSUPPORTED, they are not served without a quorum. */
struct cmd_member_served {
    uint32_t group_id;
    struct identity identity;
    struct endpoint endpoint;
    uint8_t key_server[NODE_ID_LEN];
    uint64_t served_ms; /* cluster time there; a later registration elsewhere stands: E_STALE */
};

struct cmd_node_set {
    struct node_record node; /* changed_ms, request and cert are set by apply; a priority of an operator stays */
};
struct cmd_node_remove {
    uint8_t id[NODE_ID_LEN]; /* the primary: E_STATE */
};
struct cmd_ca_set {
    struct ca_record ca;
};
struct cmd_join_token_set {
    struct join_record token;
};
struct cmd_join_token_used {
    uint8_t token_id[JOIN_ID_LEN];
    uint8_t request_mac[JOIN_MAC_LEN]; /* the same request again: E_OK; another: E_REPLAY */
    struct node_record node;
};

struct cmd_node_priority {
    uint8_t id[NODE_ID_LEN];
    uint8_t priority; /* 0: that of its configuration counts again */
};
struct cmd_node_cert {
    uint8_t id[NODE_ID_LEN];
    struct node_cert cert;
};

struct cmd_enrol_set {
    struct prefix peer;         /* one address; E_EXISTS: it has a key of a configuration */
    struct enrolment enrolment; /* not used yet */
};
struct cmd_enrol_used {
    struct prefix peer;
    uint8_t token_id[ENROL_ID_LEN];
    uint8_t request_mac[ENROL_MAC_LEN]; /* the same request again: E_OK; another: E_REPLAY */
    struct wrapped psk;
};

/* Of a member that is registered; else E_NOT_FOUND. */
struct cmd_member_quarantined {
    uint32_t group_id;
    struct identity identity;
    char reason[QUARANTINE_REASON_MAX];
};

/* The leader has heard from each of these key servers that its build is of that level or a higher one. */
struct cmd_cluster_level_set {
    uint32_t level; /* not above the present one: E_STALE, and so is one that asked not all who are of the cluster */
    uint8_t asked[KS_NODE_MAX][NODE_ID_LEN];
    size_t asked_count;
};

struct command {
    enum command_type type;
    uint64_t time_ms; /* cluster time of the proposer */
    union {
        struct cmd_cluster_init cluster_init;
        struct cmd_elect elect;
        struct cmd_group_set group_set;
        struct cmd_group_delete group_delete;
        struct cmd_psk_set psk_set;
        struct cmd_psk_delete psk_delete;
        struct cmd_signing_key signing_key;
        struct cmd_member_registered member_registered;
        struct cmd_member_removed member_removed;
        struct cmd_rekey rekey;
        struct cmd_push_done push_done;
        struct cmd_node_set node_set;
        struct cmd_node_remove node_remove;
        struct cmd_ca_set ca_set;
        struct cmd_join_token_set join_token_set;
        struct cmd_join_token_used join_token_used;
        struct cmd_runway_set runway_set;
        struct cmd_member_served member_served;
        struct cmd_node_priority node_priority;
        struct cmd_node_cert node_cert;
        struct cmd_enrol_set enrol_set;
        struct cmd_enrol_used enrol_used;
        struct cmd_member_quarantined member_quarantined;
        struct cmd_cluster_level_set cluster_level_set;
    } u;
};

const char *command_name(enum command_type type);
/* One command: type u8, time u64, length u32, fields. */
err_t command_encode(struct writer *w, const struct command *command) MUST_USE;
/* Reads one command from a batch; push borrows its bytes. On E_OK command_close must be called (frees the silent list). E_CORRUPT,
 * E_NO_MEMORY; *out is then empty and r has the error. E_UNSUPPORTED: a type of a newer build; *out has type and time, r is good and
 * stands behind it. */
err_t command_decode(struct reader *r, struct command *out) MUST_USE;
void command_close(struct command *command);

#endif
