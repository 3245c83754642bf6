"""Carries out an action on many executions: counted first, in batches, resumed after a crash."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.db import DatabaseError, OperationalError, transaction
from django.db.models import F, Q, QuerySet

from core import audit
from core.db.clock import database_now
from core.db.models import get_by_id
from core.exceptions import Conflict, IntegrationError, ValidationFailed
from core.models import AuditVerb
from workflows.models import (
    SUITED,
    BulkAction,
    BulkOperation,
    BulkStatus,
    Workflow,
    WorkflowExecution,
)
from workflows.services.executions.control import (
    cancel_execution,
    pause_execution,
    resume_execution,
    retry_execution,
)
from workflows.services.executions.filters import select_executions

logger = structlog.get_logger(__name__)

MOST_EXECUTIONS = 100_000
# A batch is one transaction: its executions are locked meanwhile.
BATCH = 25
LEASE = timedelta(seconds=15)
WORK_SECONDS = 5.0
MOST_REASONS = 10
MOST_REASON_TEXT = 300

ACTIONS: dict[str, Callable[[Any, BulkOperation], object]] = {
    BulkAction.RETRY: lambda pk, order: retry_execution(pk, actor=order.actor),
    BulkAction.CANCEL: lambda pk, order: cancel_execution(
        pk, actor=order.actor, reason=order.reason
    ),
    BulkAction.PAUSE: lambda pk, order: pause_execution(pk, actor=order.actor),
    BulkAction.RESUME: lambda pk, order: resume_execution(pk, actor=order.actor),
}


@dataclass(frozen=True, kw_only=True)
class BulkOrder:
    """What is asked: an action on all executions that a filter selects and that it suits.

    With `only_started_by` only on those that this caller started.
    """

    action: BulkAction
    filter: Mapping[str, Any]
    actor: str
    reason: str = ""
    only_started_by: str = ""


def count_bulk(order: BulkOrder) -> int:
    """Return how many executions the order is about, counted up to one more than are allowed."""
    return covered_executions(order).order_by()[: MOST_EXECUTIONS + 1].count()


def covered_executions(order: BulkOrder) -> QuerySet[WorkflowExecution]:
    """Return what the order is about."""
    executions = select_executions(order.filter).filter(status__in=SUITED[order.action])
    return (
        executions.filter(started_by=order.only_started_by) if order.only_started_by else executions
    )


def start_bulk(order: BulkOrder, *, expected_count: int) -> BulkOperation:
    """Accept an order: once this returns, it is worked off, whatever dies.

    Raises:
        ValidationFailed: it is about no execution, or about too many.
        Conflict: there are a good many more than the caller expects.
    """
    now = database_now()
    count = count_bulk(order)
    _check_count(count, expected_count)
    with transaction.atomic():
        operation = BulkOperation.objects.create(
            action=order.action,
            filter=dict(order.filter),
            only_started_by=order.only_started_by,
            reason=order.reason,
            actor=order.actor[:100],
            created_before=now,
            total=count,
        )
        about = {"action": order.action, "filter": order.filter, "executions": count}
        audit.record(AuditVerb.STARTED, operation, reason=order.reason, changes=about)
    return operation


def resolve_workflow(reference: str) -> str:
    """Return the id of the workflow that a filter names.

    Raises:
        ValidationFailed: there is none.
    """
    workflow = Workflow.objects.find(reference)
    if workflow is None:
        sentence = f"No workflow with the id or name '{reference[:100]}'."
        raise ValidationFailed(sentence, errors={"filter.workflow": [sentence]})
    return str(workflow.pk)


def get_bulk(reference: str) -> BulkOperation:
    """Return the bulk operation with that id.

    Raises:
        NotFound: there is none.
    """
    return get_by_id(BulkOperation.objects.all(), reference, "bulk operation")


def cancel_bulk(operation_id: Any, *, actor: str) -> BulkOperation:
    """Stop after the batch at hand; what was done stays done.

    Raises:
        Conflict: it has ended.
    """
    now = database_now()
    open_ones = BulkOperation.objects.filter(pk=operation_id, status=BulkStatus.RUNNING)
    with transaction.atomic():
        stopped = open_ones.update(
            status=BulkStatus.CANCELLED,
            cancelled_by=actor[:100],
            completed_at=now,
            lease_until=None,
            updated_at=now,
        )
        operation = BulkOperation.objects.get(pk=operation_id)
        if not stopped:
            raise Conflict(f"The bulk operation is {operation.status} already.")
        audit.record(AuditVerb.CANCELLED, operation)
    return operation


def _check_count(count: int, expected: int) -> None:
    if count == 0:
        raise ValidationFailed(
            "No execution matches the filter in a state that this action suits.",
            errors={"filter": ["It selects no execution that this action suits."]},
        )
    if count > MOST_EXECUTIONS:
        sentence = f"It selects more than {MOST_EXECUTIONS} executions; narrow it, as by time."
        raise ValidationFailed(sentence, errors={"filter": [sentence]})
    if count > expected + max(10, expected // 10):
        raise Conflict(
            f"There are {count} executions now, not {expected}. Look again, then order"
            f" with expected_count {count}."
        )


# Working it off


def has_open_bulk() -> bool:
    """Return whether a bulk operation waits for a worker."""
    return _claimable().exists()


def work_off_bulk(
    *, seconds: float = WORK_SECONDS, clock: Callable[[], float] = time.monotonic
) -> int:
    """Work on open bulk operations for about so long; give how many executions were reached.

    Any number may run at once: an operation is worked on by whoever holds its lease.
    """
    deadline, reached = clock() + seconds, 0
    while clock() < deadline:
        operation = claim_operation()
        if operation is None:
            break
        try:
            more = True
            while more and clock() < deadline:
                before = operation.done
                more = work_batch(operation)
                reached += operation.done - before
        except OperationalError as error:
            # A deadlock, or the database went away: nothing of the batch was kept.
            logger.warning("bulk_batch_failed", operation=str(operation.pk), error=str(error)[:300])
            break
        finally:
            _give_back(operation)
    return reached


def _claimable() -> QuerySet[BulkOperation]:
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=database_now())
    return BulkOperation.objects.filter(free, status=BulkStatus.RUNNING)


def claim_operation() -> BulkOperation | None:
    """Take the open operation that was worked on least recently, if nobody else does first."""
    operation = _claimable().order_by("updated_at").first()
    if operation is None:
        return None
    now = database_now()
    taken = BulkOperation.objects.filter(
        pk=operation.pk, fence=operation.fence, status=BulkStatus.RUNNING
    ).update(
        fence=F("fence") + 1,
        lease_until=now + LEASE,
        started_at=operation.started_at or now,
        updated_at=now,
    )
    if not taken:
        return None
    operation.refresh_from_db()
    return operation


def _give_back(operation: BulkOperation) -> None:
    try:
        _held(operation).update(lease_until=None, updated_at=database_now())
    except DatabaseError as error:
        # Its lease runs out.
        logger.warning("bulk_lease_kept", operation=str(operation.pk), error=str(error)[:300])


def _held(operation: BulkOperation) -> QuerySet[BulkOperation]:
    return BulkOperation.objects.filter(
        pk=operation.pk, fence=operation.fence, status=BulkStatus.RUNNING
    )


def work_batch(operation: BulkOperation) -> bool:
    """Act on the next executions and move the cursor, in one transaction; False at the end."""
    now = database_now()
    with transaction.atomic():
        # It locks the row: a cancel comes before or after this batch.
        if not _held(operation).update(lease_until=now + LEASE, updated_at=now):
            return False
        rows = list(_next_executions(operation).values_list("created_at", "pk")[:BATCH])
        progress = _act_on([pk for _, pk in rows], operation)
        if rows:
            progress["cursor_at"], progress["cursor_id"] = rows[-1]
        if len(rows) < BATCH:
            progress |= {"status": BulkStatus.COMPLETED, "completed_at": database_now()}
            progress["lease_until"] = None
        BulkOperation.objects.filter(pk=operation.pk).update(**progress)
    for name, value in progress.items():
        setattr(operation, name, value)
    return len(rows) == BATCH


def _next_executions(operation: BulkOperation) -> QuerySet[WorkflowExecution]:
    order = BulkOrder(
        action=BulkAction(operation.action),
        filter=operation.filter,
        actor=operation.actor,
        only_started_by=operation.only_started_by,
    )
    executions = covered_executions(order).filter(created_at__lt=operation.created_before)
    if operation.cursor_at is not None:
        beyond = Q(created_at__gt=operation.cursor_at) | Q(id__gt=operation.cursor_id)
        # The first condition is what the index is read by.
        executions = executions.filter(beyond, created_at__gte=operation.cursor_at)
    return executions.order_by("created_at", "id")


def _act_on(ids: list[Any], operation: BulkOperation) -> dict[str, Any]:
    """Act on each; give the counters as they are then."""
    succeeded, refusals = 0, [dict(entry) for entry in operation.refusals]
    for pk in ids:
        try:
            with transaction.atomic():
                ACTIONS[operation.action](pk, operation)
            succeeded += 1
        except IntegrationError as error:
            _add_refusal(refusals, error.message, pk)
        except DatabaseError:
            raise
        except Exception as error:
            # A fault of ours with one execution must not hold up the others for ever.
            logger.exception("bulk_action_failed", execution=str(pk))
            _add_refusal(refusals, f"Internal error: {type(error).__name__}.", pk)
    return {
        "done": operation.done + len(ids),
        "succeeded": operation.succeeded + succeeded,
        "refused": operation.refused + len(ids) - succeeded,
        "refusals": refusals,
    }


def _add_refusal(refusals: list[dict[str, Any]], reason: str, execution: Any) -> None:
    """Count a refusal under its reason; the first few reasons are kept, with an example each."""
    reason = reason[:MOST_REASON_TEXT]
    counted = next((entry for entry in refusals if entry["reason"] == reason), None)
    if counted is not None:
        counted["count"] += 1
    elif len(refusals) < MOST_REASONS:
        refusals.append({"reason": reason, "count": 1, "example": str(execution)})
