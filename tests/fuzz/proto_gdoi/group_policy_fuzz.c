/* group_policy_fuzz.c - the body of an SA payload, and that of a KD payload for it: [octet][length
 * u16][SA][KD]. What is taken is written again and read to be the same. */
#include "tests/lib/gdoi_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANY_DIALECT = 1, OLD_SPI = 2 };

static uint8_t buf[4 * MESSAGE_CAP];

static void copy_by_wire(const struct group_policy *policy, struct group_policy *out)
{
    struct writer w = writer_over(buf, sizeof(buf));
    must(group_policy_encode_sa(policy, NULL, &w));
    must(group_policy_from_sa(out, writer_bytes(&w), true));
    w = writer_over(buf, sizeof(buf));
    must(group_policy_encode_kd(policy, policy->kek.spi, &w));
    must(group_policy_add_kd(out, writer_bytes(&w), policy->kek.spi));
}

/* The first copy may have its selectors in another order (by key); the second must be the first. */
static void check_round_trip(const struct group_policy *policy)
{
    struct group_policy first = {0}, second = {0};
    if (policy->tek_count == 0 && !policy->has_kek)
        return;
    copy_by_wire(policy, &first);
    copy_by_wire(&first, &second);
    if (first.tek_count != policy->tek_count || first.selector_count != policy->selector_count ||
        !fixture_same_policy(&first, &second))
        abort();
    group_policy_close(&first);
    group_policy_close(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t old_spi[KEK_SPI_LEN] = "the old one, 16";
    if (size < 3)
        return 0;
    struct group_policy policy = {0};
    size_t sa_len = (size_t)data[1] << 8 | data[2];
    struct bytes rest = {data + 3, size - 3};
    err_t err = group_policy_from_sa(&policy, bytes_slice(rest, 0, sa_len), (data[0] & ANY_DIALECT) != 0);
    if (err != E_OK) {
        if (!fixture_is_zero(&policy, sizeof(policy)))
            abort();
        return 0;
    }
    err = group_policy_add_kd(&policy, bytes_slice(rest, sa_len, rest.len),
                              (data[0] & OLD_SPI) != 0 ? old_spi : NULL);
    if (err == E_OK)
        check_round_trip(&policy);
    group_policy_close(&policy);
    return 0;
}
