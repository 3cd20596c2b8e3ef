#include "gm-agent/enrol.h"

#include <errno.h>
#include <getopt.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/tcp_ask.h"
#include "gm-agent/config_parts.h"

enum {
    ROUND_MAX = 3,        /* the same request again: an answer may get lost */
    ASK_LIMIT_MS = 10000, /* of one question */
    DEVICE_COUNT_MAX = 1024,
};
enum { EXIT_OK = 0, EXIT_FAILED = 1 };

struct asked {
    struct endpoint servers[ENROL_ASK_MAX];
    size_t server_count;
    struct enrol_token token;
    struct enrol_site site;
    const char *config_path;
    bool force;
};

static int usage(void)
{
    fprintf(stderr, "usage: gm-agent [-c FILE] enrol --server ADDRESS[:PORT] --token TOKEN|-\n"
                    "           [--lan DEVICE]... [--wan DEVICE] [--backend user|xfrm|none] [--force]\n");
    return EXIT_FAILED;
}

static bool complain(const char *what, const char *value)
{
    fprintf(stderr, "gm-agent: %s%s%s\n", what, value[0] != '\0' ? ": " : "", value);
    return false;
}

/* ---- options ---- */

/* "-": from standard input, where no list of processes shows it. */
static bool read_token(struct asked *a, const char *text)
{
    char line[ENROL_TOKEN_TEXT_MAX + 2];
    if (strcmp(text, "-") == 0) {
        if (fgets(line, sizeof(line), stdin) == NULL)
            return complain("no token on standard input", "");
        text = line;
    }
    err_t err = enrol_token_parse(&a->token, bytes_of_text(text));
    secret_wipe(line, sizeof(line));
    return err == E_OK || complain("--token: expected what \"ksctl enrol token\" printed", "");
}

static bool add_server(struct asked *a, const char *text)
{
    if (a->server_count == ENROL_ASK_MAX)
        return complain("--server: too many", "");
    if (!config_parse_server(text, ENROL_PORT, &a->servers[a->server_count]))
        return complain("--server: expected an address, or address:port", text);
    a->server_count++;
    return true;
}

static bool name_device(char out[GM_DEVICE_MAX], const char *text)
{
    if (if_nametoindex(text) == 0 || strlen(text) >= GM_DEVICE_MAX)
        return complain("there is no such device", text);
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool take_option(struct asked *a, int option, const char *value)
{
    switch (option) {
    case 's':
        return add_server(a, value);
    case 't':
        return read_token(a, value);
    case 'w':
        return name_device(a->site.wan, value);
    case 'l':
        return (a->site.lan_count < GM_LAN_MAX || complain("--lan: too many", "")) &&
               name_device(a->site.lan[a->site.lan_count++], value);
    case 'b':
        a->site.backend = value;
        return strcmp(value, "user") == 0 || strcmp(value, "xfrm") == 0 || strcmp(value, "none") == 0 ||
               complain("--backend: expected user, xfrm or none", value);
    default:
        a->force = true;
        return true;
    }
}

static bool read_options(struct asked *a, int count, char **words)
{
    static const struct option options[] = {{"server", required_argument, NULL, 's'},
                                            {"token", required_argument, NULL, 't'},
                                            {"wan", required_argument, NULL, 'w'},
                                            {"lan", required_argument, NULL, 'l'},
                                            {"backend", required_argument, NULL, 'b'},
                                            {"force", no_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    int option;
    optind = 0; /* a new list of words */
    while ((option = getopt_long(count, words, "+", options, NULL)) != -1) {
        if (option == '?') {
            usage();
            return false;
        }
        if (!take_option(a, option, optarg))
            return false;
    }
    if (optind < count || a->server_count == 0 || a->token.secret.len == 0) {
        usage();
        return false;
    }
    return true;
}

/* ---- this machine ---- */

/* The device with the member's address is the WAN; the only other one that is up with an address the LAN. */
static bool look_at_devices(struct enrol_site *site, const struct ifaddrs *list)
{
    char text[ADDR_TEXT_MAX], lan[GM_DEVICE_MAX] = "", wan[GM_DEVICE_MAX] = "";
    bool several = false;
    size_t seen = 0;
    for (const struct ifaddrs *i = list; i != NULL && seen < DEVICE_COUNT_MAX; i = i->ifa_next, seen++) {
        if (i->ifa_addr == NULL || strlen(i->ifa_name) >= GM_DEVICE_MAX)
            continue;
        struct addr addr = endpoint_from_sockaddr(i->ifa_addr).addr;
        if (addr_equal(&addr, &site->member))
            memcpy(wan, i->ifa_name, strlen(i->ifa_name) + 1);
    }
    if (wan[0] == '\0')
        return complain("the token is for a member with an address that no device here has",
                        addr_format(&site->member, text));
    if (site->wan[0] == '\0')
        memcpy(site->wan, wan, sizeof(wan));
    seen = 0;
    for (const struct ifaddrs *i = list; i != NULL && seen < DEVICE_COUNT_MAX; i = i->ifa_next, seen++) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) != 0 ||
            (i->ifa_flags & IFF_UP) == 0 || strlen(i->ifa_name) >= GM_DEVICE_MAX ||
            strcmp(i->ifa_name, site->wan) == 0)
            continue;
        several |= lan[0] != '\0' && strcmp(lan, i->ifa_name) != 0;
        memcpy(lan, i->ifa_name, strlen(i->ifa_name) + 1);
    }
    if (site->lan_count > 0 || strcmp(site->backend, "none") == 0)
        return true;
    if (lan[0] == '\0' || several)
        return complain("which device leads to the protected hosts? Name it with --lan", "");
    memcpy(site->lan[site->lan_count++], lan, sizeof(lan));
    return true;
}

