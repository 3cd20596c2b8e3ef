/* http_server.h - the REST API on libmicrohttpd, in a thread of its own. Reads come from LMDB read
 * transactions, so the loop is not involved; writes go through the mailbox and the connection is suspended
 * until the loop has answered. microhttpd.h is included only in http_server*.c. */
#ifndef API_HTTP_SERVER_H
#define API_HTTP_SERVER_H

#include "api/mailbox.h"
#include "base/addr.h"
#include "base/event.h"
#include "storage/store.h"

enum {
    HTTP_CONNECTION_MAX = 64,
    HTTP_BODY_MAX = 65536,       /* octets of a request body; 413 beyond */
    API_REASON_MAX = 128,        /* octets of the text, NUL included */
    HTTP_MAIL_TIMEOUT_MS = 5000, /* then 503, the outcome being unknown */
    HTTP_REQUEST_TIMEOUT_MS =
        15000, /* from connection or last answer to the end of the next one; then the connection is cut */
};

/* How the server is; written by the loop under a lock of its own, copied by the API. */
struct api_health {
    bool live; /* the loop ran within the last seconds */
    bool ready;
    char reason[API_REASON_MAX]; /* why not ready; or ready, but degraded; else empty */
    char raft_role[16];
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
    uint32_t voters; /* of the cluster; 0: not told */
    bool primary;    /* of the committed epoch */
    uint32_t coop_epoch;
    uint8_t node_id[NODE_ID_LEN];
    bool witness;    /* votes and stores, serves no members */
    struct endpoint listen; /* UDP 848; family 0: none, a witness or one that does not know its role yet */
    uint64_t started_ms;    /* wall clock */
    uint64_t minority_ms;   /* no quorum, committed keys are served until then (cluster time); 0: not so */
};

/* The cluster as this server sees it. */
struct api_node {
    struct node_record node;
    bool self, primary, leader, connected;
    uint64_t heard_ms; /* since it was heard last; UINT64_MAX: never */
    uint64_t applied_index;
    uint32_t level; /* of its build; 0: not told yet */
};
struct api_cluster {
    uint8_t cluster_id[CLUSTER_ID_LEN];
    uint8_t state_hash[32]; /* of all rows, at hash_index */
    uint64_t hash_index;    /* 0: not taken yet */
    uint32_t coop_epoch;
    uint64_t term;
    uint32_t voters;
    uint8_t mark_hash[32]; /* the last one that all took at the same index */
    uint64_t mark_index;   /* 0: none yet */
    bool diverged;         /* the others agree on another state */
    uint64_t divergences;
    bool disk_slow;
    uint64_t join_refused;
    uint32_t level; /* of the cluster */
    uint64_t minority_ms; /* as in api_health */
    size_t node_count;
    struct api_node nodes[KS_NODE_MAX];
};

struct api_options {
    struct endpoint listen;
    bool allow_remote; /* else anything but loopback is E_CONFIG */
    struct store *store;
    struct event_ring *ring;
    struct mailbox *mailbox;
    void *context;
    void (*health)(void *context, struct api_health *out);   /* any thread */
    void (*cluster)(void *context, struct api_cluster *out); /* any thread; NULL: no cluster is told */
    char *(*metrics)(
        void *context); /* any thread; text of /metrics for the caller to free; NULL: no memory */
    uint64_t (*now_ms)(void *context); /* cluster time, any thread */
    uint32_t request_timeout_ms;       /* 0: HTTP_REQUEST_TIMEOUT_MS */
    uint32_t mail_timeout_ms;          /* 0: HTTP_MAIL_TIMEOUT_MS */
};

struct http_server;
/* E_CONFIG (listen address), E_IO (bind), E_NO_MEMORY. */
err_t http_server_open(struct http_server **out, const struct api_options *options) MUST_USE;
/* Where it listens (port 0 was asked for: the real one). */
struct endpoint http_server_endpoint(const struct http_server *server);
/* Stops taking requests, ends suspended ones with 503, joins the thread. */
void http_server_free(struct http_server *server);

#endif
