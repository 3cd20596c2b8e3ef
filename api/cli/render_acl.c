/* render_acl.c - 'show crypto gdoi ks acl': selectors as access-list entries. A list has the name of its
 * group. */
#include <string.h>

#include "api/cli/ksctl.h"
#include "base/addr.h"

static const struct {
    int number;
    const char *word;
} protocols[] = {{1, "icmp"}, {2, "igmp"},  {6, "tcp"},    {17, "udp"},  {47, "gre"},  {50, "esp"},
                 {51, "ahp"}, {58, "icmp"}, {88, "eigrp"}, {89, "ospf"}, {103, "pim"}, {132, "sctp"}};

static void put_protocol(FILE *out, json_int_t number, bool is_v6)
{
    if (number == 0) {
        fputs(is_v6 ? "ipv6" : "ip", out);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (protocols[i].number == number) {
            fputs(protocols[i].word, out);
            return;
        }
    fprintf(out, "%lld", (long long)number);
}

/* " any", " host A", " A wildcard" (the mask's complement), " A/n" for IPv6. */
static void put_prefix(FILE *out, const char *text)
{
    struct prefix prefix;
    char addr[ADDR_TEXT_MAX];
    if (prefix_parse(&prefix, text) != E_OK) {
        fprintf(out, " %s", text);
        return;
    }
    addr_format(&prefix.addr, addr);
    size_t all = addr_len(&prefix.addr) * 8;
    if (prefix.bits == 0) {
        fputs(" any", out);
    } else if (prefix.bits == all) {
        fprintf(out, " host %s", addr);
    } else if (prefix.addr.family == AF_INET) {
        uint8_t mask[16];
        prefix_mask(&prefix, mask);
        fprintf(out, " %s %u.%u.%u.%u", addr, 255 - mask[0], 255 - mask[1], 255 - mask[2], 255 - mask[3]);
    } else {
        fprintf(out, " %s", text);
    }
}

static void put_port(FILE *out, json_int_t port, bool is_v6)
{
    if (port != 0)
        fprintf(out, is_v6 ? " eq %lld" : " port = %lld", (long long)port);
}

static void put_entry(FILE *out, const char *name, const json_t *selector)
{
    bool is_v6 = strchr(text_at(selector, "src"), ':') != NULL;
    fprintf(out, "   access-list %s  permit ", name);
    put_protocol(out, number_at(selector, "protocol"), is_v6);
    put_prefix(out, text_at(selector, "src"));
    put_port(out, number_at(selector, "src_port"), is_v6);
    put_prefix(out, text_at(selector, "dst"));
    put_port(out, number_at(selector, "dst_port"), is_v6);
    fputc('\n', out);
}

void render_acl(FILE *out, const json_t *groups)
{
    size_t i, k;
    json_t *entry, *selector;
    json_array_foreach(groups, i, entry)
    {
        const char *name = text_at(entry, "group.name");
        fprintf(out, "%sGroup Name: %s\n Configured ACL:\n", i > 0 ? "\n" : "", name);
        json_array_foreach(value_at(entry, "group.config.selectors"), k, selector)
            put_entry(out, name, selector);
    }
}
