"""Prints the benchmark: conditions, definitions, tables, ratios; as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence

from benchmarks.testbed.chain import PAYLOAD, STEPS
from benchmarks.testbed.hub import WORKERS
from benchmarks.testbed.peers import CELERY_POOL, DBOS_THREADS
from benchmarks.testbed.report import table
from benchmarks.testbed.rounds import (
    BACKLOG,
    END_HEARD,
    HTTP,
    LATENCIES,
    NO_OP,
    POSTED,
    ROWS,
    SPEED,
    TIMINGS,
    Bench,
    loops_of,
    over_post,
)

DEFINITIONS = f"""
What is measured

- no-op: five TRANSFORM steps. They leave no process: the engine decides and records all five of an
  execution in one commit, with those of its neighbours. The others record each step by itself. So
  this compares recording, not equal durability points: the hub that dies repeats up to five no-ops.
- HTTP: five calls, one after the other, to one echo server (aiohttp, one process). The hub checks,
  records input and output, leases, recovers; the loop calls, inserts, commits.
- backlog: executions that appear in one commit, workers up and idle, until the last completed_at.
- over POST: the same started over the REST API by a client on this machine, which costs CPU too.
- accepted: how long a POST takes that only starts an execution, on an idle hub.
- end told: from before the POST until this process hears over Redis that it ended (with SQLite:
  finds it in the database, looking every millisecond).
- POST waits: how long a POST takes that asks for the end.
- loop: {WORKERS} processes of threads with a blocking client; latency: one thread.
- DBOS: {WORKERS} processes of {DBOS_THREADS} threads; a workflow of five steps, started in
  the process that runs it, without a POST or a queue; recorded in the same PostgreSQL.
- Celery: {WORKERS} processes (`--pool {CELERY_POOL}`); a chain of five tasks in the same Redis,
  sent before the time begins; nothing is on disk. Latency: from sending it to reading its result.
- Celery, over POST: the same, sent by one view of Django REST framework behind gunicorn, which
  checks a token in PostgreSQL. From before the POST to reading the result, as "end told".

All processes, the clients and the servers share this machine's cores.
"""


def print_conditions(bench: Bench) -> None:
    options = bench.options
    say(
        f"Machine: {os.cpu_count()} cores, Python {platform.python_version()}."
        f" Hub: {WORKERS} workers, web, beat. {STEPS} steps each,"
        f" {bench.size(NO_OP)} no-op and {bench.size(HTTP)} other executions a stretch,"
        f" {options.rounds} rounds; loop: {WORKERS} x {options.threads} threads;"
        f" {options.clients} threads POST."
    )
    say(f"Each call sends {PAYLOAD}.")


def print_figures(bench: Bench) -> None:
    say(DEFINITIONS)
    peers = [peer.column for peer in bench.peers]
    for kind in bench.urls:
        others = (*loops_of(kind).values(), *peers)
        say(f"**{kind} steps: throughput** (medians of {bench.options.rounds} rounds)\n")
        say("\n".join(table(bench.figures, kind, rows=ROWS, columns=(BACKLOG, POSTED, *others))))
        say(f"\n**{kind} steps: latency of one execution of {STEPS} when idle**\n")
        columns = (*TIMINGS, *others, *map(over_post, bench.peers))
        say("\n".join(table(bench.figures, kind, rows=LATENCIES, columns=columns)))
        say("")
        for line in ratio_lines(bench, kind, others):
            say(line)
        say("")


def ratio_lines(bench: Bench, kind: str, others: Sequence[str]) -> Iterator[str]:
    for other in others:
        speed = bench.figures.ratio(kind, SPEED, (BACKLOG, other))
        latency = bench.figures.ratio(kind, LATENCIES[0], (END_HEARD, other))
        yield f"- {kind}: hub / {other}: {speed:.2f} x its steps/s, {latency:.2f} x its p50"
    for other in map(over_post, bench.peers):
        latency = bench.figures.ratio(kind, LATENCIES[0], (END_HEARD, other))
        if latency is not None:
            yield f"- {kind}: hub / {other}: {latency:.2f} x its p50"


def say(text: str) -> None:
    print(text, flush=True)
