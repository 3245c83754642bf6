"""Thousands who wait, peers that hold the hub up, and a hub with nothing to do."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import uvloop

from benchmarks.slow_peers import allow_many_connections
from benchmarks.testbed.hub import percentile
from benchmarks.web.ground import (
    KEYS,
    PRODUCTION,
    TYPES,
    Bench,
    InstalledHub,
    fill,
    megabytes,
    names_of,
    sample,
)
from benchmarks.web.raw_calls import RawCall, call_once, member, start_calls
from benchmarks.web.reads import PAGE_PATH, SERVICES, heartbeats_of
from benchmarks.web.targets import ALIVE, HEARTBEATS, p99
from benchmarks.web.wrk import Request
from tests.support.servers import ending_with_this

WAITERS, WAIT_SECONDS = 2_000, 60
SETTLE_SECONDS, PATIENCE_SECONDS = 5.0, 75.0
IDLE_SECONDS, CALM_SECONDS = 30.0, 15.0
ASKED_EACH = 0.02


# --- Those who wait ---


def measure_waiters(bench: Bench) -> None:
    """One web process; in each round one end wakes all reads, and one change all watches."""
    allow_many_connections()
    with bench.production(WEB_PROCESSES="1") as (hub, _):
        names = names_of(SERVICES)
        fill(hub, names)
        step = {"id": "wait", "type": "EVENT", "event": "go", "timeout": 3600}
        hub.post("/workflows", {"name": "waiting", "steps": [step]})
        beats = heartbeats_of(hub, names)
        for _ in bench.rounds():
            uvloop.run(_wait_and_wake(bench, hub, beats))


async def _wait_and_wake(bench: Bench, hub: InstalledHub, beats: Sequence[Request]) -> None:
    execution = hub.post("/workflows/waiting/execute", {"input_data": {}})["id"]
    index = hub.get("/discovery/watch")["index"]
    count = bench.options.waiters
    reads = await start_calls(
        hub.url, _in_turn(hub, f"/executions/{execution}?wait={WAIT_SECONDS}", count)
    )
    watches = await start_calls(
        hub.url, _in_turn(hub, f"/discovery/watch?index={index}&wait={WAIT_SECONDS}", count)
    )
    await asyncio.sleep(SETTLE_SECONDS)
    await asyncio.to_thread(bench.load, HEARTBEATS, hub.url, beats)
    bench.add("MB of the web process", megabytes(hub.web_tree()))
    bench.add("waits that did not wait", sum(call.ended.done() for call in reads + watches))
    await asyncio.to_thread(hub.post, f"/executions/{execution}/signal", {"name": "go"})
    ended = await asyncio.to_thread(hub.get, f"/executions/{execution}", wait=10)
    took = await _last_answer(reads, _instant(ended["completed_at"]), ("status", "COMPLETED"))
    bench.add("waiting reads, ms from the end to the last answer", took)
    changed_at = time.time()
    body = {"name": "touched", "tags": [f"at {changed_at}"]}
    await asyncio.to_thread(hub.post, "/registry/services", body)
    took = await _last_answer(watches, changed_at, ("changed", True))
    bench.add("watches, ms from the change to the last answer", took)


def _in_turn(hub: InstalledHub, path: str, count: int) -> list[Request]:
    return [Request("GET", f"/api{path}", hub.keys[n % KEYS]) for n in range(count)]


async def _last_answer(
    calls: Sequence[RawCall], since: float, expected: tuple[str, object]
) -> float:
    """Return the milliseconds from then to the last answer; infinite where one is another."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            answers = await asyncio.gather(*(call.ended for call in calls))
    except TimeoutError:
        return float("inf")
    if any(member(answer, expected[0]) != expected[1] for answer in answers):
        return float("inf")
    return (max(answer.began_at for answer in answers) - since) * 1000


def _instant(text: str) -> float:
    from django.utils.dateparse import parse_datetime

    moment = parse_datetime(text)
    assert moment, text
    return moment.timestamp()


# --- Slow peers ---


def measure_slow_peers(bench: Bench) -> None:
    allow_many_connections()
    with bench.servers() as durable, bench.hub({**PRODUCTION, **durable.environment()}) as hub:
        _measure_held_up(bench, hub, "PostgreSQL")
    with bench.hub({}) as hub:
        _measure_held_up(bench, hub, "embedded")


def _measure_held_up(bench: Bench, hub: InstalledHub, where: str) -> None:
    name = "beating"
    hub.post("/registry/services", {"name": name, "url": "http://127.0.0.1:9"})
    asked = {
        f"{ALIVE}, {where}": Request("GET", ALIVE),
        f"a heartbeat, {where}": Request(
            "POST", f"/api/registry/services/{name}/heartbeat", hub.keys[0], "{}"
        ),
    }
    with slow_peers(bench, hub):
        for _ in bench.rounds():
            for subject, taken in uvloop.run(_ask(hub.url, asked, bench.options.seconds)).items():
                bench.add(p99(subject), percentile(taken, 0.99) * 1000)


@contextlib.contextmanager
def slow_peers(bench: Bench, hub: InstalledHub) -> Iterator[None]:
    """Have the script hold the hub up, with all its peers there, while the block runs."""
    command = [sys.executable, "-u", "-m", "benchmarks.slow_peers", hub.url, "--key", hub.key]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, preexec_fn=ending_with_this(signal.SIGKILL)
    )
    try:
        assert process.stdout
        bench.say(process.stdout.readline().strip())
        yield
        assert process.poll() is None, "the slow peers ended"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=30)
            bench.say((rest.splitlines() or [""])[-1])
        except subprocess.TimeoutExpired:
            process.kill()


async def _ask(
    url: str, asked: Mapping[str, Request], seconds: float
) -> Mapping[str, Sequence[float]]:
    """Return the seconds of each answer, asked for one by one over new connections.

    What was refused, or not answered in ten seconds, has taken ten.
    """
    until = time.monotonic() + seconds

    async def ask(request: Request) -> list[float]:
        taken = []
        while time.monotonic() < until:
            answer = await call_once(url, request, seconds=10)
            taken.append(answer.seconds if answer.status == 200 else 10.0)
            await asyncio.sleep(ASKED_EACH)
        return taken

    taken = await asyncio.gather(*(ask(request) for request in asked.values()))
    return dict(zip(asked, taken, strict=True))


# --- Nothing to do ---


def measure_idle(bench: Bench) -> None:
    """Supervisor, web, worker and beat with 1,000 services that nobody asks about."""
    with bench.production() as (hub, _):
        fill(hub, names_of(SERVICES), types=TYPES)
        sample(hub, PAGE_PATH)
        time.sleep(min(CALM_SECONDS, bench.options.idle_seconds))
        for _ in bench.rounds():
            before, began = hub.cpu_seconds(), time.monotonic()
            time.sleep(bench.options.idle_seconds)
            used, seconds = hub.cpu_seconds() - before, time.monotonic() - began
            bench.add("% of a core", used / seconds * 100)
            bench.add("MB of all processes", megabytes(hub.all_processes()))
