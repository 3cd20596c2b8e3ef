#!/usr/bin/env python3
"""Were sequence numbers reused? Counts the different GROUPKEY-PUSH datagrams of a capture against the sequence numbers that the
key server said it sent: a number used for two different messages shows as more datagrams than numbers.
usage: push_bytes.py PCAP GM_LOG KSD_LOG"""
import hashlib
import re
import struct
import sys


def packets(path):
    with open(path, "rb") as f:
        head = f.read(24)
        order = "<" if head[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        while True:
            record = f.read(16)
            if len(record) < 16:
                return
            length = struct.unpack(order + "IIII", record)[2]
            yield f.read(length)


def pushes(path):
    for frame in packets(path):
        ip = frame[14:]
        if len(ip) < 20 or ip[0] >> 4 != 4 or ip[9] != 17 or struct.unpack(">H", ip[6:8])[0] & 0x1FFF:
            continue
        udp = ip[(ip[0] & 15) * 4:]
        if struct.unpack(">H", udp[0:2])[0] == 848 and len(udp) > 36 and udp[8 + 18] == 33:
            yield udp[8:]


def numbers(path, mnemonic):
    found = set()
    with open(path, errors="replace") as f:
        for line in f:
            if mnemonic in line:
                match = re.search(r"seq # (\d+)", line)
                if match:
                    found.add(int(match.group(1)))
    return found


def main():
    pcap, gm_log, ksd_log = sys.argv[1:4]
    datagrams = {hashlib.sha256(p).hexdigest() for p in pushes(pcap)}
    sent = numbers(ksd_log, "KS_SEND_UNICAST_REKEY")
    taken = numbers(gm_log, "GM_RECV_REKEY")
    print(f"{len(datagrams)} different datagrams, {len(sent)} sequence numbers sent, {len(taken)} taken")
    if not datagrams or not sent:
        return 1
    return 0 if len(datagrams) <= len(sent) and taken <= sent else 1


if __name__ == "__main__":
    sys.exit(main())
