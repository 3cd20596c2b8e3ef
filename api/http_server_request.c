/* http_server_request.c - a request as libmicrohttpd hands it over, and the answer as it wants it. */
#include <stdlib.h>
#include <string.h>

#include "api/http_server_internal.h"

/* When not even a problem can be built. */
static const char no_memory_body[] = "{\"type\":\"urn:quorate:problem:no-memory\",\"status\":503}\n";

void *http_on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct http_server *server = context;
    struct exchange *x = calloc(1, sizeof(*x));
    if (x == NULL)
        return NULL;
    x->server = server;
    x->connection = connection;
    size_t len = strnlen(target, TARGET_MAX + 1);
    memcpy(x->target, target, len);
    pthread_mutex_lock(&server->lock);
    server->active++;
    pthread_mutex_unlock(&server->lock);
    return x;
}

void http_on_completed(void *context, struct MHD_Connection *connection, void **exchange,
                       enum MHD_RequestTerminationCode code)
{
    struct http_server *server = context;
    struct exchange *x = *exchange;
    (void)code;
    if (x == NULL)
        return;
    *exchange = NULL;
    reply_close(&x->reply);
    free(x->answer.octets);
    free(x->body);
    free(x);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    pthread_mutex_lock(&server->lock);
    server->active--;
    if (info != NULL && info->socket_context != NULL)
        http_connection_rearm(server, info->socket_context);
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static const char *header(const struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

static enum method method_of(const char *method)
{
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return METHOD_GET;
    return strcmp(method, "POST") == 0 ? METHOD_POST : METHOD_OTHER;
}

/* A page of another site may make a browser send requests here: it gives itself away by Host, if it had its
 * name point to us, or else by Origin. */
static void check_origin(struct exchange *x)
{
    const char *host = header(x, "Host");
    const char *origin = header(x, "Origin");
    if (host == NULL)
        reply_problem(&x->reply, PROBLEM_BAD_REQUEST, "The Host header is missing");
    else if (!host_is_ours(host, x->server->options.allow_remote))
        reply_problem(&x->reply, PROBLEM_FOREIGN_HOST, "Use the address, or localhost");
    else if (origin != NULL && !origin_is_ours(origin, host))
        reply_problem(&x->reply, PROBLEM_FOREIGN_ORIGIN, "Origin and Host differ");
}

static void check_body(struct exchange *x)
{
    const char *length = header(x, "Content-Length");
    const char *type = header(x, "Content-Type");
    uint64_t len = 0;
    if (header(x, "Transfer-Encoding") != NULL)
        reply_problem(&x->reply, PROBLEM_NO_LENGTH, "Transfer-Encoding is not taken; send Content-Length");
    else if (length != NULL && content_length_parse(length, &len) != E_OK)
        reply_problem(&x->reply, PROBLEM_BAD_REQUEST, "Content-Length is no number");
    else if (len > HTTP_BODY_MAX)
        reply_problem(&x->reply, PROBLEM_TOO_LARGE, "At most %d octets", HTTP_BODY_MAX);
    else if (len > 0 && (type == NULL || !media_is_json(type)))
        reply_problem(&x->reply, PROBLEM_BAD_MEDIA_TYPE, "Send application/json, or no body");
    else if (len > 0 && (x->body = malloc(len)) == NULL)
        reply_problem(&x->reply, PROBLEM_NO_MEMORY, "No room for the body");
    else
        x->body_cap = len;
}

/* Everything that can be refused before the body comes. */
static void begin(struct exchange *x, const char *method)
{
    x->method = method_of(method);
    check_origin(x);
    if (x->reply.status == 0)
        check_body(x);
    if (x->reply.status != 0)
        return;
    err_t err = request_parse(&x->request, x->target);
    if (err == E_LIMIT)
        reply_problem(&x->reply, PROBLEM_TOO_LONG, "At most %d octets, %d parts, %d parameters", TARGET_MAX,
                      SEGMENT_MAX, QUERY_MAX);
    else if (err != E_OK)
        reply_problem(&x->reply, PROBLEM_BAD_REQUEST, "The path or the query: %s", err_text(err));
}

/* false: more than was announced, which MHD does not let through. */
static bool take_body(struct exchange *x, const char *data, size_t len)
{
    if (len > x->body_cap - x->body_len)
        return false;
    memcpy(x->body + x->body_len, data, len);
    x->body_len += len;
    return true;
}

enum MHD_Result http_on_request(void *server, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data, size_t *data_len,
                                void **exchange)
{
    struct exchange *x = *exchange;
    (void)server, (void)connection, (void)url, (void)version;
    if (x == NULL)
        return MHD_NO;
    if (!x->begun) {
        x->begun = true;
        begin(x, method);
        return x->reply.status != 0 ? http_send(x) : MHD_YES;
    }
    if (*data_len > 0) {
        bool taken = take_body(x, data, *data_len);
        *data_len = 0;
        return taken ? MHD_YES : MHD_NO;
    }
    if (x->reply.deferred) {
        route_answered(&x->reply, &x->answer);
        return http_send(x);
    }
    struct call call = {
        .options = &x->server->options,
        .method = x->method,
        .request = &x->request,
        .if_none_match = header(x, "If-None-Match"),
        .body = {x->body, x->body_len},
    };
    route_run(&call, &x->reply);
    if (x->reply.deferred && http_defer(x))
        return MHD_YES;
    return http_send(x);
}

static struct MHD_Response *response_of(const struct reply *reply)
{
    if (reply->status == 304)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (reply->octets.len > 0)
        return MHD_create_response_from_buffer(reply->octets.len, (void *)(uintptr_t)reply->octets.data,
                                               MHD_RESPMEM_PERSISTENT);
    if (reply->is_text && reply->body != NULL)
        return MHD_create_response_from_buffer(json_string_length(reply->body),
                                               (void *)(uintptr_t)json_string_value(reply->body),
                                               MHD_RESPMEM_MUST_COPY);
    char *text = reply->body == NULL ? NULL : json_dumps(reply->body, JSON_INDENT(2));
    size_t len = text == NULL ? 0 : strlen(text);
    if (text != NULL) {
        text[len++] = '\n'; /* in the place of the NUL: a shell's prompt starts on its own line */
        struct MHD_Response *response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
        if (response == NULL)
            free(text);
        return response;
    }
    return MHD_create_response_from_buffer(sizeof(no_memory_body) - 1, (void *)(uintptr_t)no_memory_body,
                                           MHD_RESPMEM_PERSISTENT);
}

static void add_headers(struct MHD_Response *response, const struct reply *reply)
{
    char number[24];
    MHD_add_response_header(response, "Content-Type",
                            reply->octets.len > 0 ? "application/octet-stream"
                            : reply->is_problem ? "application/problem+json"
                            : reply->is_text  ? "text/plain; version=0.0.4; charset=utf-8"
                                              : "application/json");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (reply->tag[0] != '\0')
        MHD_add_response_header(response, "ETag", reply->tag);
    if (reply->allow[0] != '\0')
        MHD_add_response_header(response, "Allow", reply->allow);
    if (reply->has_index) {
        snprintf(number, sizeof(number), "%llu", (unsigned long long)reply->applied_index);
        MHD_add_response_header(response, "X-Applied-Index", number);
    }
    if (reply->retry_after_s > 0) {
        snprintf(number, sizeof(number), "%u", reply->retry_after_s);
        MHD_add_response_header(response, "Retry-After", number);
    }
}

enum MHD_Result http_send(struct exchange *x)
{
    struct MHD_Response *response = response_of(&x->reply);
    if (response == NULL)
        return MHD_NO;
    add_headers(response, &x->reply);
    bool has_body = x->reply.body != NULL || x->reply.octets.len > 0 || x->reply.status == 304;
    enum MHD_Result result = MHD_queue_response(x->connection, has_body ? x->reply.status : 503, response);
    MHD_destroy_response(response);
    return result;
}
