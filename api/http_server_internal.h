/* http_server_internal.h - what http_server*.c share; nobody else includes it, so that microhttpd.h stays
 * here. */
#ifndef API_HTTP_SERVER_INTERNAL_H
#define API_HTTP_SERVER_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>

#include "api/http_server.h"
#include "api/route.h"

/* A connection, to be cut when it takes too long. fd is a copy of its socket, so that it cannot become
 * another one. */
struct http_connection {
    int fd; /* -1: free */
    uint64_t deadline_ms;
};

/* One request with its answer; MHD's thread owns it, from the request line to the completed answer. */
struct exchange {
    struct http_server *server;
    struct MHD_Connection *connection;
    char target[TARGET_MAX + 2]; /* as sent; one octet longer than TARGET_MAX when it was longer */
    bool begun;                  /* the headers were looked at */
    enum method method;
    uint8_t *body;
    size_t body_len;
    size_t body_cap;
    struct request request;
    struct reply reply;
    /* Of a deferred one, under the server's lock: */
    bool answered;
    struct mail_answer answer;
    uint64_t mail_id;
    uint64_t deadline_ms;
    struct exchange *next; /* in server->waiting */
    bool is_waiting;
};

struct http_server {
    struct api_options options;
    struct endpoint endpoint;
    struct MHD_Daemon *daemon;
    pthread_t watcher; /* sleeps until the next deadline */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping; /* no new deferred requests */
    bool watcher_ends;
    unsigned active;          /* requests without completed answer */
    unsigned suspended;       /* connections that MHD holds back for us */
    struct exchange *waiting; /* for mail */
    struct http_connection connections[HTTP_CONNECTION_MAX];
};

uint64_t http_now_ms(void); /* monotonic */

/* http_server_request.c: MHD's callbacks */
void *http_on_target(void *server, const char *target, struct MHD_Connection *connection);
enum MHD_Result http_on_request(void *server, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data, size_t *data_len,
                                void **exchange);
void http_on_completed(void *server, struct MHD_Connection *connection, void **exchange,
                       enum MHD_RequestTerminationCode code);
enum MHD_Result http_send(struct exchange *x);

/* http_server_wait.c: suspended requests, deadlines */
/* Suspends the connection and mails the request. false: refused, the reply says why. */
bool http_defer(struct exchange *x);
void http_on_connection(void *server, struct MHD_Connection *connection, void **slot,
                        enum MHD_ConnectionNotificationCode code);
void http_connection_rearm(struct http_server *server, struct http_connection *slot);
void *http_watch(void *server);
/* Ends all suspended requests with 503 and waits a while for the answers to go out. */
void http_drain(struct http_server *server);

#endif
