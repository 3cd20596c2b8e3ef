#include "api/route.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/handlers.h"

struct route {
    enum method method;
    const char *path;
    void (*handle)(struct call *call, struct reply *reply);
};

static const struct route routes[] = {
#define ROUTE(name, method, path, command, summary, role) {METHOD_##method, path, handle_##name},
#include "api/routes.def"
#undef ROUTE
};

/* Compares part by part; "{...}" takes any part. */
static bool path_matches(const char *path, const struct request *request, const char *params[ROUTE_PARAM_MAX])
{
    size_t param_count = 0;
    for (size_t i = 0; i < request->segment_count; i++) {
        if (*path != '/')
            return false;
        size_t len = strcspn(++path, "/");
        const char *segment = request->segments[i];
        if (*path == '{' && param_count < ROUTE_PARAM_MAX)
            params[param_count++] = segment;
        else if (strlen(segment) != len || memcmp(segment, path, len) != 0)
            return false;
        path += len;
    }
    return *path == '\0';
}

static void add_allowed(char allow[REPLY_ALLOW_MAX], enum method method)
{
    const char *word = method == METHOD_GET ? "GET, HEAD" : "POST";
    size_t len = strlen(allow);
    snprintf(allow + len, REPLY_ALLOW_MAX - len, "%s%s", len > 0 ? ", " : "", word);
}

static const struct route *find_route(struct call *call, char allow[REPLY_ALLOW_MAX])
{
    allow[0] = '\0';
    if (call->request->segment_count == 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!path_matches(routes[i].path, call->request, call->params))
            continue;
        if (routes[i].method == call->method)
            return &routes[i];
        add_allowed(allow, routes[i].method);
    }
    return NULL;
}

/* The tag names the cluster and the applied index: rows are the same wherever both are. It is weak, since
 * seconds that remain are told too. */
static void set_tag(struct call *call, struct reply *reply)
{
    struct row_key key = single_row_key();
    struct bytes row;
    struct cluster_record cluster;
    if (store_get(call->txn, TABLE_META, (struct bytes){key.data, key.len}, &row) != E_OK ||
        cluster_record_decode(&cluster, row) != E_OK)
        return;
    const uint8_t *id = cluster.cluster_id;
    snprintf(reply->tag, sizeof(reply->tag), "W/\"%02x%02x%02x%02x-%" PRIu64 "\"", id[0], id[1], id[2], id[3],
             reply->applied_index);
}

err_t call_read(struct call *call, struct reply *reply)
{
    uint64_t term;
    err_t err = store_begin_read(call->options->store, &call->txn);
    if (err == E_OK)
        err = store_applied(call->txn, &reply->applied_index, &term);
    if (err == E_OK) {
        reply->has_index = true;
        set_tag(call, reply);
        err = store_error(call->txn);
    }
    return err;
}

static void run_handler(const struct route *route, struct call *call, struct reply *reply)
{
    route->handle(call, reply);
    if (call->txn != NULL) {
        err_t err = store_commit(call->txn);
        call->txn = NULL;
        if (err != E_OK)
            reply_error(reply, err, "Reading the state");
    }
    if (call->if_none_match != NULL && reply->status == 200 && reply->tag[0] != '\0' &&
        tag_matches(call->if_none_match, reply->tag)) {
        json_decref(reply->body);
        reply->body = NULL;
        reply->status = 304;
    }
}

void route_run(struct call *call, struct reply *reply)
{
    char allow[REPLY_ALLOW_MAX];
    const struct route *route = find_route(call, allow);
    if (route != NULL) {
        run_handler(route, call, reply);
    } else if (allow[0] != '\0') {
        reply_problem(reply, PROBLEM_BAD_METHOD, "Allowed here: %s", allow);
        memcpy(reply->allow, allow, sizeof(allow));
    } else {
        reply_problem(reply, PROBLEM_NO_SUCH_PATH, "See docs/API.md for the paths");
    }
}

