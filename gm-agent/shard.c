/* shard.c - socket filters that take every nth packet by a key. */
#include "gm-agent/shard.h"

#include <linux/filter.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "gm-agent/ip_fields.h"
#include "gm-agent/ip_packet.h"

enum { ESP_IV_AT = 8, MIX = 0x61c88647 /* 2^32 divided by the golden ratio: spreads near numbers */ };

#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define ALU(op, k) BPF_STMT(BPF_ALU | (op) | BPF_K, (uint32_t)(k))

static err_t attach(int fd, struct sock_filter *code, size_t len)
{
    struct sock_fprog program = {(unsigned short)len, code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0 ? E_OK : E_IO;
}

err_t shard_attach(int fd, enum shard_key key, uint16_t sid_bits, size_t index, size_t count)
{
    struct sock_filter hosts[] = {
        LOAD(IP4_AT_DST),
        ALU(BPF_MUL, MIX),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        LOAD(IP4_AT_SRC),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        ALU(BPF_MUL, MIX),
        ALU(BPF_RSH, 16),
        ALU(BPF_MOD, count),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)index, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, IP_PACKET_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_filter source[] = {
        LOAD(IP4_AT_SRC),
        ALU(BPF_MUL, MIX),
        ALU(BPF_RSH, 16),
        ALU(BPF_MOD, count),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)index, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, IP_PACKET_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_filter sid[] = {
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* where ESP begins */
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, ESP_IV_AT),
        ALU(BPF_RSH, 32 - sid_bits),
        ALU(BPF_MOD, count),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)index, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, IP_PACKET_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    if (count == 0 || index >= count || (key == SHARD_SID && (sid_bits == 0 || sid_bits > 32)))
        return E_RANGE;
    return key == SHARD_SID      ? attach(fd, sid, ARRAY_LEN(sid))
           : key == SHARD_SOURCE ? attach(fd, source, ARRAY_LEN(source))
                                 : attach(fd, hosts, ARRAY_LEN(hosts));
}
