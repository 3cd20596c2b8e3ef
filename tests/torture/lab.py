"""lab.py - the cluster in network namespaces as the Python scripts of tests/torture see it.

tests/torture/*.sh make the network and the first cluster with deploy/netlab.sh and then hand over: NETLAB is the prefix of the
namespaces, NETLAB_DIR has the configurations and logs, NETLAB_BIN the programs. Faults are done to processes that this script
started itself, by their pid, and to links of the laboratory's own router.
"""
import ctypes
import fcntl
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

LAB = os.environ["NETLAB"]
DIR = os.environ["NETLAB_DIR"]
BIN = os.environ["NETLAB_BIN"]
LOAD = os.path.join(BIN, "..", "tests", "gdoi_load")
KS_NET = {1: "10.1.11", 2: "10.1.12", 3: "10.1.21"}
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
libc = ctypes.CDLL(None, use_errno=True)


def namespace(name):
    return f"{LAB}-{name}"


class inside:
    """The calling thread within a namespace: a socket that it makes there stays there."""

    def __init__(self, name):
        self.path = f"/run/netns/{namespace(name)}"

    def __enter__(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(self.path, os.O_RDONLY)
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(there)

    def __exit__(self, *_):
        libc.setns(self.home, CLONE_NEWNET)
        os.close(self.home)


class Connection(http.client.HTTPConnection):
    """HTTP to an address within a namespace."""

    def __init__(self, name, host, port, timeout):
        super().__init__(host, port, timeout=timeout)
        self.name = name

    def connect(self):
        with inside(self.name):
            self.sock = socket.create_connection((self.host, self.port), self.timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def call(n, method, path, timeout=2.0):
    """(status, JSON) of key server n's API; (0, reason) when it does not answer."""
    connection = Connection(f"ks{n}", "127.0.0.1", 8480, timeout)
    try:
        connection.request(method, path, body=b"{}" if method == "POST" else None,
                           headers={"Content-Type": "application/json"} if method == "POST" else {})
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body else {}
    except (OSError, http.client.HTTPException, ValueError) as error:
        return 0, {"reason": repr(error)}
    finally:
        connection.close()


def get(n, path, timeout=2.0):
    status, body = call(n, "GET", path, timeout)
    return body if status == 200 else None


def link_set(name, device, up):
    """A link of a namespace, at once: a program to do it takes long on a busy machine, and what is timed begins here."""
    with inside(name), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", device.encode(), 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", device.encode(), flags))


