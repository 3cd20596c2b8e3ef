/* config_deny.c - what passes and what is checked: local exceptions, datapath.deny = ( { src = ...; dst =
 * ...; protocol = ...; dst_port = ...; } ), fail-close, direction, anti-replay. */
#include "gm-agent/config_parts.h"

static const char *const keys[] = {"src", "dst", "protocol", "src_port", "dst_port", NULL};
static const char *const protocol_words[] = {"any", "icmp", "tcp", "udp", "sctp", "icmp6", NULL};
static const uint8_t protocols[] = {0, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMPV6};

static err_t read_entry(const struct conf_node *node, bool ipv6, struct selector *out,
                        struct conf_error *error)
{
    unsigned word = 0;
    uint32_t src_port = 0, dst_port = 0;
    err_t err;
    if ((err = conf_only(node, keys, error)) != E_OK ||
        (err = conf_prefix(node, "src", true, &out->src, error)) != E_OK ||
        (err = conf_prefix(node, "dst", true, &out->dst, error)) != E_OK ||
        (err = conf_word(node, "protocol", false, protocol_words, &word, error)) != E_OK ||
        (err = conf_u32(node, "src_port", false, 1, 65535, &src_port, error)) != E_OK ||
        (err = conf_u32(node, "dst_port", false, 1, 65535, &dst_port, error)) != E_OK)
        return err;
    out->protocol = protocols[word];
    out->src_port = (uint16_t)src_port;
    out->dst_port = (uint16_t)dst_port;
    if ((src_port != 0 || dst_port != 0) &&
        (word == 0 || out->protocol == IPPROTO_ICMP || out->protocol == IPPROTO_ICMPV6))
        return conf_fail(node, error, "deny: expected protocol \"tcp\", \"udp\" or \"sctp\" with a port");
    if (out->src.addr.family != out->dst.addr.family)
        return conf_fail(node, error, "deny: expected src and dst of one family");
    if (out->src.addr.family != AF_INET && !ipv6)
        return conf_fail(node, error, "deny: expected IPv4 prefixes, or backend \"user\"");
    return E_OK;
}

err_t config_read_deny(const struct conf_node *datapath, struct gm_datapath_config *out,
                       struct conf_error *error)
{
    const struct conf_node *list = NULL;
    err_t err = conf_list(datapath, "deny", &list, error);
    if (err != E_OK)
        return err;
    if (conf_count(list) > GM_DENY_MAX)
        return conf_fail(list, error, "deny: expected at most %d entries", GM_DENY_MAX);
    for (size_t i = 0; i < conf_count(list) && err == E_OK; i++) {
        err = read_entry(conf_item(list, i), out->backend == GM_BACKEND_USER, &out->deny[i], error);
        out->deny_count = i + 1;
    }
    return err;
}

err_t config_read_traffic(const struct conf_node *datapath, struct gm_datapath_config *out,
                          struct conf_error *error)
{
    static const char *const df_words[] = {"clear", "copy", NULL};
    static const char *const directions[] = {"both", "inbound-optional", "receive-only", NULL};
    bool fail_close = true;
    out->offload = true;
    out->threads = 1;
    unsigned direction = DATAPATH_BOTH, df = 0;
    uint32_t attribute = SAT_ATTR_REPLAY_DEFAULT;
    err_t err;
    if ((err = conf_bool(datapath, "fail_close", false, &fail_close, error)) != E_OK ||
        (err = conf_bool(datapath, "offload", false, &out->offload, error)) != E_OK ||
        (err = conf_u32(datapath, "threads", false, 1, GM_THREAD_MAX, &out->threads, error)) != E_OK ||
        (err = conf_bool(datapath, "revert", false, &out->revert, error)) != E_OK ||
        (err = conf_word(datapath, "direction", false, directions, &direction, error)) != E_OK ||
        (err = conf_word(datapath, "df", false, df_words, &df, error)) != E_OK ||
        (err = conf_u32(datapath, "replay_window", false, 0, 1024, &out->replay_window, error)) != E_OK ||
        (err = conf_u32(datapath, "time_attribute", false, 0, 32767, &attribute, error)) != E_OK ||
        (err = conf_text(datapath, "counter_file", false, out->counter_file, sizeof(out->counter_file),
                         error)) != E_OK)
        return err;
    out->fail_open = !fail_close;
    out->copy_df = df != 0;
    out->direction = (enum datapath_direction)direction;
    out->time_attribute = (uint16_t)attribute;
    if (out->replay_window % 64 != 0)
        return conf_fail(datapath, error, "replay_window: expected 0 or a multiple of 64 up to 1024, not %u",
                         out->replay_window);
    if (attribute != 0 && attribute < SAT_ATTR_PRIVATE_MIN)
        return conf_fail(datapath, error, "time_attribute: expected 0 or %d to 32767, not %u",
                         SAT_ATTR_PRIVATE_MIN, attribute);
    if (out->backend != GM_BACKEND_XFRM && conf_has(datapath, "df"))
        return conf_fail(datapath, error, "df: expected backend \"xfrm\" with it; \"user\" copies it");
    if (out->backend != GM_BACKEND_USER &&
        (out->replay_window != 0 || out->counter_file[0] != '\0' || out->threads != 1))
        return conf_fail(datapath, error,
                         "replay_window, counter_file, threads: expected backend \"user\" with them");
    return E_OK;
}
