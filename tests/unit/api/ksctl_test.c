/* The ksctl binary against the API of the fixture: its text equals golden files in the shape of routers'
 * outputs, its exit codes tell who was at fault. */
#include <pthread.h>
#include <sys/stat.h>

#include "tests/unit/api/ksctl_run.h"

static void assert_golden(const struct fixture *f, const char *line, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/tests/unit/api/golden/%s.txt", QUORATE_SOURCE_DIR, name);
    struct run run = ksctl(f, line);
    char *golden = read_file(path);
    if (run.code != 0)
        fail_msg("'%s' ended with %d: %s", line, run.code, run.err);
    assert_string_equal(run.err, "");
    assert_string_equal(run.out, golden);
    free(golden);
    run_close(&run);
}

static void text_is_as_on_routers(void **state)
{
    struct fixture *f = *state;
    f->health.voters = 1;
    assert_golden(f, "show crypto gdoi", "gdoi");
    assert_golden(f, "show crypto gdoi ks", "ks");
    assert_golden(f, "show crypto gdoi ks detail", "ks-detail");
    assert_golden(f, "show crypto gdoi ks policy", "ks-policy");
    assert_golden(f, "show crypto gdoi ks members", "ks-members");
    assert_golden(f, "show crypto gdoi ks members summary", "ks-members-summary");
    assert_golden(f, "show crypto gdoi ks members 10.1.14.2", "ks-members-one");
    assert_golden(f, "show crypto gdoi ks rekey", "ks-rekey");
    assert_golden(f, "show crypto gdoi ks acl", "ks-acl");
    assert_golden(f, "show groups", "groups");
}

static void words_may_be_shortened_while_they_are_clear(void **state)
{
    assert_golden(*state, "sh cry gdoi ks mem", "ks-members");
    assert_golden(*state, "sh c g k m s", "ks-members-summary");
    struct run run = ksctl(*state, "sh crypto gdoi ks");
    assert_int_equal(run.code, 0);
    run_close(&run);
}

static void one_group_can_be_asked_for(void **state)
{
    struct run run = ksctl(*state, "-g G1 show crypto gdoi ks acl");
    assert_int_equal(run.code, 0);
    assert_non_null(strstr(run.out, "Group Name: G1\n"));
    assert_null(strstr(run.out, "vpn 2"));
    run_close(&run);
    run = ksctl(*state, "-g @vpn 2/\xc3\xa9@ show crypto gdoi ks acl");
    assert_int_equal(run.code, 0);
    assert_non_null(strstr(run.out, "permit ip any any"));
    run_close(&run);
    run = ksctl(*state, "-g G7 show crypto gdoi ks acl");
    assert_int_equal(run.code, 1);
    assert_string_equal(run.out, "");
    assert_non_null(strstr(run.err, "no such group: G7"));
    run_close(&run);
}

static void json_is_what_the_api_says(void **state)
{
    struct run run = ksctl(*state, "json show crypto gdoi ks members");
    assert_int_equal(run.code, 0);
    struct answer groups = {.json = json_loads(run.out, 0, NULL)};
    struct answer api = get(*state, "/v1/groups/G1/members");
    assert_true(json_equal(at(&groups, "0.members"), api.json));
    assert_at_text(&groups, "1.group.name", "vpn 2/\xc3\xa9");
    json_decref(groups.json);
    answer_close(&api);
    run_close(&run);
    run = ksctl(*state, "json -g G1 show groups"); /* options stand in front */
    assert_int_equal(run.code, 2);
    run_close(&run);
    run = ksctl(*state, "json show readyz");
    struct answer ready = {.json = json_loads(run.out, 0, NULL)};
    assert_at_text(&ready, "raft.role", "leader");
    json_decref(ready.json);
    run_close(&run);
}

static void metrics_are_printed_as_they_came(void **state)
{
    struct run run = ksctl(*state, "show metrics");
    assert_int_equal(run.code, 0);
    assert_string_equal(run.out, FIXTURE_METRICS);
    run_close(&run);
}

static void every_command_of_the_routes_is_understood(void **state)
{
    static const char *const lines[] = {
#define ROUTE(name, method, path, command, summary, role) command,
#include "api/routes.def"
#undef ROUTE
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct run run = ksctl(*state, lines[i]); /* IP and GROUP are taken as names that nothing has */
        if (run.code != 0 && run.code != 1)
            fail_msg("'%s' ended with %d: %s", lines[i], run.code, run.err);
        run_close(&run);
    }
}

static void wrong_commands_are_usage_errors(void **state)
{
    static const char *const lines[] = {"show",
                                        "show crypto",
                                        "show x",
                                        "frobnicate",
                                        "show crypto gdoi ks members 1 2",
                                        "rekey",
                                        "show events after",
                                        "show events after x",
                                        "show events after -1",
                                        "s g extra",
                                        "json",
                                        "-x",
                                        "completion",
                                        "completion zsh",
                                        "show events after 1x"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct run run = ksctl(*state, lines[i]);
        if (run.code != 2 || strlen(run.err) == 0)
            fail_msg("'%s' ended with %d: %s", lines[i], run.code, run.err);
        run_close(&run);
    }
}

