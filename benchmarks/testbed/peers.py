"""The peers that run the same chains: DBOS on PostgreSQL and Celery on Redis.

Both have two worker processes and call with `http.client` over kept connections, the leanest client
that there is for Python. Celery has a web process too, which takes POSTs as the hub's does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx2
import redis

from benchmarks.testbed.chain import PAYLOAD, Stretch, merge_stretches, split_evenly
from benchmarks.testbed.hub import listens
from benchmarks.testbed.servers import Durable
from tests.support.servers import ending_with_this, free_port
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
PROCESSES = 2
# The fastest of 1, 2, 4, 8, 16 and 32.
DBOS_THREADS = 8
DBOS_DATABASE = "dbos_peer"
CELERY_DATABASE = "celery_peer"  # for the tokens of what takes its POSTs
BROKER, RESULTS = 4, 5  # numbered databases of Redis that the hub does not use
QUEUE = "celery"
# Solo was faster than threads and prefork with these tasks, which end before another could begin.
CELERY_POOL = "solo"
CELERY_WORKER = (
    f"--quiet -A benchmarks.testbed.celery_app worker --pool {CELERY_POOL} --loglevel error"
    " --without-gossip --without-mingle --without-heartbeat"
)
PATIENCE_SECONDS = 300


class Peer(Protocol):
    """Something that runs chains of five steps; an empty `url` calls nothing."""

    column: str
    pids: Sequence[int]

    def run_many(self, url: str, chains: int) -> Stretch:
        """Run all at once, as fast as it can."""

    def run_singly(self, url: str, chains: int) -> Stretch:
        """Run one after the other, each timed from its start to its end."""

    def run_posted(self, url: str, chains: int) -> Stretch | None:
        """Do the same, each timed from a POST that starts it; None where nothing takes a POST."""


def spawn(command: Sequence[str], **more: Any) -> subprocess.Popen[str]:
    """Start a process of a peer; it ends with this one."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        text=True,
        stderr=subprocess.DEVNULL,
        preexec_fn=ending_with_this(signal.SIGKILL),
        **more,
    )


def stop_all(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


# --- DBOS ---


class Dbos:
    """Workflows of DBOS, started in the process that runs them, without a queue in between."""

    column = "DBOS"

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes
        self.pids: Sequence[int] = [process.pid for process in processes]

    def run_many(self, url: str, chains: int) -> Stretch:
        return self._run(url, chains, self._processes, threads=DBOS_THREADS)

    def run_singly(self, url: str, chains: int) -> Stretch:
        return self._run(url, chains, self._processes[:1], threads=1)

    def run_posted(self, url: str, chains: int) -> None:
        """Nothing: from outside, its workflows are started over a queue that is polled."""

    @staticmethod
    def _run(
        url: str, chains: int, processes: Sequence[subprocess.Popen[str]], *, threads: int
    ) -> Stretch:
        for process, share in zip(processes, split_evenly(chains, len(processes)), strict=True):
            send_job(process, {"url": url, "chains": share, "threads": threads})
        return merge_stretches(Stretch(**read_answer(process)) for process in processes)


@contextlib.contextmanager
def running_dbos(python: Path, durable: Durable) -> Iterator[Dbos]:
    """Run two processes of it on a database of their own in the same server."""
    durable.server.create_database(DBOS_DATABASE)
    server = durable.server
    address = f"postgresql://{server.user}@{server.host}:{server.port}/{DBOS_DATABASE}"
    processes: list[subprocess.Popen[str]] = []
    try:
        for number in range(PROCESSES):
            command = [
                str(python),
                "-m",
                "benchmarks.testbed.dbos_worker",
                address,
                f"peer-{number}",
            ]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            processes.append(spawn(command, **pipes))
            read_answer(processes[-1])
        yield Dbos(processes)
    finally:
        stop_all(processes)


def send_job(process: subprocess.Popen[str], job: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()


def read_answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the next answer, over lines that a library prints itself."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            answer: dict[str, Any] = json.loads(line)
            return answer
    raise RuntimeError("a peer's process ended")


# --- Celery ---


class Celery:
    """Chains of Celery's; the end is the last task's result in Redis."""

    column = "Celery"

    def __init__(self, pids: Sequence[int], results: redis.Redis, front: httpx2.Client) -> None:
        self.pids = pids
        self._results = results
        self._front = front

    def run_many(self, url: str, chains: int) -> Stretch:
        """The workers begin once all chains are in the queue, as the hub's do."""
        from benchmarks.testbed.celery_app import app, make_chain

        self._results.flushdb()
        app.control.cancel_consumer(QUEUE, reply=True, limit=PROCESSES, timeout=10)
        for _ in range(chains):
            make_chain(PAYLOAD, url).apply_async()
        began = time.time()
        app.control.add_consumer(QUEUE)
        self._wait_for(chains)
        return Stretch(began, time.time(), 0.0, ())

    def _wait_for(self, chains: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (ended := self._results.dbsize()) < chains:
            assert time.monotonic() < deadline, f"{ended} of {chains} chains ended"
            time.sleep(0.005)

    def run_singly(self, url: str, chains: int) -> Stretch:
        from benchmarks.testbed.celery_app import make_chain

        return self._time_singly(chains, lambda: make_chain(PAYLOAD, url).apply_async())

    def run_posted(self, url: str, chains: int) -> Stretch:
        from benchmarks.testbed.celery_app import app

        return self._time_singly(chains, lambda: app.AsyncResult(self._post(url)))

    def _post(self, url: str) -> str:
        answer = self._front.post("/chains", json={"value": PAYLOAD, "url": url})
        answer.raise_for_status()
        return str(answer.json()["id"])

    @staticmethod
    def _time_singly(chains: int, start: Callable[[], Any]) -> Stretch:
        seconds, began = [], time.time()
        for _ in range(chains):
            before = time.perf_counter()
            start().get(timeout=PATIENCE_SECONDS)
            seconds.append(time.perf_counter() - before)
        return Stretch(began, time.time(), 0.0, tuple(seconds))


@contextlib.contextmanager
def running_celery(durable: Durable) -> Iterator[Celery]:
    """Run two worker processes on databases of their own in the same Redis."""
    server = durable.redis
    os.environ["PEER_BROKER"] = f"redis://{server.host}:{server.port}/{BROKER}"
    os.environ["PEER_RESULTS"] = f"redis://{server.host}:{server.port}/{RESULTS}"
    from benchmarks.testbed.celery_app import app

    command = [sys.executable, "-m", "celery", *CELERY_WORKER.split()]
    processes = [spawn([*command, "-n", f"peer-{n}@bench"]) for n in range(PROCESSES)]
    try:
        deadline = time.monotonic() + 60
        while len(app.control.ping(timeout=0.5) or ()) < PROCESSES:
            assert time.monotonic() < deadline, "Celery's workers did not start"
        results = redis.Redis(server.host, server.port, db=RESULTS)
        with _running_front(durable) as front:
            yield Celery([process.pid for process in processes], results, front)
    finally:
        stop_all(processes)


@contextlib.contextmanager
def _running_front(durable: Durable) -> Iterator[httpx2.Client]:
    """Run a web process that takes POSTs for chains; yield a client of it."""
    durable.server.create_database(CELERY_DATABASE)
    os.environ["PEER_DATABASE"] = durable.server.dsn(CELERY_DATABASE)
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.testbed.celery_web", str(port)]
    process = spawn(command, stdout=subprocess.PIPE)
    try:
        headers = {"Authorization": f"Token {read_answer(process)['token']}"}
        until(lambda: listens(port), "the front of Celery answers")
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            yield client
    finally:
        stop_all([process])
