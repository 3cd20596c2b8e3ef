/* Answers of the kernel, as any octets: SAs, policies, counters. What is parsed must be whole, and what was
 * parsed must survive being built and parsed again. */
#include <libmnl/libmnl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gm-agent/datapath_xfrm.h"
#include "gm-agent/nft_tally.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void sa_again(const struct xfrm_sa *sa)
{
    uint8_t buffer[XFRM_MESSAGE_MAX];
    struct xfrm_sa back;
    struct xfrm_sa_usage usage;
    if (sa->suite.transform == 0 || esp_key_len(&sa->suite) != sa->key.len ||
        esp_integrity_len(&sa->suite) != sa->integrity.len)
        return; /* of somebody else */
    require(xfrm_parse_sa(&back, &usage, xfrm_build_sa(buffer, 1, sa)) == E_OK);
    require(xfrm_sa_same_place(sa, &back) && secret_equal(secret_view(&sa->key), secret_view(&back.key)));
    xfrm_sa_close(&back);
}

static void policy_again(const struct xfrm_policy *policy)
{
    uint8_t buffer[XFRM_MESSAGE_MAX];
    struct xfrm_policy back;
    struct nlmsghdr *message = xfrm_build_policy(buffer, 1, policy);
    message->nlmsg_type = XFRM_MSG_NEWPOLICY;
    require(xfrm_parse_policy(&back, message) == E_OK && xfrm_policy_equal(policy, &back));
}

static bool take(const struct nlmsghdr *message, void *context)
{
    struct xfrm_sa sa;
    struct xfrm_sa_usage usage;
    struct xfrm_policy policy;
    struct nft_counter counter;
    unsigned *count = context;
    if (xfrm_parse_sa(&sa, &usage, message) == E_OK)
        sa_again(&sa);
    xfrm_sa_close(&sa);
    if (xfrm_parse_policy(&policy, message) == E_OK)
        policy_again(&policy);
    if (nft_parse_counter(&counter, message) == E_OK)
        require(memchr(counter.table, 0, NFT_NAME_MAX) != NULL &&
                memchr(counter.name, 0, NFT_NAME_MAX) != NULL);
    struct dscp_table tally = {0};
    if (nft_tally_parse(&tally, "t", message) != E_OK) {
        static const struct dscp_table none;
        require(memcmp(&tally, &none, sizeof(none)) == 0);
    }
    return ++*count < 64;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xfrm_stat stat;
    uint32_t seq = 0;
    unsigned count = 0;
    err_t err;
    uint8_t *copy = malloc(size + 1); /* aligned, and of the exact size but for the NUL of the text */
    if (copy == NULL)
        return 0;
    if (size > 0)
        memcpy(copy, data, size);
    if (size >= NLMSG_HDRLEN)
        memcpy(&seq, copy + 8, sizeof(seq));
    xfrm_reply_walk((struct bytes){copy, size}, seq, take, &count, &err);
    uint32_t sid;
    if (size != 0 && xfrm_probe_read((struct bytes){copy, size}, seq, copy[0] % 33, &sid))
        require(size >= 36 && (copy[0] % 33 == 32 || sid >> copy[0] % 33 == 0));
    copy[size] = '\0';
    xfrm_stat_parse(&stat, (const char *)copy);
    free(copy);
    return 0;
}