static void a_refusal_is_one_and_a_dead_server_is_three(void **state)
{
    struct fixture *f = *state;
    f->health.ready = false;
    snprintf(f->health.reason, sizeof(f->health.reason), "no leader");
    struct run run = ksctl(f, "show readyz");
    assert_int_equal(run.code, 1);
    assert_non_null(strstr(run.out, "Ready         : no\nReason        : no leader\n"));
    run_close(&run);
    run = ksctl(f, "show crypto gdoi ks members 10.9.9.9");
    assert_int_equal(run.code, 1);
    assert_non_null(strstr(run.err, "10.9.9.9"));
    run_close(&run);
    run = ksctl(f, "rekey G9");
    assert_int_equal(run.code, 1);
    run_close(&run);
    run = ksctl_at(f, "http://127.0.0.1:1", "show groups");
    assert_int_equal(run.code, 3);
    run_close(&run);
    run = ksctl_at(f, "ftp://127.0.0.1/", "show groups");
    assert_int_equal(run.code, 2);
    run_close(&run);
}

static void pages_are_put_together(void **state)
{
    enum { MANY = 2500 };
    struct fixture *f = *state;
    struct store_txn *txn;
    assert_ok(store_begin_write(f->store, &txn));
    for (unsigned i = 0; i < MANY; i++) {
        char address[32];
        snprintf(address, sizeof(address), "10.2.%u.%u", i / 256, i % 256);
        struct member_record m = fixture_member(9, address, 0x0a);
        put_member(txn, &m);
    }
    assert_ok(store_commit(txn));
    struct run run = ksctl(f, "-g @vpn 2/\xc3\xa9@ json show crypto gdoi ks members");
    assert_int_equal(run.code, 0);
    struct answer a = {.json = json_loads(run.out, 0, NULL)};
    assert_int_equal(json_array_size(at(&a, "0.members.members")), MANY);
    assert_at_text(&a, "0.members.members.2499.identity", "10.2.9.195");
    assert_at_null(&a, "0.members.next");
    json_decref(a.json);
    run_close(&run);
}

/* Something else on the port: says one thing to whoever asks. */
struct impostor {
    int fd;
    const char *answer;
    pthread_t thread;
};

static void *serve_impostor(void *context)
{
    struct impostor *impostor = context;
    char asked[4096];
    int fd = accept(impostor->fd, NULL, NULL);
    if (fd < 0 || recv(fd, asked, sizeof(asked), 0) <= 0)
        return NULL;
    send_text(fd, impostor->answer, strlen(impostor->answer));
    close(fd);
    return NULL;
}

static struct run ksctl_of_impostor(const struct fixture *f, const char *answer, const char *line)
{
    struct impostor impostor = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .answer = answer};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    char server[64];
    assert_int_equal(bind(impostor.fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(impostor.fd, 1), 0);
    assert_int_equal(getsockname(impostor.fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(pthread_create(&impostor.thread, NULL, serve_impostor, &impostor), 0);
    snprintf(server, sizeof(server), "http://127.0.0.1:%u/", ntohs(address.sin_port));
    struct run run = ksctl_at(f, server, line);
    pthread_join(impostor.thread, NULL);
    close(impostor.fd);
    return run;
}

static void what_is_no_key_server_is_noticed(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.0 200 OK\r\n\r\n<html>hello</html>",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.0 500 No\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n[1, 2]",
        "220 smtp.example.net ready\r\n",
        "HTTP/1.0 200 OK\r\n\r\n{\"a\":1,\"a\":2}",
        "HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct run run = ksctl_of_impostor(*state, answers[i], "show readyz");
        if (run.code != 3)
            fail_msg("%s: ended with %d: %s", answers[i], run.code, run.out);
        assert_string_equal(run.out, "");
        run_close(&run);
    }
}

static void a_backup_becomes_a_file_or_nothing(void **state)
{
    const struct fixture *f = *state;
    char line[256], file[160], fresh[200];
    struct stat st;
    snprintf(file, sizeof(file), "%s.backup", f->dir);
    snprintf(fresh, sizeof(fresh), "%s.new", file);
    snprintf(line, sizeof(line), "cluster backup %s", file);
    struct run run =
        ksctl_of_impostor(f, "HTTP/1.0 409 No\r\n\r\n{\"title\": \"No\", \"detail\": \"no key\"}", line);
    assert_int_equal(run.code, 1);
    assert_non_null(strstr(run.err, "No: no key"));
    run_close(&run);
    run =
        ksctl_of_impostor(f, "HTTP/1.0 200 OK\r\n\r\n{\"json\": true}", line); /* no backup, whatever it is */
    assert_int_equal(run.code, 1);
    run_close(&run);
    assert_int_not_equal(stat(file, &st), 0);
    run =
        ksctl_of_impostor(f, "HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\nsealed", line);
    assert_int_equal(run.code, 0);
    assert_non_null(strstr(run.out, "6 octets"));
    run_close(&run);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 6);
    assert_int_not_equal(stat(fresh, &st), 0);
    unlink(file);
    run = ksctl_of_impostor(f, "HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\nsealed",
                            "cluster backup /nowhere/at/all");
    assert_int_equal(run.code, 1);
    assert_non_null(strstr(run.err, "/nowhere/at/all"));
    run_close(&run);
}

