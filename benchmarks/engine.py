"""How fast the engine is, beside a plain loop: `./dev bench engine`.

One run starts everything that it needs, measures the hub and the loop in turn, several times, and
prints the medians. `docs/benchmarks.md` says what the figures mean.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.bed import hub as bed
from benchmarks.bed.counters import Counters, Reading
from benchmarks.bed.plain import CLIENTS, PAYLOAD, Job, Plain, create_table
from benchmarks.bed.report import Figures, table
from benchmarks.bed.servers import Durable, start_durable
from tests.e2e.hub import Hub
from tests.services import missing_servers

BACKLOG, POSTED = "hub, backlog", "hub, over POST"
LOOPS = {client: f"loop, {client}" for client in CLIENTS}
LOOP_ONLY = "loop"
SPEED = "steps per second"
ROWS = (
    SPEED, "executions per second", "worker CPU ms per step", "web CPU ms per step",
    "database CPU ms per step", "service CPU ms per step", "loop CPU ms per step",
    "busiest worker's share", "write transactions per step", "round trips per step",
)  # fmt: skip
ACCEPTED, SEEN, ANSWERED = "hub, accepted", "hub, end seen", "hub, POST waits"
TIMINGS = {
    ACCEPTED: bed.time_until_accepted,
    SEEN: bed.time_until_seen,
    ANSWERED: bed.time_until_answered,
}
LATENCIES = ("latency p50 ms", "latency p99 ms")
NO_OP, HTTP, SENTIMENT = "no-op", "HTTP", "sentiment"


@dataclass(frozen=True)
class Bench:
    """What one run measures with."""

    hub: Hub
    plain: Plain
    counters: Counters
    database: str
    urls: Mapping[str, str]
    options: argparse.Namespace
    figures: Figures

    def job(self, kind: str, client: str, *, chains: int, threads: int) -> Job:
        return Job(self.database, self.urls[kind], client, chains, bed.STEPS, threads)

    def size(self, kind: str) -> int:
        """No-op executions are many times faster; more of them give a stretch long enough."""
        return int(self.options.executions) * (4 if kind == NO_OP else 1)


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_options(arguments)
    with contextlib.ExitStack() as ending:
        durable = None
        if options.sqlite:
            say("Database: SQLite (WAL, synchronous=NORMAL), broker: files.")
        elif missing := missing_servers():
            say(f"PostgreSQL and Redis cannot be started here: {missing}. Falling back to SQLite.")
        else:
            durable = ending.enter_context(start_durable())
            say(f"Database: PostgreSQL, durable ({durable.settings()}); broker: Redis.")
        servers = durable.environment() if durable else {}
        hub, workers = ending.enter_context(bed.running_bed(servers))
        bench = ending.enter_context(prepared(hub, workers, durable, options))
        tell_conditions(bench)
        for number in range(options.rounds):
            run_round(bench)
            say(f"Round {number + 1} of {options.rounds} done.")
        print_figures(bench)
    return 0


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench engine", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sqlite", action="store_true", help="the embedded database and broker")
    parser.add_argument("--sentiment", action="store_true", help="also call that example service")
    parser.add_argument("--executions", type=int, default=500, help="of HTTP steps; no-op: 4 times")
    parser.add_argument("--latencies", type=int, default=40, help="executions timed one by one")
    parser.add_argument("--threads", type=int, default=16, help="of each of the loop's processes")
    parser.add_argument("--clients", type=int, default=8, help="threads that POST")
    options = parser.parse_args(arguments)
    if (
        min(vars(options)[n] for n in ("rounds", "executions", "latencies", "threads", "clients"))
        < 1
    ):
        parser.error("use numbers from 1")
    return options


@contextlib.contextmanager
def prepared(
    hub: Hub, workers: Sequence[int], durable: Durable | None, options: argparse.Namespace
) -> Iterator[Bench]:
    """Services, workflows, the loop's table and processes, everything called once."""
    echo, echo_pid = bed.start_echo(hub)
    urls, services = {NO_OP: "", HTTP: echo}, [echo_pid]
    bed.define(hub, NO_OP, bed.NO_OP)
    bed.define(hub, HTTP, bed.ECHO)
    if options.sentiment:
        urls[SENTIMENT], pid = bed.start_sentiment(hub)
        services.append(pid)
        bed.define(hub, SENTIMENT, bed.SENTIMENT)
    database = durable.observer_dsn if durable else str(hub.directory / "hub.sqlite3")
    create_table(database)
    processes = {
        **{f"worker {number}": [pid] for number, pid in enumerate(workers)},
        "web": [hub.web.pid],
        "service": services,
        "database": [durable.pid] if durable else [],
    }
    counters = Counters(processes, durable)
    bench = Bench(hub, Plain(bed.WORKERS), counters, database, urls, options, Figures())
    try:
        for kind in urls:
            warm_up(bench, kind)
        yield bench
    finally:
        bench.plain.stop()
        counters.close()


