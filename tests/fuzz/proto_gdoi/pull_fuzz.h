/* pull_fuzz.h - both ends of a PULL stopped before each message, for the two fuzz targets. An input is one
 * octet that says which message and in which form, then the message: FORM_RAW: the datagram as it is; else
 * [first payload's type][payloads behind HASH] that the harness hashes and seals, so that the fuzzer gets
 * past both. */
#ifndef TESTS_FUZZ_PROTO_GDOI_PULL_FUZZ_H
#define TESTS_FUZZ_PROTO_GDOI_PULL_FUZZ_H

#include "tests/lib/gdoi_forge.h"

enum { FORM_RAW = 0x80 }; /* the octet's other bits: message 1..4 by their lowest two */

struct stopped {
    struct pull_server server; /* as it is before messages 1 and 3 */
    struct pull_member member; /* before 2 and 4 */
    struct pull_nonces nonces;
    uint8_t iv[CIPHER_BLOCK_MAX];
    uint32_t message_id;
};

static struct isakmp_sa fuzz_sa;
static struct stopped stopped[5]; /* 1..4 */
static uint8_t fuzz_messages[5][MESSAGE_CAP];
static struct bytes fuzz_sent[5];

UNUSED static void fuzz_stop(int n, const struct pull_server *server, const struct pull_member *member)
{
    struct stopped *s = &stopped[n];
    s->server = *server;
    s->member = *member;
    s->message_id = member->message_id;
    if (n == 1)
        must(isakmp_sa_exchange_iv(&fuzz_sa, s->message_id, s->iv));
    else
        memcpy(s->iv, n == 3 ? server->iv : member->iv, sizeof(s->iv));
    if (n >= 2)
        s->nonces.ni_b = (struct bytes){s->server.ni, s->server.ni_len};
    if (n >= 3)
        s->nonces.nr_b = (struct bytes){s->server.nr, s->server.nr_len};
}

/* One whole PULL, with a stop before each message is taken. */
UNUSED static void fuzz_prepare(void)
{
    static uint8_t plain[MESSAGE_CAP];
    struct rng_seeded seed;
    struct rng rng = rng_seeded_init(&seed, 99);
    struct pull_server server = {0};
    struct pull_member member = {0};
    struct group_policy policy;
    struct identity group = identity_from_number(FIXTURE_GROUP);
    struct writer w[5];
    for (int n = 1; n <= 4; n++)
        w[n] = writer_over(fuzz_messages[n], MESSAGE_CAP);
    fixture_sa(&fuzz_sa, false, CIPHER_AES_CBC_128, HASH_SHA256);
    fixture_policy_gcm(&policy);

    must(pull_member_start(&member, &fuzz_sa, &rng, &group, 2, &w[1]));
    fuzz_stop(1, &server, &member);
    must(pull_server_request(&server, &fuzz_sa, writer_bytes(&w[1]), plain));
    must(pull_server_offer(&server, &fuzz_sa, &rng, &policy, NULL, &w[2]));
    fuzz_stop(2, &server, &member);
    must(pull_member_step(&member, &fuzz_sa, writer_bytes(&w[2]), plain, &w[3]));
    fuzz_stop(3, &server, &member);
    must(pull_server_confirm(&server, &fuzz_sa, writer_bytes(&w[3]), plain));
    must(pull_server_deliver(&server, &fuzz_sa, &policy, 3, &w[4]));
    fuzz_stop(4, &server, &member);
    for (int n = 1; n <= 4; n++)
        fuzz_sent[n] = writer_bytes(&w[n]);
}

/* The datagram that an input stands for; into buf, or the input itself. */
UNUSED static struct bytes fuzz_datagram(int n, bool raw, struct bytes input, uint8_t buf[MESSAGE_CAP])
{
    const struct stopped *s = &stopped[n];
    if (raw || input.len < 1 || input.len > MESSAGE_CAP - 256)
        return input;
    return forge_pull(buf, MESSAGE_CAP, &fuzz_sa, s->message_id, &s->nonces, s->iv, input.data[0],
                      bytes_slice(input, 1, input.len));
}

#endif
