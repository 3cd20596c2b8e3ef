/* main.c - gm-agent: the member daemon, and its questions to a running one. */
#include <getopt.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "base/sandbox.h"
#include "gm-agent/capture.h"
#include "gm-agent/enrol.h"
#include "gm-agent/loop_uv.h"
#include "gm-agent/status.h"
#include "gm-agent/status_socket.h"

enum {
    EXIT_FINE = 0,
    EXIT_RUNTIME = 1,
    EXIT_CONFIG = 2,
    EXIT_HANDED_OVER = 75, /* SIGUSR2: start the next one at once (RestartForceExitStatus in the unit) */
};

#define DEFAULT_CONFIG "/etc/quorate/gm-agent.conf"
#define DEFAULT_SOCKETS "/run/quorate/gm-*.sock"

static int usage(FILE *to, int code)
{
    fprintf(to,
            "usage: gm-agent -c FILE [-t]             run (-t: only check the configuration)\n"
            "       gm-agent [-c FILE | -s SOCKET] show crypto gdoi [gm [rekey | replay]] [json]\n"
            "       gm-agent [-c FILE | -s SOCKET] show crypto ipsec sa [json]\n"
            "       gm-agent [-c FILE | -s SOCKET] show crypto eli [detail] [json]\n"
            "       gm-agent [-c FILE | -s SOCKET] clear crypto gdoi\n"
            "       gm-agent [-c FILE | -s SOCKET] trace {lan | wan | esp SPI} PROTOCOL SRC [PORT] DST [PORT]"
            " [size N] [json]\n"
            "       gm-agent [-c FILE] enrol --server ADDRESS --token TOKEN   become a member\n"
            "       gm-agent -V\n");
    return code;
}

static int complain(const struct conf_error *error)
{
    if (error->line != 0)
        fprintf(stderr, "%s:%u: %s\n", error->file, error->line, error->message);
    else
        fprintf(stderr, "%s: %s\n", error->file, error->message);
    return EXIT_CONFIG;
}

/* The socket of the configuration, or of the only agent that runs here. */
static int find_socket(const char *config_path, char out[GM_PATH_MAX])
{
    if (config_path != NULL) {
        struct gm_config config;
        struct conf_error error;
        if (gm_config_load(&config, config_path, &error) != E_OK)
            return complain(&error);
        memcpy(out, config.status_socket, GM_PATH_MAX);
        gm_config_close(&config);
        if (out[0] != '\0')
            return EXIT_FINE;
        fprintf(stderr, "gm-agent: %s has no status_socket\n", config_path);
        return EXIT_RUNTIME;
    }
    glob_t found = {0};
    if (glob(DEFAULT_SOCKETS, 0, NULL, &found) != 0 || found.gl_pathc != 1) {
        fprintf(stderr, "gm-agent: %s sockets at %s; use -s SOCKET or -c FILE\n",
                found.gl_pathc > 1 ? "several" : "no", DEFAULT_SOCKETS);
        globfree(&found);
        return EXIT_RUNTIME;
    }
    snprintf(out, GM_PATH_MAX, "%s", found.gl_pathv[0]);
    globfree(&found);
    return EXIT_FINE;
}

static int ask(const char *socket_path, const char *config_path, int count, char **words)
{
    char command[STATUS_COMMAND_MAX] = "", path[GM_PATH_MAX] = "";
    bool json = false;
    for (int i = 0; i < count; i++) {
        size_t len = strlen(command);
        snprintf(command + len, sizeof(command) - len, "%s%s", i == 0 ? "" : " ", words[i]);
    }
    if (status_parse(command, &json) == STATUS_UNKNOWN)
        return usage(stderr, EXIT_RUNTIME);
    if (socket_path != NULL) {
        snprintf(path, sizeof(path), "%s", socket_path);
    } else {
        int code = find_socket(config_path, path);
        if (code != EXIT_FINE)
            return code;
    }
    err_t err = status_ask(path, command);
    if (err == E_OK)
        return EXIT_FINE;
    fprintf(stderr, "gm-agent: %s: %s\n", path,
            err == E_NOT_FOUND ? "no agent is running there" : err_text(err));
    return EXIT_RUNTIME;
}