static void a_servers_text_moves_no_cursor(void **state)
{
    struct run run = ksctl_of_impostor(
        *state, "HTTP/1.0 200 OK\r\n\r\n{\"ready\": true, \"version\": \"\\u001b[2J\\u0007\"}",
        "show readyz");
    assert_int_equal(run.code, 0);
    assert_non_null(strstr(run.out, "Version       : ?[2J?\n"));
    run_close(&run);
    run = ksctl_of_impostor(
        *state, "HTTP/1.0 409 No\r\n\r\n{\"title\": \"\\u009b31mNo\", \"detail\": \"\\u001b\"}", "rekey G1");
    assert_int_equal(run.code, 1);
    assert_null(strchr(run.err, 0x1b));
    assert_null(strstr(run.err, "\xc2\x9b"));
    run_close(&run);
}

static void events_are_lines(void **state)
{
    struct fixture *f = *state;
    assert_ok(event_add_sink(event_ring_sink, f->ring));
    for (unsigned i = 0; i < EVENT_RING_DEFAULT + 100; i++) /* more than a page and than the ring */
        event(RAFT_ROLE, "leader", (unsigned long long)i);
    event_remove_sink(event_ring_sink, f->ring);
    struct run run = ksctl(f, "show events");
    assert_int_equal(run.code, 0);
    size_t lines = 0;
    for (char *p = run.out; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    assert_int_equal(lines, EVENT_RING_DEFAULT);
    assert_non_null(strstr(run.out, "Z: %QUORATE-5-RAFT_ROLE: Raft role leader in term 611\n"));
    unsigned long long last = strtoull(strstr(run.out, "term 610\n") + strlen("term 610\n"), NULL, 10);
    run_close(&run);
    char line[64];
    snprintf(line, sizeof(line), "show events after %llu", last - 1);
    run = ksctl(f, line);
    assert_int_equal(run.code, 0);
    assert_non_null(strstr(run.out, "term 611\n"));
    assert_null(strstr(run.out, "term 610\n"));
    run_close(&run);
}

static void help_names_every_command(void **state)
{
    struct run run = ksctl(*state, "help");
    assert_int_equal(run.code, 0);
    assert_non_null(strstr(run.out, "show crypto gdoi ks policy"));
    assert_non_null(strstr(run.out, "rekey GROUP"));
    run_close(&run);
    run = ksctl(*state, "completion groups");
    assert_int_equal(run.code, 0);
    assert_string_equal(run.out, "G1\nvpn 2/\xc3\xa9\n");
    run_close(&run);
}

/* What bash would offer after these words. */
static void assert_offered(const char *script, const char *words, const char *wanted)
{
    char command[8192], got[1024] = "";
    snprintf(
        command, sizeof(command),
        "set -- %s; . '%s'; COMP_WORDS=(ksctl \"$@\"); COMP_CWORD=$(($#)); _ksctl; echo \"${COMPREPLY[*]}\"",
        words, script);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], 1);
        execlp("bash", "bash", "-c", command, (char *)NULL);
        _exit(98);
    }
    close(ends[1]);
    size_t len = 0;
    for (ssize_t n; len < sizeof(got) - 1 && (n = read(ends[0], got + len, sizeof(got) - 1 - len)) > 0;)
        len += (size_t)n;
    close(ends[0]);
    int status;
    waitpid(pid, &status, 0);
    got[strcspn(got, "\n")] = '\0';
    assert_string_equal(got, wanted);
}

static void bash_completes_words(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct run run = ksctl(f, "completion bash");
    assert_int_equal(run.code, 0);
    snprintf(path, sizeof(path), "%s.bash", f->dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(run.out, file);
    fclose(file);
    assert_offered(path, "sh", "show");
    assert_offered(path, "-s http : //x json show crypto ''", "gdoi");
    assert_offered(path, "show crypto gdoi ks me", "members");
    assert_offered(path, "show crypto gdoi ks members s", "summary");
    assert_offered(path, "show crypto gdoi ks frob x", "");
    unlink(path);
    run_close(&run);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_server, teardown_server)
    const struct CMUnitTest tests[] = {
        TEST(text_is_as_on_routers),
        TEST(words_may_be_shortened_while_they_are_clear),
        TEST(one_group_can_be_asked_for),
        TEST(json_is_what_the_api_says),
        TEST(metrics_are_printed_as_they_came),
        TEST(every_command_of_the_routes_is_understood),
        TEST(wrong_commands_are_usage_errors),
        TEST(a_refusal_is_one_and_a_dead_server_is_three),
        TEST(pages_are_put_together),
        TEST(what_is_no_key_server_is_noticed),
        TEST(a_backup_becomes_a_file_or_nothing),
        TEST(a_servers_text_moves_no_cursor),
        TEST(events_are_lines),
        TEST(help_names_every_command),
        TEST(bash_completes_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
