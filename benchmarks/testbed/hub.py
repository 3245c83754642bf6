"""A real hub (web, two workers, beat), its workflows, and how executions are put on it and timed.

The functions that import Django's models work once `use_database_of` has set Django up.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.testbed.chain import PAYLOAD, STEPS
from benchmarks.testbed.django_setup import set_up_django
from benchmarks.testbed.servers import OBSERVER
from tests.support.real_hub import Hub, running_hub
from tests.support.servers import free_port
from tests.support.waiting import until

WORKERS = 2
PATIENCE_SECONDS = 600


@contextlib.contextmanager
def running_testbed(servers: Mapping[str, str]) -> Iterator[tuple[Hub, list[int]]]:
    """Run a hub on these servers (none: SQLite and files); yield it and its workers' ids."""
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
    observer = {"POSTGRES_USER": OBSERVER} if "POSTGRES_HOST" in hub.environment else {}
    set_up_django({**hub.environment, **observer})


def count_workers() -> int:
    from workflows.models import Worker

    return Worker.objects.count()


# --- Services and workflows ---


def start_echo(hub: Hub) -> tuple[str, int]:
    """Start the echo service and register it; return its URL and its process."""
    return start_service(hub, "echo", "echo")


def start_service(hub: Hub, module: str, action: str, *options: object) -> tuple[str, int]:
    """Start a service of this package and register it; return its action's URL and its process."""
    port = free_port()
    arguments = " ".join(map(str, (port, *options)))
    process = hub.run(f"{Path(sys.executable).name} -m benchmarks.testbed.{module} {arguments}")
    until(lambda: listens(port), f"the service {module} answers", tail=hub.tail)
    url, actions = f"http://127.0.0.1:{port}", [{"name": action, "path": f"/{action}"}]
    hub.post("/services", {"name": module, "url": url, "ttl_seconds": 86400, "actions": actions})
    return f"{url}/{action}", process.pid


def listens(port: int) -> bool:
    """Return whether somebody takes connections there."""
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
    """Create a workflow of five equal steps, one after the other."""
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

    definition = services.get_workflow(workflow)
    start = services.Start(input={}, context={})
    return [str(services.start_execution(definition, start).execution.pk) for _ in range(count)]


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
    execution: dict[str, Any] = answer.json()
    return execution


def wait_for_all(hub: Hub, ids: Collection[str]) -> float:
    """Wait until they are all COMPLETED, each step once; return when the last one was."""
    from django.db.models import Max

    from workflows.models import WorkflowExecution, WorkflowStep

    executions = WorkflowExecution.objects.filter(id__in=list(ids))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (open_ones := executions.filter(completed_at__isnull=True).count()) > 0:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{open_ones} executions did not end.\n{hub.tail()}")
        time.sleep(0.05)
    completed = executions.filter(status="COMPLETED").count()
    steps = WorkflowStep.objects.filter(execution__in=list(ids), status="COMPLETED").count()
    if completed != len(ids) or steps != STEPS * len(ids):
        raise RuntimeError(f"{completed} of {len(ids)} completed with {steps} steps.\n{hub.tail()}")
    last = executions.aggregate(last=Max("completed_at"))["last"]
    return float(last.timestamp())


def backlog_speed(hub: Hub, workflow: str, count: int) -> float:
    """Return the steps per second of a backlog that appears at once."""
    from django.db import transaction

    with transaction.atomic():
        ids = insert_executions(workflow, count)
    released = time.time()
    return count * STEPS / (wait_for_all(hub, ids) - released)


class EndEvents:
    """Hears of the ends of executions over Redis, as callers that wait do; else looks for them.

    A process that looks at the database every millisecond takes a core from what it measures.
    """

    def __init__(self, hub: Hub) -> None:
        self._messages: Iterator[str | None] | None = None
        if url := hub.environment.get("REDIS_URL"):
            from core.news import RedisCarrier

            self._messages = RedisCarrier(url).receive()
            next(self._messages)  # it listens from now on

    def wait(self, executions: Collection[str]) -> set[str]:
        """Return those of these that have ended, as soon as some are heard to have."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (ended := self._look(executions)):
            assert time.monotonic() < deadline, f"none of the executions {executions} ended"
        return ended

    def _look(self, executions: Collection[str]) -> set[str]:
        if self._messages is not None:
            return _ends_in(next(self._messages)) & set(executions)
        from workflows.models import WorkflowExecution

        time.sleep(0.001)
        ended = WorkflowExecution.objects.filter(pk__in=executions, completed_at__isnull=False)
        return {str(key) for key in ended.values_list("pk", flat=True)}


def _ends_in(message: str | None) -> set[str]:
    """Return the executions of which a message tells that they ended."""
    from workflows.signalling.ends import NEWS

    _, topic, subject = json.loads(message) if message else ("", "", "")
    return set(subject.split()) if topic == NEWS else set()


def time_until_accepted(client: httpx2.Client, ends: EndEvents, workflow: str) -> float:
    """Return the seconds of a POST that only starts an execution; wait for its end too."""
    before = time.perf_counter()
    started = post_execution(client, workflow)
    seconds = time.perf_counter() - before
    ends.wait([started["id"]])
    return seconds


def time_until_told(client: httpx2.Client, ends: EndEvents, workflow: str) -> float:
    """Return the seconds from before a POST until this process hears of the end."""
    before = time.perf_counter()
    ends.wait([post_execution(client, workflow)["id"]])
    return time.perf_counter() - before


def time_until_answered(client: httpx2.Client, _: EndEvents, workflow: str) -> float:
    """Return the seconds of a POST that asks to wait for the end."""
    before = time.perf_counter()
    ended = post_execution(client, workflow, wait=30)
    assert ended["status"] == "COMPLETED", ended
    return time.perf_counter() - before


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
