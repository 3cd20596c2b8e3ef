"""chaos.py ROUNDS SEED - called by chaos.sh, in the network that it made.

A round does faults to one server (two, or all three, now and then): kill -9, SIGSTOP, its link cut, or only one direction of it;
undoes them, and goes on, whether the cluster has recovered or not. Meanwhile members register and rekeys are asked for, and what
was acknowledged is written down. Every CHECK_ROUNDS rounds all faults are undone, the load pauses, and the ledger is compared with
what the servers hold.
"""
import os
import random
import signal
import subprocess
import sys
import threading
import time

import lab
from ledger import Ledger

CHECK_ROUNDS = 50
MEMBERS = 60
RATE = 20  # registrations begun a second
FAULTS = ("kill", "stop", "cut", "deaf", "mute")
RECOVERY_S = 60


class Victim(lab.Server):
    """Also deaf (nothing comes in) and mute (nothing goes out)."""

    def nft(self, *words):
        subprocess.run(["ip", "netns", "exec", lab.namespace(f"ks{self.n}"), "nft", *words], check=True)

    def do(self, fault):
        if fault in ("deaf", "mute"):
            self.fault = fault
            hook = "input" if fault == "deaf" else "output"
            self.nft(f"table inet torture {{ chain c {{ type filter hook {hook} priority 0\n "
                     f"{'iifname' if fault == 'deaf' else 'oifname'} wan0 drop\n}}\n}}")
        else:
            super().do(fault)

    def heal(self):
        if self.fault in ("deaf", "mute"):
            self.fault = None
            self.nft("delete table inet torture")
        else:
            super().heal()


class Rekeys(threading.Thread):
    """Asks one server after the other for a rekey, and writes down what was granted."""

    def __init__(self, cluster, ledger):
        super().__init__(daemon=True)
        self.cluster, self.ledger = cluster, ledger
        self.running, self.over = threading.Event(), threading.Event()
        self.random = random.Random(1)  # not the one of the faults: those must not depend on how fast this is
        self.start()

    def run(self):
        while not self.over.is_set():
            self.running.wait(1)
            if self.running.is_set():
                n = self.random.choice(self.cluster.names())
                status, body = lab.call(n, "POST", "/v1/groups/G1/rekey", 3.0)
                self.ledger.asked(n, status, body)
            self.over.wait(0.3)


class Watch(threading.Thread):
    """Who says that he is primary, of which epoch."""

    def __init__(self, cluster, ledger):
        super().__init__(daemon=True)
        self.cluster, self.ledger, self.over, self.primary = cluster, ledger, threading.Event(), 1
        self.start()

    def run(self):
        while not self.over.is_set():
            for n in self.cluster.names():
                view = lab.get(n, "/v1/cluster", 0.3)
                if view:
                    self.ledger.saw(n, view)
                    if any(node["self"] and node["primary"] for node in view["nodes"]):
                        self.primary = n
            self.over.wait(0.2)


def faults_of_a_round(dice, names, primary):
    share = dice.random()
    count = 1 if share < 0.75 else 2 if share < 0.9 else 3
    order = dice.sample(names, len(names))
    if dice.random() < 0.5:
        order = [primary, *(n for n in order if n != primary)]
    return [(n, dice.choice(FAULTS), dice.uniform(0, 0.3)) for n in order[:count]]


def one_round(cluster, watch, seed, number):
    # A generator of its own per round: how fast the machine is changes no later round's faults.
    dice = random.Random(f"{seed}/{number}")
    faults = faults_of_a_round(dice, cluster.names(), watch.primary)
    length, gap = dice.uniform(0.2, 1.8), dice.uniform(0.1, 0.8)
    print(f"# round {number}: " + ", ".join(f"ks{n} {fault}" for n, fault, _ in faults) + f" for {length:.1f} s", flush=True)
    for n, fault, pause in faults:
        lab.let_pass(pause)
        cluster.servers[n].do(fault)
    lab.let_pass(length)
    for n, _, pause in reversed(faults):
        cluster.servers[n].heal()
        lab.let_pass(pause)
    lab.let_pass(gap)
    if cluster.dead():
        raise SystemExit(f"NOT OK - round {number}: key servers {cluster.dead()} ended by themselves")


