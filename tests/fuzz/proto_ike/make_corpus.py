#!/usr/bin/env python3
"""Seeds for the targets of proto/ike, from the recorded exchange in tests/vectors. Run in the root of the tree."""
import json
import os
import struct

RAW, FRAMED, SEALED, SIGNED = range(4)


def datagrams(path):
    """UDP payloads of a pcap of raw IPv4 packets."""
    data = open(path, "rb").read()
    at = 24
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        yield data[at + 16 + 28:at + 16 + length]
        at += 16 + length


def payload(next_type, body):
    return struct.pack(">BBH", next_type, 0, 4 + len(body)) + body


def write(target, name, state, form, data):
    folder = os.path.join("tests/fuzz/corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(bytes([state << 2 | form]) + data)


def framed(datagram):
    return datagram[16:17] + datagram[28:]


kat = {k: v for k, v in json.load(open("tests/vectors/gdoi_kat.json")).items()}
messages = list(datagrams("tests/vectors/gdoid.pcap"))
plain = {5: bytes.fromhex(kat["mm5_plain"]), 6: bytes.fromhex(kat["mm6_plain"])}

for n in range(1, 7):
    target = "main_mode_responder" if n % 2 else "main_mode_initiator"
    state = (n - 1) // 2
    message = messages[n - 1]
    write(target, f"message{n}_raw", state, RAW, message)
    if n <= 4:
        write(target, f"message{n}_framed", state, FRAMED, framed(message))
        vendor = bytes.fromhex("afcad71368a1f1c96b8696fc77570100")
        head = bytes([13]) + payload(message[16], vendor) + message[28:]
        write(target, f"message{n}_vendor_first", state, FRAMED, head)
    else:
        write(target, f"message{n}_sealed", state, SEALED, bytes([5]) + plain[n])
        write(target, f"message{n}_signed", state, SIGNED, bytes([5]) + plain[n])
        fqdn = payload(8, bytes([2, 17, 3, 80]) + b"branch7.example.net") + payload(0, bytes(20))
        write(target, f"message{n}_fqdn", state, SIGNED, bytes([5]) + fqdn)

spi = bytes.fromhex(kat["cky_i"] + kat["cky_r"])
notify = {
    "initial_contact": struct.pack(">IBBH", 1, 1, 16, 24578) + spi,
    "dpd": struct.pack(">IBBH", 1, 1, 16, 36136) + spi + struct.pack(">I", 77),
    "dpd_ack": struct.pack(">IBBH", 1, 1, 16, 36137) + spi + struct.pack(">I", 77),
    "no_proposal": struct.pack(">IBBH", 2, 1, 0, 14),
}
delete = {
    "delete_sa": struct.pack(">IBBH", 2, 1, 16, 1) + spi,
    "delete_esp": struct.pack(">IBBH", 1, 3, 4, 2) + bytes(8),
}
for kind, bodies in ((11, notify), (12, delete)):
    for name, body in bodies.items():
        write("informational_open", name + "_clear", 0, FRAMED, bytes([kind]) + payload(0, body))
        whole = bytes([8]) + payload(kind, bytes(20)) + payload(0, body)
        write("informational_open", name + "_signed", 1, SIGNED, whole)
        write("informational_open", name + "_sealed", 1, SEALED, whole)
two = payload(11, bytes(20)) + payload(12, notify["no_proposal"]) + payload(0, delete["delete_sa"])
write("informational_open", "two_signed", 1, SIGNED, bytes([8]) + two)
