"""Runs the loads: interleaved, each round beginning with another gateway, so that no one always goes first."""

import contextlib
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

from .gateway import CAPACITY_MIB
from .machine import LOAD_CPU, ORIGIN_PORT, Failure, Server, allow_files
from .scenarios import (DRAIN, KIND_OF_ALL, KINDS, LIST, LISTS_A_SECOND, SCENARIOS, STAMPEDE, ZIPF,
                        ZIPF_CAPACITY_MIB)

LOAD_TIMEOUT = 120
WARM = 0.3  # seconds of a load that does not count
GOES = 5  # of what can't be interleaved the one in the middle is told
DRAIN_LONGEST = 45


def in_turn(things, rounds):
    """Each of them once a round, which begins with another one each time, and whether it counts: the first round warms up."""
    for turn in range(-1, rounds):
        first = max(turn, 0) % max(len(things), 1)
        for thing in things[first:] + things[:first]:
            yield thing, turn >= 0


def middle(once, key):
    """One of several goes: the one in the middle."""
    return sorted((once() for _ in range(GOES)), key=key)[GOES // 2]


def p99(told):
    return told["latency_us"]["p99"]


def growth(told):
    """How many times the p99 before is the one meanwhile."""
    return p99(told) / p99(told["calm"])


class Bench:
    def __init__(self, work, tool, contestants, options, tell):
        self.work, self.tool, self.contestants, self.options, self.tell = work, tool, contestants, options, tell
        self.log = open(work / "output.log", "wb")
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        command = [self.tool, "origin", "--port", ORIGIN_PORT]
        self.stack.enter_context(Server("the backend", command, LOAD_CPU, self.log, ports=[ORIGIN_PORT]).wait())
        return self

    def __exit__(self, *_):
        self.stack.close()
        self.log.close()

    @contextlib.contextmanager
    def running(self, contestants, capacity_mib=CAPACITY_MIB):
        """The gateways, fresh; those that don't start are told and left out."""
        with contextlib.ExitStack() as stack:
            alive = []
            for gateway in contestants:
                try:
                    stack.enter_context(gateway.start(self.work, self.log, capacity_mib))
                    alive.append(gateway)
                except Failure as failure:
                    self.tell(f"  left out: {failure}")
            yield alive

    def able(self, needs):
        return [gateway for gateway in self.contestants if needs <= gateway.can and not gateway.is_aside]

    def command(self, gateway, words):
        """The load tool's, for this gateway."""
        port = gateway.tls_port if "--tls" in words else gateway.port
        watch = ["--watch", gateway.server.pid] if gateway.server else []
        return list(map(str, ["taskset", "-c", LOAD_CPU, self.tool, words[0], "--to", port, *watch, *words[1:]]))

    def load(self, gateway, words):
        try:
            done = subprocess.run(self.command(gateway, words), capture_output=True, text=True, timeout=LOAD_TIMEOUT,
                                  preexec_fn=allow_files)
        except subprocess.TimeoutExpired:
            raise Failure(f"{gateway.name}: the load has not ended after {LOAD_TIMEOUT} seconds") from None
        if done.returncode:
            raise Failure(f"{gateway.name}: {done.stderr.strip()}")
        return json.loads(done.stdout.splitlines()[-1])

    # Pairs

    def scenario(self, scenario, contestants, rounds, seconds):
        """Samples of each gateway, one a round; of one that fails, none."""
        samples = {gateway.name: [] for gateway in contestants}
        for gateway, counts in in_turn(contestants, rounds):
            if gateway.name not in samples:
                continue
            try:
                sample = self.sample(gateway, scenario, seconds if counts else WARM)
            except Failure as failure:
                self.tell(f"  {scenario.name}: left out: {failure}")
                del samples[gateway.name]
                continue
            if counts:
                samples[gateway.name].append(sample)
                self.complain(scenario, gateway, sample)
        return samples

    def sample(self, gateway, scenario, seconds):
        sample = self.load(gateway, [*scenario.load, "--origin", ORIGIN_PORT, "--seconds", seconds])
        if not sample["done"]:
            raise Failure(f"{gateway.name}: {sample['failure']}")
        if gateway.server:
            if not sample["cpu_seconds"]:
                raise Failure(f"{gateway.name}: the work was done by another program")
            sample["per_cpu"] = sample["done"] / sample["cpu_seconds"]
            sample["held_bytes"] = sample["resident_bytes"] + gateway.stored_outside()
        return sample

    def kinds(self):
        """Our own kinds of hits in turn, so that what one costs more than another is not what the minute was like."""
        names = [KIND_OF_ALL, *KINDS]
        wanted = {scenario.name: scenario for scenario in SCENARIOS if scenario.name in names}
        ours = [gateway for gateway in self.contestants if gateway.name == "ours"]
        samples = {name: [] for name in names}
        with self.running(ours) as alive, self.forgiven("kinds", *ours):
            for name, counts in in_turn(names if alive else [], self.options.rounds):
                sample = self.sample(alive[0], wanted[name], self.options.seconds if counts else WARM)
                if counts:
                    samples[name].append(sample)
        return samples

    def complain(self, scenario, gateway, sample):
        if sample["failed"]:
            self.tell(f"  {scenario.name}: {gateway.name} failed {sample['failed']} times: {sample['failure']}")
        # The question itself may be one of them.
        if scenario.cached and sample["reached_origin"] > 1 + sample["done"] // 1000:
            self.tell(f"  {scenario.name}: {gateway.name} asked the backend {sample['reached_origin']} times")

    # Crowds, each with a fresh gateway

    def crowd(self, crowd):
        told = {}
        for gateway in self.able(crowd.needs):
            with self.running([gateway]) as alive, self.forgiven(crowd.name, gateway):
                if alive:
                    told[gateway.name] = self.load(gateway, ["hold", *crowd.load, "--count", gateway.crowd])
        return told

    def zipf(self):
        """Twice: set to the capacity, and then to whatever makes it hold the capacity. Bounds count different things."""
        told = {}
        for gateway in self.able({"cache"}):
            with self.forgiven("zipf", gateway):
                as_set = self.zipf_with(gateway, ZIPF_CAPACITY_MIB)
                share = ZIPF_CAPACITY_MIB * 2**20 / as_set["held_bytes"]
                told[gateway.name] = {
                    "set": as_set,
                    "holding": self.zipf_with(gateway, round(ZIPF_CAPACITY_MIB * share)),
                }
        return told

    def zipf_with(self, gateway, capacity_mib):
        words = ["get", "--path", f"/cached/{ZIPF['bytes']}", "--objects", ZIPF["objects"],
                 "--exponent", ZIPF["exponent"], "--origin", ORIGIN_PORT]
        with self.running([gateway], capacity_mib) as alive:
            if not alive:
                raise Failure("does not start")
            empty = self.load(gateway, [*words, "--requests", 10])["resident_bytes"]
            self.load(gateway, [*words, "--seed", 1, "--requests", ZIPF["fill"]])
            sample = self.load(gateway, [*words, "--seed", 2, "--requests", ZIPF["measured"]])
            sample["capacity_mib"] = capacity_mib
            sample["hit_ratio"] = 1 - sample["reached_origin"] / sample["done"]
            sample["held_bytes"] = sample["resident_bytes"] - empty + gateway.stored_outside()
            sample["per_cpu"] = sample["done"] / sample["cpu_seconds"]
            return sample

    def stampede(self):
        told = {}
        words = ["stampede", "--origin", ORIGIN_PORT]
        for name, value in STAMPEDE.items():
            words += [f"--{name}", value]
        for gateway in self.able({"cache"}):
            with self.running([gateway]) as alive, self.forgiven("stampede", gateway):
                if alive:
                    told[gateway.name] = self.load(gateway, words)
        return told

    def drain(self):
        """A healthy client's latency while the gateway ends many tunnels."""
        told = {}
        for gateway in self.able({"drain", "cache"}):
            with self.forgiven("drain", gateway):
                told[gateway.name] = middle(lambda: self.drained(gateway), p99)
        return told

    def drained(self, gateway):
        """A gateway that is drained takes no more tunnels: each go has another one."""
        with self.running([gateway]) as alive:
            if not alive:
                raise Failure("does not start")
            return self.disturb(gateway, ["--path", "/cached/1024"], DRAIN, gateway.drain, "ends")[0]

    def listing(self):
        """Latencies of messages while all connections are listed: so many times a second, and without a pause."""
        told = {}
        for gateway in self.able({"list"}):
            with self.running([gateway]) as alive, self.forgiven("list", gateway):
                if alive:
                    told[gateway.name] = {pace: middle(lambda: self.listed(gateway, each), growth)
                                          for pace, each in (("paced", 1 / LISTS_A_SECOND), ("endless", 0))}
        return told

    def listed(self, gateway, each):
        told, lists = self.disturb(gateway, ["--echo", 64], LIST, lambda: gateway.list(LIST["seconds"], each), "stays")
        return {**told, "lists": lists}

    def disturb(self, gateway, words, settings, act, fate):
        """What a healthy client saw before and during `act`, and what that returned."""
        words = ["disturb", *words, *(word for name, value in settings.items() for word in (f"--{name}", value))]
        tool = subprocess.Popen(self.command(gateway, words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                preexec_fn=allow_files)
        with tool, ThreadPoolExecutor(1) as another:
            try:
                if not tool.stdout.readline():
                    raise Failure("the tunnels could not be opened")
                acting = another.submit(act)
                output, _ = tool.communicate(f"{fate}\n", timeout=DRAIN_LONGEST)
                acted = acting.result()
            finally:
                tool.kill()
        return json.loads(output), acted

    @contextlib.contextmanager
    def forgiven(self, what, gateway):
        """A gateway that fails here is told and left out."""
        try:
            yield
        except (Failure, subprocess.TimeoutExpired, json.JSONDecodeError) as failure:
            self.tell(f"  {what}: {gateway.name} left out: {failure}")

