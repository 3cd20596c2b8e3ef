"""failover.py RUNS FAULTS SYSTEMS - called by failover.sh, in the network that it made.

A fault of the primary (of etcd's leader) at time 0; then
  registration   message 4 of the first registration that began after it. Members begin one every 25 ms, at the servers in turn,
                 and ask the next server after 2 s of silence
  put            etcd's answer to the first put that began after it; puts begin alike
  rekey          the first POST /v1/groups/G1/rekey that is answered 202: its command is committed. Asked at both others
  rekey done     PUSH_DONE of it is committed: every member acknowledged it
"""
import os
import random
import signal
import sys
import threading
import time

import lab
from etcd import EtcdServer

PERIOD_S = 0.025
MEMBERS = 100
LIMIT_S = 20.0
VIEW_S = 1.0


class Rekey:
    """Asks the others for a rekey until one takes it."""

    def __init__(self, others):
        self.committed = self.seq = self.at = None
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(n,), daemon=True) for n in others]
        for thread in self.threads:
            thread.start()

    def ask(self, n):
        while not self.over.is_set():
            status, body = lab.call(n, "POST", "/v1/groups/G1/rekey", 3.0)
            if status == 202 and not self.over.is_set():
                self.committed, self.seq, self.at = time.monotonic(), body["seq"], n
                self.over.set()
            self.over.wait(0.01)

    def done(self, seconds):
        """When the rekey was over, in monotonic time."""
        if not self.over.wait(seconds):
            self.over.set()
            return None

        def is_done():
            rekeys = (lab.get(self.at, "/v1/groups/G1/rekeys") or {}).get("rekeys", [])
            return any(r["seq"] == self.seq and r["done"] for r in rekeys)
        return time.monotonic() if lab.wait_until(seconds, is_done, 0.005) else None


def quorate_run(cluster, load, fault):
    primary = cluster.ready(30)
    if not primary:
        raise SystemExit(f"the cluster does not get ready: {[lab.call(n, 'GET', '/readyz') for n in cluster.names()]}")
    leads = cluster.leader() == primary
    # What the API shows of the roles may be VIEW_S old; and the fault comes at any moment between two heartbeats.
    lab.let_pass(VIEW_S + random.uniform(0, 0.2))
    if cluster.primary() != primary:
        return quorate_run(cluster, load, fault)
    since = len(load.lines)
    server = cluster.servers[primary]
    start = time.monotonic()
    server.do(fault)
    rekey = Rekey([n for n in cluster.names() if n != primary])
    line = load.first(lambda l: l[0] == "R" and float(l[1]) >= start, LIMIT_S, since)
    done = rekey.done(LIMIT_S)
    server.heal()
    since_start = lambda t: None if t is None else (t - start) * 1000
    return {"registration": since_start(float(line[2]) if line else None), "rekey": since_start(rekey.committed),
            "rekey done": since_start(done), "leads": leads, "primary": f"ks{primary}", "next": f"ks{rekey.at}"}


def quorate(runs, faults):
    cluster = lab.Cluster()
    sink = open(f"{lab.DIR}/load.log", "w")
    load = lab.Load("-n", MEMBERS, "-c", 64, "-r", 1 / PERIOD_S, "-T", 2000, sink=sink)
    lab.wait_until(30, lambda: load.count("R") >= MEMBERS)
    results = {}
    for fault in faults:
        results[fault] = []
        for i in range(runs):
            result = quorate_run(cluster, load, fault)
            results[fault].append(result)
            print(f"# quorate {fault} {i + 1}: " + ", ".join(
                f"{k} {v:.0f} ms" if isinstance(v, float) else f"{k} {v}" for k, v in result.items()), flush=True)
            if cluster.dead():
                raise SystemExit(f"key servers {cluster.dead()} ended by themselves")
    cluster.ready(30)
    load.end()
    sink.close()
    for server in cluster.servers.values():
        if server.child:
            server.child.terminate()
            server.child.wait(20)
        else:
            os.kill(server.pid, signal.SIGTERM)
            lab.wait_until(20, lambda: not server.alive())
    return results


