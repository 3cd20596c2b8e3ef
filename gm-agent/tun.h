/* tun.h - TUN devices, and the per-device switches that have no netlink form. */
#ifndef GM_AGENT_TUN_H
#define GM_AGENT_TUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* A non-blocking descriptor without packet information. The device goes when it is closed. E_PERMISSION,
 * E_EXISTS (in use), E_UNSUPPORTED (no TUN in this kernel), E_IO. */
err_t tun_open(const char *name, int *out) MUST_USE;
/* The same with a struct virtio_net_hdr in front of each packet. */
err_t tun_open_framed(const char *name, int *out) MUST_USE;
/* And one of several queues of the device: to be opened by that name several times. */
err_t tun_open_queue(const char *name, int *out) MUST_USE;
/* Whether the kernel gives packets to that queue; it may be written to either way. A new one gets them. */
err_t tun_queue_attach(int fd, bool attach) MUST_USE;
/* Asks a framed one for packets of up to 64 kB that we cut, and for leave to write such. What this kernel
 * does not do for TCP or UDP stays false. */
void tun_offload(int fd, bool *tcp, bool *udp);
/* Decrypted packets come in here with sources that are reached by the WAN: reverse-path filtering must be off
 * or, if the machine wants it everywhere, loose. IPv6 passes, without an address of the device's own. */
void tun_relax(const char *name);
/* Has that device IPv6 ("default": one that is made now)? tun_relax switches it on where it may; in a container /proc/sys
 * often cannot be written. */
bool tun_ipv6_is_on(const char *name);
/* Does the kernel forward a family at all (AF_INET, AF_INET6)? Without that no packet of a host gets here. */
bool tun_forwarding(uint8_t family);

#endif
