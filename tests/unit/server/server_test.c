/* server_test.c - the whole daemon but main(): libuv loop, UDP socket, pool and the real cluster in a
 * directory of its own, with a member on loopback. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "proto/gdoi/pull_member.h"
#include "proto/gdoi/push.h"
#include "proto/gdoi/push_ack.h"
#include "server/loop_uv_parts.h"
#include "tests/lib/test.h"

enum { DEADLINE_MS = 20000, REPEAT_MS = 300 };

#define PSK "a long random secret"

static char dir[64];

static struct ksd_config *make_config(void)
{
    struct ksd_config *config = calloc(1, sizeof(*config));
    config->listen.addr = addr_v4(127, 0, 0, 1);
    config->api.addr = addr_v4(127, 0, 0, 1);
    snprintf(config->data_dir, sizeof(config->data_dir), "%s/data", dir);
    snprintf(config->node_key_file, sizeof(config->node_key_file), "%s/node.key", dir);
    snprintf(config->path, sizeof(config->path), "%s/ksd.conf", dir);
    ike_policy_default(&config->ike);
    config->ike.lifetime_s = 1200;
    config->half_open_max = 64;
    config->rate_per_s = config->rate_burst = 1000;
    config->sign_alg = SIGN_ECDSA_256;
    config->psks = calloc(1, sizeof(*config->psks));
    config->psk_count = 1;
    assert_ok(prefix_parse(&config->psks[0].peer, "127.0.0.0/8"));
    assert_ok(secret_set(&config->psks[0].secret, bytes_of_text(PSK)));
    config->groups = calloc(1, sizeof(*config->groups));
    config->group_count = 1;
    struct group_config *group = &config->groups[0];
    snprintf(group->name, sizeof(group->name), "G1");
    group->identity = identity_from_number(3333);
    group->server_addr = config->listen.addr;
    group->short_lifetimes = true;
    group->kek_lifetime_s = 3600;
    group->tek_lifetime_s = 6; /* so a rekey every 3 seconds */
    group->retransmit_s = 1;
    group->retransmit_count = 2;
    group->kek_cipher = CIPHER_AES_CBC_256;
    group->sig_hash = HASH_SHA256;
    group->ack = KEK_ACK_SHA256;
    group->suite = (struct esp_suite){ESP_AES_CBC, 256, AUTH_HMAC_SHA256};
    group->selector_count = 1;
    assert_ok(prefix_parse(&group->selectors[0].src, "10.0.0.0/8"));
    assert_ok(prefix_parse(&group->selectors[0].dst, "10.0.0.0/8"));
    return config;
}

struct daemon {
    struct event_ring *ring;
    struct server *server;
    pthread_t thread;
    struct endpoint at;
};

static struct ksd_config *no_reload(void *context)
{
    (void)context;
    return NULL;
}

static void *run(void *context)
{
    err_t *result = malloc(sizeof(*result));
    *result = server_run(((struct daemon *)context)->server);
    return result;
}

static void daemon_start(struct daemon *d)
{
    assert_ok(event_ring_open(&d->ring, 64));
    struct server_options options = {.config = make_config(), .ring = d->ring, .reload = no_reload};
    assert_ok(server_open(&d->server, &options));
    d->at = udp_endpoint(d->server->udp);
    assert_int_equal(pthread_create(&d->thread, NULL, run, d), 0);
}

static void daemon_stop(struct daemon *d)
{
    void *result = NULL;
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(pthread_join(d->thread, &result), 0);
    assert_ok(*(err_t *)result);
    free(result);
    server_free(d->server);
    event_ring_free(d->ring);
}

/* ---- a member with a socket ---- */

struct client {
    int fd;
    struct endpoint at;
    struct ike_policy policy;
    struct main_mode mm;
    struct isakmp_sa sa;
    struct pull_member pull;
    struct push_member push;
    struct push_ack_key ack_key;
    uint8_t out[ISAKMP_MESSAGE_MAX];
    size_t out_len;
    uint8_t in[ISAKMP_MESSAGE_MAX];
    struct bytes got;
    uint64_t deadline_ms;
};

static void client_open(struct client *c, const struct endpoint *server)
{
    struct sockaddr_storage sa;
    struct timeval wait = {.tv_usec = REPEAT_MS * 1000};
    struct endpoint any = {addr_v4(127, 0, 0, 1), 0};
    memset(c, 0, sizeof(*c));
    c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    socklen_t len = endpoint_to_sockaddr(&any, &sa);
    assert_int_equal(bind(c->fd, (struct sockaddr *)&sa, len), 0);
    len = endpoint_to_sockaddr(server, &sa);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
    len = sizeof(sa);
    assert_int_equal(getsockname(c->fd, (struct sockaddr *)&sa, &len), 0);
    c->at = endpoint_from_sockaddr((struct sockaddr *)&sa);
    assert_ok(ike_policy_add(&c->policy, "aes256-sha256-ecp256"));
    c->policy.lifetime_s = 1200;
    struct mm_params params = {.policy = &c->policy,
                               .psk = bytes_of_text(PSK),
                               .local_id = identity_from_addr(&c->at.addr),
                               .doi = DOI_GDOI,
                               .rng = &rng_system};
    assert_ok(main_mode_initiator_init(&c->mm, &params));
    c->deadline_ms = clock_mono_ms(&clock_system) + DEADLINE_MS;
}

static void client_close(struct client *c)
{
    close(c->fd);
    main_mode_close(&c->mm);
    isakmp_sa_close(&c->sa);
    pull_member_close(&c->pull);
    push_member_close(&c->push);
    push_ack_key_close(&c->ack_key);
}

static void client_send(struct client *c, struct bytes datagram)
{
    memmove(c->out, datagram.data, datagram.len);
    c->out_len = datagram.len;
    assert_int_equal(send(c->fd, c->out, c->out_len, 0), c->out_len);
}

