#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/ksctl.h"
#include "base/file_save.h"

enum {
    URL_MAX = 4096,
    BODY_MAX = 64 << 20,  /* octets of an answer; no server of ours sends so much */
    FILE_MAX = 513 << 20, /* octets of a backup */
    CONNECT_MS = 5000,
    ANSWER_MS = 30000,
};

struct client {
    CURL *curl;
    char server[512]; /* without a slash at the end */
};

struct body {
    char *data;
    size_t len;
    size_t max;
};

static const char *const paths[PATH_COUNT] = {
#define ROUTE(name, method, path, command, summary, role) [PATH_##name] = path,
#include "api/routes.def"
#undef ROUTE
};

enum exit_code client_open(struct client **out, const char *server)
{
    *out = NULL;
    size_t len = strlen(server);
    while (len > 0 && server[len - 1] == '/')
        len--;
    if (strncmp(server, "http://", 7) != 0 || len <= 7) {
        fprintf(stderr, "ksctl: %s: expected http://ADDRESS:PORT\n", server);
        return EXIT_USAGE;
    }
    struct client *client = calloc(1, sizeof(*client));
    if (client == NULL || len >= sizeof(client->server) || curl_global_init(CURL_GLOBAL_NOTHING) != 0 ||
        (client->curl = curl_easy_init()) == NULL) {
        fprintf(stderr, "ksctl: cannot start the HTTP client\n");
        free(client);
        return EXIT_UNREACHABLE;
    }
    memcpy(client->server, server, len);
    *out = client;
    return EXIT_DONE;
}

void client_free(struct client *client)
{
    if (client == NULL)
        return;
    curl_easy_cleanup(client->curl);
    curl_global_cleanup();
    free(client);
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct body *body = context;
    size_t len = size * count;
    if (len > body->max - body->len)
        return 0;
    char *grown = realloc(body->data, body->len + len + 1);
    if (grown == NULL)
        return 0;
    memcpy(grown + body->len, data, len);
    body->data = grown;
    body->len += len;
    return len;
}

/* A server's text must not move the terminal's cursor. */
static void tame(json_t *json)
{
    const char *name;
    json_t *value;
    size_t i;
    json_object_foreach(json, name, value) tame(value);
    json_array_foreach(json, i, value) tame(value);
    if (!json_is_string(json))
        return;
    char *text = strndup(json_string_value(json), json_string_length(json));
    if (text == NULL)
        return;
    for (char *p = text; *p != '\0'; p++) {
        bool is_c1 = *p == '\xc2' && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] < 0xa0;
        if (is_c1)
            *p++ = '?';
        if (is_c1 || (unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    }
    json_string_set(json, text);
    free(text);
}

static bool append(char url[URL_MAX], size_t *len, const char *text, size_t text_len)
{
    if (text_len >= URL_MAX - *len)
        return false;
    memcpy(url + *len, text, text_len);
    *len += text_len;
    url[*len] = '\0';
    return true;
}

static bool append_escaped(struct client *client, char url[URL_MAX], size_t *len, const char *text)
{
    char *escaped = curl_easy_escape(client->curl, text, 0);
    bool fits = escaped != NULL && append(url, len, escaped, strlen(escaped));
    curl_free(escaped);
    return fits;
}

static bool make_url(struct client *client, enum path path, const char *g, const char *identity,
                     const char *query, char url[URL_MAX])
{
    size_t len = 0;
    bool fits = append(url, &len, client->server, strlen(client->server));
    for (const char *p = paths[path]; *p != '\0' && fits;) {
        size_t plain = strcspn(p, "{");
        fits = append(url, &len, p, plain);
        p += plain;
        if (*p != '{' || !fits)
            continue;
        fits = append_escaped(client, url, &len, p[1] == 'i' ? identity : g);
        p += strcspn(p, "}") + 1;
    }
    return fits && append(url, &len, query, strlen(query));
}

void client_explain(const json_t *problem)
{
    const char *title = text_at(problem, "title");
    const char *detail = text_at(problem, "detail");
    fprintf(stderr, "ksctl: %s%s%s\n", *title != '\0' ? title : "the server refused",
            *detail != '\0' ? ": " : "", detail);
}

/* send: what to POST, "" for nothing; NULL: GET. */
static enum exit_code perform(struct client *client, const char *url, const char *send, struct body *body,
                              long *status)
{
    CURL *curl = client->curl;
    struct curl_slist *headers = NULL;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)ANSWER_MS);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "ksctl/" QUORATE_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    if (send != NULL)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, send);
    if (send != NULL && *send != '\0')
        headers = curl_slist_append(NULL, "Content-Type: application/json");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK) {
        fprintf(stderr, "ksctl: %s: %s\n", client->server, curl_easy_strerror(code));
        return EXIT_UNREACHABLE;
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    return EXIT_DONE;
}

