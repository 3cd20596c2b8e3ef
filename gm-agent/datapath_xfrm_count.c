/* datapath_xfrm_count.c - what the kernel counted, in the words of datapath.h. It does not say who was first
 * and last. */
#include <fcntl.h>
#include <netinet/in.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gm-agent/datapath_xfrm.h"
#include "gm-agent/nft_counters.h"
#include "gm-agent/nft_tally.h"

enum { STAT_TEXT_MAX = 4096 };

void xfrm_stat_parse(struct xfrm_stat *out, const char *text)
{
    const struct {
        const char *name;
        uint64_t *sum;
    } lines[] = {
        {"XfrmInNoPols", &out->in_no_policy},      {"XfrmInTmplMismatch", &out->in_no_policy},
        {"XfrmOutPolBlock", &out->out_blocked},    {"XfrmOutNoStates", &out->out_blocked},
        {"XfrmOutStateSeqError", &out->out_error}, {"XfrmOutStateProtoError", &out->out_error},
        {"XfrmOutError", &out->out_error},
    };
    memset(out, 0, sizeof(*out));
    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t len = strcspn(line, " \t\n");
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
            if (strlen(lines[i].name) == len && strncmp(line, lines[i].name, len) == 0)
                *lines[i].sum += strtoull(line + len, NULL, 10);
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
}

void xfrm_stat_read(struct xfrm_stat *out)
{
    char text[STAT_TEXT_MAX] = "";
    int fd = open("/proc/net/xfrm_stat", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t got = read(fd, text, sizeof(text) - 1);
        text[got > 0 ? got : 0] = '\0';
        close(fd);
    }
    xfrm_stat_parse(out, text); /* a kernel without them counts nothing */
}

struct tally {
    const char *table;
    struct dscp_table sum;
};

static bool take_tally(const struct nlmsghdr *message, void *context)
{
    struct tally *tally = context;
    err_t err = nft_tally_parse(&tally->sum, tally->table, message);
    (void)err; /* what is not ours does not count */
    return true;
}

static void forget_tally(void *context)
{
    memset(&((struct tally *)context)->sum, 0, sizeof(struct dscp_table));
}

static void read_tally(struct xfrm_datapath *dp, const char *table)
{
    struct tally out = {.table = table}, in = {.table = table};
    struct nlmsghdr *request = nft_tally_dump(dp->scratch, 0, table, true);
    if (xfrm_socket_dump(dp->nft, request, take_tally, forget_tally, &out) == E_OK)
        memcpy(dp->dscp_last.out, out.sum.out, sizeof(out.sum.out));
    request = nft_tally_dump(dp->scratch, 0, table, false);
    if (xfrm_socket_dump(dp->nft, request, take_tally, forget_tally, &in) == E_OK)
        memcpy(dp->dscp_last.in, in.sum.in, sizeof(in.sum.in));
}

void xfrm_dscp(const struct datapath *datapath, struct dscp_table *out)
{
    const struct xfrm_datapath *dp = (const struct xfrm_datapath *)datapath;
    *out = dp->dscp_before;
    dscp_add(out, &dp->dscp_last);
}

void xfrm_nft_counters_read(struct xfrm_datapath *dp)
{
    char table[NFT_NAME_MAX];
    nft_ruleset_table(&dp->site, table);
    nft_counters_dump(dp->nft, dp->scratch, table, dp->nft_last);
    read_tally(dp, table);
}

static uint64_t nft_total(const struct xfrm_datapath *dp, enum nft_ruleset_counter id)
{
    return dp->nft_before[id] + dp->nft_last[id];
}

void xfrm_counters_read(struct xfrm_datapath *dp)
{
    struct xfrm_totals now = dp->gone;
    struct xfrm_stat stat;
    if (xfrm_kernel_read(dp) != E_OK)
        return; /* the values of the latest look stay */
    for (size_t i = 0; i < dp->kernel.sa_count; i++) {
        const struct xfrm_sa_usage *usage = &dp->kernel.usage[i];
        if (dp->kernel.sas[i].reqid == xfrm_plan_reqid_out(&dp->site)) {
            now.out_packets += usage->packets;
        } else {
            now.in_packets += usage->packets;
            now.replay += usage->replay;
            now.integrity_failed += usage->integrity_failed;
        }
    }
    xfrm_nft_counters_read(dp);
    xfrm_stat_read(&stat);
    struct datapath_counter *c = dp->counters;
    c[DP_ENCAPS].count = nft_total(dp, NFT_COUNTER_ENCAPS);
    c[DP_ENCRYPT].count = now.out_packets;
    c[DP_DECAPS].count = c[DP_DECRYPT].count = now.in_packets;
    c[DP_VERIFY_ERROR].count = now.integrity_failed;
    c[DP_REPLAY].count = now.replay;
    c[DP_INVALID_SPI].count = nft_total(dp, NFT_COUNTER_INVALID_SPI);
    c[DP_NOT_IPSEC].count = nft_total(dp, NFT_COUNTER_NOT_IPSEC);
    c[DP_NO_POLICY].count =
        nft_total(dp, NFT_COUNTER_NO_POLICY) + stat.in_no_policy - dp->stat_before.in_no_policy;
    c[DP_NO_KEY].count = nft_total(dp, NFT_COUNTER_LEAK) + stat.out_blocked - dp->stat_before.out_blocked;
    c[DP_SEND_ERROR].count = nft_total(dp, NFT_COUNTER_ANCHOR) + stat.out_error - dp->stat_before.out_error;
}
