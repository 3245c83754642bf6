"""An engine whose network edge is scripted, and what the tests ask of it."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from registry.calls.client import CallResult
from tests.support.waiting import PATIENCE
from workflows import services
from workflows.definition_cache import forget_definitions
from workflows.engine.store import Batch, Committed, Store
from workflows.engine.worker import Engine
from workflows.grant_cache import forget_grants
from workflows.models import Workflow, WorkflowExecution, WorkflowVersion, checksum_of
from workflows.services import Start

Answer = Callable[[dict[str, Any]], Any]


class ScriptedClient:
    """Answers calls of an action by a function; `hold` makes calls wait until `let_go`."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.held: set[str] = set()
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)

    async def call(self, target, action, document, *, headers, timeout_seconds, trim, **_):
        self.calls.append((action, document, headers))
        self.entered.release()
        while action in self.held and not self.gate.is_set():
            await asyncio.sleep(0.005)
        output = self.answers[action](document)
        return CallResult(output, document, target.name, "http://instance", 200)

    async def close(self) -> None:
        """Nothing to close."""

    def called(self, action: str) -> int:
        return sum(1 for name, _, _ in self.calls if name == action)


@contextlib.contextmanager
def running_engine(client: Any, **options: Any) -> Iterator[Engine]:
    # A worker is a process of its own, with nothing cached when it begins.
    forget_definitions()
    forget_grants()
    engine = Engine(client_factory=lambda: client, **options)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop(grace_seconds=5)


def make_workflow(steps: list[dict[str, Any]], name: str = "w", **options: Any) -> Workflow:
    """A workflow as it is stored, without asking whether its services exist."""
    workflow = Workflow.objects.create(name=name)
    workflow.current_version = WorkflowVersion.objects.create(
        workflow=workflow, number=1, steps=steps, options=options, checksum=checksum_of({})
    )
    workflow.save()
    return workflow


def start(
    workflow: Workflow, input: dict[str, Any] | None = None, **more: Any
) -> WorkflowExecution:
    return services.start_execution(
        workflow, Start(input=input or {}, context={}, **more)
    ).execution


def ended(execution: WorkflowExecution) -> WorkflowExecution:
    """The execution once it has ended; bounded, so that a lost one fails the test."""
    found = services.wait_for_end(execution, seconds=PATIENCE)
    assert found.has_ended, f"still {found.status}: {step_rows(found)}"
    return found


def commit_all(store: Store, batch: Batch) -> Committed:
    """Commit as the engine does: what the short way was not for goes the other one."""
    done = store.commit(batch)
    if done.left:
        more = store.commit(Batch(settled=done.left, careful=True, room=batch.room))
        done.claims += more.claims
        done.lost += more.lost
    return done


def step_rows(execution: WorkflowExecution) -> list[tuple[str, int, str]]:
    return list(execution.steps.order_by("id").values_list("path", "attempt", "status"))


def call(step_id: str, action: str = "", **more: Any) -> dict[str, Any]:
    return {"id": step_id, "service": "s", "action": action or step_id, **more}
