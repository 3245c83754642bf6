"""The plain loop that the hub is compared with: it calls and commits one row per step.

Some processes with some threads each; a thread takes a chain and does its steps one after the
other: call with a blocking client, insert the row, commit. No retry, no lease, no recovery: what
this loop was doing when it dies is lost.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import httpx2
import psycopg

from benchmarks.testbed.chain import (
    PAYLOAD,
    Call,
    Stretch,
    merge_stretches,
    open_connection,
    split_evenly,
)

CLIENTS = ("httpx2", "http.client")
CREATE = (
    "CREATE TABLE IF NOT EXISTS plain_step (id uuid PRIMARY KEY, execution_id uuid NOT NULL,"
    " step text NOT NULL, status text NOT NULL, input jsonb, output jsonb,"
    " completed_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)
INSERT = (
    "INSERT INTO plain_step (id, execution_id, step, status, input, output)"
    " VALUES (?, ?, ?, 'COMPLETED', ?, ?)"
)

Record = Callable[[Sequence[str]], object]


@dataclass(frozen=True)
class Job:
    """One process's share. An empty `url` calls nothing; `database` is a DSN or a SQLite file."""

    database: str
    url: str
    client: str
    chains: int
    steps: int
    threads: int


class Plain:
    """Loops in processes of their own, kept for the next job."""

    def __init__(self, processes: int) -> None:
        context = get_context("spawn")
        self._processes = [ProcessPoolExecutor(1, context) for _ in range(processes)]

    def run(self, job: Job, *, processes: int | None = None) -> Stretch:
        """Do `job.chains` chains in all, spread over the processes or the first few of them."""
        used = self._processes[:processes]
        shares = split_evenly(job.chains, len(used))
        started = [
            pool.submit(run_share, Job(**{**job.__dict__, "chains": share}))
            for pool, share in zip(used, shares, strict=True)
            if share
        ]
        return merge_stretches(future.result() for future in started)

    def stop(self) -> None:
        for pool in self._processes:
            pool.shutdown()


def create_table(database: str) -> None:
    if "=" not in database:
        with sqlite3.connect(database, timeout=10) as connection:
            connection.execute(CREATE)
        return
    with psycopg.connect(database) as connection:
        connection.execute(CREATE)


def run_share(job: Job) -> Stretch:
    """Do one process's part: connections are open before the time starts to count."""
    workers = min(job.threads, job.chains)
    shared = open_httpx2(job) if job.client == "httpx2" else None
    tools = [(open_client(job, shared), open_database(job.database)) for _ in range(workers)]
    waiting, lock = iter(range(job.chains)), threading.Lock()
    seconds: list[float] = []

    def work(tool: tuple[Call, Record]) -> None:
        while True:
            with lock:
                if next(waiting, None) is None:
                    return
            before = time.perf_counter()
            run_chain(*tool, job.steps)
            seconds.append(time.perf_counter() - before)

    with ThreadPoolExecutor(workers) as threads:
        cpu, began = time.process_time(), time.time()
        list(threads.map(work, tools))
        ended = time.time()
    return Stretch(began, ended, time.process_time() - cpu, tuple(seconds))


def run_chain(call: Call, record: Record, steps: int) -> None:
    execution = str(uuid.uuid4())
    for number in range(steps):
        sent = json.dumps(PAYLOAD)
        answer = json.dumps(json.loads(call(sent)))
        record((str(uuid.uuid4()), execution, f"step-{number}", sent, answer))


def open_httpx2(job: Job) -> httpx2.Client:
    limits = httpx2.Limits(max_keepalive_connections=job.threads)
    return httpx2.Client(limits=limits, timeout=30, trust_env=False)


def open_client(job: Job, shared: httpx2.Client | None) -> Call:
    """Return a function that posts a JSON text and returns the answer's."""
    headers = {"Content-Type": "application/json"}
    if not job.url:
        return str
    if shared is not None:
        return lambda body: shared.post(job.url, content=body, headers=headers).text
    return open_connection(job.url)


def open_database(database: str) -> Record:
    """Return a function that inserts one row and commits it."""
    if "=" in database:
        server = psycopg.connect(database, autocommit=True)
        return lambda row: server.execute(INSERT.replace("?", "%s"), row)
    file = sqlite3.connect(database, timeout=10, isolation_level=None, check_same_thread=False)
    file.execute("PRAGMA synchronous=NORMAL")
    return lambda row: file.execute(INSERT, row)
