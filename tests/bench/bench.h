/* bench.h - an operation of ours beside a floor, in CPU time, in turn in one run: ratios, never limits. */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 5 };

typedef void operation(void *context);

static double seconds_per_line = 0.5;

static inline void need(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s failed\n", what);
        exit(1);
    }
}

static inline double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ns per call over about the given time. */
static inline double measure(operation *op, void *context, double budget_ns)
{
    unsigned long calls = 0;
    unsigned long batch = 1;
    double start = cpu_ns();
    double spent = 0;
    while (spent < budget_ns) {
        for (unsigned long i = 0; i < batch; i++)
            op(context);
        calls += batch;
        spent = cpu_ns() - start;
        if (spent < budget_ns / 20)
            batch *= 2;
    }
    return spent / (double)calls;
}

/* Ours and the floor alternate; the best round of each counts, as the others were disturbed. */
static inline void compare(const char *name, operation *ours, operation *bare, void *context)
{
    double best[2] = {1e18, 1e18};
    double budget = seconds_per_line * 1e9 / ROUNDS / 2;
    for (int i = 0; i < ROUNDS; i++) {
        double a = measure(ours, context, budget);
        double b = measure(bare, context, budget);
        best[0] = a < best[0] ? a : best[0];
        best[1] = b < best[1] ? b : best[1];
    }
    printf("{\"operation\": \"%s\", \"ours_ns\": %.0f, \"bare_ns\": %.0f, \"ratio\": %.3f}\n", name, best[0],
           best[1], best[0] / best[1]);
    fprintf(stderr, "%-34s %10.0f ns %10.0f ns bare  x%.3f\n", name, best[0], best[1], best[0] / best[1]);
}

#endif