def check(cluster, load, rekeys, ledger, number):
    """Everything undone, the load paused: does the state hold what was acknowledged?"""
    rekeys.running.clear()
    start = time.monotonic()
    if not cluster.ready(RECOVERY_S):
        answers = {n: lab.call(n, "GET", "/readyz") for n in cluster.names()}
        raise SystemExit(f"NOT OK - round {number}: not ready within {RECOVERY_S} s: {answers}")
    recovered = time.monotonic() - start
    load.pause()
    if not lab.wait_until(RECOVERY_S, cluster.same):
        raise SystemExit(f"NOT OK - round {number}: the states differ: {cluster.hashes()}")
    ledger.compare(cluster, load.lines)
    load.go_on()
    problems = ledger.problems
    print(f"# check after round {number}: ready within {recovered:.1f} s; {ledger.summary()}", flush=True)
    if problems:
        raise SystemExit("NOT OK - " + "\nNOT OK - ".join(problems[:20]))
    rekeys.running.set()


def converged(cluster, seconds):
    """A last rekey that every member acknowledges: all are on the current key. Members that still register while it goes on are
    told with their keys and not by it, so it is asked for until it reaches all."""
    last = None

    def acknowledged_by_all():
        nonlocal last
        primary = cluster.primary()
        status, body = lab.call(primary, "POST", "/v1/groups/G1/rekey", 5.0) if primary else (0, {})
        if status != 202:
            return False

        def done():
            rows = (lab.get(primary, "/v1/groups/G1/rekeys") or {"rekeys": []})["rekeys"]
            return next((row for row in rows if row["seq"] == body["seq"] and row["done"]), None)
        last = lab.wait_until(20, done, 0.1)
        return last and last["silent"] == 0 and last["acked"] == MEMBERS
    return None if lab.wait_until(seconds, acknowledged_by_all, 0.5) else f"the last rekey: {last}"


def main():
    rounds, seed = int(sys.argv[1]), int(sys.argv[2])
    cluster = lab.Cluster()
    for n, server in cluster.servers.items():
        cluster.servers[n] = Victim(n, server.pid)
    ledger = Ledger(MEMBERS)
    with open(f"{lab.DIR}/ledger.txt", "w") as sink:
        load = lab.Load("-n", MEMBERS, "-c", 64, "-r", RATE, "-T", 2000, sink=sink)
        rekeys, watch = Rekeys(cluster, ledger), Watch(cluster, ledger)
        if not lab.wait_until(60, lambda: load.count("R") >= MEMBERS):
            raise SystemExit("NOT OK - the members do not register")
        rekeys.running.set()
        try:
            for number in range(1, rounds + 1):
                one_round(cluster, watch, seed, number)
                if number % CHECK_ROUNDS == 0 or number == rounds:
                    check(cluster, load, rekeys, ledger, number)
            rekeys.running.clear()
            load.pause()
            problem = converged(cluster, RECOVERY_S)
            if problem:
                raise SystemExit(f"NOT OK - {problem}")
        finally:
            rekeys.over.set()
            watch.over.set()
            for server in cluster.servers.values():
                if server.fault:
                    server.heal()
            print(f"# load: {load.end()}")
            codes = end(cluster)
    print(f"# all members on the current key; exit codes {codes}; load average {os.getloadavg()[0]:.1f}")
    return 0 if set(codes) <= {0, None} else 1


def end(cluster):
    for server in cluster.servers.values():
        if server.alive():
            os.kill(server.pid, signal.SIGTERM)
    codes = []
    for server in cluster.servers.values():
        if server.child:
            codes.append(server.child.wait(30))
        else:
            lab.wait_until(30, lambda: not server.alive())
    return codes


sys.exit(main())
