"""A real hub (web, two workers, beat), its workflows, and how executions are put on it and timed.

The functions that import Django's models work once `use_database_of` has set Django up.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import redis

from benchmarks.bed.chain import PAYLOAD, STEPS
from benchmarks.bed.servers import OBSERVER
from tests.support.real_hub import Hub, running_hub, until
from tests.support.servers import free_port

WORKERS = 2
SETTINGS = ("POSTGRES_", "REDIS_", "DATABASE_URL", "SERVICE_", "ENGINE_", "CALL_")
PATIENCE_SECONDS = 600


@contextlib.contextmanager
def running_bed(servers: Mapping[str, str]) -> Iterator[tuple[Hub, list[int]]]:
    """A hub on these servers (none: SQLite and the file broker), and its two workers' ids."""
    # The tests' short lease is for their kills; here it is the default.
    surroundings = {**servers, "ENGINE_LEASE_SECONDS": "15"}
    with (
        tempfile.TemporaryDirectory(prefix="si-bench-", ignore_cleanup_errors=True) as name,
        running_hub(Path(name), surroundings) as hub,
    ):
        workers = [hub.worker.pid, hub.start_worker().pid]
        use_database_of(hub)
        until(lambda: count_workers() == WORKERS, "the workers show themselves", tail=hub.tail)
        yield hub, workers


def use_database_of(hub: Hub) -> None:
    """Set Django up in this process on the hub's database, broker and keys."""
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        del os.environ[name]
    os.environ.update(hub.environment)
    if "POSTGRES_HOST" in hub.environment:
        os.environ["POSTGRES_USER"] = OBSERVER
    os.environ["DJANGO_SETTINGS_MODULE"] = "integration_site.settings"
    import django

    django.setup()


def count_workers() -> int:
    from workflows.models import Worker

    return Worker.objects.count()


# --- Services and workflows ---


def start_echo(hub: Hub) -> tuple[str, int]:
    """Start the echo service and register it; its URL and its process."""
    port = free_port()
    process = hub.run(f"{Path(sys.executable).name} -m benchmarks.bed.echo {port}")
    url = f"http://127.0.0.1:{port}"
    until(lambda: listens(port), "the echo service answers", tail=hub.tail)
    actions = [{"name": "echo", "path": "/echo"}]
    hub.post("/services", {"name": "echo", "url": url, "ttl_seconds": 86400, "actions": actions})
    return f"{url}/echo", process.pid


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False


def start_sentiment(hub: Hub) -> tuple[str, int]:
    """Start the reference service for sentiment, which registers itself; its URL and process."""
    port, data = free_port(), hub.directory / "services"
    process = hub.run(
        f"{Path(sys.executable).name} -m reference_services sentiment-analysis --port {port}"
        f" --data-dir {data} --hub {hub.url}/api --api-key {hub.key}"
    )
    until(lambda: hub.get("/discovery/services")["total"] == 2, "it registers", tail=hub.tail)
    return f"http://127.0.0.1:{port}/analyze", process.pid


def define(hub: Hub, name: str, step: Mapping[str, Any]) -> None:
    """A workflow of five equal steps, one after the other."""
    ids = [f"step-{number}" for number in range(STEPS)]
    steps = [
        {**step, "id": key, "next": following}
        for key, following in zip(ids, [*ids[1:], None], strict=True)
    ]
    hub.post("/workflows", {"name": name, "steps": steps})


NO_OP: Mapping[str, Any] = {"type": "TRANSFORM", "output": {"done": True}}
ECHO: Mapping[str, Any] = {"service": "echo", "action": "echo", "input": PAYLOAD}
SENTIMENT: Mapping[str, Any] = {
    "service": "sentiment-analysis",
    "action": "analyze",
    "input": PAYLOAD,
}


# --- Executions ---


