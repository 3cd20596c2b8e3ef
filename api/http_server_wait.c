/* http_server_wait.c - requests that wait for the loop, and the watcher: a thread that sleeps until the next
 * deadline, answers for a loop that is late, and cuts connections that take too long. */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "api/http_server_internal.h"

enum { DRAIN_MS = 1000 }; /* for the last answers, when the server ends */

uint64_t http_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void unlink_waiting(struct http_server *server, struct exchange *x)
{
    struct exchange **at = &server->waiting;
    while (*at != NULL && *at != x)
        at = &(*at)->next;
    if (*at != NULL)
        *at = x->next;
    x->is_waiting = false;
}

/* Any thread, once per suspended request. x belongs to MHD's thread again as soon as it is resumed. */
static void finish(struct exchange *x, const struct mail_answer *answer)
{
    struct http_server *server = x->server;
    pthread_mutex_lock(&server->lock);
    x->answer = *answer;
    x->answered = true;
    if (x->is_waiting)
        unlink_waiting(server, x);
    pthread_mutex_unlock(&server->lock);
    MHD_resume_connection(x->connection);
    pthread_mutex_lock(&server->lock);
    server->suspended--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static void on_answered(void *context, const struct mail_answer *answer)
{
    finish(context, answer);
}

bool http_defer(struct exchange *x)
{
    struct http_server *server = x->server;
    pthread_mutex_lock(&server->lock);
    bool stopping = server->stopping;
    if (!stopping)
        server->suspended++;
    pthread_mutex_unlock(&server->lock);
    if (stopping) {
        x->reply.deferred = false;
        reply_problem(&x->reply, PROBLEM_NOT_READY, "The server is ending");
        return false;
    }
    MHD_suspend_connection(x->connection); /* before the mail: the answer may come at once */
    uint64_t id;
    err_t err = mailbox_put(server->options.mailbox, &x->reply.mail, on_answered, x, &id);
    if (err != E_OK) {
        finish(x, &(struct mail_answer){.err = err});
        return true;
    }
    pthread_mutex_lock(&server->lock);
    if (!x->answered) {
        x->mail_id = id;
        x->deadline_ms = http_now_ms() + server->options.mail_timeout_ms;
        x->is_waiting = true;
        x->next = server->waiting;
        server->waiting = x;
        pthread_cond_broadcast(&server->changed);
    }
    pthread_mutex_unlock(&server->lock);
    return true;
}

void http_connection_rearm(struct http_server *server, struct http_connection *slot)
{
    slot->deadline_ms = http_now_ms() + server->options.request_timeout_ms;
}

static void connection_started(struct http_server *server, struct MHD_Connection *connection, void **slot)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL)
        return;
    for (size_t i = 0; i < HTTP_CONNECTION_MAX; i++) {
        struct http_connection *c = &server->connections[i];
        if (c->fd >= 0)
            continue;
        c->fd = fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 0);
        if (c->fd < 0)
            return;
        http_connection_rearm(server, c);
        *slot = c;
        pthread_cond_broadcast(&server->changed);
        return;
    }
}

void http_on_connection(void *context, struct MHD_Connection *connection, void **slot,
                        enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = context;
    pthread_mutex_lock(&server->lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_started(server, connection, slot);
    } else if (*slot != NULL) {
        struct http_connection *c = *slot;
        close(c->fd);
        c->fd = -1;
        *slot = NULL;
    }
    pthread_mutex_unlock(&server->lock);
}

/* A request whose time is over and whose mail could be taken back; NULL if there is none. */
static struct exchange *overdue(struct http_server *server, uint64_t now, uint64_t *next)
{
    for (struct exchange *x = server->waiting; x != NULL; x = x->next) {
        if (!server->stopping && x->deadline_ms > now) {
            if (x->deadline_ms < *next)
                *next = x->deadline_ms;
            continue;
        }
        if (mailbox_cancel(server->options.mailbox, x->mail_id))
            return x;
        x->deadline_ms = UINT64_MAX; /* its answer is on the way */
    }
    return NULL;
}

static void cut_slow(struct http_server *server, uint64_t now, uint64_t *next)
{
    for (size_t i = 0; i < HTTP_CONNECTION_MAX; i++) {
        struct http_connection *c = &server->connections[i];
        if (c->fd < 0)
            continue;
        if (c->deadline_ms <= now) {
            shutdown(c->fd, SHUT_RDWR);
            c->deadline_ms = UINT64_MAX;
        } else if (c->deadline_ms < *next) {
            *next = c->deadline_ms;
        }
    }
}

static void wait_until(struct http_server *server, uint64_t until_ms)
{
    if (until_ms == UINT64_MAX) {
        pthread_cond_wait(&server->changed, &server->lock);
        return;
    }
    struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
    pthread_cond_timedwait(&server->changed, &server->lock, &until);
}

void *http_watch(void *context)
{
    struct http_server *server = context;
    pthread_mutex_lock(&server->lock);
    while (!server->watcher_ends) {
        uint64_t now = http_now_ms(), next = UINT64_MAX;
        struct exchange *x = overdue(server, now, &next);
        if (x != NULL) {
            unlink_waiting(server, x);
            err_t err = server->stopping ? E_CANCELED : E_TIMEOUT;
            pthread_mutex_unlock(&server->lock);
            finish(x, &(struct mail_answer){.err = err});
            pthread_mutex_lock(&server->lock);
            continue;
        }
        cut_slow(server, now, &next);
        wait_until(server, next);
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

void http_drain(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    pthread_cond_broadcast(&server->changed);
    while (server->suspended > 0)
        pthread_cond_wait(&server->changed, &server->lock);
    uint64_t end = http_now_ms() + DRAIN_MS;
    while (server->active > 0 && http_now_ms() < end)
        wait_until(server, end);
    server->watcher_ends = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}