class Puts:
    """Puts at the members in turn, one every PERIOD_S, each with a thread of its own."""

    def __init__(self, servers):
        self.servers, self.acks, self.over = servers, [], threading.Event()
        self.lock = threading.Condition()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        i = 0
        while not self.over.is_set():
            server = self.servers[i % len(self.servers)]
            threading.Thread(target=self.one, args=(server, f"k{i % 100}"), daemon=True).start()
            i += 1
            self.over.wait(PERIOD_S)

    def one(self, server, text):
        begun = time.monotonic()
        if server.put(text):
            with self.lock:
                self.acks.append((begun, time.monotonic()))
                self.lock.notify_all()

    def first_after(self, start, seconds):
        end = time.monotonic() + seconds
        with self.lock:
            while True:
                found = [a for a in self.acks if a[0] >= start]
                if found:
                    return min(a[1] for a in found)
                if time.monotonic() > end:
                    return None
                self.lock.wait(0.2)


def etcd_run(servers, puts, fault):
    def leader_of_all():
        leaders = [s for s in servers if s.leads()]
        return leaders[0] if len(leaders) == 1 and all(s.put("ready", 1.0) for s in servers) else None
    leader = lab.wait_until(60, leader_of_all)
    if not leader:
        raise SystemExit("etcd does not get ready")
    lab.let_pass(random.uniform(0, 0.2))
    with puts.lock:
        puts.acks.clear()
    start = time.monotonic()
    leader.do(fault)
    acked = puts.first_after(start, LIMIT_S)
    leader.heal()
    return {"put": None if acked is None else (acked - start) * 1000}


def etcd(runs, faults, label, timings):
    servers = [EtcdServer(n, timings, f"{lab.DIR}/{label.replace(' ', '-').replace('/', '-')}") for n in lab.KS_NET]
    for server in servers:
        server.start()
    puts, results = Puts(servers), {}
    for fault in faults:
        results[fault] = []
        for i in range(runs):
            results[fault].append(etcd_run(servers, puts, fault))
            print(f"# {label} {fault} {i + 1}: {results[fault][-1]}", flush=True)
    puts.over.set()
    for server in servers:
        server.child.terminate()
    for server in servers:
        server.child.wait(30)
    return results


def row(system, fault, what, results):
    times = [r[what] for r in results if r[what] is not None]
    late = len(results) - len(times)
    if not times:
        return (f"{system}, {fault}: {what}", len(results), "-", "-", "-", late)
    return (f"{system}, {fault}: {what}", len(results), f"{lab.percentile(times, 0.5):.0f}",
            f"{lab.percentile(times, 0.99):.0f}", f"{max(times):.0f}", late)


def main():
    runs, faults, systems = int(sys.argv[1]), sys.argv[2].split(), sys.argv[3].split()
    rows, late = [], 0
    if "quorate" in systems:
        results = quorate(runs, faults)
        for fault in faults:
            for what in ("registration", "rekey", "rekey done"):
                rows.append(row("quorate", fault, what, results[fault]))
                late += rows[-1][-1]
            print(f"# quorate {fault}: the primary led in {sum(r['leads'] for r in results[fault])} of {runs}")
    if "etcd" in systems:
        for label, timings in (("etcd", []), ("etcd 60/300", ["--heartbeat-interval", "60", "--election-timeout", "300"])):
            results = etcd(runs, faults, label, timings)
            rows += [row(label, fault, "put", results[fault]) for fault in faults]
    print(f"# milliseconds from the fault on; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; "
          f"'late': not within {LIMIT_S:.0f} s")
    lab.table(rows, ("", "runs", "median", "p99", "max", "late"))
    return 0 if late == 0 else 1


sys.exit(main())
