#include "api/reply.h"

#include <stdarg.h>
#include <stdio.h>

static const struct problem_info {
    unsigned status;
    const char *type;
    const char *title;
} problems[PROBLEM_COUNT] = {
#define PROBLEM(name, status, slug, title) [PROBLEM_##name] = {status, "urn:quorate:problem:" slug, title},
#include "api/problem.def"
#undef PROBLEM
};

unsigned problem_status(enum problem problem)
{
    return problems[problem].status;
}

void reply_close(struct reply *reply)
{
    json_decref(reply->body);
    *reply = (struct reply){0};
}

void reply_json(struct reply *reply, unsigned status, json_t *body)
{
    if (body == NULL) {
        reply_problem(reply, PROBLEM_NO_MEMORY, "The answer could not be built");
        return;
    }
    json_decref(reply->body);
    reply->status = status;
    reply->body = body;
    reply->is_problem = false;
}

void reply_text(struct reply *reply, const char *text)
{
    reply_json(reply, 200, text != NULL ? json_string(text) : NULL);
    reply->is_text = !reply->is_problem;
}

void reply_problem(struct reply *reply, enum problem problem, const char *format, ...)
{
    const struct problem_info *info = &problems[problem];
    char detail[REPLY_DETAIL_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    json_decref(reply->body);
    reply->status = info->status;
    reply->is_problem = true;
    reply->tag[0] = '\0';
    reply->body = json_pack("{s:s, s:s, s:i, s:s}", "type", info->type, "title", info->title, "status",
                            (int)info->status, "detail", detail);
    if (reply->body == NULL) /* the detail was cut within a character */
        reply->body = json_pack("{s:s, s:s, s:i}", "type", info->type, "title", info->title, "status",
                                (int)info->status);
}

void reply_add(struct reply *reply, const char *name, json_t *value)
{
    if (reply->body != NULL)
        json_object_set_new(reply->body, name, value);
    else
        json_decref(value);
}

static enum problem problem_of(err_t err)
{
    switch (err) {
    case E_UNKNOWN_GROUP:
    case E_NOT_FOUND:
        return PROBLEM_NO_SUCH_GROUP;
    case E_NOT_PRIMARY:
        return PROBLEM_NOT_PRIMARY;
    case E_STALE:
    case E_STATE:
    case E_EXISTS:
    case E_EXPIRED:
    case E_REFUSED:
    case E_MISSING:
    case E_NOT_AUTHORIZED:
        return PROBLEM_CONFLICT;
    case E_FULL:
    case E_LIMIT:
    case E_AGAIN:
        return PROBLEM_BUSY;
    case E_NO_QUORUM:
        return PROBLEM_NO_QUORUM;
    case E_TIMEOUT:
    case E_CANCELED:
        return PROBLEM_OUTCOME_UNKNOWN;
    case E_NO_MEMORY:
        return PROBLEM_NO_MEMORY;
    default:
        return PROBLEM_INTERNAL;
    }
}

void reply_error(struct reply *reply, err_t err, const char *what)
{
    enum problem problem = problem_of(err);
    reply_problem(reply, problem, "%s: %s", what, err_text(err));
    reply_add(reply, "error", json_string(err_name(err)));
    if (problem == PROBLEM_BUSY || problem == PROBLEM_NO_QUORUM)
        reply->retry_after_s = 1;
}
