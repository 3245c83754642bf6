"""The world around the engine: what the services of a case answer, and what was recorded of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Any

from django.db import transaction

from registry.calls.client import CallResult
from tests.support.engine import make_workflow
from tests.workflows.reference.cases import FAILURES, Case, Document
from workflows import services
from workflows.engine.store import Claim
from workflows.engine.worker import Engine
from workflows.models import WorkflowExecution, WorkflowStep
from workflows.services import Start

_AT: ContextVar[Claim] = ContextVar("at")
_serial = count(1)


@dataclass(frozen=True)
class Call:
    """A call that was made."""

    execution: str
    path: str
    attempt: int
    document: Document
    idempotency_key: str


class ScriptedWorld:
    """The services of every case: they answer as its script says."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self.calls: list[Call] = []
        self.lying = False

    async def call(
        self, target: Any, action: str, document: Document, *, headers: Any, **_: Any
    ) -> CallResult:
        at = _AT.get()
        run = at.execution
        case = self.cases.get(run.id) or self.cases[run.context["parent_execution_id"]]
        self.cases[run.id] = case
        made = Call(run.id, at.row.path, at.row.attempt, document, headers["Idempotency-Key"])
        self.calls.append(made)
        undoes = "~" if at.row.path.startswith("~") else ""
        reply = case.script.reply(undoes + at.row.step_id, at.row.path, at.row.attempt)
        if self.lying or isinstance(reply, str):
            raise FAILURES["status_400" if self.lying else str(reply)].make()
        return CallResult(reply, document, target.name, "http://instance", 200)

    async def close(self) -> None:
        """Nothing to close."""


class ObservedEngine(Engine):
    """An engine that tells its client which step calls."""

    async def _call(self, claim: Claim) -> Any:
        _AT.set(claim)
        return await super()._call(claim)


def start_all(world: ScriptedWorld, cases: Sequence[Case]) -> list[tuple[WorkflowExecution, Case]]:
    """Start an execution of each case, its early signals sent."""
    return [(_start(world, case), case) for case in cases]


def _start(world: ScriptedWorld, case: Case) -> WorkflowExecution:
    serial = next(_serial)
    for name, document in case.children.items():
        _store(f"{name}-{serial}", _renamed(document, case, serial))
    workflow = _store(f"case-{serial}", _renamed(case.document, case, serial))
    with transaction.atomic():  # an engine that runs by itself sees the early signals at once
        execution = services.start_execution(
            workflow, Start(input=case.input, context={})
        ).execution
        world.cases[str(execution.pk)] = case
        for name, payload in case.early:
            services.signal_execution(execution.pk, name=name, payload=payload)
    return execution


def _store(name: str, document: Document) -> Any:
    options = {key: value for key, value in document.items() if key != "steps"}
    return make_workflow(document["steps"], name=name, **options)


def _renamed(document: Document, case: Case, serial: int) -> Document:
    """The definition with the names that its children have in the database."""
    text = json.dumps(document)
    for name in case.children:
        text = text.replace(f'"{name}"', f'"{name}-{serial}"')
    found: Document = json.loads(text)
    return found


def snapshot(running: Sequence[tuple[WorkflowExecution, Case]]) -> list[Any]:
    """Every column of every row of these executions and of their children."""
    ids = [execution.pk for execution, _ in running]
    found: list[Any] = []
    while ids:
        steps = WorkflowStep.objects.filter(execution__in=ids).order_by("id")
        executions = WorkflowExecution.objects.filter(pk__in=ids).order_by("id")
        found += [*executions.values(), *steps.values()]
        ids = list(
            WorkflowExecution.objects.filter(parent_step__in=steps).values_list("pk", flat=True)
        )
    return found


# What was recorded


@dataclass
class Seen:
    """What is recorded of one execution, and the calls that it made."""

    execution: WorkflowExecution
    rows: dict[tuple[str, int], WorkflowStep]
    calls: list[Call]
    children: dict[str, Seen]

    def outputs(self) -> Mapping[str, Any]:
        """The latest output at each path."""
        return {path: row.output for (path, _), row in sorted(self.rows.items())}


def see(world: ScriptedWorld, execution: WorkflowExecution) -> Seen:
    """Read what is recorded of an execution and of its children."""
    rows = {(row.path, row.attempt): row for row in execution.steps.all()}
    children = {
        child.parent_step.path: see(world, child)
        for child in WorkflowExecution.objects.filter(
            parent_step__execution=execution
        ).select_related("parent_step")
        if child.parent_step is not None
    }
    calls = [call for call in world.calls if call.execution == str(execution.pk)]
    return Seen(execution, rows, calls, children)


def walk(seen: Seen) -> Iterator[Seen]:
    """An execution and all below it."""
    yield seen
    for child in seen.children.values():
        yield from walk(child)
