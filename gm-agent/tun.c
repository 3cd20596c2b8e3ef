/* tun.c - /dev/net/tun. */
#include "gm-agent/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TUN_F_USO4 /* headers before 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static err_t open_kind(const char *name, short flags, int *out)
{
    struct ifreq request = {.ifr_flags = flags};
    if (strlen(name) >= sizeof(request.ifr_name))
        return E_RANGE;
    memcpy(request.ifr_name, name, strlen(name));
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES || errno == EPERM ? E_PERMISSION : E_UNSUPPORTED;
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        int number = errno;
        close(fd);
        return number == EPERM ? E_PERMISSION : number == EBUSY || number == EINVAL ? E_EXISTS : E_IO;
    }
    *out = fd;
    return E_OK;
}

err_t tun_open(const char *name, int *out)
{
    return open_kind(name, IFF_TUN | IFF_NO_PI, out);
}

err_t tun_open_framed(const char *name, int *out)
{
    return open_kind(name, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, out);
}

err_t tun_open_queue(const char *name, int *out)
{
    return open_kind(name, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE, out);
}

err_t tun_queue_attach(int fd, bool attach)
{
    struct ifreq request = {.ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};
    return ioctl(fd, TUNSETQUEUE, &request) == 0 ? E_OK : E_IO;
}

void tun_offload(int fd, bool *tcp, bool *udp)
{
    unsigned wanted = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    *tcp = ioctl(fd, TUNSETOFFLOAD, wanted) == 0;
    *udp = *tcp && ioctl(fd, TUNSETOFFLOAD, wanted | TUN_F_USO4 | TUN_F_USO6) == 0;
}

static void write_switch(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* that protocol is not there */
    if (write(fd, value, strlen(value)) < 0 && errno == EACCES)
        fprintf(stderr, "gm-agent: %s cannot be set\n", path);
    close(fd);
}

static char read_switch(const char *path)
{
    char value = '0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return value;
    if (read(fd, &value, 1) != 1)
        value = '0';
    close(fd);
    return value;
}

void tun_relax(const char *name)
{
    char path[128];
    /* The kernel takes the larger of "all" and the device's: 1 strict, 2 loose. */
    char all = read_switch("/proc/sys/net/ipv4/conf/all/rp_filter");
    snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", name);
    write_switch(path, all == '0' ? "0" : "2");
    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/addr_gen_mode", name);
    write_switch(path, "1"); /* none */
    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    write_switch(path, "0");
}

bool tun_ipv6_is_on(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    return access(path, F_OK) == 0 && read_switch(path) == '0';
}

bool tun_forwarding(uint8_t family)
{
    return read_switch(family == AF_INET6 ? "/proc/sys/net/ipv6/conf/all/forwarding"
                                          : "/proc/sys/net/ipv4/ip_forward") != '0';
}
