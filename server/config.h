/* config.h - ksd.conf as a struct: read in one go, checked in full, nothing changed when it is wrong.
 * Every error names file, line and what was expected (base/conf.h). The file holds pre-shared keys:
 * config_free wipes. */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "base/conf.h"
#include "base/secret.h"
#include "proto/ike/ike_policy.h"
#include "storage/record.h"

enum {
    CONFIG_PATH_MAX = CONF_TEXT_MAX,
    LIFETIME_MIN_S = 300,
    LIFETIME_MAX_S = 2592000,
    REPLAY_WINDOW_MAX_MS = 100000,
    LIFETIME_SHORT_MIN_S = 5, /* with short_lifetimes */
    RETRANSMIT_MIN_S = 10,
    RETRANSMIT_MAX_S = 60,
    RETRANSMIT_COUNT_MAX = 10,
    DELAY_MAX_S = 3600, /* ATD and DTD */
    MINORITY_SERVE_MAX_S = 30 * 86400,
    RUNWAY_DEFAULT = 2, /* TEKs committed ahead of their time */
    HALF_OPEN_DEFAULT = 1024,
    HALF_OPEN_LIMIT = 65536,
    RATE_DEFAULT = 20,
    RATE_BURST_DEFAULT = 60,
    RATE_LIMIT = 100000,
    IKE_LIFETIME_MIN_S = 60,
    IKE_LIFETIME_CONFIG_S = 1200, /* when the file says nothing */
    API_PORT_DEFAULT = 8480,
    CLUSTER_PORT_DEFAULT = 8481, /* and 8482 for join requests */
    ELECTION_MIN_MS = 100,
    ELECTION_MAX_MS = 10000,
    SECRET_FILE_MAX = 1024, /* octets of a secret_file, line end included */
};

#define MINORITY_SERVE_DEFAULT UINT32_MAX /* minority_serve_s: two TEK lifetimes of each group */

struct config_psk {
    struct prefix peer;
    struct secret secret;
};

struct ksd_config {
    char path[CONFIG_PATH_MAX];
    struct endpoint listen; /* UDP */
    char data_dir[CONFIG_PATH_MAX];
    char node_key_file[CONFIG_PATH_MAX];
    char backup_key_file[CONFIG_PATH_MAX]; /* empty: no backup is taken */
    struct endpoint api;
    struct endpoint cluster; /* TCP for other key servers, join requests on the next port; family 0: none */
    struct addr advertise;   /* family 0: that of cluster, or the listening one */
    uint8_t priority;
    uint32_t election_ms;
    uint32_t minority_serve_s; /* committed keys are served without a quorum for so long; 0: never */
    struct endpoint join;             /* a member's port for join requests; family 0: this server founds a cluster */
    char token_file[CONFIG_PATH_MAX]; /* empty: none */
    struct ike_policy ike;
    uint32_t half_open_max;
    uint32_t rate_per_s;
    uint32_t rate_burst;
    enum sign_alg sign_alg;
    uint16_t sign_bits; /* RSA */
    struct config_psk *psks;
    size_t psk_count;
    struct group_config *groups;
    size_t group_count;
};

/* E_CONFIG with error filled; E_NO_MEMORY. */
err_t config_read(struct ksd_config **out, const char *path, struct conf_error *error) MUST_USE;
void config_free(struct ksd_config *config); /* NULL is fine */

/* One entry of the list 'groups'. sign_alg: RFC 4754 ties the hash to the curve. */
err_t config_group_read(const struct conf_node *node, enum sign_alg sign_alg, struct group_config *out,
                        struct conf_error *error) MUST_USE;
/* The list 'psk' into config. */
err_t config_psks_read(const struct conf_node *root, struct ksd_config *config,
                       struct conf_error *error) MUST_USE;

#endif