static json_t *cluster_answer(const struct mail *mail, const struct mail_answer *answer)
{
    char text[ADDR_TEXT_MAX];
    switch (mail->kind) {
    case MAIL_JOIN_TOKEN:
    case MAIL_ENROL_TOKEN:
        return json_pack("{s:s}", "token", answer->text);
    case MAIL_ENROL_REVOKE:
        return json_pack("{s:s}", "revoked", addr_format(&mail->member, text));
    case MAIL_CERT_RENEW:
        return json_pack("{s:s}", "renewing", mail->group);
    case MAIL_NODE_REMOVE:
        return json_pack("{s:s}", "removed", mail->group);
    case MAIL_PRIORITY:
        return json_pack("{s:s, s:I}", "node", mail->group, "priority", (json_int_t)mail->number);
    case MAIL_SIGNING_ROTATE:
        return json_pack("{s:I, s:I}", "signing_version", (json_int_t)answer->seq, "applied_index",
                         (json_int_t)answer->index);
    case MAIL_TRANSFER:
        return json_pack("{s:s}", "leader", answer->text);
    case MAIL_STEP_DOWN:
        return json_pack("{s:s, s:I}", "primary", answer->text, "epoch", (json_int_t)answer->seq);
    default:
        return json_pack("{s:I}", "applied_index", (json_int_t)answer->index);
    }
}

static bool is_about_key(err_t err)
{
    return err == E_MISSING || err == E_NOT_FOUND || err == E_PERMISSION || err == E_BAD_LENGTH;
}

static const char *subject_of(enum mailbox_kind kind)
{
    switch (kind) {
    case MAIL_REKEY:
        return "Rekey";
    case MAIL_SIGNING_ROTATE:
        return "The signing key";
    case MAIL_ENROL_TOKEN:
    case MAIL_ENROL_REVOKE:
        return "Enrolment";
    default:
        return "The cluster";
    }
}

static void answer_problem(struct reply *reply, enum mailbox_kind kind, const struct mail_answer *answer)
{
    err_t err = answer->err;
    if (kind == MAIL_BACKUP && is_about_key(err)) {
        reply_problem(reply, PROBLEM_CONFLICT, "The backup key (node.backup_key_file): %s", err_text(err));
    } else if (kind == MAIL_SIGNING_ROTATE && err == E_STATE) {
        reply_problem(reply, PROBLEM_ROTATION_UNFINISHED,
                      "A group still has a KEK whose rekeys are signed by the key before; wait for its KEK rekey");
        reply_add(reply, "error", json_string(err_name(err)));
    } else if (err == E_UNSUPPORTED && answer->text[0] != '\0') {
        reply_problem(reply, PROBLEM_CLUSTER_LEVEL, "%s: %s", subject_of(kind), answer->text);
        reply_add(reply, "error", json_string(err_name(err)));
    } else {
        reply_error(reply, err, subject_of(kind));
    }
}

void route_answered(struct reply *reply, const struct mail_answer *answer)
{
    struct mail mail = reply->mail;
    reply->deferred = false;
    if (answer->err != E_OK) {
        answer_problem(reply, mail.kind, answer);
        return;
    }
    if (mail.kind == MAIL_BACKUP) {
        reply->has_index = true;
        reply->applied_index = answer->index;
        reply->status = 200;
        reply->octets = (struct bytes){answer->octets, answer->octets_len};
        return;
    }
    if (mail.kind != MAIL_REKEY) {
        reply->has_index = true;
        reply->applied_index = answer->index;
        reply_json(reply, 202, cluster_answer(&mail, answer));
        return;
    }
    reply->has_index = true;
    reply->applied_index = answer->index;
    reply_json(reply, 202,
               json_pack("{s:s, s:I, s:I}", "group", mail.group, "seq", (json_int_t)answer->seq,
                         "applied_index", (json_int_t)answer->index));
}
