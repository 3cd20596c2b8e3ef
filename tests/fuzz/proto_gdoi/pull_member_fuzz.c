/* pull_member_fuzz.c - messages 2 and 4 at the member, and both in a row: [length u16][message 2][message 4].
 */
#include "tests/fuzz/proto_gdoi/pull_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t buf[MESSAGE_CAP], reply[MESSAGE_CAP];

/* What a member has taken can be used: lengths fit, and it can be told on. */
static void check_policy(const struct pull_member *pull)
{
    const struct group_policy *policy = &pull->policy;
    if (policy->tek_count == 0 || policy->tek_count > POLICY_TEK_MAX ||
        policy->selector_count > POLICY_SELECTOR_MAX || policy->has_kek != pull->has_seq)
        abort();
    for (size_t i = 0; i < policy->tek_count; i++) {
        const struct tek *tek = &policy->teks[i];
        if (tek->spi < TEK_SPI_MIN || tek->lifetime_s == 0 || tek->key.len != tek_key_len(&tek->suite) ||
            tek->integrity.len != tek_integrity_len(&tek->suite))
            abort();
        for (size_t k = 0; k < i; k++)
            if (policy->teks[k].spi == tek->spi)
                abort();
    }
    if (policy->has_kek && (kek_key(&policy->kek).len == 0 || policy->kek.public_len == 0))
        abort();
    struct writer w = writer_over(reply, sizeof(reply));
    err_t err = group_policy_encode_sa(policy, NULL, &w);
    if (err != E_OK && err != E_FULL)
        abort();
    w = writer_over(reply, sizeof(reply));
    err = group_policy_encode_kd(policy, policy->kek.spi, &w);
    if (err != E_OK && err != E_FULL)
        abort();
}

static err_t step(struct pull_member *pull, struct bytes datagram)
{
    struct writer w = writer_over(reply, sizeof(reply));
    struct pull_member before = *pull;
    uint8_t *plain = malloc(datagram.len != 0 ? datagram.len : 1); /* exactly the scratch that is asked for */
    if (plain == NULL)
        return E_NO_MEMORY;
    err_t err = pull_member_step(pull, &fuzz_sa, datagram, plain, &w);
    free(plain);
    if (err != E_OK && memcmp(pull, &before, sizeof(before)) != 0)
        abort();
    if (err == E_OK && pull->state == PULL_M_DONE)
        check_policy(pull);
    return err;
}

/* Message 4 for an offer that the fuzzer made: the harness knows the chained IV and nonces. */
static void step_4(struct pull_member *pull, struct bytes input)
{
    if (input.len == 0 || input.len > MESSAGE_CAP - 256)
        return;
    struct pull_nonces nonces = {{pull->ni, pull->ni_len}, {pull->nr, pull->nr_len}};
    (void)!step(pull, forge_pull(buf, sizeof(buf), &fuzz_sa, pull->message_id, &nonces, pull->iv,
                                 input.data[0], bytes_slice(input, 1, input.len)));
}

static void both(struct pull_member *pull, struct bytes input)
{
    if (input.len < 2)
        return;
    size_t first = (size_t)input.data[0] << 8 | input.data[1];
    struct bytes rest = bytes_slice(input, 2, input.len);
    if (step(pull, fuzz_datagram(2, false, bytes_slice(rest, 0, first), buf)) == E_OK)
        step_4(pull, bytes_slice(rest, first, rest.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { BOTH = 2, ANY_DIALECT = 0x40 };
    if (fuzz_sent[4].len == 0)
        fuzz_prepare();
    if (size == 0)
        return 0;
    struct bytes input = {data + 1, size - 1};
    int n = (data[0] & 1) != 0 ? 4 : 2;
    struct pull_member pull = stopped[(data[0] & BOTH) != 0 ? 2 : n].member;
    pull.any_dialect = (data[0] & ANY_DIALECT) != 0;
    if ((data[0] & BOTH) != 0)
        both(&pull, input);
    else
        (void)!step(&pull, fuzz_datagram(n, (data[0] & FORM_RAW) != 0, input, buf));
    pull_member_close(&pull);
    return 0;
}
