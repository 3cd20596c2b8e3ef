#include "base/conf_scan.h"

#include <stdbool.h>
#include <string.h>

enum {
    DECIMAL_DIGITS_MAX = 18, /* always below 2^63 */
    HEX_DIGITS_MAX = 15,
};

static const char digits[] = "0123456789";
static const char hex_digits[] = "0123456789ABCDEFabcdef";
static const char float_rest[] = "0123456789.eE+-";
static const char name_rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-*";

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* The character that many places on, NUL behind the end. */
static char peek(const struct conf_scan *scan, size_t ahead)
{
    if (scan->at + ahead >= scan->len)
        return '\0';
    return scan->text[scan->at + ahead];
}

static bool at_end(const struct conf_scan *scan)
{
    return scan->at >= scan->len;
}

static void copy_one(struct conf_scan *scan)
{
    char c = scan->text[scan->at++];
    if (c == '\n')
        scan->line++;
    scan->out[scan->out_len++] = c;
}

static size_t copy_run(struct conf_scan *scan, const char *set)
{
    size_t start = scan->at;
    while (!at_end(scan) && is_one_of(peek(scan, 0), set))
        copy_one(scan);
    return scan->at - start;
}

static err_t refuse(struct conf_scan *scan, const char *what)
{
    scan->what = what;
    return E_CONFIG;
}

static err_t copy_line_comment(struct conf_scan *scan)
{
    while (!at_end(scan) && peek(scan, 0) != '\n')
        copy_one(scan);
    return E_OK;
}

static err_t copy_block_comment(struct conf_scan *scan)
{
    copy_one(scan);
    copy_one(scan);
    while (!at_end(scan) && !(peek(scan, 0) == '*' && peek(scan, 1) == '/'))
        copy_one(scan);
    if (at_end(scan))
        return refuse(scan, "a comment that begins with /* does not end");
    copy_one(scan);
    copy_one(scan);
    return E_OK;
}

static err_t copy_string(struct conf_scan *scan)
{
    copy_one(scan);
    while (!at_end(scan) && peek(scan, 0) != '"') {
        if (peek(scan, 0) == '\\' && scan->at + 1 < scan->len)
            copy_one(scan);
        copy_one(scan);
    }
    if (at_end(scan))
        return refuse(scan, "a string does not end");
    copy_one(scan);
    return E_OK;
}

/* A number; the result has an L unless it is a float. */
static err_t copy_number(struct conf_scan *scan)
{
    if (is_one_of(peek(scan, 0), "+-"))
        copy_one(scan);
    bool is_hex = peek(scan, 0) == '0' && is_one_of(peek(scan, 1), "xX");
    if (is_hex) {
        copy_one(scan);
        copy_one(scan);
        if (copy_run(scan, hex_digits) > HEX_DIGITS_MAX)
            return refuse(scan, "a number is too large");
    } else {
        bool has_zero = peek(scan, 0) == '0';
        size_t count = copy_run(scan, digits);
        if (is_one_of(peek(scan, 0), ".eE")) {
            (void)copy_run(scan, float_rest);
            return E_OK;
        }
        if (count > DECIMAL_DIGITS_MAX)
            return refuse(scan, "a number is too large");
        if (has_zero && count > 1) /* C and people differ on whether that is octal */
            return refuse(scan, "a number begins with 0");
    }
    if (copy_run(scan, "L") == 0)
        scan->out[scan->out_len++] = 'L';
    return E_OK;
}

static err_t scan_token(struct conf_scan *scan)
{
    char c = peek(scan, 0);
    char next = peek(scan, 1);
    if (c == '\0')
        return refuse(scan, "the file has a NUL byte: it is not text");
    if (c == '@')
        return refuse(scan, "@include is not allowed: settings stand in one file");
    if (c == '"')
        return copy_string(scan);
    if (c == '#' || (c == '/' && next == '/'))
        return copy_line_comment(scan);
    if (c == '/' && next == '*')
        return copy_block_comment(scan);
    if (is_one_of(c, digits) || (is_one_of(c, "+-") && is_one_of(next, digits)))
        return copy_number(scan);
    if (is_one_of(c, float_rest) && !is_one_of(c, "eE"))
        (void)copy_run(scan, float_rest);
    else if (is_one_of(c, name_rest))
        (void)copy_run(scan, name_rest);
    else
        copy_one(scan);
    return E_OK;
}

err_t conf_scan(struct conf_scan *scan)
{
    scan->out_len = 0;
    scan->at = 0;
    scan->line = 1;
    scan->what = NULL;
    while (!at_end(scan)) {
        err_t err = scan_token(scan);
        if (err != E_OK)
            return err;
    }
    scan->out[scan->out_len] = '\0';
    return E_OK;
}
