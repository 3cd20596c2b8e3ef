"""etcd.py - a member of etcd in the namespace of a key server, and its JSON gateway as a client in router gm1 sees it."""
import base64
import json
import os
import subprocess

import lab

ETCD = os.environ.get("ETCD", "etcd")


class EtcdServer(lab.Server):
    def __init__(self, n, timings, directory):
        super().__init__(n, 0)
        address = f"{lab.KS_NET[n]}.2"
        self.address = address
        self.command = [
            "ip", "netns", "exec", lab.namespace(f"ks{n}"), ETCD, "--name", f"e{n}", "--data-dir", f"{directory}/e{n}",
            "--listen-client-urls", f"http://{address}:2379", "--advertise-client-urls", f"http://{address}:2379",
            "--listen-peer-urls", f"http://{address}:2380", "--initial-advertise-peer-urls", f"http://{address}:2380",
            "--initial-cluster", ",".join(f"e{i}=http://{lab.KS_NET[i]}.2:2380" for i in lab.KS_NET),
            "--initial-cluster-token", directory, "--log-level", "error", *timings]

    def start(self):
        log = open(f"{lab.DIR}/etcd{self.n}.txt", "ab")
        self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.pid = self.child.pid

    def post(self, path, body, timeout):
        connection = lab.Connection("gm1", self.address, 2379, timeout)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, lab.http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()

    def put(self, text, timeout=3.0):
        value = base64.b64encode(text.encode()).decode()
        return self.post("/v3/kv/put", {"key": value, "value": value}, timeout)[0] == 200

    def leads(self):
        status, body = self.post("/v3/maintenance/status", {}, 1.0)
        return status == 200 and body.get("leader", "0") not in ("0", 0) and body["leader"] == body["header"]["member_id"]
