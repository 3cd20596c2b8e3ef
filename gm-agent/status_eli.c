/* status_eli.c - abilities as text and as JSON. */
#include "gm-agent/status_eli.h"

#include <stdio.h>

#include "gm-agent/status_text.h"

static size_t working(const struct status_view *view)
{
    size_t n = 0;
    for (size_t i = 0; i < view->ability_count; i++)
        n += view->abilities[i].err == E_OK ? 1 : 0;
    return n;
}

static void name_those_that_work(FILE *f, const struct status_view *view)
{
    const char *before = "";
    for (size_t i = 0; i < view->ability_count; i++) {
        if (view->abilities[i].err != E_OK)
            continue;
        fprintf(f, "%s%s", before, view->abilities[i].name);
        before = ", ";
    }
    fprintf(f, "%s\n", before[0] == '\0' ? "none" : "");
}

size_t status_eli_text(const struct status_view *view, bool detail, char *out, size_t cap)
{
    FILE *f = text_open(out, cap);
    if (f == NULL)
        return 0;
    size_t good = working(view);
    fprintf(f, "Hardware Encryption : INACTIVE\n Number of hardware crypto engines = 0\n\n");
    fprintf(f, "CryptoEngine Software Crypto Engine details: state = %s\n", good != 0 ? "Active" : "Failed");
    fprintf(f, " Data path     : %s\n Capability    : ", view->backend);
    name_those_that_work(f, view);
    fprintf(f, " Tried now     : %zu, working: %zu\n", view->ability_count, good);
    for (size_t i = 0; i < view->ability_count && detail; i++) {
        bool fine = view->abilities[i].err == E_OK;
        fprintf(f, "  %-32s %s%s\n", view->abilities[i].name,
                fine ? "works" : "refused: ", fine ? "" : err_text(view->abilities[i].err));
    }
    return text_close(f, out, cap);
}

json_t *status_eli_json(const struct status_view *view)
{
    json_t *list = json_array();
    for (size_t i = 0; i < view->ability_count; i++) {
        const struct datapath_ability *one = &view->abilities[i];
        json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "name", one->name, "works", one->err == E_OK,
                                              "why", one->err == E_OK ? "" : err_text(one->err)));
    }
    return json_pack("{s:s, s:o}", "backend", view->backend, "abilities", list);
}
