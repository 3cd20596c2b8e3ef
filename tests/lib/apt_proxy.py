#!/usr/bin/env python3
"""apt_proxy.py ROLE SOCKET - lets apt work in a network namespace without a way out, for the images that tests build.

A small HTTP proxy (GET of absolute http URLs only), in two halves that share a Unix socket:
  apt_proxy.py serve SOCKET   in the machine's own network: fetches
  apt_proxy.py port  SOCKET   in the namespace: takes connections on 127.0.0.1:3128 and passes them on
"""
import os
import socket
import sys
import threading
import urllib.error
import urllib.request

PORT = 3128
HEAD_MAX = 16384
CHUNK = 65536


def fetch(client):
    with client:
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(4096)
            if not data or len(head) > HEAD_MAX:
                return
            head += data
        lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, url, _ = (lines[0] + "  ").split(" ", 2)
        if method != "GET" or not url.startswith("http://"):
            client.sendall(b"HTTP/1.1 405 Only GET\r\nConnection: close\r\n\r\n")
            return
        keep = ("range", "if-range", "if-modified-since", "user-agent", "accept", "cache-control")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        request = urllib.request.Request(url, headers={k: v for k, v in headers.items() if k.lower() in keep})
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        except OSError as error:
            client.sendall(f"HTTP/1.1 502 {type(error).__name__}\r\nConnection: close\r\n\r\n".encode())
            return
        with answer:
            out = [f"HTTP/1.1 {answer.status} {answer.reason}"]
            for name in ("Content-Length", "Content-Type", "Content-Range", "Last-Modified", "ETag"):
                if answer.headers.get(name):
                    out.append(f"{name}: {answer.headers[name]}")
            client.sendall(("\r\n".join(out) + "\r\nConnection: close\r\n\r\n").encode("latin-1"))
            while data := answer.read(CHUNK):
                client.sendall(data)


def copy(source, sink):
    try:
        while data := source.recv(CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def pass_on(client, path):
    with client, socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        up = threading.Thread(target=copy, args=(client, server), daemon=True)
        up.start()
        copy(server, client)


def main(role, path):
    if role == "serve":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
    else:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", PORT))
    listener.listen(64)
    while True:
        client, _ = listener.accept()
        work = (fetch, (client,)) if role == "serve" else (pass_on, (client, path))
        threading.Thread(target=work[0], args=work[1], daemon=True).start()


main(sys.argv[1], sys.argv[2])
