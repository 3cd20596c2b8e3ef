/* mroute.c - multicast routes for as long as it runs, since ip(8) can only show them:
 *   mroute SOURCE,GROUP,IN,OUT[,OUT...]...     addresses, and names of devices
 * Only one process of a network namespace can. */
#include <arpa/inet.h>
#include <linux/mroute.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char devices[MAXVIFS][IF_NAMESIZE];
static unsigned device_count;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static unsigned vif_of(int fd, const char *device)
{
    unsigned i = 0;
    while (i < device_count && strcmp(devices[i], device) != 0)
        i++;
    if (i < device_count)
        return i;
    struct vifctl vif = {.vifc_vifi = (vifi_t)i, .vifc_flags = VIFF_USE_IFINDEX, .vifc_threshold = 1};
    vif.vifc_lcl_ifindex = (int)if_nametoindex(device);
    if (i == MAXVIFS || vif.vifc_lcl_ifindex == 0)
        fail(device);
    if (setsockopt(fd, IPPROTO_IP, MRT_ADD_VIF, &vif, sizeof(vif)) != 0)
        fail("MRT_ADD_VIF");
    snprintf(devices[device_count++], IF_NAMESIZE, "%s", device);
    return i;
}

static void add_route(int fd, char *text)
{
    struct mfcctl route = {0};
    char *field = strtok(text, ",");
    for (unsigned i = 0; field != NULL; i++, field = strtok(NULL, ",")) {
        if (i < 2) {
            if (inet_pton(AF_INET, field, i == 0 ? &route.mfcc_origin : &route.mfcc_mcastgrp) != 1)
                fail(field);
        } else if (i == 2) {
            route.mfcc_parent = (vifi_t)vif_of(fd, field);
        } else {
            route.mfcc_ttls[vif_of(fd, field)] = 1;
        }
    }
    if (setsockopt(fd, IPPROTO_IP, MRT_ADD_MFC, &route, sizeof(route)) != 0)
        fail("MRT_ADD_MFC");
}

int main(int argc, char **argv)
{
    int one = 1, fd = socket(AF_INET, SOCK_RAW, IPPROTO_IGMP);
    if (fd < 0 || setsockopt(fd, IPPROTO_IP, MRT_INIT, &one, sizeof(one)) != 0)
        fail("MRT_INIT");
    for (int i = 1; i < argc; i++)
        add_route(fd, argv[i]);
    printf("%d routes\n", argc - 1);
    fflush(stdout);
    for (;;)
        pause();
}
