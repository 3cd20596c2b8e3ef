/* ksctl_run.h - the ksctl binary against the API of the fixture. */
#ifndef TESTS_UNIT_API_KSCTL_RUN_H
#define TESTS_UNIT_API_KSCTL_RUN_H

#include <fcntl.h>
#include <sys/wait.h>

#include "tests/unit/api/api_fixture.h"

enum { WORDS = 16, OUTPUT_MAX = 8 << 20 };

struct run {
    int code;
    char *out;
    char *err;
};

/* bin/ksctl lies beside tests/, where this binary is. */
static inline const char *ksctl_path(void)
{
    static char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    assert_true(len > 0);
    path[len] = '\0';
    *strrchr(path, '/') = '\0';
    *strrchr(path, '/') = '\0';
    strcat(path, "/bin/ksctl");
    return path;
}

static inline char *read_file(const char *path)
{
    char *text = calloc(1, OUTPUT_MAX);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s: %s", path, strerror(errno));
    size_t len = fread(text, 1, OUTPUT_MAX - 1, file);
    text[len] = '\0';
    fclose(file);
    return text;
}

/* Runs ksctl with the words of the line, split at spaces; "@" begins a word that may hold spaces up to the
 * next "@". */
static inline struct run ksctl_at(const struct fixture *f, const char *server, const char *line)
{
    char copy[1024], out[128], err[128];
    char *argv[WORDS] = {(char *)(uintptr_t) "ksctl", (char *)(uintptr_t) "-s", (char *)(uintptr_t)server};
    size_t count = 3;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *p = copy; *p != '\0' && count < WORDS - 1;) {
        const char *stop = *p == '@' ? "@" : " ";
        p += *p == '@';
        argv[count++] = p;
        p += strcspn(p, stop);
        if (*p != '\0')
            *p++ = '\0';
        p += strspn(p, " ");
    }
    snprintf(out, sizeof(out), "%s.out", f->dir);
    snprintf(err, sizeof(err), "%s.err", f->dir);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (dup2(open(out, O_CREAT | O_TRUNC | O_WRONLY, 0600), 1) != 1 ||
            dup2(open(err, O_CREAT | O_TRUNC | O_WRONLY, 0600), 2) != 2)
            _exit(99);
        execv(ksctl_path(), argv);
        _exit(98);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    struct run run = {WEXITSTATUS(status), read_file(out), read_file(err)};
    unlink(out);
    unlink(err);
    return run;
}

static inline struct run ksctl(const struct fixture *f, const char *line)
{
    char server[64];
    struct endpoint endpoint = http_server_endpoint(f->server);
    snprintf(server, sizeof(server), "http://127.0.0.1:%u", endpoint.port);
    return ksctl_at(f, server, line);
}

static inline void run_close(struct run *run)
{
    free(run->out);
    free(run->err);
}

#endif
