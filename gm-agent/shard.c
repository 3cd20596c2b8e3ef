/* shard.c - socket filters that take every nth packet by a key. */
#include "gm-agent/shard.h"

#include <linux/filter.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "gm-agent/ip_fields.h"
#include "gm-agent/ip_packet.h"

enum {
    ESP_IV_AT = 8,
    PROGRAM_MAX = 24,
    MIX = 0x61c88647, /* 2^32 divided by the golden ratio: spreads near numbers */
};

struct program {
    struct sock_filter code[PROGRAM_MAX];
    size_t len;
};

static void put(struct program *p, uint16_t code, uint32_t k)
{
    p->code[p->len++] = (struct sock_filter){.code = code, .k = k};
}

/* A mixes with the address at that place of the IP header, wherever the data of the socket begin. */
static void mix_address(struct program *p, uint32_t at, unsigned words)
{
    for (unsigned i = 0; i < words; i++, at += 4) {
        put(p, BPF_ALU | BPF_MUL | BPF_K, MIX);
        put(p, BPF_MISC | BPF_TAX, 0);
        put(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + at);
        put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
    }
}

/* Of IPv6 the words that tell sites and hosts apart: subnet, and the last one. */
static void mix_host(struct program *p, int family, uint32_t at)
{
    if (family == AF_INET) {
        mix_address(p, at, 1);
        return;
    }
    mix_address(p, at + 4, 1);
    mix_address(p, at + 12, 1);
}

/* Data of a raw socket begin with the header in IPv4, behind all headers in IPv6. */
static void load_iv(struct program *p, int family)
{
    if (family == AF_INET) {
        put(p, BPF_LDX | BPF_B | BPF_MSH, 0);
        put(p, BPF_LD | BPF_W | BPF_IND, ESP_IV_AT);
    } else {
        put(p, BPF_LD | BPF_W | BPF_ABS, ESP_IV_AT);
    }
}

static void build(struct program *p, int family, const struct shard *shard)
{
    p->len = 0;
    if (shard->key == SHARD_NOTHING) {
        put(p, BPF_RET | BPF_K, 0);
        return;
    }
    if (shard->key == SHARD_SID) {
        load_iv(p, family);
        put(p, BPF_ALU | BPF_RSH | BPF_K, 32u - shard->sid_bits);
    } else {
        put(p, BPF_LD | BPF_IMM, 0);
        mix_host(p, family, family == AF_INET ? IP4_AT_SRC : IP6_AT_SRC);
        if (shard->key == SHARD_HOSTS)
            mix_host(p, family, family == AF_INET ? IP4_AT_DST : IP6_AT_DST);
        put(p, BPF_ALU | BPF_MUL | BPF_K, MIX);
        put(p, BPF_ALU | BPF_RSH | BPF_K, 16);
    }
    put(p, BPF_ALU | BPF_MOD | BPF_K, (uint32_t)shard->count);
    p->code[p->len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)shard->index, 0, 1);
    put(p, BPF_RET | BPF_K, IP_PACKET_MAX);
    put(p, BPF_RET | BPF_K, 0);
}

err_t shard_attach(int fd, int family, const struct shard *shard)
{
    struct program p;
    if (shard->index >= shard->count ||
        (shard->key == SHARD_SID && (shard->sid_bits == 0 || shard->sid_bits > 32)))
        return E_RANGE;
    build(&p, family, shard);
    struct sock_fprog program = {(unsigned short)p.len, p.code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0 ? E_OK : E_IO;
}
