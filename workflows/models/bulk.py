"""One order to many executions: what it covers, how far it got, and what was refused."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.db.json_fields import object_field
from core.db.models import AppendedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from workflows.models.execution import ExecutionStatus


class BulkAction(Vocabulary):
    """What is done to each execution."""

    RETRY = "RETRY", "Retry"
    CANCEL = "CANCEL", "Cancel"
    PAUSE = "PAUSE", "Pause"
    RESUME = "RESUME", "Resume"


class BulkStatus(Vocabulary):
    """Where a bulk operation stands."""

    RUNNING = "RUNNING", "Running"
    COMPLETED = "COMPLETED", "Completed"
    CANCELLED = "CANCELLED", "Cancelled"


# The statuses whose executions each action suits; all others are not counted and not touched.
SUITED = {
    BulkAction.RETRY: (
        ExecutionStatus.FAILED,
        ExecutionStatus.CANCELLED,
        ExecutionStatus.NEEDS_REVIEW,
    ),
    BulkAction.CANCEL: (
        ExecutionStatus.PENDING,
        ExecutionStatus.RUNNING,
        ExecutionStatus.WAITING,
        ExecutionStatus.PAUSED,
        ExecutionStatus.NEEDS_REVIEW,
    ),
    BulkAction.PAUSE: (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING),
    BulkAction.RESUME: (ExecutionStatus.PAUSED,),
}


class BulkOperation(AppendedModel):
    """An action on every execution that a filter selects; the row is the queue.

    `filter` is frozen: only executions created before `created_before` count. The cursor, the last
    execution that was reached in the order of (created_at, id), moves in the transaction that acts,
    so each execution is acted on at most once, whatever dies. `fence` grows with every claim.
    """

    action = EnumField(vocabulary=BulkAction, max_length=20)
    filter = object_field()
    # Set when the caller may control only what it started itself.
    only_started_by = models.CharField(max_length=100, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    actor = models.CharField(max_length=100, blank=True, default="")
    status = EnumField(vocabulary=BulkStatus, max_length=20, default=BulkStatus.RUNNING)
    created_before = models.DateTimeField()
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    succeeded = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    refusals = models.JSONField(default=list, blank=True)
    cursor_at = models.DateTimeField(null=True, blank=True)
    cursor_id = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.CharField(max_length=100, blank=True, default="")

    class Meta:
        db_table = "bulk_operation"
        ordering = ("-id",)
        verbose_name = "bulk operation"
        constraints = (
            enum_check("bulk_operation", "action", BulkAction),
            enum_check("bulk_operation", "status", BulkStatus),
        )
        indexes = (
            models.Index(F("id"), name="bulk_operation_open_idx", condition=Q(status="RUNNING")),
        )

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.total} executions"

    @property
    def has_ended(self) -> bool:
        return self.status != BulkStatus.RUNNING

    @property
    def percent(self) -> int:
        """Return how far it is, of what was counted at its start."""
        if self.status == BulkStatus.COMPLETED or not self.total:
            return 100
        return min(99, self.done * 100 // self.total)

    @property
    def passed_over(self) -> int:
        """Return how many were counted and did not match any more when their turn came."""
        return max(self.total - self.done, 0) if self.status == BulkStatus.COMPLETED else 0
