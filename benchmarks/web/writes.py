"""Heartbeats, registrations, and executions that are started over POST."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.testbed import hub as testbed
from benchmarks.testbed.chain import STEPS
from benchmarks.testbed.hub import backlog_speed, percentile
from benchmarks.testbed.peers import Celery, running_celery
from benchmarks.web import wrk
from benchmarks.web.floors import BareLoop
from benchmarks.web.ground import Bench, InstalledHub, fill, names_of
from benchmarks.web.reads import SERVICES, heartbeats_of
from benchmarks.web.targets import (
    ACCEPTED,
    BACKLOG,
    BARE_CHAIN,
    CHAIN,
    FAILED,
    HEARTBEATS,
    POST_TO_END,
    POSTED,
    SETEX,
    UPDATES,
)
from benchmarks.web.wrk import Request

CALLERS = 32
WORKFLOW = "http-steps"
REGISTRATION = (
    '{"name": "new-{n}", "url": "http://10.1.0.1:9000", "type": "CUSTOM", "version": "1.0.0",'
    ' "tags": ["new"], "metadata": {"team": "supply"}, "actions": [{"name": "act"}]}'
)


# --- Heartbeats ---


def measure_heartbeats(bench: Bench) -> None:
    with bench.production() as (hub, durable):
        _measure_beside_loop(bench, hub, durable.server.dsn("bench"), UPDATES)


def measure_heartbeats_redis(bench: Bench) -> None:
    with bench.production(SERVICE_DISCOVERY_BACKEND="redis") as (hub, durable):
        _measure_beside_loop(bench, hub, f"{durable.redis.environment(9)['REDIS_URL']}", SETEX)


def _measure_beside_loop(bench: Bench, hub: InstalledHub, server: str, floor: str) -> None:
    from registry.models import ServiceInstance

    names = names_of(SERVICES)
    fill(hub, names)
    requests = heartbeats_of(hub, names)
    loop = BareLoop(
        server, [str(key) for key in ServiceInstance.objects.values_list("pk", flat=True)], CALLERS
    )
    # The first heartbeat of each says that it beats at all, which is stored.
    wrk.send(hub.url, requests, callers=CALLERS, seconds=bench.options.seconds)
    try:
        for _ in bench.rounds():
            bench.add(floor, loop.rate(bench.options.seconds))
            bench.load(HEARTBEATS, hub.url, requests, callers=CALLERS)
    finally:
        loop.stop()


# --- Registrations ---


def measure_registrations(bench: Bench) -> None:
    with bench.production() as (hub, _):
        fill(hub, names_of(SERVICES))
        requests = hub.requests("POST", ["/registry/services"], REGISTRATION)
        for _ in bench.rounds():
            bench.load("new services", hub.url, requests, callers=8)


# --- Executions ---


def measure_starts(bench: Bench) -> None:
    """Backlog, POSTs of 32 callers, and one at a time on an idle hub beside Celery's chain."""
    with bench.production() as (hub, durable), running_celery(durable) as celery:
        url, _ = testbed.start_echo(hub)
        testbed.define(hub, WORKFLOW, testbed.ECHO)
        testbed.wait_for_all(hub, testbed.post_executions(hub, WORKFLOW, 20, 8))
        celery.run_many(url, 8)
        requests = hub.requests("POST", [f"/workflows/{WORKFLOW}/execute"], '{"input_data": {}}')
        for _ in bench.rounds():
            bench.add(BACKLOG, backlog_speed(hub, WORKFLOW, bench.options.backlog))
            _measure_posted(bench, hub, requests)
            _measure_idle(bench, hub, celery, url)


def _measure_posted(bench: Bench, hub: InstalledHub, requests: list[Request]) -> None:
    """From the first POST to the end of the last execution that any of them started."""
    from django.utils import timezone

    from workflows.models import WorkflowExecution

    started_at, began = timezone.now(), time.time()
    load = wrk.send(hub.url, requests, callers=CALLERS, seconds=bench.options.seconds)
    own = WorkflowExecution.objects.filter(workflow_name=WORKFLOW, created_at__gte=started_at)
    ids = [str(key) for key in own.values_list("pk", flat=True)]
    bench.add("starts accepted, a second", load.rate)
    bench.add("starts accepted, p99 ms", load.p99_ms)
    bench.add(f"starts, {FAILED}", load.failed)
    bench.add(POSTED, len(ids) * STEPS / (testbed.wait_for_all(hub, ids) - began))


def _measure_idle(bench: Bench, hub: InstalledHub, celery: Celery, url: str) -> None:
    count, ends = bench.options.latencies, testbed.EndEvents(hub)
    with testbed.fresh_client(hub) as api:
        accepted = [testbed.time_until_accepted(api, ends, WORKFLOW) for _ in range(count)]
        told = [testbed.time_until_told(api, ends, WORKFLOW) for _ in range(count)]
        waited = [testbed.time_until_answered(api, ends, WORKFLOW) for _ in range(count)]
    bench.add(ACCEPTED, median(accepted) * 1000)
    bench.add(POST_TO_END, median(told) * 1000)
    bench.add("POST until end, p99 ms", percentile(told, 0.99) * 1000)
    bench.add("POST that waits for the end, p50 ms", median(waited) * 1000)
    posted = celery.run_posted(url, count)
    bench.add(CHAIN, median(posted.chain_seconds) * 1000)
    bench.add(BARE_CHAIN, median(celery.run_singly(url, count).chain_seconds) * 1000)
