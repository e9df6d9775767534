"""Processes, ports and processors of this machine."""

import contextlib
import os
import platform
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROCESSORS = sorted(os.sched_getaffinity(0))
GATEWAY_CPU, LOAD_CPU = str(PROCESSORS[0]), str(PROCESSORS[-1])
ORIGIN_PORT = 18100
FILES = 20_000  # open files that each gateway may have; 9,000 tunnels take two each


class Failure(Exception):
    """The bench can't go on with this."""


class Server:
    """A server of ours, pinned to processors; stopped with the stack that it is entered on."""

    def __init__(self, name, command, cpus, log, environment=None, ports=()):
        self.name, self.ports, self.log = name, ports, log
        for port in ports:
            if answers(port):
                raise Failure(f"{name} can't have port {port}: another program listens there")
        log.flush()
        self.log_begins = os.path.getsize(log.name)
        self.child = subprocess.Popen(
            ["taskset", "-c", cpus, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(environment or {})},
            preexec_fn=allow_files,
        )

    @property
    def pid(self):
        return self.child.pid

    def wait(self):
        """Until it listens."""
        until = time.monotonic() + 20
        for port in self.ports:
            while not answers(port):
                if self.child.poll() is not None or time.monotonic() > until:
                    self.stop()
                    raise Failure(f"{self.name} does not listen on {port}: {self.last_words()}")
                time.sleep(0.05)
        return self

    def last_words(self):
        with open(self.log.name, "rb") as log:
            log.seek(self.log_begins)
            return " / ".join(log.read().decode(errors="replace").split("\n")[-4:]).strip(" /") or "it says nothing"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(3)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(10)


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def allow_files():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))


@contextlib.contextmanager
def workplace():
    """A directory in memory that is gone afterwards, with a certificate in it."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/dev/shm") as name:
        work = Path(name)
        work.chmod(0o755)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test",
             "-keyout", work / "key.pem", "-out", work / "certificate.pem"],
            check=True, capture_output=True,
        )
        both = (work / "certificate.pem").read_text() + (work / "key.pem").read_text()
        (work / "both.pem").write_text(both)
        yield work


def tree_bytes(path):
    """What a directory holds, in blocks."""
    return sum(file.stat().st_blocks * 512 for file in Path(path).rglob("*") if file.is_file())


def find(name, also=()):
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *map(str, also)]))
    return Path(path) if path else None


def commit(directory):
    """What is checked out, and whether it was changed."""
    asked = subprocess.run(["git", "-C", directory, "describe", "--always", "--dirty", "--exclude", "*"], capture_output=True,
                           text=True) if shutil.which("git") else None
    return asked.stdout.strip() if asked and not asked.returncode else "unknown"


class Loss:
    """How much of the processors' time another guest of this machine's host has had while it was wanted here."""

    def __init__(self):
        self.began = self.ticks()

    def share(self):
        """Of the time that was wanted since the beginning; 0 where no host says so."""
        wanted, stolen = (now - then for now, then in zip(self.ticks(), self.began))
        return stolen / wanted if wanted else 0.0

    @staticmethod
    def ticks():
        """What was wanted, and what was stolen of it (proc(5): user nice system idle iowait irq softirq steal)."""
        user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(
            int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
        return user + nice + system + interrupts + soft_interrupts + stolen, stolen


def describe():
    """The machine, for the results."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    return {
        "processor": model,
        "processors": os.cpu_count(),
        "memory_gib": memory,
        "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
        "congestion_control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
    }
