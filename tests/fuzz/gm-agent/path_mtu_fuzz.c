/* Complaints of routers, as any octets: what is believed is within bounds. The checksum is mended now and
 * then, or nothing would get behind it. */
#include <stdlib.h>
#include <string.h>

#include "gm-agent/ip_packet.h"
#include "gm-agent/path_mtu.h"

enum { CAP = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(uint8_t *raw, size_t len)
{
    struct ip_packet ip;
    if (ip_packet_decode(&ip, (struct bytes){raw, len}) != E_OK || ip.whole.len < ip.header_len + 4)
        return;
    size_t at = ip.header_len;
    raw[at + 2] = raw[at + 3] = 0;
    bool six = ip.src.family == AF_INET6;
    uint16_t sum = six ? ip6_checksum(&ip) : ip_checksum(bytes_slice(ip.whole, at, ip.whole.len));
    raw[at + 2] = (uint8_t)(sum >> 8);
    raw[at + 3] = (uint8_t)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct path_mtu table;
    struct path_mtu_hint hint;
    if (size < 2 || size > CAP)
        return 0;
    uint8_t *raw = malloc(size - 1); /* of its own, so that a read beyond it is seen */
    if (raw == NULL)
        return 0;
    memcpy(raw, data + 1, size - 1);
    if (data[0] % 4 != 0)
        mend(raw, size - 1);
    if (path_mtu_read(&hint, (struct bytes){raw, size - 1})) {
        bool news = path_mtu_learn(&table, &hint.dst, hint.mtu, data[0]);
        if ((news && hint.mtu < PATH_MTU_MIN) || table.count > PATH_MTU_HOSTS_MAX)
            abort();
        if (data[0] % 8 == 0 && path_mtu_forget(&table, UINT64_MAX, &hint.dst) &&
            table.count == PATH_MTU_HOSTS_MAX)
            abort();
    }
    free(raw);
    return 0;
}