/* Metrics are text; everything else is JSON. */
static bool is_text(const struct client *client)
{
    const char *type = NULL;
    return curl_easy_getinfo(client->curl, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type != NULL &&
           strncmp(type, "text/plain", strlen("text/plain")) == 0;
}

/* {"lines": [...]}, so that they are tamed like everything that is printed. */
static json_t *lines_of(const char *text, size_t len)
{
    json_t *lines = json_array();
    for (const char *end; len > 0; len -= (size_t)(end - text), text = end) {
        const char *newline = memchr(text, '\n', len);
        size_t line_len = newline != NULL ? (size_t)(newline - text) : len;
        end = text + line_len + (newline != NULL);
        json_array_append_new(lines, json_stringn(text, line_len));
    }
    return json_pack("{s:o}", "lines", lines);
}

static enum exit_code request(struct client *client, const char *url, const char *send, bool quiet,
                              json_t **out)
{
    struct body body = {.max = BODY_MAX};
    long status = 0;
    enum exit_code code = perform(client, url, send, &body, &status);
    if (code == EXIT_DONE && body.data != NULL)
        *out = is_text(client) ? lines_of(body.data, body.len)
                               : json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, NULL);
    free(body.data);
    if (code != EXIT_DONE)
        return code;
    tame(*out);
    if (!json_is_object(*out)) {
        fprintf(stderr, "ksctl: %s: status %ld without a JSON object: is this a key server?\n",
                client->server, status);
        return EXIT_UNREACHABLE;
    }
    if (status >= 200 && status < 300)
        return EXIT_DONE;
    if (!quiet)
        client_explain(*out);
    return EXIT_REFUSED;
}

enum exit_code client_get(struct client *client, enum path path, const char *g, const char *identity,
                          const char *query, bool quiet, json_t **out)
{
    char url[URL_MAX];
    *out = NULL;
    if (!make_url(client, path, g, identity, query, url)) {
        fprintf(stderr, "ksctl: a name is too long\n");
        return EXIT_USAGE;
    }
    return request(client, url, NULL, quiet, out);
}

enum exit_code client_post(struct client *client, enum path path, const char *g, const json_t *send,
                           json_t **out)
{
    char url[URL_MAX];
    *out = NULL;
    if (!make_url(client, path, g, "", "", url)) {
        fprintf(stderr, "ksctl: a name is too long\n");
        return EXIT_USAGE;
    }
    char *text = send != NULL ? json_dumps(send, JSON_COMPACT) : NULL;
    enum exit_code code = request(client, url, text != NULL ? text : "", false, out);
    free(text);
    return code;
}

static enum exit_code save(const char *file, struct bytes data)
{
    if (file_save(file, data, NULL) == E_OK)
        return EXIT_DONE;
    fprintf(stderr, "ksctl: %s: %s\n", file, strerror(errno));
    return EXIT_REFUSED;
}

enum exit_code client_save(struct client *client, enum path path, const char *file, size_t *len)
{
    char url[URL_MAX];
    struct body body = {.max = FILE_MAX};
    long status = 0;
    const char *type = NULL;
    *len = 0;
    if (!make_url(client, path, "", "", "", url))
        return EXIT_USAGE;
    enum exit_code code = perform(client, url, "", &body, &status);
    if (code != EXIT_DONE) {
        free(body.data);
        return code;
    }
    (void)curl_easy_getinfo(client->curl, CURLINFO_CONTENT_TYPE, &type);
    if (status == 200 && type != NULL && strcmp(type, "application/octet-stream") == 0) {
        code = save(file, (struct bytes){(const uint8_t *)body.data, body.len});
        *len = body.len;
    } else {
        json_t *problem = json_loadb(body.data != NULL ? body.data : "", body.len, 0, NULL);
        tame(problem);
        client_explain(problem);
        json_decref(problem);
        code = EXIT_REFUSED;
    }
    free(body.data);
    return code;
}