def warm_up(bench: Bench, kind: str) -> None:
    """Open the pools and fill the caches of every part."""
    bed.wait_for_all(bench.hub, bed.post_executions(bench.hub, kind, 20, bench.options.clients))
    for client in CLIENTS:
        bench.plain.run(bench.job(kind, client, chains=8, threads=2))


# --- One round ---


def run_round(bench: Bench) -> None:
    """Everything once, hub and loop in turn, so that what slows the machine slows both."""
    for kind in bench.urls:
        bench.figures.add(kind, BACKLOG, measure_backlog(bench, kind))
        for client, column in loops_of(kind).items():
            bench.figures.add(kind, column, measure_loop(bench, kind, client))
        bench.figures.add(kind, POSTED, measure_posts(bench, kind))
        for column, timing in TIMINGS.items():
            with bed.fresh_client(bench.hub) as api:
                seconds = [timing(api, kind) for _ in range(bench.options.latencies)]
            bench.figures.add(kind, column, latency_rows(seconds))
        for client, column in loops_of(kind).items():
            job = bench.job(kind, client, chains=bench.options.latencies, threads=1)
            alone = bench.plain.run(job, processes=1)
            bench.figures.add(kind, column, latency_rows(alone.chain_seconds))


def loops_of(kind: str) -> Mapping[str, str]:
    """The loop's columns by its client; without calls there is no client to choose."""
    return {CLIENTS[0]: LOOP_ONLY} if kind == NO_OP else LOOPS


def measure_backlog(bench: Bench, kind: str) -> dict[str, float | None]:
    """A backlog that appears at once, in one commit, before workers that are up and idle."""
    from django.db import transaction

    count = bench.size(kind)
    with transaction.atomic():
        ids = bed.insert_executions(kind, count)
        before = bench.counters.read()
    released = time.time()
    seconds = bed.wait_for_all(bench.hub, ids) - released
    return throughput_rows(count, seconds, bench.counters.read().since(before))


def measure_posts(bench: Bench, kind: str) -> dict[str, float | None]:
    count, before, began = bench.options.executions, bench.counters.read(), time.time()
    ids = bed.post_executions(bench.hub, kind, count, bench.options.clients)
    seconds = bed.wait_for_all(bench.hub, ids) - began
    return throughput_rows(count, seconds, bench.counters.read().since(before))


def measure_loop(bench: Bench, kind: str, client: str) -> dict[str, float | None]:
    count, before = bench.size(kind), bench.counters.read()
    job = bench.job(kind, client, chains=count, threads=bench.options.threads)
    done = bench.plain.run(job)
    cost = bench.counters.read().since(before)
    per_step = 1000 / (count * bed.STEPS)
    return {
        SPEED: count * bed.STEPS / (done.ended - done.began),
        "executions per second": count / (done.ended - done.began),
        "loop CPU ms per step": done.cpu_seconds * per_step,
        "database CPU ms per step": cost.cpu_seconds["database"] * per_step or None,
        "service CPU ms per step": cost.cpu_seconds["service"] * per_step,
        # By its construction: one INSERT that commits by itself.
        "write transactions per step": 1.0,
        "round trips per step": 1.0 if cost.transactions is not None else None,
    }


