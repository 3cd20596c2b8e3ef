/* pcap.h - the UDP payloads of a capture file, for tests over recorded exchanges. Classic pcap, microseconds,
 * either byte order; Ethernet, raw IP and Linux cooked v2; IPv4 without fragments. Nothing else is needed
 * here. */
#ifndef TESTS_LIB_PCAP_H
#define TESTS_LIB_PCAP_H

#include "base/addr.h"
#include "base/wire.h"

enum { PCAP_FILE_MAX = 1 << 20, PCAP_DATAGRAM_MAX = 256 };

struct pcap_datagram {
    struct endpoint from;
    struct endpoint to;
    struct bytes payload; /* borrowed from the pcap */
};

struct pcap {
    uint8_t *file;
    size_t count;
    struct pcap_datagram items[PCAP_DATAGRAM_MAX];
};

/* Reads all. Fails the test on any file that it does not understand. */
void pcap_read(struct pcap *out, const char *path);
void pcap_close(struct pcap *pcap);
/* A whole text file as a string, for the keys beside a capture; the caller frees it. Fails the test. */
char *text_file_read(const char *path);

#endif
