/* api_fixture.h - the API over a store of its own with rows of known content, on an ephemeral loopback port,
 * for one test binary. */
#ifndef TESTS_UNIT_API_FIXTURE_H
#define TESTS_UNIT_API_FIXTURE_H

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "tests/unit/api/api_client.h"

#define FIXTURE_METRICS "# TYPE quorate_x_total counter\nquorate_x_total 7\n"

static inline char *fixture_metrics(void *context)
{
    (void)context;
    return strdup(FIXTURE_METRICS);
}

static inline void fixture_health(void *context, struct api_health *out)
{
    *out = ((struct fixture *)context)->health;
}

static inline uint64_t fixture_now(void *context)
{
    (void)context;
    return FIXTURE_NOW_MS;
}

/* Counts up an eventfd, on which fixture_take waits. */
static inline void fixture_wake(void *context)
{
    uint64_t one = 1;
    if (write(((struct fixture *)context)->woken, &one, sizeof(one)) != sizeof(one))
        abort(); /* on the server's thread, where cmocka's checks are not at home */
}

/* The next mail. False: none in that time, or an old wake, of a mail that was there before it was waited for.
 */
static inline bool fixture_take(const struct fixture *f, struct mail *out, int wait_ms)
{
    uint64_t count;
    struct pollfd woken = {f->woken, POLLIN, 0};
    if (mailbox_take(f->mailbox, out))
        return true;
    if (poll(&woken, 1, wait_ms) != 1 || read(f->woken, &count, sizeof(count)) != sizeof(count))
        return false;
    return mailbox_take(f->mailbox, out);
}

static inline struct mail fixture_mail(const struct fixture *f)
{
    struct mail mail;
    uint64_t end = test_now_ms() + WAIT_MS;
    while (!fixture_take(f, &mail, WAIT_MS))
        if (test_now_ms() >= end)
            fail_msg("no mail came");
    return mail;
}

static inline void fixture_serve(struct fixture *f)
{
    assert_ok(http_server_open(&f->server, &f->options));
}

/* Everything but the server. */
static inline void fixture_open(struct fixture *f)
{
    bool rebuilt;
    *f = (struct fixture){0};
    snprintf(f->dir, sizeof(f->dir), "/tmp/quorate-api.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_ok(store_open(&f->store, f->dir, &rebuilt));
    fixture_rows(f->store);
    assert_ok(event_ring_open(&f->ring, EVENT_RING_DEFAULT));
    f->woken = eventfd(0, EFD_CLOEXEC);
    assert_true(f->woken >= 0);
    assert_ok(mailbox_open(&f->mailbox, fixture_wake, f));
    f->health = (struct api_health){.live = true,
                                    .ready = true,
                                    .raft_role = "leader",
                                    .term = 2,
                                    .commit_index = FIXTURE_INDEX,
                                    .applied_index = FIXTURE_INDEX,
                                    .primary = true,
                                    .coop_epoch = 1,
                                    .listen = {addr_v4(10, 1, 11, 2), 848},
                                    .started_ms = FIXTURE_NOW_MS - 3600000};
    memset(f->health.node_id, 0x0a, NODE_ID_LEN);
    f->options = (struct api_options){.listen = {addr_v4(127, 0, 0, 1), 0},
                                      .store = f->store,
                                      .ring = f->ring,
                                      .mailbox = f->mailbox,
                                      .context = f,
                                      .health = fixture_health,
                                      .metrics = fixture_metrics,
                                      .now_ms = fixture_now};
}

static inline void fixture_close(struct fixture *f)
{
    http_server_free(f->server);
    mailbox_free(f->mailbox);
    close(f->woken);
    event_ring_free(f->ring);
    store_close(f->store);
    test_remove_tree(f->dir);
}

static inline int setup_server(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    fixture_open(f);
    fixture_serve(f);
    *state = f;
    return 0;
}

static inline int teardown_server(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

#endif