/* The next datagram; what was sent last goes out again while none comes. */
static void client_get(struct client *c)
{
    for (;;) {
        if (clock_mono_ms(&clock_system) > c->deadline_ms)
            fail_msg("the key server does not answer");
        ssize_t len = recv(c->fd, c->in, sizeof(c->in), 0);
        if (len > 0) {
            c->got = (struct bytes){c->in, (size_t)len};
            return;
        }
        if (c->out_len != 0)
            assert_int_equal(send(c->fd, c->out, c->out_len, 0), c->out_len);
    }
}

static err_t client_mm(struct client *c, enum mm_event_kind kind, struct dh_job *job)
{
    uint8_t buf[ISAKMP_MESSAGE_MAX];
    struct mm_effects effects;
    struct mm_event event = {.kind = kind, .datagram = c->got, .job = job};
    struct writer w = writer_over(buf, sizeof(buf));
    err_t err = main_mode_step(&c->mm, &event, &w, &effects);
    if (err != E_OK)
        return err;
    if (effects.send)
        client_send(c, writer_bytes(&w));
    if (effects.compute) {
        dh_job_run(&effects.job);
        return client_mm(c, MM_EVENT_DH_DONE, &effects.job);
    }
    if (effects.established)
        main_mode_take_sa(&c->mm, &c->sa);
    return E_OK;
}

static void client_register(struct client *c)
{
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    uint8_t buf[ISAKMP_MESSAGE_MAX];
    struct identity group = identity_from_number(3333);
    assert_ok(client_mm(c, MM_EVENT_START, NULL));
    while (!c->sa.established) {
        client_get(c);
        err_t err = client_mm(c, MM_EVENT_DATAGRAM, NULL);
        (void)err; /* answers to our repeats */
    }
    struct writer w = writer_over(buf, sizeof(buf));
    assert_ok(pull_member_start(&c->pull, &c->sa, &rng_system, &group, 0, &w));
    client_send(c, writer_bytes(&w));
    while (c->pull.state != PULL_M_DONE) {
        client_get(c);
        w = writer_over(buf, sizeof(buf));
        if (pull_member_step(&c->pull, &c->sa, c->got, plain, &w) == E_OK && w.len > 0)
            client_send(c, writer_bytes(&w));
    }
    c->out_len = 0;
    assert_ok(push_member_open(&c->push, &c->pull.policy.kek, c->pull.seq, false));
    assert_ok(push_ack_key_derive(&c->ack_key, &c->pull.policy.kek));
}

/* Waits for the next push, takes it, acknowledges. */
static uint32_t client_push(struct client *c, bool ack)
{
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    uint8_t buf[PUSH_ACK_LEN_MAX];
    for (;;) {
        struct push_received message = {0};
        client_get(c);
        err_t err = push_member_open_message(&c->push, c->got, plain, &message);
        if (err == E_OK)
            assert_ok(push_member_accept(&c->push, &message));
        push_received_close(&message);
        if (err != E_OK)
            continue;
        struct writer w = writer_over(buf, sizeof(buf));
        assert_ok(push_ack_build(&c->ack_key, c->push.last_seq, &c->at.addr, false, &w));
        if (ack)
            assert_int_equal(send(c->fd, buf, w.len, 0), w.len);
        return c->push.last_seq;
    }
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/ksd-server-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return 0;
}

/* No shell: by now this process is in the daemon's sandbox, which starts no programs. */
static int teardown(void **state)
{
    (void)state;
    return test_remove_tree(dir);
}

static void a_member_registers_is_rekeyed_and_survives_a_restart(void **state)
{
    (void)state;
    struct daemon d;
    struct client c;
    daemon_start(&d);
    client_open(&c, &d.at);
    client_register(&c);
    assert_int_equal(c.pull.policy.tek_count >= 1, 1);
    uint32_t first = client_push(&c, true);
    uint32_t second = client_push(&c, true);
    assert_int_equal(second, first + 1);
    daemon_stop(&d);
    client_close(&c);

    daemon_start(&d);
    client_open(&c, &d.at);
    client_register(&c);
    assert_true(c.pull.seq >= second); /* I2 */
    uint32_t third = client_push(&c, true);
    assert_true(third > c.pull.seq);
    daemon_stop(&d);
    client_close(&c);
}

static void a_stop_with_everything_under_way_is_clean(void **state)
{
    (void)state;
    struct daemon d;
    struct client c[8];
    daemon_start(&d);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        client_open(&c[i], &d.at);
        assert_ok(client_mm(&c[i], MM_EVENT_START, NULL));
    }
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        client_get(&c[i]);
        assert_ok(client_mm(&c[i], MM_EVENT_DATAGRAM, NULL)); /* message 3: the pool is busy now */
    }
    daemon_stop(&d);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        client_close(&c[i]);
}

static void a_socket_that_cannot_be_bound_is_reported(void **state)
{
    (void)state;
    struct server *server = NULL;
    struct event_ring *ring = NULL;
    assert_ok(event_ring_open(&ring, 8));
    uint64_t before = event_count(EV_SOCKET_ERROR);
    struct ksd_config *config = make_config();
    config->listen.addr = addr_v4(192, 0, 2, 1); /* of nobody here */
    struct server_options options = {.config = config, .ring = ring, .reload = no_reload};
    assert_err(server_open(&server, &options), E_IO);
    assert_null(server);
    assert_int_equal(event_count(EV_SOCKET_ERROR), before + 1);
    event_ring_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_member_registers_is_rekeyed_and_survives_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_stop_with_everything_under_way_is_clean, setup, teardown),
        cmocka_unit_test_setup_teardown(a_socket_that_cannot_be_bound_is_reported, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
