#!/usr/bin/env python3
"""Writes the seed corpus of core_fuzz: well-formed operations, each reaching another part of the core."""
import os
import struct

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "corpus", "core")


def op(code, body):
    return struct.pack(">BH", code, len(body)) + body


def payload(following, body):
    return struct.pack(">BBH", following, 0, 4 + len(body)) + body


def header(exchange, following=0, body=b"", cookie_r=b"\0" * 8, flags=0, message_id=0):
    return b"\xc1" * 8 + cookie_r + struct.pack(">BBBBII", following, 0x10, exchange, flags, message_id, 28 + len(body)) + body


# SA of phase 1: DOI 2, AES-256, SHA-256, PSK, group 19.
transform = struct.pack(">BBHBBH", 0, 0, 36, 1, 1, 0)
for kind, value in ((1, 7), (14, 256), (2, 4), (3, 1), (4, 19), (11, 1), (12, 1200)):
    transform += struct.pack(">HH", 0x8000 | kind, value)
proposal = struct.pack(">BBHBBBB", 0, 0, 8 + len(transform), 1, 1, 0, 1) + transform
sa = payload(0, struct.pack(">II", 2, 0) + proposal)

nonce = bytes(range(32))
group = struct.pack(">BBH", 11, 0, 0) + struct.pack(">I", 3333)
unknown = struct.pack(">BBH", 11, 0, 0) + struct.pack(">I", 4444)
ask = bytes([10]) + payload(5, nonce) + payload(0, group)
ask_unknown = bytes([10]) + payload(5, nonce) + payload(0, unknown)
gap = bytes([22]) + payload(0, struct.pack(">HH", 0x8003, 2))
dpd = bytes([11]) + payload(0, struct.pack(">IBBHI", 1, 1, 0, 36136, 7))
ack = payload(18, b"\0" * 32) + payload(5, struct.pack(">I", 1)) + payload(0, struct.pack(">BBH", 1, 0, 0) + bytes([10, 1, 13, 2]))

seeds = {
    "main": op(0, header(2, 1, sa)) + op(0, header(2, 1, sa)),
    "main_stranger": op(1, header(2, 1, sa)),
    "main_marker": op(0, b"\0" * 4 + header(2, 1, sa)),
    "aggressive": op(0, header(4, 1, sa)),
    "pull": op(2, ask) + op(3, b"\0"),
    "pull_gap": op(2, ask) + op(3, gap),
    "pull_unknown": op(2, ask_unknown),
    "pull_twice": op(2, ask) + op(2, ask) + op(2, ask) + op(3, b"\0"),
    "pull_over_rekey": op(2, ask) + op(7, b"") + op(3, b"\0"),
    "pull_stale": op(2, ask) + op(7, b"") + op(5, b"\xff") + op(5, b"\xff") + op(3, b"\0"),
    "dpd": op(4, dpd),
    "ack": op(7, b"") + op(6, ack) + op(6, ack),
    "silence": op(7, b"") + op(5, b"\xff") + op(7, b"") + op(5, b"\xff"),
    "clear_notify": op(0, header(5, 11, payload(0, struct.pack(">IBBH", 0, 1, 0, 14)))),
    "short": op(0, b"\xc1" * 20),
}

os.makedirs(HERE, exist_ok=True)
for name, data in seeds.items():
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(data)
