"""One round of the benchmark: everything once, in turn, so that what slows one slows all."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.testbed import hub as testbed
from benchmarks.testbed.chain import STEPS, Stretch
from benchmarks.testbed.counters import Counters, Reading
from benchmarks.testbed.peers import Peer
from benchmarks.testbed.plain_loop import CLIENTS, Job, Plain
from benchmarks.testbed.report import Figures
from tests.support.real_hub import Hub

BACKLOG, POSTED = "hub, backlog", "hub, over POST"
LOOPS = {client: f"loop, {client}" for client in CLIENTS}
LOOP_ONLY = "loop"
SPEED = "steps per second"
ROWS = (
    SPEED, "executions per second", "worker CPU ms per step", "web CPU ms per step",
    "database CPU ms per step", "broker CPU ms per step", "service CPU ms per step",
    "busiest worker's share", "write transactions per step", "round trips per step",
)  # fmt: skip
ACCEPTED, END_HEARD, ANSWERED = "hub, accepted", "hub, end told", "hub, POST waits"
TIMINGS = {
    ACCEPTED: testbed.time_until_accepted,
    END_HEARD: testbed.time_until_told,
    ANSWERED: testbed.time_until_answered,
}
LATENCIES = ("latency p50 ms", "latency p99 ms")
NO_OP, HTTP, SENTIMENT = "no-op", "HTTP", "sentiment"


@dataclass(frozen=True)
class Bench:
    """The means with which one run measures."""

    hub: Hub
    plain: Plain
    peers: Sequence[Peer]
    counters: Counters
    database: str
    urls: Mapping[str, str]
    options: argparse.Namespace
    figures: Figures

    def job(self, kind: str, client: str, *, chains: int, threads: int) -> Job:
        return Job(self.database, self.urls[kind], client, chains, STEPS, threads)

    def size(self, kind: str) -> int:
        """No-op executions are many times faster; more of them give a stretch long enough."""
        return int(self.options.executions) * (4 if kind == NO_OP else 1)


def run_round(bench: Bench) -> None:
    """Everything once, hub and loop in turn, so that what slows the machine slows both."""
    for kind in bench.urls:
        bench.figures.add(kind, BACKLOG, measure_backlog(bench, kind))
        for client, column in loops_of(kind).items():
            bench.figures.add(kind, column, measure_loop(bench, kind, client))
        for peer in bench.peers:
            bench.figures.add(kind, peer.column, measure_peer(bench, kind, peer))
        bench.figures.add(kind, POSTED, measure_posts(bench, kind))
        for column, timing in TIMINGS.items():
            with testbed.fresh_client(bench.hub) as api:
                ends = testbed.EndEvents(bench.hub)
                seconds = [timing(api, ends, kind) for _ in range(bench.options.latencies)]
            bench.figures.add(kind, column, latency_rows(seconds))
        for client, column in loops_of(kind).items():
            job = bench.job(kind, client, chains=bench.options.latencies, threads=1)
            alone = bench.plain.run(job, processes=1)
            bench.figures.add(kind, column, latency_rows(alone.chain_seconds))
        for peer in bench.peers:
            alone = peer.run_singly(bench.urls[kind], bench.options.latencies)
            bench.figures.add(kind, peer.column, latency_rows(alone.chain_seconds))
            posted = peer.run_posted(bench.urls[kind], bench.options.latencies)
            if posted is not None:
                bench.figures.add(kind, over_post(peer), latency_rows(posted.chain_seconds))


def over_post(peer: Peer) -> str:
    """The column of a peer whose chains are started by a POST."""
    return f"{peer.column}, over POST"


def loops_of(kind: str) -> Mapping[str, str]:
    """The loop's columns by its client; without calls there is no client to choose."""
    return {CLIENTS[0]: LOOP_ONLY} if kind == NO_OP else LOOPS


def measure_backlog(bench: Bench, kind: str) -> dict[str, float | None]:
    """A backlog that appears at once, in one commit, before workers that are up and idle."""
    from django.db import transaction

    count = bench.size(kind)
    with transaction.atomic():
        ids = testbed.insert_executions(kind, count)
        before = bench.counters.read()
    released = time.time()
    seconds = testbed.wait_for_all(bench.hub, ids) - released
    return throughput_rows(count, seconds, bench.counters.read().since(before))


def measure_posts(bench: Bench, kind: str) -> dict[str, float | None]:
    count, before, began = bench.options.executions, bench.counters.read(), time.time()
    ids = testbed.post_executions(bench.hub, kind, count, bench.options.clients)
    seconds = testbed.wait_for_all(bench.hub, ids) - began
    return throughput_rows(count, seconds, bench.counters.read().since(before))


def measure_loop(bench: Bench, kind: str, client: str) -> dict[str, float | None]:
    count, before = bench.size(kind), bench.counters.read()
    job = bench.job(kind, client, chains=count, threads=bench.options.threads)
    stretch = bench.plain.run(job)
    cost = bench.counters.read().since(before)
    counted = cost.transactions is not None
    return {
        **rows_of_stretch(count, stretch, cost),
        "worker CPU ms per step": stretch.cpu_seconds * 1000 / (count * STEPS),
        # By its construction: one INSERT that commits by itself.
        "write transactions per step": 1.0,
        "round trips per step": 1.0 if counted else None,
    }


def measure_peer(bench: Bench, kind: str, peer: Peer) -> dict[str, float | None]:
    """A peer's chains, half as many as the hub's: they take longer."""
    count, before = max(1, bench.options.executions // 2), bench.counters.read()
    stretch = peer.run_many(bench.urls[kind], count)
    cost, steps = bench.counters.read().since(before), count * STEPS
    return {
        **rows_of_stretch(count, stretch, cost),
        "worker CPU ms per step": cost.cpu_seconds[peer.column] * 1000 / steps,
        "write transactions per step": _each(cost.transactions, steps),
        "round trips per step": _each(cost.round_trips, steps),
    }


def rows_of_stretch(count: int, stretch: Stretch, cost: Reading) -> dict[str, float | None]:
    seconds, steps = stretch.ended - stretch.began, count * STEPS
    return {
        SPEED: steps / seconds,
        "executions per second": count / seconds,
        **_shared_cpu(cost, steps),
    }


def _shared_cpu(cost: Reading, steps: int) -> dict[str, float | None]:
    """Return the CPU of the servers that all of them use."""
    return {
        f"{name} CPU ms per step": cost.cpu_seconds[name] * 1000 / steps or None
        for name in ("database", "broker", "service")
    }


def throughput_rows(count: int, seconds: float, cost: Reading) -> dict[str, float | None]:
    steps = count * STEPS
    cpu = cost.cpu_seconds
    workers = [used for name, used in cpu.items() if name.startswith("worker")]
    return {
        SPEED: steps / seconds,
        "executions per second": count / seconds,
        "worker CPU ms per step": sum(workers) * 1000 / steps,
        "web CPU ms per step": cpu["web"] * 1000 / steps,
        **_shared_cpu(cost, steps),
        "busiest worker's share": max(workers) / sum(workers) if sum(workers) else None,
        "write transactions per step": _each(cost.transactions, steps),
        "round trips per step": _each(cost.round_trips, steps),
    }


def _each(total: int | None, steps: int) -> float | None:
    return None if total is None else total / steps


def latency_rows(seconds: Sequence[float]) -> dict[str, float | None]:
    shares = (0.5, 0.99)
    return {
        row: testbed.percentile(seconds, share) * 1000
        for row, share in zip(LATENCIES, shares, strict=True)
    }
