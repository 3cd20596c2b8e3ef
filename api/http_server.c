#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/http_server_internal.h"

enum {
    HTTP_MEMORY_PER_CONNECTION = 16384, /* octets: request line, headers, and the answer's headers */
    HTTP_BACKLOG = 64,
};

static bool is_loopback(const struct addr *addr)
{
    static const uint8_t v6[16] = {[15] = 1};
    if (addr->family == AF_INET)
        return addr->bytes[0] == 127;
    return addr->family == AF_INET6 && bytes_equal(addr_bytes(addr), (struct bytes){v6, sizeof(v6)});
}

static int listen_on(const struct endpoint *endpoint)
{
    struct sockaddr_storage address;
    socklen_t len = endpoint_to_sockaddr(endpoint, &address);
    int on = 1;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, HTTP_BACKLOG) == 0)
        return fd;
    close(fd);
    return -1;
}

static err_t start_daemon(struct http_server *server, int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return E_IO;
    server->endpoint = endpoint_from_sockaddr((struct sockaddr *)&address);
    unsigned flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    if (server->endpoint.addr.family == AF_INET6)
        flags |= MHD_USE_IPv6;
    server->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, http_on_request, server,                          //
                         MHD_OPTION_LISTEN_SOCKET, fd,                                           //
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTION_MAX,             //
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY_PER_CONNECTION, //
                         MHD_OPTION_STRICT_FOR_CLIENT, 1,                                        //
                         MHD_OPTION_URI_LOG_CALLBACK, http_on_target, server,                    //
                         MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, server,                 //
                         MHD_OPTION_NOTIFY_CONNECTION, http_on_connection, server, MHD_OPTION_END);
    return server->daemon != NULL ? E_OK : E_IO;
}

static void close_server(struct http_server *server)
{
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

static struct http_server *new_server(const struct api_options *options)
{
    struct http_server *server = calloc(1, sizeof(*server));
    pthread_condattr_t attributes;
    if (server == NULL)
        return NULL;
    server->options = *options;
    if (server->options.request_timeout_ms == 0)
        server->options.request_timeout_ms = HTTP_REQUEST_TIMEOUT_MS;
    if (server->options.mail_timeout_ms == 0)
        server->options.mail_timeout_ms = HTTP_MAIL_TIMEOUT_MS;
    for (size_t i = 0; i < HTTP_CONNECTION_MAX; i++)
        server->connections[i].fd = -1;
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return server;
}

err_t http_server_open(struct http_server **out, const struct api_options *options)
{
    *out = NULL;
    if (!options->allow_remote && !is_loopback(&options->listen.addr))
        return E_CONFIG;
    struct http_server *server = new_server(options);
    if (server == NULL)
        return E_NO_MEMORY;
    int fd = listen_on(&options->listen);
    if (fd < 0) {
        close_server(server);
        return E_IO;
    }
    if (start_daemon(server, fd) != E_OK) {
        close(fd);
        close_server(server);
        return E_IO;
    }
    if (pthread_create(&server->watcher, NULL, http_watch, server) != 0) {
        MHD_stop_daemon(server->daemon);
        close_server(server);
        return E_NO_MEMORY;
    }
    *out = server;
    return E_OK;
}

struct endpoint http_server_endpoint(const struct http_server *server)
{
    return server->endpoint;
}

void http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    int fd = MHD_quiesce_daemon(server->daemon);
    if (fd >= 0)
        close(fd);
    http_drain(server);
    pthread_join(server->watcher, NULL);
    MHD_stop_daemon(server->daemon);
    close_server(server);
}
