/* ksctl - the key server's state and actions from the shell. */
#include <string.h>
#include <unistd.h>

#include "api/cli/ksctl.h"

static const char default_server[] = "http://127.0.0.1:8480";

static void print_usage(FILE *out)
{
    fprintf(out,
            "usage: ksctl [-s URL] [-g GROUP] [json] COMMAND\n"
            "  -s URL    key server, default %s\n"
            "  -g GROUP  only this group\n"
            "  -V        version\n"
            "  json      print the API's JSON instead of text\n"
            "\n",
            default_server);
    command_help(out);
    fprintf(out, "  %-37s %s\n", "completion bash", "A script for bash: source <(ksctl completion bash)");
    fprintf(out, "  %-37s %s\n", "help", "This");
    fprintf(out, "\nWords may be shortened: ksctl sh cry gdoi ks mem\n"
                 "Exit codes: 0 done, 1 the server said no, 2 wrong command line, 3 no server there\n");
}

static enum exit_code complete(struct ksctl *k, char **words, size_t count)
{
    json_t *groups, *entry;
    size_t i;
    if (count == 1 && strcmp(words[0], "bash") == 0) {
        completion_bash(k->out);
        return EXIT_DONE;
    }
    if (count != 1 || strcmp(words[0], "groups") != 0) { /* for that script */
        fprintf(stderr, "ksctl: completion: expected bash\n");
        return EXIT_USAGE;
    }
    enum exit_code code = client_open(&k->client, k->server);
    if (code != EXIT_DONE)
        return code;
    code = fetch_groups(k, NEED_GROUP, NULL, &groups);
    json_array_foreach(groups, i, entry) fprintf(k->out, "%s\n", text_at(entry, "group.name"));
    json_decref(groups);
    client_free(k->client);
    return code;
}

static enum exit_code run(struct ksctl *k, char **words, size_t count)
{
    if (count > 0 && strcmp(words[0], "json") == 0) {
        k->json = true;
        words++;
        count--;
    }
    if (count > 0 && strcmp(words[0], "help") == 0) {
        print_usage(k->out);
        return EXIT_DONE;
    }
    if (count > 0 && strcmp(words[0], "completion") == 0)
        return complete(k, words + 1, count - 1);
    if (count == 0) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    return command_run(k, words, count);
}

int main(int argc, char **argv)
{
    struct ksctl k = {.server = default_server, .out = stdout};
    int option;
    while ((option = getopt(argc, argv, "+s:g:hV")) != -1) {
        switch (option) {
        case 's':
            k.server = optarg;
            break;
        case 'g':
            k.group = optarg;
            break;
        case 'h':
            print_usage(stdout);
            return EXIT_DONE;
        case 'V':
            printf("ksctl %s\n", QUORATE_VERSION);
            return EXIT_DONE;
        default:
            print_usage(stderr);
            return EXIT_USAGE;
        }
    }
    enum exit_code code = run(&k, argv + optind, (size_t)(argc - optind));
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "ksctl: writing failed\n");
        return EXIT_REFUSED;
    }
    return (int)code;
}
