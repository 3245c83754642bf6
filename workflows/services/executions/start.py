"""Starts executions: once accepted, they end, whatever dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError

from core import audit
from core.db.pipeline import one_statement, pipelined_transaction
from core.exceptions import Conflict, IntegrationError, UseDenied, ValidationFailed
from core.json.equality import json_equal
from core.mediator import mediator
from core.models import AuditVerb
from workflows.execution_rows import (
    HUB_NAMES,
    NewExecution,
    Start,
    caller_context,
    check_not_retired,
    check_startable,
    insert_executions,
    new_execution,
)
from workflows.models import (
    Workflow,
    WorkflowExecution,
    WorkflowStep,
    WorkflowVersion,
)
from workflows.services.definitions.lifecycle import workflow_of_type
from workflows.services.definitions.retirement import OPERATE


@dataclass(frozen=True)
class Started:
    """The execution, whether this call made it, and then its first step."""

    execution: WorkflowExecution
    created: bool
    first: WorkflowStep | None = None


Answer = Started | Exception
# What the database or its driver says of a value that it does not take.
_REFUSALS = (DatabaseError, ValueError, TypeError, RecursionError)


@dataclass
class _Order:
    """A start that was asked for, the rows to store for it, and what came of it."""

    workflow: Workflow
    start: Start
    new: NewExecution | None = None
    answer: Answer | None = None


def start_execution(workflow: Workflow, start: Start) -> Started:
    """Accept an execution: once this returns, it will end, whatever dies.

    The same idempotency key answers the execution that it made the first time.

    Raises:
        Conflict: the workflow is not ACTIVE, its version is retired, or the key was used for
            something else.
        UseDenied: another version is wanted, without `may_operate`.
        ValidationFailed: it has no such version.
    """
    return accepted(start_many([(workflow, start)])[0])


def accepted(answer: Answer) -> Started:
    """Return what a start came to. Raises: the error with which it failed."""
    if isinstance(answer, Exception):
        raise answer
    return answer


def start_many(wanted: Sequence[tuple[Workflow, Start]]) -> list[Answer]:
    """Accept executions together: return for each what `start_execution` would return or raise.

    One statement stores all but reruns and those that wait for a slot, and workers are told of them
    at once. One that cannot be stored fails alone.
    """
    orders = [_Order(workflow, start) for workflow, start in wanted]
    _prepare(orders)
    _store_together([order for order in orders if order.new and order.new.is_plain])
    return [order.answer or _store_alone(order) for order in orders]


def _prepare(orders: Sequence[_Order]) -> None:
    """Make the rows to store, or answer where nothing is to be stored."""
    known = _known_executions(orders)
    for order in orders:
        workflow, start = order.workflow, order.start
        earlier = known.get(_key_of(order))
        try:
            if earlier is not None:
                order.answer = Started(_same(earlier, start), created=False)
            else:
                order.new = new_execution(workflow, _version_to_run(workflow, start), start)
        except (IntegrationError, UseDenied) as error:
            order.answer = error


def _store_together(orders: Sequence[_Order]) -> None:
    """Store several by one statement; those are left without an answer that it does not take."""
    keys = Counter(map(_key_of, orders))
    together = [
        order for order in orders if not order.start.idempotency_key or keys[_key_of(order)] == 1
    ]
    if len(together) < 2:
        return
    try:
        _store([order.new for order in together if order.new])
    except (OperationalError, InterfaceError) as error:
        # Nobody knows whether they are stored.
        for order in together:
            order.answer = error
    except _REFUSALS:
        return
    else:
        for order in together:
            order.answer = _finish(order)


def _store_alone(order: _Order) -> Answer:
    assert order.new is not None
    try:
        _store([order.new])
    except IntegrityError:
        return _lost_race(order)
    except _REFUSALS as error:
        return error
    return _finish(order)


def _store(executions: Sequence[NewExecution]) -> None:
    """Store executions in a transaction, and tell workers of those that may go on."""
    with one_statement() if all(new.is_plain for new in executions) else pipelined_transaction():
        insert_executions(executions)
        if ready := [str(new.first.pk) for new in executions if not new.execution.is_queued]:
            mediator.publish_on_commit("steps_ready", step_ids=ready)


def _lost_race(order: _Order) -> Answer:
    """Return the execution of who used the same Idempotency-Key at the same time."""
    workflow = order.workflow
    try:
        earlier = known_execution(workflow, order.start)
    except Conflict as error:
        return error
    if earlier is None:
        return Conflict(f"The workflow '{workflow.name}' was deleted meanwhile.")
    return Started(earlier, created=False)


def _finish(order: _Order) -> Started:
    assert order.new is not None
    execution = order.new.execution
    audit.record_use(AuditVerb.STARTED, execution)
    if execution.is_queued:  # perhaps there was a slot for it
        execution.refresh_from_db(fields=("status", "queued_at", "deadline_at"))
    # What a rerun took over is to be read.
    return Started(execution, created=True, first=None if order.start.origin else order.new.first)


def _version_to_run(workflow: Workflow, start: Start) -> WorkflowVersion:
    """Return the version that is to run.

    Raises:
        Conflict: the workflow is not ACTIVE, or the version is retired.
        UseDenied: it is not the active one, and `start` may choose no other.
        ValidationFailed: there is no such version.
    """
    version = check_startable(workflow)
    if start.origin is not None:
        version = start.origin.version
    elif start.version not in (None, version.number):
        if not start.may_operate:
            raise UseDenied(
                f"The active version of '{workflow.name}' is {version.number}. Starting another"
                f" one needs the scope {OPERATE}."
            )
        version = version_of(workflow, start.version)
    check_not_retired(workflow, version)
    return version


def version_of(workflow: Workflow, number: int) -> WorkflowVersion:
    """Return the version with that number.

    Raises:
        ValidationFailed: there is none.
    """
    version = workflow.versions.filter(number=number).first()
    if version is None:
        sentence = f"The workflow '{workflow.name}' has no version {number}."
        raise ValidationFailed(sentence, errors={"version": [sentence]})
    return version


def known_execution(workflow: Workflow, start: Start) -> WorkflowExecution | None:
    """Return the execution that the same Idempotency-Key made before.

    Raises:
        Conflict: that was for something else.
    """
    order = _Order(workflow, start)
    earlier = _known_executions([order]).get(_key_of(order))
    return _same(earlier, start) if earlier else None


Key = tuple[Any, str | None, str]


def _key_of(order: _Order) -> Key:
    """Return what makes a key another one: for which workflow it is, its text, and whose it is."""
    return order.workflow.pk, order.start.idempotency_key, order.start.key_caller


def _known_executions(orders: Sequence[_Order]) -> dict[Key, WorkflowExecution]:
    """Return the executions that the Idempotency-Keys of these made before."""
    keyed = {order.start.idempotency_key for order in orders if order.start.idempotency_key}
    if not keyed:
        return {}
    executions = WorkflowExecution.objects.filter(
        workflow__in={order.workflow.pk for order in orders}, idempotency_key__in=keyed
    )
    rows = {
        (earlier.workflow_id, earlier.idempotency_key, earlier.idempotency_caller): earlier
        for earlier in executions.select_related("version")
    }
    known = {key: rows.get(key) or _of_before(rows, order) for order, key in _keyed(orders)}
    return {key: earlier for key, earlier in known.items() if earlier is not None}


def _keyed(orders: Sequence[_Order]) -> list[tuple[_Order, Key]]:
    return [(order, _key_of(order)) for order in orders if order.start.idempotency_key]


def _of_before(rows: Mapping[Key, WorkflowExecution], order: _Order) -> WorkflowExecution | None:
    """Return the execution that a key made when rows did not say whose it is."""
    workflow, key, _ = _key_of(order)
    earlier = rows.get((workflow, key, ""))
    is_own = earlier is not None and earlier.started_by == order.start.actor[:100]
    return earlier if is_own else None


def _same(earlier: WorkflowExecution, start: Start) -> WorkflowExecution:
    """Return the execution that a key made before. Raises: Conflict, if for something else."""
    if difference := _difference(earlier, start):
        sentence = f"The Idempotency-Key '{start.idempotency_key}' was used with {difference}."
        raise Conflict(sentence)
    return earlier


def _difference(earlier: WorkflowExecution, start: Start) -> str:
    """In what an execution differs from what is to be started now."""
    both = earlier.idempotency_digest, start.request_digest
    if all(both):
        return "" if both[0] == both[1] else (_other_words(earlier, start) or "another request")
    return _other_words(earlier, start)


def _other_words(earlier: WorkflowExecution, start: Start) -> str:
    if not json_equal(earlier.input, dict(start.input)):
        return "another input"
    if not json_equal(_given_context(earlier, start), caller_context(start.context)):
        return "another context"
    if earlier.priority != start.priority:
        return "another priority"
    origin = start.origin.execution.pk if start.origin else None
    if earlier.rerun_of_id != origin:
        return "another execution to rerun" if origin else "a rerun"
    if start.origin is not None:
        begin = _begin_of(earlier)
        asked = start.origin.asked_path or start.origin.path
        if begin.get("asked_from", begin.get("from_step")) != asked:
            return "another step to rerun from"
        if not json_equal(_edited_input(earlier, begin), start.origin.step_input):
            return "another input of the step to rerun from"
    number = start.origin.version.number if start.origin else start.version
    if number is not None and earlier.version is not None and earlier.version.number != number:
        return "another version"
    return ""


def _given_context(earlier: WorkflowExecution, start: Start) -> dict[str, Any]:
    """Return the context of an execution without what the hub noted of its request."""
    noted = (start.noted.keys() - start.context.keys()) | HUB_NAMES
    return {key: value for key, value in earlier.context.items() if key not in noted}


def _begin_of(rerun: WorkflowExecution) -> dict[str, Any]:
    """Return what the history says of the start of a rerun."""
    event = rerun.events.filter(sequence=1).first()
    return event.payload if event else {}


def _edited_input(rerun: WorkflowExecution, begin: Mapping[str, Any]) -> Any:
    """Return the input that replaced that of the first step of a rerun; None without one."""
    if not begin.get("edited"):
        return None
    row = rerun.steps.filter(path=begin.get("from_step")).order_by("attempt").first()
    return row.input if row else None


def start_by_type(workflow_type: str, starts: Sequence[Start]) -> list[Answer]:
    """Start the workflow that stands for this type; the mediator's handler of such requests.

    Raises:
        NotFound: no workflow of this type is active.
    """
    workflow = workflow_of_type(workflow_type)
    return start_many([(workflow, start) for start in starts])
