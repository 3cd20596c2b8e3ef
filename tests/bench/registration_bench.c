/* registration_bench.c - one initiator of ours against an IKEv1 responder: main mode with a pre-shared key
 * and, against ksd, a whole GROUPKEY-PULL. Prints the responder's CPU time per exchange, taken from its
 * threads' scheduler statistics, so that the same driver measures ksd and charon in the same run. Every
 * exchange comes from a source address of its own.
 *
 *   registration_bench SERVER PORT LOCAL_PORT FIRST_LOCAL_ADDRESS COUNT PSK SUITE PID [pull GROUP_NUMBER]
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "proto/gdoi/pull_member.h"
#include "proto/ike/informational.h"
#include "proto/ike/main_mode.h"

enum { TRIES = 5, WAIT_MS = 1000, DATAGRAM_MAX = ISAKMP_MESSAGE_MAX };

static struct ike_policy policy;
static struct identity group;
static struct bytes psk;

static void die(const char *what, err_t err)
{
    fprintf(stderr, "registration_bench: %s: %s\n", what, err == E_OK ? strerror(errno) : err_text(err));
    exit(1);
}

/* Nanoseconds on CPU of all threads of a process, ended threads excluded (both responders keep theirs). */
static double cpu_ns(const char *pid)
{
    char path[300];
    snprintf(path, sizeof(path), "/proc/%s/task", pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        die(path, E_OK);
    double sum = 0;
    for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        snprintf(path, sizeof(path), "/proc/%s/task/%.32s/schedstat", pid, d->d_name);
        FILE *f = d->d_name[0] == '.' ? NULL : fopen(path, "r");
        double ns = 0;
        if (f != NULL) {
            if (fscanf(f, "%lf", &ns) == 1)
                sum += ns;
            fclose(f);
        }
    }
    closedir(dir);
    return sum;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int open_socket(uint32_t local, uint16_t local_port, const struct sockaddr_in *server)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in me = {
        .sin_family = AF_INET, .sin_port = htons(local_port), .sin_addr.s_addr = htonl(local)};
    struct timeval wait = {.tv_sec = WAIT_MS / 1000, .tv_usec = WAIT_MS % 1000 * 1000};
    int one = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&me, sizeof(me)) != 0 ||
        connect(fd, (const struct sockaddr *)server, sizeof(*server)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0)
        die("socket", E_OK);
    return fd;
}

/* Send, wait for an answer, repeat a bounded number of times. 0 when none came. */
static size_t ask(int fd, struct bytes request, uint8_t *answer)
{
    for (int i = 0; i < TRIES; i++) {
        if (send(fd, request.data, request.len, 0) < 0)
            die("send", E_OK);
        ssize_t n = recv(fd, answer, DATAGRAM_MAX, 0);
        if (n > 0)
            return (size_t)n;
    }
    return 0;
}

/* The next datagram, when the last one was not the answer. */
static size_t more(int fd, uint8_t *answer)
{
    ssize_t n = recv(fd, answer, DATAGRAM_MAX, 0);
    return n > 0 ? (size_t)n : 0;
}

static bool phase1(int fd, struct main_mode *mm)
{
    static uint8_t reply[DATAGRAM_MAX];
    static uint8_t datagram[DATAGRAM_MAX];
    struct mm_event event = {.kind = MM_EVENT_START};
    for (int step = 0; step < 12; step++) {
        struct mm_effects effects = {0};
        struct writer w = writer_over(reply, sizeof(reply));
        struct dh_job job;
        err_t err = main_mode_step(mm, &event, &w, &effects);
        if (effects.established)
            return true;
        if (effects.compute) {
            job = effects.job;
            dh_job_run(&job);
            event = (struct mm_event){.kind = MM_EVENT_DH_DONE, .job = &job};
            continue;
        }
        size_t n = err == E_OK && effects.send ? ask(fd, writer_bytes(&w), datagram) : more(fd, datagram);
        if (n == 0)
            return false;
        event = (struct mm_event){.kind = MM_EVENT_DATAGRAM, .datagram = {datagram, n}};
    }
    return false;
}

