"""I2, I3 and I4: that executions go on, have a whole history, and end properly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat

from workflows.definition.step_paths import compensation_path
from workflows.invariants.model import Page, Violation
from workflows.models import (
    OPEN_STEP,
    TERMINAL,
    UNDER_DEADLINE,
    UNENDED,
    EventKind,
    ExecutionStatus,
    StepStatus,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowStep,
)

# By then a sweep has found what there is to find.
SWEEP_WITHIN = timedelta(seconds=10)
_ENDS = (EventKind.COMPLETED, EventKind.FAILED, EventKind.CANCELLED)
_REOPENS = (EventKind.RETRIED, EventKind.STEP_COMPLETED, EventKind.STEP_FAILED)
# Paused, or in the queue for a place: somebody or the sweep lets it go on.
_IS_HELD = Q(execution__status=ExecutionStatus.PAUSED) | Q(execution__queued_at__isnull=False)
_IS_CONTAINER = Q(total__gt=0)
_HAS_ENDED = (
    Q(done__gte=F("needed")) | Q(failed__gt=F("tolerated")) | Q(total__lte=F("done") + F("failed"))
)


def check_progress(page: Page) -> Iterator[Violation]:
    """I2: an open execution has a lease, a due time, an open wait, or somebody who lets it go on.

    A container that waits is none of these: a branch below it has to be.
    """
    going = page.executions.filter(status__in=UNENDED)
    going_on = WorkflowStep.objects.filter(execution=OuterRef("pk")).filter(
        Q(status=StepStatus.RUNNING, lease_until__isnull=False)
        | Q(status__in=(StepStatus.PENDING, StepStatus.WAITING), wake_at__isnull=False)
        | Q(status=StepStatus.WAITING, total=0)
        | Q(_IS_HELD, status__in=OPEN_STEP)
    )
    for execution in going.filter(~Exists(going_on)):
        text = f"it is {execution.status}, and no row has a lease, a due time or an open wait."
        yield Violation("I2", str(execution.pk), "", text)
    rows = page.steps.filter(execution__status__in=UNENDED)
    unfindable = Q(status=StepStatus.RUNNING, lease_until__isnull=True) | (
        Q(status=StepStatus.PENDING, wake_at__isnull=True) & ~_IS_HELD
    )
    yield from _of_rows("I2", rows.filter(unfindable), "nothing says when to look at it.")
    overdue = rows.filter(status=StepStatus.RUNNING, lease_until__lt=page.now - SWEEP_WITHIN)
    text = "its lease ended and no sweep gave it back: do a worker and beat run?"
    yield from _of_rows("I2", overdue, text)
    yield from _check_containers(page)


def _check_containers(page: Page) -> Iterator[Violation]:
    waiting = page.steps.filter(
        _IS_CONTAINER, status=StepStatus.WAITING, execution__status__in=UNENDED
    )
    ready = waiting.filter(_HAS_ENDED)
    yield from _of_rows("I2", ready, "its branches have ended and nobody woke it.")
    below = WorkflowStep.objects.filter(
        execution=OuterRef("execution"),
        status__in=OPEN_STEP,
        scope__startswith=Concat(OuterRef("path"), Value("/")),
    )
    forsaken = waiting.exclude(_HAS_ENDED).filter(~Exists(below))
    yield from _of_rows("I2", forsaken, "it waits for branches, and none of them is open.")


def check_history(page: Page) -> Iterator[Violation]:
    """I3: events are numbered from 1 without gaps, begin with STARTED, and stay as written."""
    counted = page.executions.annotate(
        rows=Count("events"), low=Min("events__sequence"), high=Max("events__sequence")
    )
    whole = Q(rows=F("last_sequence"), low=1, high=F("last_sequence"))
    for execution in counted.exclude(whole):
        text = (
            f"{execution.rows} events from {execution.low} to {execution.high};"
            f" the last number given is {execution.last_sequence}."
        )
        yield Violation("I3", str(execution.pk), "", text)
    events = WorkflowEvent.objects.filter(execution_id__in=page.ids).order_by()
    # Both times are taken while the row is made.
    changed = Q(updated_at__gt=F("created_at") + timedelta(seconds=1))
    misplaced = Q(sequence=1) & ~Q(kind=EventKind.STARTED)
    misplaced |= Q(sequence__gt=1, kind=EventKind.STARTED)
    for event in events.filter(changed | misplaced):
        is_misplaced = (event.sequence == 1) != (event.kind == EventKind.STARTED)
        text = "STARTED is not the first." if is_misplaced else "it was changed later."
        yield Violation("I3", str(event.execution_id), f"event {event.sequence}", text)


def check_ends(page: Page) -> Iterator[Violation]:
    """I4: an end is complete, told of once, and leaves nothing open; a deadline is kept."""
    ended = page.executions.filter(status__in=TERMINAL)
    for execution in ended.filter(completed_at__isnull=True):
        yield Violation("I4", str(execution.pk), "", f"it is {execution.status} without a time.")
    left = page.steps.filter(execution__status__in=TERMINAL, status__in=OPEN_STEP)
    yield from _of_rows("I4", left, "it is open, and its execution has ended.")
    yield from _check_end_events(page, ended)
    not_compensated = Q(status=StepStatus.FAILED, path__startswith=compensation_path(""))
    reviewed = WorkflowStep.objects.filter(
        Q(status=StepStatus.NEEDS_REVIEW) | not_compensated, execution=OuterRef("pk")
    )
    stopped = page.executions.filter(status=ExecutionStatus.NEEDS_REVIEW)
    for execution in stopped.filter(~Exists(reviewed)):
        yield Violation("I4", str(execution.pk), "", "it NEEDS_REVIEW, and none of its steps does.")
    late = page.executions.filter(
        status__in=UNDER_DEADLINE, deadline_at__lt=page.now - SWEEP_WITHIN
    )
    for execution in late:
        text = "it is open past its deadline: do a worker and beat run?"
        yield Violation("I4", str(execution.pk), "", text)


def _check_end_events(page: Page, ended: QuerySet[WorkflowExecution]) -> Iterator[Violation]:
    counted = page.executions.annotate(
        ends=Count("events", filter=Q(events__kind__in=_ENDS)),
        reopens=Count("events", filter=Q(events__kind__in=_REOPENS)),
    )
    for execution in counted.filter(ends__gt=1 + F("reopens")):
        text = f"its history tells of {execution.ends} ends."
        yield Violation("I4", str(execution.pk), "", text)
    end_events = WorkflowEvent.objects.filter(execution=OuterRef("pk"), kind=OuterRef("status"))
    for silent in ended.filter(~Exists(end_events)):
        text = f"it is {silent.status}, and its history does not say so."
        yield Violation("I4", str(silent.pk), "", text)


def missing_executions(ids: Iterable[Any]) -> Iterator[Violation]:
    """I4: executions that were acknowledged to their callers and are not there."""
    wanted = {str(key) for key in ids}
    existing = WorkflowExecution.objects.filter(pk__in=wanted).values_list("pk", flat=True)
    for key in sorted(wanted - {str(pk) for pk in existing}):
        yield Violation("I4", key, "", "it was acknowledged and does not exist.")


def _of_rows(invariant: str, rows: QuerySet[WorkflowStep], text: str) -> Iterator[Violation]:
    for row in rows:
        place = f"{row.path} (attempt {row.attempt})"
        yield Violation(invariant, str(row.execution_id), place, f"{row.status}: {text}")
