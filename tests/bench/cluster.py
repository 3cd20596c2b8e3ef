"""cluster.py PART - called by cluster.sh, in the network that it made: machine, etcd, registrations, crowd MEMBERS."""
import http.client
import json
import os
import subprocess
import sys
import threading
import time

import lab
from etcd import EtcdServer

TESTS = os.path.join(lab.BIN, "..", "tests")
ETCD_S = 3.0


def cpu_s(pid):
    """Seconds on a processor of all threads of a process."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        except OSError:
            pass  # it has just ended
    return total / 1e9


def memory_kb(pid):
    """Resident: all of it, and without mapped files (the LMDB store is one)."""
    with open(f"/proc/{pid}/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmRSS"].split()[0]), int(lines["RssAnon"].split()[0])


def machine():
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} before we begin")


# ---- etcd's commits ----

def put_loop(server, end, times):
    connection = lab.Connection("gm1", server.address, 2379, 5)
    body = json.dumps({"key": "YmVuY2g=", "value": "WlpaWlpaWlpaWlpaWlpa" * 10})
    while time.monotonic() < end:
        begun = time.monotonic()
        connection.request("POST", "/v3/kv/put", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise http.client.HTTPException(answer.status)
        times.append(time.monotonic() - begun)
    connection.close()


def etcd():
    servers = [EtcdServer(n, [], f"{lab.DIR}/etcd") for n in lab.KS_NET]
    for server in servers:
        server.start()

    def leader_of_all():
        return next((s for s in servers if s.leads() and all(t.put("ready", 1.0) for t in servers)), None)
    leader = lab.wait_until(60, leader_of_all)
    for at_once in (1, 16, 64):
        times, end = [], time.monotonic() + ETCD_S
        threads = [threading.Thread(target=put_loop, args=(leader, end, times)) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(f"etcd put at the leader, {at_once:2} in flight {len(times) / ETCD_S:9.0f} /s   "
              f"p50 {lab.percentile(times, 0.5) * 1e6:6.0f} us   p99 {lab.percentile(times, 0.99) * 1e6:6.0f} us   "
              f"max {max(times) * 1e6:7.0f} us   (JSON over HTTP, client in Python)")
    for server in servers:
        server.child.terminate()
    for server in servers:
        server.child.wait(30)


# ---- registrations ----

def one_load(cluster, suite, at_once, servers, total):
    before = [cpu_s(s.pid) for s in cluster.servers.values()]
    load = lab.Load("-n", 20000, "-t", total, "-c", at_once, "-s", suite, "-q", "-x", servers=servers)
    load.child.wait(300)
    load.reader.join(10)
    used = [cpu_s(s.pid) - b for s, b in zip(cluster.servers.values(), before)]
    s = load.summary
    return (f"{suite}, {at_once} at once, at {'the primary' if len(servers) == 1 else 'all three'}", s["registrations"],
            f"{s['per_s']:.0f}", f"{s['p50_ms']:.1f}", f"{s['p99_ms']:.1f}", f"{sum(used) / total * 1e3:.2f}",
            " + ".join(f"{u / total * 1e3:.2f}" for u in used), s["failed_tries"])


def registrations():
    cluster = lab.Cluster()
    cluster.ready()
    first = (cluster.primary(),)
    rows = []
    one_load(cluster, "aes256-sha256-ecp256", 16, (1, 2, 3), 200)  # warm
    for suite in ("aes256-sha256-modp2048", "aes256-sha256-ecp256"):
        for at_once, servers, total in ((1, first, 500), (64, first, 2000), (64, (1, 2, 3), 2000), (256, (1, 2, 3), 3000)):
            rows.append(one_load(cluster, suite, at_once, servers, total))
    print(f"# load average {os.getloadavg()[0]:.1f}; the members run on the same processors")
    lab.table(rows, ("", "number", "/s", "p50 ms", "p99 ms", "CPU ms", "ks1 + ks2 + ks3", "failed tries"))


# ---- a crowd ----

def push_line(load, since, seq):
    line = load.first(lambda l: l[0] == "Q" and int(l[1]) == seq, 60, since)
    if not line:
        raise SystemExit(f"NOT OK - push {seq} was not seen")
    return (float(line[3]) - float(line[2])) * 1e3, int(line[4]), int(line[5])


def rekey(cluster, load, primary):
    """Asks for one, waits for its end: (milliseconds until the last ACK was committed, its row, first to last copy, acknowledged)."""
    since, start = len(load.lines), time.monotonic()
    status, body = lab.call(primary, "POST", "/v1/groups/G1/rekey", 30)
    if status != 202:
        raise SystemExit(f"NOT OK - the rekey is refused: {status} {body}")

    def done():
        rows = (lab.get(primary, "/v1/groups/G1/rekeys") or {"rekeys": []})["rekeys"]
        return next((r for r in rows if r["seq"] == body["seq"] and r["done"]), None)
    row = lab.wait_until(60, done, 0.01)
    took = (time.monotonic() - start) * 1e3
    if not row:
        raise SystemExit("NOT OK - the rekey does not end")
    return took, row, push_line(load, since, body["seq"])


def bare(load, primary, members, octets):
    since = len(load.lines)
    sent = float(subprocess.run(
        ["ip", "netns", "exec", lab.namespace(f"ks{primary}"), f"{TESTS}/bare_push_bench", f"{lab.KS_NET[primary]}.2",
         "10.1.128.1", str(members), str(octets)], check=True, capture_output=True, text=True).stdout)
    return sent, push_line(load, since, 0)


def crowd(members):
    cluster = lab.Cluster()
    primary = cluster.ready()
    pids = {n: s.pid for n, s in cluster.servers.items()}
    before = {n: memory_kb(pid) for n, pid in pids.items()}
    load = lab.Load("-n", members, "-t", members, "-c", 128, "-q")
    since, start = 0, time.monotonic()

    def all_there():
        group = lab.get(primary, "/v1/groups/G1", 10)
        return group and group["member_count"] >= members
    if not lab.wait_until(300, all_there, 0.2):
        raise SystemExit("NOT OK - they do not all register")
    print(f"{members} members registered at three servers in {time.monotonic() - start:.1f} s")
    lab.wait_until(30, cluster.same)
    for n, pid in pids.items():
        after = memory_kb(pid)
        print(f"ks{n}{' (primary)' if n == primary else ''}: RSS {before[n][0] / 1024:.1f} MB before, {after[0] / 1024:.1f} MB "
              f"after: {(after[0] - before[n][0]) * 1024 / members:.0f} octets a member, of them "
              f"{(after[1] - before[n][1]) * 1024 / members:.0f} not of the mapped store")
    octets = 0
    for i in range(5):
        took, row, (spread, acked, copies) = rekey(cluster, load, primary)
        octets = row["push_octets"]
        sent, (bare_spread, _, bare_copies) = bare(load, primary, members, octets)
        print(f"rekey seq {row['seq']}: {row['acked']} of {row['members']} acknowledged, done {took:.0f} ms after the request; first to "
              f"last copy at the members {spread:.0f} ms ({copies} copies of {octets} octets); bare sendmmsg "
              f"{bare_spread:.0f} ms ({bare_copies} copies; {sent:.0f} ms in the calls): {spread / bare_spread:.2f} x")
    nft = ["ip", "netns", "exec", lab.namespace("gm1"), "nft"]
    subprocess.run([*nft, "table inet loss { chain i { type filter hook input priority 0\n udp dport 848 numgen random mod 100 < 1 "
                          "drop\n}\n}"], check=True)
    for i in range(5):
        took, row, (spread, acked, copies) = rekey(cluster, load, primary)
        print(f"rekey seq {row['seq']} at 1 % loss: {row['acked']} acknowledged, {row['silent']} silent, {row['retransmits']} "
              f"sent again, done {took:.0f} ms after the request")
    subprocess.run([*nft, "delete table inet loss"], check=True)
    print(f"# primary now {memory_kb(pids[primary])[0] / 1024:.1f} MB; load average {os.getloadavg()[0]:.1f}; load {load.end()}")


if __name__ == "__main__":
    {"machine": machine, "etcd": etcd, "registrations": registrations}.get(
        sys.argv[1], lambda: crowd(int(sys.argv[2])))()