static int capture(const char *config_path, int count, char **words)
{
    static struct gm_config config;
    struct conf_error error;
    struct capture_request request;
    const char *why = NULL;
    if (capture_parse(words, (size_t)count, &request, &why) != E_OK) {
        fprintf(stderr, "gm-agent: capture: %s\n", why);
        return EXIT_RUNTIME;
    }
    if (gm_config_load(&config, config_path, &error) != E_OK)
        return complain(&error);
    err_t err = capture_run(&request, &config.datapath, stdout);
    gm_config_close(&config);
    if (err == E_OK)
        return EXIT_FINE;
    fprintf(stderr, "gm-agent: capture to %s: %s\n", request.path,
            err == E_NOT_FOUND     ? "a device of the configuration is not there"
            : err == E_UNSUPPORTED ? "the configuration names no device of that side"
                                   : err_text(err));
    return EXIT_RUNTIME;
}

static int run(const struct gm_config *config)
{
    char why_loop[256];
    const char *why = NULL;
    struct datapath *datapath = NULL;
    struct gm_loop *loop = NULL;
    signal(SIGPIPE, SIG_IGN);
    if (secret_harden_process() != E_OK)
        event(MEMORY_NOT_LOCKED, "mlockall or core limit refused");
    err_t err = datapath_open(&config->datapath, &datapath, &why);
    if (err != E_OK) {
        fprintf(stderr, "gm-agent: data path: %s: %s\n", why != NULL ? why : "failed", err_text(err));
        return EXIT_RUNTIME;
    }
    err = gm_loop_open(&loop, config, datapath, why_loop, sizeof(why_loop));
    if (err != E_OK) {
        fprintf(stderr, "gm-agent: %s\n", why_loop);
        datapath->ops->close(datapath);
        return EXIT_RUNTIME;
    }
    err =
        sandbox_enter(config->datapath.backend == GM_BACKEND_NONE ? SANDBOX_MEMBER_NO_DATA : SANDBOX_MEMBER);
    if (err != E_OK)
        event(SANDBOX_OPEN, "gm-agent", err_text(err));
    event(STARTED, "gm-agent", QUORATE_VERSION, config->group_name);
    event(DATAPATH_STATE, datapath->ops->name, "ready, waiting for policy");
    bool keep = gm_loop_run(loop);
    gm_loop_free(loop);
    datapath->keep = keep;
    datapath->ops->close(datapath);
    event(STOPPED, "gm-agent",
          keep ? "by SIGUSR2; what the kernel holds is left to the next agent"
               : "by signal; routes and rules removed");
    return keep ? EXIT_HANDED_OVER : EXIT_FINE;
}

static int load_and_run(const char *path, bool only_check)
{
    static struct gm_config config;
    struct conf_error error;
    if (gm_config_load(&config, path, &error) != E_OK)
        return complain(&error);
    int code = EXIT_FINE;
    if (only_check)
        printf("%s: configuration is fine\n", path);
    else
        code = run(&config);
    gm_config_close(&config);
    return code;
}

int main(int argc, char **argv)
{
    const char *config_path = NULL, *socket_path = NULL;
    bool only_check = false;
    int option;
    while ((option = getopt(argc, argv, "+c:s:thV")) != -1) {
        switch (option) {
        case 'c':
            config_path = optarg;
            break;
        case 's':
            socket_path = optarg;
            break;
        case 't':
            only_check = true;
            break;
        case 'V':
            printf("gm-agent %s\n", QUORATE_VERSION);
            return EXIT_FINE;
        case 'h':
            return usage(stdout, EXIT_FINE);
        default:
            return usage(stderr, EXIT_RUNTIME);
        }
    }
    if (optind < argc && strcmp(argv[optind], "capture") == 0)
        return capture(config_path != NULL ? config_path : DEFAULT_CONFIG, argc - optind - 1,
                       argv + optind + 1);
    if (optind < argc && strcmp(argv[optind], "enrol") == 0)
        return enrol_command(config_path != NULL ? config_path : DEFAULT_CONFIG, argc - optind,
                             argv + optind);
    if (optind < argc)
        return ask(socket_path, config_path, argc - optind, argv + optind);
    if (socket_path != NULL)
        return usage(stderr, EXIT_RUNTIME);
    if (event_add_sink(event_sink_stderr, NULL) != E_OK)
        return EXIT_RUNTIME;
    return load_and_run(config_path != NULL ? config_path : DEFAULT_CONFIG, only_check);
}
