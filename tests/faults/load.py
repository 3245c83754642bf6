"""What a soak puts on a hub: five-step executions, started over the API until they are accepted."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from tests.faults.hub_under_test import say
from tests.faults.kinds import SERVICE, act, chain
from tests.support.real_hub import Hub

THREADS = 4
PATIENT_RETRY = {"max_attempts": 20, "base_delay": 0.1, "max_delay": 2}


def step(step_id: str, **more: Any) -> dict[str, Any]:
    return act(step_id, ms=20, **{"do": "stumble", "retry": PATIENT_RETRY, **more})


WORKFLOWS: Mapping[str, list[dict[str, Any]]] = {
    "five": chain(*(step(name) for name in ("one", "two", "three", "four", "five"))),
    "branches": chain(
        step("one"),
        {
            "id": "fork",
            "type": "PARALLEL",
            "branches": [[step("two")], chain(step("three"), step("four"))],
        },
        step("five"),
    ),
    "waits": chain(
        step("one"), step("two"), {"id": "rest", "type": "WAIT", "seconds": 1}, step("four")
    ),
    "retries": chain(
        *(step(name, do="fail_first") for name in ("one", "two", "three", "four", "five"))
    ),
}
CALLS: Mapping[str, int] = {"five": 5, "branches": 5, "waits": 3, "retries": 5}
POISON = [{**step("poison"), "next": None}]


def define(hub: Hub, receiver: str) -> None:
    hub.post(
        "/services",
        {
            "name": SERVICE,
            "url": receiver,
            "ttl_seconds": 86400,
            "actions": [{"name": "act", "path": "/act"}],
            # Circuit breakers have tests of their own.
            "breaker": {"failure_threshold": 1000, "minimum_calls": 100000},
        },
    )
    for name, steps in {**WORKFLOWS, "poisoned": POISON}.items():
        hub.post("/workflows", {"name": name, "steps": steps})


class Load:
    """Starts executions at a steady rate from a thread of its own."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.acknowledged: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.resent = 0

    def start_many(self, count: int, *, seconds: float) -> None:
        """Start so many over so many seconds, from a few threads; each until it is accepted."""
        began = time.monotonic()

        def start(number: int, kind: str) -> None:
            pause = began + number * seconds / count - time.monotonic()
            threading.Event().wait(max(pause, 0))
            self.start(kind)

        kinds = itertools.islice(itertools.cycle(WORKFLOWS), count)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(start, range(count), kinds))

    def start(self, kind: str) -> str:
        """Start one; sent again with the same key until the answer comes."""
        key = uuid.uuid4().hex
        headers = {"Idempotency-Key": key, "Authorization": f"Bearer {self._hub.key}"}
        deadline = time.monotonic() + 120
        while True:
            try:
                answer = httpx2.post(
                    f"{self._hub.url}/api/workflows/{kind}/execute",
                    json={"input_data": {}},
                    headers=headers,
                    timeout=15,
                )
                if answer.status_code < 300:
                    execution = str(answer.json()["id"])
                    self.acknowledged.append(execution)
                    self.kinds[kind] += 1
                    return execution
            except httpx2.HTTPError:
                pass
            self.resent += 1
            assert time.monotonic() < deadline, f"{kind} was not accepted for two minutes"
            time.sleep(0.2)

    def expected_effects(self) -> int:
        return sum(CALLS.get(kind, 0) * count for kind, count in self.kinds.items())


def use_database_of(hub: Hub) -> None:
    """Set Django up here on the hub's database."""
    from tests.faults.hub_under_test import use_in_this_process

    use_in_this_process(hub.directory, hub.environment)


def ask(question: Callable[[], Any]) -> Any:
    """Ask the database, again if it is just not there."""
    from django.db import DatabaseError, connection

    deadline = time.monotonic() + 60
    while True:
        try:
            return question()
        except DatabaseError as error:
            connection.close()
            if time.monotonic() > deadline:
                say(f"the database does not answer: {error}")
                raise
            time.sleep(0.2)
