"""ledger.py - what was acknowledged, and whether the servers still know it.

From gdoi_load's lines (see load.h): registrations and pushes as members saw them. From the API: rekeys that were granted, and who
was primary of which epoch. Facts that must hold at any time are checked as they come in, the rest by compare().
"""
import collections
import threading

import lab


class Ledger:
    def __init__(self, members):
        self.members = members
        self.problems = []
        self.lock = threading.Lock()
        self.granted = {}  # seq -> server
        self.statuses = collections.Counter()
        self.primaries = {}  # epoch -> node id
        self.registrations = collections.Counter()  # member -> acknowledged
        self.pushes = {}  # seq -> (KEK SPI, digest of the datagram)
        self.teks = {}  # SPI -> digest of the keys
        self.seq_told = 0
        self.read = 0  # lines of gdoi_load so far
        self.failed_tries = 0

    def problem(self, text):
        self.problems.append(text)

    def asked(self, n, status, body):
        """The API's answer to a POST of a rekey."""
        with self.lock:
            self.statuses[status] += 1
            if status != 202:
                return
            seq = body["seq"]
            if seq in self.granted:
                self.problem(f"sequence number {seq} was granted twice: by ks{self.granted[seq]} and ks{n}")
            self.granted[seq] = n

    def saw(self, n, view):
        """A server's view of the cluster."""
        chosen = [node["node_id"] for node in view["nodes"] if node["primary"]]
        if not chosen:
            return
        with self.lock:
            before = self.primaries.setdefault(view["coop_epoch"], chosen[0])
            if len(chosen) != 1 or before != chosen[0]:
                self.problem(f"epoch {view['coop_epoch']} has two primaries: {before}, {chosen} (ks{n})")

    def take_keys(self, pairs, where):
        for pair in pairs:
            spi, digest = pair.split("=")
            if self.teks.setdefault(spi, digest) != digest:
                self.problem(f"SPI {spi} names two keys ({where})")

    def take_lines(self, lines):
        for line in lines[self.read:]:
            if line[0] == "R":
                self.registrations[line[3]] += 1
                self.seq_told = max(self.seq_told, int(line[5]))
                self.take_keys(line[7:], f"registration of {line[3]}")
            elif line[0] == "P":
                seq, push = int(line[2]), (line[3], line[5])
                if self.pushes.setdefault(seq, push) != push:
                    self.problem(f"two different pushes carry sequence number {seq}")
                self.take_keys(line[7:], f"push {seq}")
            elif line[0] == "F":
                self.failed_tries += 1
            elif line[0] == "E":
                self.problem(f"a push could not be used: {' '.join(line)}")
        self.read = len(lines)

    def compare(self, cluster, lines):
        """All servers are well and hold the same: is it what was acknowledged?"""
        with self.lock:
            self.take_lines(lines)
            for n in cluster.names():
                self.compare_members(n)
                self.compare_group(n)

    def compare_members(self, n):
        held = (lab.get(n, "/v1/groups/G1/members?limit=1000") or {"members": []})["members"]
        counts = {member["identity"]: member["registrations"] for member in held}
        for member, acknowledged in self.registrations.items():
            if counts.get(member, 0) < acknowledged:
                self.problem(f"ks{n} knows {counts.get(member, 0)} registrations of {member}, {acknowledged} were acknowledged")
        if len(counts) > self.members:
            self.problem(f"ks{n} knows {len(counts)} members of {self.members}")

    def compare_group(self, n):
        group = lab.get(n, "/v1/groups/G1")
        policy = lab.get(n, "/v1/groups/G1/policy")
        rekeys = (lab.get(n, "/v1/groups/G1/rekeys") or {"rekeys": []})["rekeys"]
        if not group or not policy or not rekeys:
            self.problem(f"ks{n} does not answer")
            return
        highest = max([self.seq_told, *self.granted, *self.pushes])
        if group["seq"] < highest:
            self.problem(f"ks{n} is at sequence number {group['seq']}, {highest} was acknowledged")
        held = {rekey["seq"] for rekey in rekeys}
        lost = [seq for seq in self.granted if min(held) <= seq and seq not in held]
        if lost:
            self.problem(f"ks{n} does not know the rekeys {lost} that were granted")

    def summary(self):
        with self.lock:
            unseen = [seq for seq in self.granted if seq not in self.pushes]
            return (f"{sum(self.registrations.values())} registrations acknowledged, {len(self.granted)} rekeys granted"
                    f" ({len(unseen)} never seen by a member), {len(self.pushes)} pushes, {len(self.teks)} TEKs, "
                    f"{len(self.primaries)} epochs, {self.failed_tries} tries failed; rekey answers {dict(self.statuses)}")