def wait_until(seconds, condition, step=0.05):
    """What the condition gives once it is true; None when it does not become so."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            return None
        time.sleep(step)


def let_pass(seconds):
    """The length of a fault, or of the gap before one: nothing is waited for."""
    threading.Event().wait(seconds)


class Server:
    """One key server process. Faults are done, and undone by heal()."""

    def __init__(self, n, pid):
        self.n, self.pid, self.child, self.fault = n, pid, None, None

    def start(self):
        # By way of a namespace-entering exec, so that the pid is ksd's own.
        log = open(f"{DIR}/ksd{self.n}.log", "ab")
        self.child = subprocess.Popen(
            ["ip", "netns", "exec", namespace(f"ks{self.n}"), f"{BIN}/ksd", "-c", f"{DIR}/ksd{self.n}.conf"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.pid = self.child.pid
        with open(f"{DIR}/ksd{self.n}.pid", "w") as file:
            file.write(f"{self.pid}\n")

    def alive(self):
        if self.child is not None:
            return self.child.poll() is None
        try:
            with open(f"/proc/{self.pid}/stat") as file:
                return file.read().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        if self.child is not None:
            self.child.wait()
            self.child = None
        else:
            wait_until(10, lambda: not self.alive(), 0.002)

    def link(self, up):
        link_set("wan", f"ks{self.n}", up)

    def do(self, fault):
        self.fault = fault
        if fault == "kill":
            self.kill()
        elif fault == "stop":
            os.kill(self.pid, signal.SIGSTOP)
        elif fault == "cut":
            self.link(False)

    def heal(self):
        fault, self.fault = self.fault, None
        if fault == "kill":
            self.start()
        elif fault == "stop":
            os.kill(self.pid, signal.SIGCONT)
        elif fault == "cut":
            self.link(True)


class Cluster:
    """The servers that the shell started."""

    def __init__(self, count=3):
        self.servers = {}
        for n in range(1, count + 1):
            with open(f"{DIR}/ksd{n}.pid") as file:
                self.servers[n] = Server(n, int(file.read()))

    def names(self):
        return sorted(self.servers)

    def primary(self):
        """The primary, if all servers answer and name the same one in the same epoch, and it says that it is."""
        named = set()
        for n in self.names():
            view = get(n, "/v1/cluster", 1.0)
            if not view:
                return None
            chosen = [node for node in view["nodes"] if node["primary"]]
            named.add((view["coop_epoch"], chosen[0]["node_id"] if chosen else None))
            if chosen and chosen[0]["self"]:
                itself = n
        if len(named) != 1 or None in named.pop():
            return None
        ready = get(itself, "/readyz", 1.0)
        return itself if ready and ready.get("primary") else None

    def leader(self):
        for n in self.names():
            view = get(n, "/v1/cluster", 1.0)
            if view and any(node["self"] and node["leader"] for node in view["nodes"]):
                return n
        return None

    def hashes(self):
        return {n: (view["state_hash"], view["hash_index"]) if (view := get(n, "/v1/cluster")) and view["state_hash"] else None
                for n in self.names()}

    def same(self):
        values = set(self.hashes().values())
        return len(values) == 1 and None not in values

    def ready(self, seconds=30):
        """The primary, as soon as everyone serves and one is it."""
        def all_ready():
            return all(get(n, "/readyz", 1.0) for n in self.names()) and self.primary()
        return wait_until(seconds, all_ready)

    def dead(self):
        """Servers whose process is gone though nobody killed it."""
        return [n for n, server in self.servers.items() if server.fault != "kill" and not server.alive()]


class Load:
    """gdoi_load in router gm1: its lines, as they come."""

    def __init__(self, *arguments, servers=(1, 2, 3), first="10.1.128.1", sink=None):
        self.lines, self.sink, self.lock = [], sink, threading.Condition()
        self.summary = None
        self.child = subprocess.Popen(
            ["ip", "netns", "exec", namespace("gm1"), LOAD, "-S", ",".join(f"{KS_NET[n]}.2" for n in servers),
             "-f", first, "-k", f"{DIR}/psk", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            with self.lock:
                if line.startswith("{"):
                    self.summary = json.loads(line)
                else:
                    self.lines.append(line.split())
                    if self.sink:
                        self.sink.write(line)
                self.lock.notify_all()

    def first(self, condition, seconds, since=0):
        """The first line from number 'since' for which the condition holds; None after that many seconds."""
        end, at = time.monotonic() + seconds, since
        with self.lock:
            while True:
                while at < len(self.lines):
                    if condition(self.lines[at]):
                        return self.lines[at]
                    at += 1
                left = end - time.monotonic()
                if left <= 0 or not self.reader.is_alive():
                    return None
                self.lock.wait(min(left, 0.5))

    def count(self, kind):
        with self.lock:
            return sum(line[0] == kind for line in self.lines)

    def pause(self):
        """No new registrations; what is under way goes on."""
        self.child.send_signal(signal.SIGUSR1)

    def go_on(self):
        self.child.send_signal(signal.SIGUSR2)

    def end(self, seconds=10):
        if self.child.poll() is None and self.child.stdout:
            self.child.terminate()
        self.child.wait(seconds)
        self.reader.join(seconds)
        return self.summary


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def table(rows, head):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))))
