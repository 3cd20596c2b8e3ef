#!/usr/bin/env python3
"""Known answers for the GROUPKEY-PUSH ACK (RFC 8263), for which no public vector exists: computed here with hashlib and hmac
alone, from the text of the RFC, and compared with what proto/gdoi/push_ack.c makes.
usage: make_push_ack.py > push_ack.json"""
import hashlib
import hmac
import ipaddress
import json
import struct

HASHES = {1: hashlib.sha256, 3: hashlib.sha512}  # KEK_ACK_REQUESTED, RFC 8263 2: REKEY_ACK_KEK_SHA256, _SHA512


def payload(following, body):
    return struct.pack(">BBH", following, 0, 4 + len(body)) + body


def acknowledgement(mode, kek, spi, seq, address, bits):
    prf = HASHES[mode]
    # 3.2: ack_key = prf(base_key, "GROUPKEY-PUSH ACK" | SPI | L), the label with its NUL, L in two octets
    ack_key = hmac.new(kek, b"GROUPKEY-PUSH ACK\0" + spi + struct.pack(">H", bits), prf).digest()
    raw = ipaddress.ip_address(address).packed
    seq_payload = payload(5, struct.pack(">I", seq))  # next: ID
    id_payload = payload(0, struct.pack(">BBH", 1 if len(raw) == 4 else 5, 0, 0) + raw)
    digest = hmac.new(ack_key, seq_payload + id_payload, prf).digest()
    body = payload(18, digest) + seq_payload + id_payload  # next: SEQ
    header = spi + struct.pack(">BBBBII", 8, 0x10, 35, 0, 0, 28 + len(body))
    return ack_key, header + body


def cases():
    spi = bytes.fromhex("8d9b909cb95f664c525f66567e1d4d8b")
    for mode in HASHES:
        block = 512 if mode == 1 else 1024
        for kek_len in (16, 32):
            for address in ("192.0.2.77", "2001:db8::77"):
                for bits in (block, block // 2):
                    iv = bytes(range(0xF0, 0x100))
                    kek = bytes(range(0x10, 0x10 + kek_len))
                    seq = 0x01020304 + mode
                    ack_key, datagram = acknowledgement(mode, kek, spi, seq, address, bits)
                    yield {"mode": mode, "spi": spi.hex(), "iv_and_key": (iv + kek).hex(), "seq": seq, "member": address,
                           "l": bits, "ack_key": ack_key.hex(), "datagram": datagram.hex()}


print(json.dumps({"source": "make_push_ack.py, from RFC 8263", "cases": list(cases())}, indent=1))
