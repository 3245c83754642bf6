"""Sends signals to executions, and wakes the steps that wait for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError
from django.utils import timezone

from core import audit
from core.db.clock import database_now
from core.db.pipeline import pipelined_transaction
from core.db.rows import insert_rows
from core.exceptions import Conflict, IntegrationError, NotFound
from core.mediator import mediator
from core.models import AuditVerb
from workflows.history.events import end_if_full, next_event, why_full
from workflows.models import (
    TERMINAL,
    EventKind,
    StepStatus,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowStep,
)


@dataclass(frozen=True, kw_only=True)
class SentSignal:
    """A named message to an execution, with any JSON that it carries, and who sends it."""

    execution_id: Any
    name: str
    payload: Any = None
    actor: str = ""


def signal_execution(
    execution_id: Any, *, name: str, payload: Any = None, actor: str = ""
) -> WorkflowExecution:
    """Give an execution a signal; one that nothing waits for yet is kept for who will.

    Raises:
        NotFound: there is no such execution.
        Conflict: the execution has ended, is being undone, or took as many as it may.
    """
    signal = SentSignal(execution_id=execution_id, name=name, payload=payload, actor=actor)
    (answer,) = signal_many([signal])
    if isinstance(answer, Exception):
        raise answer
    return answer


def signal_many(signals: Sequence[SentSignal]) -> list[WorkflowExecution | Exception]:
    """Give executions signals, in their order, in one transaction.

    Return for each what `signal_execution` would return or raise. One that cannot be stored fails
    alone.
    """
    try:
        with pipelined_transaction():
            return _signal(signals)
    except (OperationalError, InterfaceError) as error:
        return [error] * len(signals)  # nobody knows what was stored
    except (DatabaseError, ValueError, TypeError, RecursionError) as error:
        if len(signals) == 1:
            return [error]
        return [answer for signal in signals for answer in signal_many([signal])]


def _signal(signals: Sequence[SentSignal]) -> list[WorkflowExecution | Exception]:
    # In the order in which every writer locks executions.
    rows = WorkflowExecution.objects.select_for_update().order_by("pk")
    executions = {str(e.pk): e for e in rows.filter(pk__in={s.execution_id for s in signals})}
    answers: list[WorkflowExecution | Exception] = []
    events: list[WorkflowEvent] = []
    for signal in signals:
        try:
            execution = executions.get(str(signal.execution_id))
            if execution is None:
                raise NotFound(f"No execution with the id '{signal.execution_id}'.")
            _check_takes_signals(execution, events)
            events.append(_event_of(execution, signal))
            answers.append(execution)
        except IntegrationError as error:
            answers.append(error)
    if events:
        insert_rows(*events)
        _save({event.execution for event in events})
        _wake_waiting(events)
    return answers


def _event_of(execution: WorkflowExecution, signal: SentSignal) -> WorkflowEvent:
    audit.record_use(AuditVerb.SIGNALLED, execution, changes={"signal": signal.name})
    payload = {"name": signal.name, "payload": signal.payload}
    return next_event(execution, EventKind.SIGNAL, actor=signal.actor, payload=payload)


def _save(executions: Collection[WorkflowExecution]) -> None:
    now = timezone.now()
    for execution in executions:
        execution.updated_at = now
        end_if_full(execution)
    WorkflowExecution.objects.bulk_update(executions, ("last_sequence", "updated_at"))


def _wake_waiting(events: Sequence[WorkflowEvent]) -> None:
    """Let the steps look that wait for these signals."""
    signalled = {(event.execution_id, event.payload["name"]) for event in events}
    executions = {event.execution_id: event.execution for event in events}
    waiting = WorkflowStep.objects.filter(
        execution__in=executions,
        status=StepStatus.WAITING,
        input__event__in={name for _, name in signalled},
    ).only("execution_id", "input")
    by_hold: dict[bool, list[Any]] = {False: [], True: []}
    for step in waiting:
        if (step.execution_id, (step.input or {}).get("event")) in signalled:
            by_hold[executions[step.execution_id].is_held].append(step.pk)
    for is_held, steps in by_hold.items():
        if steps:
            wake_steps(steps, is_held=is_held)


def _check_takes_signals(execution: WorkflowExecution, before: Sequence[WorkflowEvent]) -> None:
    if execution.status in TERMINAL or execution.is_compensating:
        raise Conflict(f"The execution is {execution.status}; it takes no more signals.")
    if end_if_full(execution):
        raise Conflict(f"{why_full()} It takes no more signals.")
    _check_room(execution, sum(event.execution is execution for event in before))


def _check_room(execution: WorkflowExecution, before: int) -> None:
    """Refuse one more signal to an execution that took as many as it may; `before` are not stored.

    They are among its events, and so counted only where there are enough of those.
    """
    most = settings.SIGNALS_PER_EXECUTION
    if execution.last_sequence < most:
        return
    if execution.events.filter(kind=EventKind.SIGNAL).count() + before >= most:
        raise Conflict(
            f"The execution has taken {most:,} signals, as many as one may take"
            " (SIGNALS_PER_EXECUTION)."
        )


def wake_steps(steps: Sequence[Any], *, is_held: bool) -> None:
    """Let waiting rows be looked at; those of executions that are held once they go on."""
    now = database_now()
    when = {"held_wake_at": now} if is_held else {"wake_at": now}
    WorkflowStep.objects.filter(pk__in=steps, status=StepStatus.WAITING).update(
        status=StepStatus.PENDING, updated_at=now, **when
    )
    mediator.publish_on_commit("steps_ready", step_ids=[str(pk) for pk in steps])