def insert_executions(workflow: str, count: int) -> list[str]:
    """Insert executions as the API does, without HTTP. The caller's transaction makes them one."""
    from workflows import services

    found = services.get_workflow(workflow)
    start = services.Start(input={}, context={})
    return [str(services.start_execution(found, start).execution.pk) for _ in range(count)]


def post_executions(hub: Hub, workflow: str, count: int, threads: int) -> list[str]:
    """Start executions over the REST API from several threads of this process."""
    # Connections of its own: the web server closes those that were idle since the last stretch.
    with fresh_client(hub) as client, ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda _: post_execution(client, workflow)["id"], range(count)))


def fresh_client(hub: Hub) -> httpx2.Client:
    return httpx2.Client(base_url=hub.api.base_url, headers=hub.api.headers, timeout=70)


def post_execution(client: httpx2.Client, workflow: str, **more: Any) -> dict[str, Any]:
    answer = client.post(f"/workflows/{workflow}/execute", json={"input_data": {}, **more})
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def wait_for_all(hub: Hub, ids: Collection[str]) -> float:
    """Wait until they are all COMPLETED, each step once; when the last one was."""
    from django.db.models import Max

    from workflows.models import WorkflowExecution, WorkflowStep

    executions = WorkflowExecution.objects.filter(id__in=list(ids))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (open_ones := executions.filter(completed_at__isnull=True).count()) > 0:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{open_ones} executions did not end.\n{hub.tail()}")
        time.sleep(0.05)
    done = executions.filter(status="COMPLETED").count()
    steps = WorkflowStep.objects.filter(execution__in=list(ids), status="COMPLETED").count()
    if done != len(ids) or steps != STEPS * len(ids):
        raise RuntimeError(f"{done} of {len(ids)} completed with {steps} steps.\n{hub.tail()}")
    last = executions.aggregate(last=Max("completed_at"))["last"]
    return float(last.timestamp())


class Ends:
    """Hears of the ends of executions over Redis, as callers that wait do; else looks for them.

    A process that looks at the database every millisecond takes a core from what it measures.
    """

    def __init__(self, hub: Hub) -> None:
        self._heard: Any = None
        if url := hub.environment.get("REDIS_URL"):
            from workflows.engine.ready_queue import ENDED

            self._heard = redis.Redis.from_url(url).pubsub()
            self._heard.subscribe(ENDED)
            assert self._heard.get_message(timeout=5), "Redis does not confirm"

    def wait(self, executions: Collection[str]) -> set[str]:
        """Return as soon as some of these are heard to have ended; which."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (ended := self._look(executions)):
            assert time.monotonic() < deadline, f"none of the executions {executions} ended"
        return ended

    def _look(self, executions: Collection[str]) -> set[str]:
        if self._heard is not None:
            message = self._heard.get_message(timeout=1)
            return set() if message is None else set(json.loads(message["data"])) & set(executions)
        from workflows.models import WorkflowExecution

        time.sleep(0.001)
        found = WorkflowExecution.objects.filter(pk__in=executions, completed_at__isnull=False)
        return {str(key) for key in found.values_list("pk", flat=True)}


def time_until_accepted(client: httpx2.Client, ends: Ends, workflow: str) -> float:
    """Seconds that a POST takes which only starts an execution; returns when that has ended too."""
    before = time.perf_counter()
    started = post_execution(client, workflow)
    seconds = time.perf_counter() - before
    ends.wait([started["id"]])
    return seconds


def time_until_told(client: httpx2.Client, ends: Ends, workflow: str) -> float:
    """Seconds from before a POST until this process hears of the end."""
    before = time.perf_counter()
    ends.wait([post_execution(client, workflow)["id"]])
    return time.perf_counter() - before


def time_until_answered(client: httpx2.Client, _: Ends, workflow: str) -> float:
    """Seconds that a POST takes which asks to wait for the end."""
    before = time.perf_counter()
    ended = post_execution(client, workflow, wait=30)
    assert ended["status"] == "COMPLETED", ended
    return time.perf_counter() - before


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
