/* main.c - runs seeds.
 *   sim --seed N [--trace]          one, and what happened in it
 *   sim --seeds A..B                each of them; the first one twice, which must be the same run
 *   sim --plant NAME [--seeds A..B] one of the seeds must find the planted bug (plant.c) */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <inttypes.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/product/sim.h"

enum { FOUND = 3, PLANT_SEEDS = 40 };

static uint64_t running, crypto_state;

/* Keys and nonces of OpenSSL come from the seed as well. */
static int seeded_bytes(unsigned char *out, int len)
{
    static const struct rng_seeded none;
    struct rng_seeded seeded = none;
    struct rng rng = rng_seeded_init(&seeded, crypto_state += 0x9e3779b97f4a7c15u);
    return rng_fill(&rng, out, (size_t)len) == E_OK;
}

static int seeded_status(void)
{
    return 1;
}

static void say_seed(void)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "\nseed %" PRIu64 " ended the process\n", running);
    if (write(STDERR_FILENO, text, (size_t)len) != len)
        _exit(1);
}

static void on_signal(int number)
{
    say_seed();
    signal(number, SIG_DFL);
    raise(number);
}

extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void watch(void)
{
    static const RAND_METHOD method = {NULL, seeded_bytes, NULL, NULL, seeded_bytes, seeded_status};
    RAND_set_rand_method(&method);
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(say_seed);
    signal(SIGABRT, on_signal);
}

static void run(uint64_t seed, enum sim_plant plant, bool trace, struct sim_counts *total, uint64_t *digest)
{
    running = seed;
    crypto_state = seed;
    sim_seed(seed, plant, trace, total, digest);
}

static void report(const struct sim_counts *c, uint64_t seeds, double seconds)
{
    printf("%" PRIu64 " seeds in %.1f s: %lu events, %lu commands, %lu rekeys, %lu runways, %lu pushes, %lu "
           "messages 2 and 4 "
           "(%lu of them opened), %lu registrations (%lu in a minority), %lu crashes (%lu with power), %lu "
           "pauses, %lu partitions, "
           "%lu terms, %lu epochs, %lu snapshots sent, %lu refused writes, %lu mangled datagrams; %lu calls "
           "(%lu of unknown outcome), %lu histories linearizable, %lu too long, %lu reads; "
           "%lu pairs of members and %lu told pseudotimes; %lu upgrades, %lu rises of the level, %lu "
           "commands that waited "
           "for one: 0 violations\n",
           seeds, seconds, c->events, c->commits, c->rekeys, c->runways, c->pushes, c->pulls,
           c->pulls_checked, c->registrations, c->minorities, c->crashes, c->powers, c->pauses, c->cuts,
           c->elections, c->primaries, c->snapshots, c->refused_disk, c->mangled, c->calls, c->unknown,
           c->histories, c->too_long, c->reads, c->pairs, c->times, c->upgrades, c->levels, c->waits);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run_range(uint64_t first, uint64_t last, bool trace)
{
    struct sim_counts total = {0};
    uint64_t digest = 0, again = 0;
    double begin = seconds_now();
    if (first != last) {
        run(first, PLANT_NONE, false, &total, &again);
        memset(&total, 0, sizeof(total));
    }
    for (uint64_t seed = first; seed <= last; seed++) {
        run(seed, PLANT_NONE, trace, &total, &digest);
        if (seed == first && first != last && digest != again) {
            fprintf(stderr, "seed %" PRIu64 " did not run the same way twice\n", seed);
            return 1;
        }
        if ((seed - first) % 1000 == 999) {
            report(&total, seed - first + 1, seconds_now() - begin);
            fflush(stdout);
        }
    }
    report(&total, last - first + 1, seconds_now() - begin);
    return 0;
}

/* Each seed in a process of its own, for some bugs end it. */
static int run_plant(uint64_t first, uint64_t last, enum sim_plant plant, bool trace)
{
    for (uint64_t seed = first; seed <= last; seed++) {
        struct sim_counts total = {0};
        uint64_t digest;
        int status;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            run(seed, plant, trace, &total, &digest);
            _exit(0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            return 1;
        bool by_signal = plant == PLANT_I6 && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
        if (by_signal || (WIFEXITED(status) && WEXITSTATUS(status) == FOUND)) {
            printf("%s: found by seed %" PRIu64 "\n", plant_name(plant), seed);
            return 0;
        }
    }
    fprintf(stderr, "%s: not found by %" PRIu64 " seeds\n", plant_name(plant), last - first + 1);
    return 1;
}

static int usage(void)
{
    fprintf(stderr, "usage: sim --seed N | --seeds A..B [--plant NAME] [--trace]\n");
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, last = PLANT_SEEDS;
    enum sim_plant plant = PLANT_NONE;
    bool trace = false;
    for (int i = 1; i < argc; i++) {
        char *end = NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
        } else if (strcmp(argv[i], "--plant") == 0 && i + 1 < argc) {
            plant = plant_by_name(argv[++i]);
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            first = last = strtoull(argv[++i], &end, 10);
        } else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
            first = strtoull(argv[++i], &end, 10);
            if (strncmp(end, "..", 2) != 0)
                return usage();
            last = strtoull(end + 2, &end, 10);
        } else {
            return usage();
        }
        if ((end != NULL && *end != '\0') || plant == PLANT_COUNT || last < first)
            return usage();
    }
    watch();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (trace && event_add_sink(event_sink_stderr, NULL) != E_OK)
        return 1;
    return plant == PLANT_NONE ? run_range(first, last, trace) : run_plant(first, last, plant, trace);
}
