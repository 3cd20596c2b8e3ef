/* pull_server_fuzz.c - messages 1 and 3 at the key server. */
#include "tests/fuzz/proto_gdoi/pull_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t buf[MESSAGE_CAP], reply[MESSAGE_CAP];

static void after_request(struct pull_server *pull)
{
    char text[ID_TEXT_MAX];
    struct rng_seeded seed;
    struct rng rng = rng_seeded_init(&seed, 1);
    struct group_policy policy;
    struct writer w = writer_over(reply, sizeof(reply));
    fixture_policy(&policy);
    if (pull->state != PULL_S_REQUESTED || pull->message_id == 0 || pull->ni_len < NONCE_MIN ||
        pull->ni_len > NONCE_MAX || pull->group.len == 0 || identity_format(&pull->group, text)[0] == '\0')
        abort();
    must(pull_server_offer(pull, &fuzz_sa, &rng, &policy, NULL, &w));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fuzz_sent[4].len == 0)
        fuzz_prepare();
    if (size == 0)
        return 0;
    int n = (data[0] & 1) != 0 ? 3 : 1;
    struct bytes datagram =
        fuzz_datagram(n, (data[0] & FORM_RAW) != 0, (struct bytes){data + 1, size - 1}, buf);
    uint8_t *plain = malloc(datagram.len != 0 ? datagram.len : 1); /* exactly the scratch that is asked for */
    if (plain == NULL)
        return 0;
    struct pull_server pull = stopped[n].server;
    err_t err = n == 1 ? pull_server_request(&pull, &fuzz_sa, datagram, plain)
                       : pull_server_confirm(&pull, &fuzz_sa, datagram, plain);
    if (err != E_OK && memcmp(&pull, &stopped[n].server, sizeof(pull)) != 0)
        abort();
    if (err == E_OK && n == 1)
        after_request(&pull);
    pull_server_close(&pull);
    free(plain);
    return 0;
}
