/* main.c - ksd: arguments, configuration, process-wide set-up. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/secret.h"
#include "cluster/node_key.h"
#include "server/loop_uv.h"
#include "server/offline.h"

enum { EXIT_GOOD = 0, EXIT_RUNTIME = 1, EXIT_CONFIG = 2 };

static const char usage[] =
    "usage: ksd [-c FILE] [-t] [--syslog] [--join TOKEN]\n"
    "       ksd [-c FILE] --restore BACKUP\n"
    "       ksd --check BACKUP\n"
    "       ksd --make-node-key FILE\n"
    "       ksd --version\n"
    "  -c, --config FILE  configuration (default /etc/quorate/ksd.conf)\n"
    "  -t, --test         check the configuration and exit\n"
    "  -j, --join TOKEN   first start: join the cluster at cluster.join of the configuration\n"
    "      --syslog       log to syslog instead of standard error\n"
    "      --restore BACKUP  make a new cluster of this server from a backup, in an empty data directory\n"
    "      --check BACKUP    tell what is in a backup, and whether it is damaged\n"
    "      --make-node-key FILE  make the key that guards this server's data, if there is none yet\n";

struct arguments {
    const char *config;
    const char *join;
    const char *node_key;
    const char *restore;
    const char *check;
    bool test;
    bool syslog;
    bool help;
    bool version;
};

static bool arguments_read(int argc, char **argv, struct arguments *out)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"test", no_argument, NULL, 't'},
                                            {"syslog", no_argument, NULL, 's'},
                                            {"join", required_argument, NULL, 'j'},
                                            {"make-node-key", required_argument, NULL, 'k'},
                                            {"restore", required_argument, NULL, 'r'},
                                            {"check", required_argument, NULL, 'b'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    *out = (struct arguments){.config = "/etc/quorate/ksd.conf"};
    int c;
    while ((c = getopt_long(argc, argv, "c:tj:hV", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            out->config = optarg;
            break;
        case 'j':
            out->join = optarg;
            break;
        case 'k':
            out->node_key = optarg;
            break;
        case 'r':
            out->restore = optarg;
            break;
        case 'b':
            out->check = optarg;
            break;
        case 't':
            out->test = true;
            break;
        case 's':
            out->syslog = true;
            break;
        case 'h':
            out->help = true;
            break;
        case 'V':
            out->version = true;
            break;
        default:
            return false;
        }
    }
    return optind == argc;
}

static err_t read_config(const char *path, struct ksd_config **out, struct conf_error *error)
{
    *error = (struct conf_error){0};
    snprintf(error->file, sizeof(error->file), "%s", path);
    err_t err = config_read(out, path, error);
    if (err != E_OK && error->message[0] == '\0')
        snprintf(error->message, sizeof(error->message), "%s", err_text(err));
    return err;
}

static struct ksd_config *reload(void *context)
{
    const struct arguments *arguments = context;
    struct ksd_config *config = NULL;
    struct conf_error error;
    if (read_config(arguments->config, &config, &error) != E_OK)
        event(CONFIG_ERROR, error.file, error.line, error.message);
    return config;
}

static err_t open_sinks(const struct arguments *arguments, struct event_ring **ring)
{
    err_t err = event_ring_open(ring, EVENT_RING_DEFAULT);
    if (err == E_OK)
        err = event_add_sink(event_ring_sink, *ring);
    if (arguments->syslog)
        openlog("ksd", LOG_PID, LOG_DAEMON);
    if (err == E_OK)
        err = event_add_sink(arguments->syslog ? event_sink_syslog : event_sink_stderr, NULL);
    return err;
}

static int serve(struct arguments *arguments, struct ksd_config *config, err_t locked)
{
    struct event_ring *ring = NULL;
    struct server *server = NULL;
    err_t err = open_sinks(arguments, &ring);
    if (locked != E_OK)
        event(MEMORY_NOT_LOCKED, err_text(locked));
    struct server_options options = {.config = config,
                                     .ring = ring,
                                     .join_token = arguments->join,
                                     .reload = reload,
                                     .context = arguments};
    if (err == E_OK)
        err = server_open(&server, &options);
    if (err == E_OK)
        err = server_run(server);
    server_free(server);
    event_remove_sink(event_ring_sink, ring);
    event_ring_free(ring);
    return err == E_OK ? EXIT_GOOD : EXIT_RUNTIME;
}

/* For the unit that runs before ksd: what systemd hands over as a credential must be there. */
static int make_node_key(const char *file)
{
    struct secret key = {0};
    err_t err = node_key_open(file, &disk_real, &rng_system, true, &key);
    secret_close(&key);
    if (err == E_OK)
        return EXIT_GOOD;
    fprintf(stderr, "ksd: %s: %s\n", file, err_text(err));
    return EXIT_RUNTIME;
}

static int restore(const struct arguments *arguments, const struct ksd_config *config)
{
    struct event_ring *ring = NULL;
    bool done = open_sinks(arguments, &ring) == E_OK && offline_restore(arguments->restore, config);
    event_remove_sink(event_ring_sink, ring);
    event_ring_free(ring);
    return done ? EXIT_GOOD : EXIT_RUNTIME;
}

/* With a configuration that was read. */
static int run(struct arguments *arguments, struct ksd_config *config, err_t locked)
{
    if (!arguments->test && arguments->restore == NULL)
        return serve(arguments, config, locked);
    int code = EXIT_GOOD;
    if (arguments->test)
        printf("%s: good, %zu groups, %zu pre-shared keys\n", arguments->config, config->group_count,
               config->psk_count);
    else
        code = restore(arguments, config);
    config_free(config);
    return code;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct ksd_config *config = NULL;
    struct conf_error error;
    err_t locked = secret_harden_process(); /* before the first secret is read */
    signal(SIGPIPE, SIG_IGN); /* a peer that closes while we write is an error of that write, no more */
    if (!arguments_read(argc, argv, &arguments)) {
        fputs(usage, stderr);
        return EXIT_CONFIG;
    }
    if (arguments.help || arguments.version) {
        fputs(arguments.help ? usage : "ksd " QUORATE_VERSION "\n", stdout);
        return EXIT_GOOD;
    }
    if (arguments.check != NULL)
        return offline_check(arguments.check) ? EXIT_GOOD : EXIT_RUNTIME;
    if (arguments.node_key != NULL)
        return make_node_key(arguments.node_key);
    if (read_config(arguments.config, &config, &error) != E_OK) {
        fprintf(stderr, "%s:%u: %s\n", error.file, error.line, error.message);
        return EXIT_CONFIG;
    }
    return run(&arguments, config, locked);
}