def throughput_rows(count: int, seconds: float, cost: Reading) -> dict[str, float | None]:
    steps = count * bed.STEPS
    cpu = cost.cpu_seconds
    workers = [used for name, used in cpu.items() if name.startswith("worker")]
    return {
        SPEED: steps / seconds,
        "executions per second": count / seconds,
        "worker CPU ms per step": sum(workers) * 1000 / steps,
        "web CPU ms per step": cpu["web"] * 1000 / steps,
        "database CPU ms per step": cpu["database"] * 1000 / steps or None,
        "service CPU ms per step": cpu["service"] * 1000 / steps,
        "busiest worker's share": max(workers) / sum(workers) if sum(workers) else None,
        "write transactions per step": _each(cost.transactions, steps),
        "round trips per step": _each(cost.round_trips, steps),
    }


def _each(total: int | None, steps: int) -> float | None:
    return None if total is None else total / steps


def latency_rows(seconds: Sequence[float]) -> dict[str, float | None]:
    shares = (0.5, 0.99)
    return {
        row: bed.percentile(seconds, share) * 1000
        for row, share in zip(LATENCIES, shares, strict=True)
    }


# --- What is printed ---

DEFINITIONS = f"""
What is measured
  no-op      five TRANSFORM steps. They leave no process: the engine decides and records all five of
             an execution in one commit, with those of its neighbours. The loop beside them inserts
             and commits each step by itself. So this compares recording, not equal durability
             points: a loop that dies loses at most one step, the hub repeats up to five no-ops.
  HTTP       five calls, one after the other, to one echo server (aiohttp, one process). The hub
             checks, records input and output, leases, recovers; the loop calls, inserts, commits.
  backlog    executions that appear in one commit, workers up and idle, until the last completed_at.
  over POST  the same started over the REST API by a client on this machine, which costs CPU too.
  accepted   how long a POST takes that only starts an execution, on an idle hub.
  end seen   from before the POST until the end can be read in the database.
  POST waits how long a POST takes that asks for the end (the hub looks every 10 ms, then less).
  loop       {bed.WORKERS} processes of threads with a blocking client; latency: one thread.
All processes, the client and the servers share this machine's cores.
"""


def tell_conditions(bench: Bench) -> None:
    options = bench.options
    say(
        f"Machine: {os.cpu_count()} cores, Python {platform.python_version()}."
        f" Hub: {bed.WORKERS} workers, web, beat. {bed.STEPS} steps each,"
        f" {bench.size(NO_OP)} no-op and {bench.size(HTTP)} other executions a stretch,"
        f" {options.rounds} rounds; loop: {bed.WORKERS} x {options.threads} threads;"
        f" {options.clients} threads POST."
    )
    say(f"Each call sends {PAYLOAD}.")


def print_figures(bench: Bench) -> None:
    say(DEFINITIONS)
    for kind in bench.urls:
        loops = tuple(loops_of(kind).values())
        say(f"{kind} steps: throughput (medians of {bench.options.rounds} rounds)")
        say("\n".join(table(bench.figures, kind, rows=ROWS, columns=(BACKLOG, POSTED, *loops))))
        say("")
        say(f"{kind} steps: latency of one execution of {bed.STEPS} on an idle hub")
        columns = (*TIMINGS, *loops)
        say("\n".join(table(bench.figures, kind, rows=LATENCIES, columns=columns)))
        say("")
        for line in ratio_lines(bench.figures, kind, loops):
            say(line)
        say("")


def ratio_lines(figures: Figures, kind: str, loops: Sequence[str]) -> Iterator[str]:
    for loop in loops:
        speed = figures.ratio(kind, SPEED, (BACKLOG, loop))
        latency = figures.ratio(kind, LATENCIES[0], (SEEN, loop))
        yield f"{kind}: hub / {loop}: {speed:.2f} x its steps per second, {latency:.1f} x its p50"


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
