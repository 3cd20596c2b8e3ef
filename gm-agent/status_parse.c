/* status_parse.c - which answer a line asks for. */
#include <string.h>
#include <strings.h>

#include "gm-agent/status.h"

/* Words with one blank between them; a last word "json" is taken off. False: too long. */
static bool normalize(const char *line, char words[STATUS_COMMAND_MAX], bool *json)
{
    size_t len = 0;
    for (const char *c = line; *c != '\0'; c++) {
        bool blank = *c == ' ' || *c == '\t' || *c == '\r' || *c == '\n';
        if (len + 1 == STATUS_COMMAND_MAX)
            return false;
        if (!blank)
            words[len++] = *c;
        else if (len != 0 && words[len - 1] != ' ')
            words[len++] = ' ';
    }
    while (len != 0 && words[len - 1] == ' ')
        len--;
    words[len] = '\0';
    *json = len > 5 && strcasecmp(words + len - 5, " json") == 0;
    if (*json)
        words[len - 5] = '\0';
    return true;
}

enum status_command status_parse(const char *line, bool *json)
{
    static const struct {
        const char *words;
        enum status_command command;
    } table[] = {
        {"show crypto gdoi", STATUS_SHOW_GDOI},
        {"show crypto gdoi gm", STATUS_SHOW_GM},
        {"show crypto gdoi gm rekey", STATUS_SHOW_REKEY},
        {"show crypto ipsec sa", STATUS_SHOW_IPSEC},
        {"clear crypto gdoi", STATUS_CLEAR},
        {"show crypto eli", STATUS_SHOW_ELI},
        {"show crypto eli detail", STATUS_SHOW_ELI_DETAIL},
        {"show crypto gdoi gm replay", STATUS_SHOW_REPLAY},
        {"show crypto gdoi gm path", STATUS_SHOW_PATH},
        {"show crypto gdoi gm dataplane counters", STATUS_SHOW_DATAPLANE},
    };
    char words[STATUS_COMMAND_MAX];
    *json = false;
    if (!normalize(line, words, json))
        return STATUS_UNKNOWN;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcasecmp(words, table[i].words) == 0)
            return table[i].command;
    return strncasecmp(words, "trace ", 6) == 0 ? STATUS_TRACE : STATUS_UNKNOWN;
}

const char *status_words(const char *line, char out[STATUS_COMMAND_MAX])
{
    bool json;
    if (line == NULL || !normalize(line, out, &json))
        out[0] = '\0';
    char *blank = strchr(out, ' ');
    return blank != NULL ? blank + 1 : "";
}
