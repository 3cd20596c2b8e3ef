/* handlers_member.c - the members of a group, page by page, and one of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/lookup.h"
#include "base/hex.h"

enum { PAGE_DEFAULT = 100, PAGE_MAX = 1000, CURSOR_MAX = 2 * ROW_KEY_MAX + 1 };

struct page {
    uint32_t group_id;
    size_t limit;
    size_t count;
    json_t *array;
    uint8_t node_id[NODE_ID_LEN];
    struct row_key last;
    bool more;
    err_t err;
};

/* A cursor is the row key of the last member shown, without the group, in hexadecimal. */
static void cursor_text(const struct row_key *key, char out[CURSOR_MAX])
{
    size_t head = group_row_key(0).len;
    (void)hex_text(out, key->data + head, key->len > head ? (size_t)key->len - head : 0);
}

static bool parse_cursor(const char *text, uint32_t group_id, struct row_key *out)
{
    *out = group_row_key(group_id);
    size_t len = strlen(text);
    if (len == 0 || len % 2 != 0 || len / 2 > (size_t)ROW_KEY_MAX - out->len ||
        strspn(text, "0123456789abcdef") != len)
        return false;
    for (size_t i = 0; i < len; i += 2) {
        char digits[3] = {text[i], text[i + 1], '\0'};
        out->data[out->len++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return true;
}

static bool list_member(void *context, struct bytes key, struct bytes value)
{
    struct page *page = context;
    struct member_record member;
    if (page->count == page->limit) {
        page->more = true;
        return false;
    }
    if (key.len > ROW_KEY_MAX || member_record_decode(&member, value) != E_OK)
        page->err = E_CORRUPT;
    else if (json_array_append_new(page->array, view_member(&member, page->node_id)) != 0)
        page->err = E_NO_MEMORY;
    if (page->err != E_OK)
        return false;
    page->last.len = (uint16_t)key.len;
    memcpy(page->last.data, key.data, key.len);
    page->count++;
    return true;
}

static void reply_page(struct call *call, struct reply *reply, struct page *page, const struct row_key *after)
{
    char cursor[CURSOR_MAX];
    page->array = json_array();
    err_t err = page->array == NULL
                    ? E_NO_MEMORY
                    : lookup_rows(call->txn, TABLE_MEMBER, page->group_id, after, list_member, page);
    if (err == E_OK)
        err = page->err;
    if (err == E_OK) {
        cursor_text(&page->last, cursor);
        reply_json(reply, 200,
                   json_pack("{s:s, s:O, s:o}", "group", call->params[0], "members", page->array, "next",
                             page->more ? json_string(cursor) : json_null()));
    } else {
        reply_error(reply, err, "Reading the members");
    }
    json_decref(page->array);
}

void handle_members(struct call *call, struct reply *reply)
{
    static const char *const names[] = {"limit", "cursor", NULL};
    struct group_record *group;
    struct row_key after;
    uint64_t limit = PAGE_DEFAULT;
    if (handler_refuses_query(call, reply, names))
        return;
    if (request_number(call->request, "limit", 1, PAGE_MAX, &limit) != E_OK) {
        reply_problem(reply, PROBLEM_BAD_REQUEST, "limit: a number from 1 to %d", PAGE_MAX);
        return;
    }
    if (handler_group(call, reply, &group) != E_OK)
        return;
    struct page page = {.group_id = group->id, .limit = (size_t)limit};
    free(group);
    handler_node_id(call, page.node_id);
    const char *cursor = request_parameter(call->request, "cursor");
    if (cursor != NULL && !parse_cursor(cursor, page.group_id, &after)) {
        reply_problem(reply, PROBLEM_BAD_REQUEST, "cursor: give the value of next as it was");
        return;
    }
    reply_page(call, reply, &page, cursor != NULL ? &after : NULL);
}

void handle_member(struct call *call, struct reply *reply)
{
    struct group_record *group;
    struct member_record member;
    uint8_t node_id[NODE_ID_LEN];
    if (handler_refuses_query(call, reply, NULL) || handler_group(call, reply, &group) != E_OK)
        return;
    err_t err = lookup_member(call->txn, group->id, call->params[1], &member);
    free(group);
    handler_node_id(call, node_id);
    if (err == E_OK)
        reply_json(reply, 200, view_member(&member, node_id));
    else if (err == E_NOT_FOUND)
        reply_problem(reply, PROBLEM_NO_SUCH_MEMBER, "%s in group %s", call->params[1], call->params[0]);
    else
        reply_error(reply, err, "Reading the member");
}