static bool pull(int fd, const struct isakmp_sa *sa)
{
    static struct pull_member member;
    static uint8_t reply[DATAGRAM_MAX];
    static uint8_t datagram[DATAGRAM_MAX];
    static uint8_t plain[DATAGRAM_MAX];
    memset(&member, 0, sizeof(member));
    struct writer w = writer_over(reply, sizeof(reply));
    err_t err = pull_member_start(&member, sa, &rng_system, &group, 0, &w);
    for (int step = 0; err == E_OK && member.state != PULL_M_DONE && step < 8; step++) {
        size_t n = ask(fd, writer_bytes(&w), datagram);
        if (n == 0)
            break;
        w = writer_over(reply, sizeof(reply));
        err = pull_member_step(&member, sa, (struct bytes){datagram, n}, plain, &w);
    }
    bool done = err == E_OK && member.state == PULL_M_DONE;
    pull_member_close(&member);
    return done;
}

static bool one_exchange(const struct sockaddr_in *server, uint32_t local, uint16_t local_port,
                         bool with_pull)
{
    int fd = open_socket(local, local_port, server);
    struct addr me =
        addr_v4((uint8_t)(local >> 24), (uint8_t)(local >> 16), (uint8_t)(local >> 8), (uint8_t)local);
    struct mm_params params = {.policy = &policy,
                               .psk = psk,
                               .local_id = identity_from_addr(&me),
                               .doi = with_pull ? DOI_GDOI : DOI_IPSEC,
                               .rng = &rng_system};
    static struct main_mode mm;
    err_t err = main_mode_initiator_init(&mm, &params);
    if (err != E_OK)
        die("main mode", err);
    bool done = phase1(fd, &mm) && (!with_pull || pull(fd, &mm.sa));
    if (done) { /* tell the responder that the SA is over, as a member going down does */
        uint8_t bye[256];
        struct writer w = writer_over(bye, sizeof(bye));
        if (informational_delete_sa(&mm.sa, 0x01020304, &w) == E_OK && send(fd, bye, w.len, 0) < 0)
            die("send", E_OK);
    }
    main_mode_close(&mm);
    close(fd);
    return done;
}

int main(int argc, char **argv)
{
    if (argc != 9 && argc != 11) {
        fprintf(stderr, "usage: registration_bench SERVER PORT LOCAL_PORT FIRST_LOCAL COUNT PSK SUITE PID "
                        "[pull GROUP]\n");
        return 2;
    }
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10))};
    struct in_addr first;
    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || inet_pton(AF_INET, argv[4], &first) != 1)
        die("address", E_RANGE);
    uint16_t local_port = (uint16_t)strtoul(argv[3], NULL, 10);
    unsigned long count = strtoul(argv[5], NULL, 10);
    psk = bytes_of_text(argv[6]);
    policy.lifetime_s = 1200;
    err_t err = ike_policy_add(&policy, argv[7]);
    if (err != E_OK)
        die(argv[7], err);
    bool with_pull = argc == 11;
    if (with_pull)
        group = identity_from_number((uint32_t)strtoul(argv[10], NULL, 10));

    uint32_t local = ntohl(first.s_addr);
    for (uint32_t i = 0; i < 20; i++) /* warm up */
        if (!one_exchange(&server, local++, local_port, with_pull))
            die("warm-up exchange", E_TIMEOUT);
    double cpu = cpu_ns(argv[8]);
    double wall = now_s();
    unsigned long failed = 0;
    for (unsigned long i = 0; i < count; i++)
        failed += !one_exchange(&server, local++, local_port, with_pull);
    wall = now_s() - wall;
    cpu = cpu_ns(argv[8]) - cpu;
    printf("{\"suite\": \"%s\", \"pull\": %s, \"exchanges\": %lu, \"failed\": %lu, \"cpu_us_per_exchange\": "
           "%.1f, "
           "\"wall_us_per_exchange\": %.1f}\n",
           argv[7], with_pull ? "true" : "false", count, failed, cpu / 1e3 / (double)count,
           wall * 1e6 / (double)count);
    return failed == 0 ? 0 : 1;
}
