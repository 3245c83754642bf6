"""A web process killed, and Redis started again, under load: what was lost is counted."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable

from benchmarks.testbed import hub as testbed
from benchmarks.web.ground import PRODUCTION, Bench, InstalledHub, names_of
from benchmarks.web.raw_calls import Answer, call_once, member
from benchmarks.web.reads import PAGE_PATH
from benchmarks.web.wrk import Request
from service_integration_client import AsyncServiceIntegrationClient, ServiceIntegrationError
from tests.support.servers import start_redis
from tests.support.waiting import until

WEB_PROCESSES, CALLERS, SERVICES = 2, 16, 50
WORKFLOW = "no-ops"
AWAY_SECONDS, WAIT_SECONDS, LATE_SECONDS = 3.0, 4, 2.0
ANSWERED = ("reads answered", "writes answered", "waits that ended well")
LOST = ("reads that failed", "writes that failed", "waits that failed", "waits that ended late")


def measure_kill_web(bench: Bench) -> None:
    """Each caller uses the client library, and starts, beats and reads in turn."""
    with bench.production(WEB_PROCESSES=str(WEB_PROCESSES)) as (hub, _):
        _prepare(hub)
        for _ in bench.rounds():
            started, counts = dict[str, str](), Counter[str]()
            killed = asyncio.run(_kill_under_load(hub, started, counts, bench.options.seconds))
            _count_starts(bench, started)
            bench.add("calls answered", counts["answered"])
            bench.add("calls that gave up", counts["gave up"])
            bench.add("web processes killed", killed)
            with contextlib.suppress(AssertionError):
                until(lambda: len(hub.web_workers()) >= WEB_PROCESSES, "all are back", seconds=15)
            missing = WEB_PROCESSES - len(hub.web_workers())
            bench.add("web processes missing at the end", missing)


def _prepare(hub: InstalledHub) -> None:
    testbed.define(hub, WORKFLOW, testbed.NO_OP)
    for name in names_of(SERVICES):
        hub.post("/registry/services", {"name": name, "url": "http://127.0.0.1:9"})


async def _kill_under_load(
    hub: InstalledHub, started: dict[str, str], counts: Counter[str], seconds: float
) -> int:
    """Note what the callers start and how their calls end; return how many processes died."""
    ending = asyncio.Event()
    async with contextlib.AsyncExitStack() as clients:
        callers = []
        for number in range(CALLERS):
            client = AsyncServiceIntegrationClient(f"{hub.url}/api", api_key=hub.keys[number])
            await clients.enter_async_context(client)
            callers.append(asyncio.create_task(_call(client, number, started, counts, ending)))
        killed = await _kill_now_and_then(hub, seconds)
        ending.set()
        await asyncio.gather(*callers)
    return killed


async def _call(
    client: AsyncServiceIntegrationClient,
    number: int,
    started: dict[str, str],
    counts: Counter[str],
    ending: asyncio.Event,
) -> None:
    """Start, beat and read until the end; note which execution each key was answered."""
    name = names_of(SERVICES)[number]

    async def start() -> None:
        key = str(uuid.uuid4())
        started[key] = ""
        result = await client.execute_workflow(
            WORKFLOW, {"key": key}, wait=False, idempotency_key=key
        )
        started[key] = result.execution_id

    calls: tuple[Callable[[], Awaitable[object]], ...] = (
        start,
        lambda: client.heartbeat(name),
        lambda: client.get_service(name),
    )
    while not ending.is_set():
        for call in calls:
            try:
                await call()
                counts["answered"] += 1
            except ServiceIntegrationError:
                counts["gave up"] += 1


async def _kill_now_and_then(hub: InstalledHub, seconds: float) -> int:
    """Kill one web process after the other, each once the last is replaced; return how many."""
    deadline, killed = time.monotonic() + seconds, 0
    await asyncio.sleep(1)
    while True:
        workers = hub.web_workers()
        if len(workers) == WEB_PROCESSES:
            os.kill(workers[killed % WEB_PROCESSES], signal.SIGKILL)
            killed += 1
        await asyncio.sleep(2)
        if time.monotonic() >= deadline:
            return killed


def _count_starts(bench: Bench, started: dict[str, str]) -> None:
    """Compare what callers were told with what is stored: one execution for each key."""
    from workflows.models import WorkflowExecution

    told = {key: execution for key, execution in started.items() if execution}
    stored = Counter(
        WorkflowExecution.objects.filter(
            workflow_name=WORKFLOW, input__key__in=list(started)
        ).values_list("input__key", flat=True)
    )
    kept = set(map(str, WorkflowExecution.objects.values_list("pk", flat=True)))
    bench.add("starts told", len(told))
    bench.add("starts lost", sum(execution not in kept for execution in told.values()))
    bench.add("starts done twice", sum(count - 1 for count in stored.values()))


# --- Redis ---


def measure_restart_redis(bench: Bench) -> None:
    """Redis is away for some seconds while services are read and executions waited for."""
    with bench.servers() as durable, contextlib.ExitStack() as ending:
        redis = ending.enter_context(contextlib.ExitStack())
        server = redis.enter_context(start_redis())
        surroundings = {**PRODUCTION, **durable.environment(), **server.environment()}
        hub = ending.enter_context(bench.hub(surroundings))
        _prepare(hub)
        step = {"id": "wait", "type": "EVENT", "event": "go", "timeout": 3600}
        hub.post("/workflows", {"name": "waiting", "steps": [step]})
        for _ in bench.rounds():

            async def restart() -> None:
                await asyncio.to_thread(redis.close)
                await asyncio.sleep(AWAY_SECONDS)
                await asyncio.to_thread(redis.enter_context, start_redis(server.port))

            asyncio.run(_use_without_redis(bench, hub, restart))


async def _use_without_redis(
    bench: Bench, hub: InstalledHub, restart: Callable[[], Awaitable[None]]
) -> None:
    ending, counts = asyncio.Event(), Counter[str]()
    tasks = [asyncio.create_task(_read(hub, counts, ending)) for _ in range(CALLERS // 2)]
    tasks += [asyncio.create_task(_wait(hub, counts, ending)) for _ in range(CALLERS // 2)]
    await asyncio.sleep(1)
    await restart()
    await asyncio.sleep(max(bench.options.seconds, WAIT_SECONDS + LATE_SECONDS))
    ending.set()
    await asyncio.gather(*tasks)
    for what in (*ANSWERED, *LOST):
        bench.add(what, counts[what])


async def _read(hub: InstalledHub, counts: Counter[str], ending: asyncio.Event) -> None:
    request = Request("GET", f"/api{PAGE_PATH}", hub.keys[0])
    while not ending.is_set():
        answer = await call_once(hub.url, request, seconds=10)
        counts["reads answered" if answer.status == 200 else "reads that failed"] += 1
        await asyncio.sleep(0.02)


async def _wait(hub: InstalledHub, counts: Counter[str], ending: asyncio.Event) -> None:
    """Start one that waits for a signal, and wait; every second time it is signalled meanwhile."""

    async def write(path: str, body: str) -> Answer:
        request = Request("POST", path, hub.keys[1], body)
        answer = await call_once(hub.url, request, seconds=10)
        counts["writes answered" if answer.status // 100 == 2 else "writes that failed"] += 1
        return answer

    for number in itertools.count():
        if ending.is_set():
            return
        started = await write("/api/workflows/waiting/execute", '{"input_data": {}}')
        path = f"/api/executions/{member(started, 'id')}"
        wait = Request("GET", f"{path}?wait={WAIT_SECONDS}", hub.keys[1])
        waiting = asyncio.create_task(call_once(hub.url, wait, seconds=30))
        await asyncio.sleep(1)
        due, expected = time.time() + WAIT_SECONDS - 1, "WAITING"
        if number % 2 == 0:
            await write(f"{path}/signal", '{"name": "go"}')
            due, expected = time.time(), "COMPLETED"
        answer = await waiting
        counts["waits that ended well"] += member(answer, "status") == expected
        counts["waits that failed"] += member(answer, "status") != expected
        counts["waits that ended late"] += answer.began_at > due + LATE_SECONDS