static bool look_around(struct asked *a)
{
    struct ifaddrs *list = NULL;
    a->site.member = a->token.member;
    if (getifaddrs(&list) != 0)
        return complain("devices cannot be listed", strerror(errno));
    bool fine = look_at_devices(&a->site, list);
    freeifaddrs(list);
    int len = snprintf(a->site.psk_path, sizeof(a->site.psk_path), "%s.psk", a->config_path);
    if (fine &&
        (len < 0 || (size_t)len >= sizeof(a->site.psk_path) || strpbrk(a->config_path, "\"\\") != NULL))
        return complain("a path that the configuration cannot name", a->config_path);
    if (fine && !a->force && access(a->config_path, F_OK) == 0)
        return complain("the file is there already (--force writes another one)", a->config_path);
    return fine;
}

/* ---- the question ---- */

/* One server, with the one request of this run. */
static err_t ask_one(const struct asked *a, const struct endpoint *at, const struct dh_key *dh,
                     struct bytes request, struct enrol_grant *grant)
{
    uint8_t answer[ENROL_ANSWER_MAX];
    size_t len = 0;
    err_t reason = E_OK;
    err_t err = tcp_ask(at, request, answer, sizeof(answer), &len, ASK_LIMIT_MS);
    if (err != E_OK)
        return err == E_AGAIN ? E_TIMEOUT : err;
    err = enrol_answer_open(grant, &a->token, dh, request, (struct bytes){answer, len}, &reason);
    return err == E_REFUSED && reason != E_OK ? reason : err;
}

static bool may_go_better(err_t err)
{
    return err == E_TIMEOUT || err == E_IO || err == E_NO_QUORUM || err == E_NOT_PRIMARY || err == E_LIMIT;
}

static err_t ask_all(const struct asked *a, struct enrol_grant *grant)
{
    struct dh_key *dh = NULL;
    uint8_t request[ENROL_REQUEST_MAX];
    size_t len = 0;
    char text[ADDR_TEXT_MAX];
    err_t err = enrol_request_make(&a->token, &rng_system, &dh, request, &len);
    if (err != E_OK)
        return err;
    for (size_t i = 0; i < ROUND_MAX * a->server_count; i++) {
        const struct endpoint *at = &a->servers[i % a->server_count];
        err = ask_one(a, at, dh, (struct bytes){request, len}, grant);
        if (err == E_OK)
            break;
        fprintf(stderr, "gm-agent: %s: %s\n", endpoint_format(at, text), err_text(err));
        if (!may_go_better(err))
            break;
    }
    dh_key_free(dh);
    return err;
}

/* The server that was asked goes to the head of the list: that one is reached from here. */
static void put_first(struct enrol_grant *grant, const struct addr *asked)
{
    for (size_t i = 1; i < grant->server_count; i++) {
        if (!addr_equal(&grant->servers[i], asked))
            continue;
        memmove(&grant->servers[1], &grant->servers[0], i * sizeof(grant->servers[0]));
        grant->servers[0] = *asked;
        return;
    }
}

static int enrol(struct asked *a)
{
    struct enrol_grant grant = {0};
    struct conf_error error = {0};
    if (ask_all(a, &grant) != E_OK)
        return EXIT_FAILED;
    put_first(&grant, &a->servers[0].addr);
    err_t err = enrol_install(&a->site, &grant, a->config_path, &error);
    if (err == E_OK)
        printf(
            "Member of group %s; %s and %s are written. Start the agent: systemctl enable --now gm-agent\n",
            grant.group, a->config_path, a->site.psk_path);
    else
        fprintf(stderr, "gm-agent: %s: %s\nThe token is used up; make another one.\n", error.file,
                error.message);
    enrol_grant_close(&grant);
    return err == E_OK ? EXIT_OK : EXIT_FAILED;
}

int enrol_command(const char *config_path, int count, char **words)
{
    struct asked a = {.config_path = config_path, .site.backend = "user"};
    int code = EXIT_FAILED;
    if (read_options(&a, count, words) && look_around(&a))
        code = enrol(&a);
    enrol_token_close(&a.token);
    return code;
}
