#include "api/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/request.h"
#include "base/event.h"

const char *time_text(uint64_t ms, char out[TIME_TEXT_MAX])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year > 9999 - 1900) {
        snprintf(out, TIME_TEXT_MAX, "9999-12-31T23:59:59.999Z"); /* RFC 3339 has no later year */
        return out;
    }
    size_t len = strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, TIME_TEXT_MAX - len, ".%03uZ", (unsigned)(ms % 1000));
    return out;
}

json_t *view_time(uint64_t ms)
{
    char text[TIME_TEXT_MAX];
    return ms == 0 ? json_null() : json_string(time_text(ms, text));
}

json_t *view_minority(uint64_t until_ms)
{
    return until_ms == 0 ? json_null() : json_pack("{s:o}", "until", view_time(until_ms));
}

json_t *view_text(const char *text)
{
    char plain[EVENT_LINE_MAX];
    if (text_is_plain(text, strlen(text)))
        return json_string(text);
    snprintf(plain, sizeof(plain), "%s", text);
    for (char *p = plain; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?';
    return json_string(plain);
}

json_t *view_hex(const uint8_t *data, size_t len, const char *prefix)
{
    char text[HEX_ID_TEXT_MAX];
    int at = snprintf(text, sizeof(text), "%s", prefix);
    for (size_t i = 0; i < len && i < KEK_SPI_LEN; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, "%02X", data[i]);
    return json_string(text);
}

json_t *view_addr(const struct addr *addr)
{
    char text[ADDR_TEXT_MAX];
    return json_string(addr_format(addr, text));
}

json_t *view_endpoint(const struct endpoint *endpoint)
{
    char text[ADDR_TEXT_MAX];
    return json_string(endpoint_format(endpoint, text));
}

json_t *view_identity(const struct identity *identity)
{
    char text[ID_TEXT_MAX];
    return view_text(identity_format(identity, text));
}
