"""Executions: the runs of a workflow version."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.db.json_fields import object_field
from core.db.models import AppendedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from workflows.models.workflow import Workflow, WorkflowType, WorkflowVersion


class ExecutionStatus(Vocabulary):
    """Where an execution stands."""

    PENDING = "PENDING", "Pending"
    RUNNING = "RUNNING", "Running"
    WAITING = "WAITING", "Waiting"
    PAUSED = "PAUSED", "Paused"
    COMPENSATING = "COMPENSATING", "Compensating"
    COMPLETED = "COMPLETED", "Completed"
    FAILED = "FAILED", "Failed"
    CANCELLED = "CANCELLED", "Cancelled"
    NEEDS_REVIEW = "NEEDS_REVIEW", "Needs review"


TERMINAL = (ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)
# Going on by itself.
ACTIVE = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING)
# In these steps are claimed: work goes on, or is being undone.
GOING_ON = (*ACTIVE, ExecutionStatus.COMPENSATING)
# What a deadline can still end: what is being undone is undone, however long that takes.
UNDER_DEADLINE = (*ACTIVE, ExecutionStatus.PAUSED)
UNENDED = (*UNDER_DEADLINE, ExecutionStatus.COMPENSATING)
ENDED = (*TERMINAL, ExecutionStatus.NEEDS_REVIEW)
# Executions in these hold one of the slots that the `concurrency` of their workflow allows.
HOLDING_SLOT = UNENDED
LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100


class WorkflowExecution(AppendedModel):
    """One run of a workflow version."""

    workflow = models.ForeignKey(
        Workflow, on_delete=models.SET_NULL, null=True, related_name="executions"
    )
    version = models.ForeignKey(
        WorkflowVersion, on_delete=models.SET_NULL, null=True, related_name="executions"
    )
    workflow_name = models.CharField(max_length=100)
    type = EnumField(vocabulary=WorkflowType, default=WorkflowType.CUSTOM)
    status = EnumField(vocabulary=ExecutionStatus, max_length=20, default=ExecutionStatus.PENDING)
    input = object_field()
    context = object_field()
    output = models.JSONField(null=True, blank=True)
    errors = models.JSONField(default=list, blank=True)
    # Once its completed steps are undone, and ever after: the status that this ends with.
    ends_as = EnumField(vocabulary=ExecutionStatus, max_length=20, null=True, blank=True)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)
    # Whose the key is, as one caller's is no other's; empty in rows of before, where it is that of
    # who started them. And the digest of the request that it stands for, where there was one.
    idempotency_caller = models.CharField(
        max_length=200, blank=True, default="", db_default="", editable=False
    )
    idempotency_digest = models.CharField(
        max_length=64, blank=True, default="", db_default="", editable=False
    )
    parent_step = models.ForeignKey(
        "WorkflowStep",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="children",
        db_index=False,
    )
    rerun_of = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="reruns",
        db_index=False,
    )
    # Whether a rerun took over what people approved here: nothing else goes on with it then.
    approvals_reused = models.BooleanField(default=False, db_default=False, editable=False)
    correlation_id = models.CharField(max_length=100, blank=True, default="")
    started_by = models.CharField(max_length=100, blank=True, default="")
    # Higher comes first.
    priority = models.SmallIntegerField(default=0)
    # Since when it waits for one of its workflow's slots; empty when it has one, or needs none.
    queued_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_sequence = models.PositiveIntegerField(default=0, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "workflow_execution"
        ordering = ("-created_at", "-id")
        verbose_name = "execution"
        constraints = (
            enum_check("workflow_execution", "type", WorkflowType),
            enum_check("workflow_execution", "status", ExecutionStatus),
            models.CheckConstraint(
                name="workflow_execution_ends_as_check",
                condition=Q(ends_as__isnull=True) | Q(ends_as__in=("FAILED", "CANCELLED")),
            ),
            models.UniqueConstraint(
                fields=("workflow", "idempotency_key", "idempotency_caller"),
                name="workflow_execution_caller_key",
                condition=Q(idempotency_key__isnull=False),
            ),
        )
        indexes = (
            models.Index(fields=("status", "created_at"), name="execution_status_created_idx"),
            models.Index(fields=("workflow", "created_at"), name="execution_workflow_created_idx"),
            models.Index(fields=("type", "created_at"), name="execution_type_created_idx"),
            models.Index(fields=("created_at",), name="execution_created_idx"),
            models.Index(
                fields=("deadline_at",),
                name="execution_deadline_idx",
                condition=Q(
                    deadline_at__isnull=False,
                    status__in=("PENDING", "RUNNING", "WAITING", "PAUSED"),
                ),
            ),
            # Who holds a slot of a workflow, and who waits for one, in order.
            models.Index(
                fields=("workflow",),
                name="execution_holding_idx",
                condition=Q(
                    queued_at__isnull=True,
                    status__in=("PENDING", "RUNNING", "WAITING", "PAUSED", "COMPENSATING"),
                ),
            ),
            models.Index(
                F("workflow"),
                F("priority").desc(),
                F("created_at"),
                name="execution_queue_idx",
                condition=Q(queued_at__isnull=False, status="PENDING"),
            ),
            models.Index(
                fields=("parent_step",),
                name="execution_parent_idx",
                condition=Q(parent_step__isnull=False),
            ),
            # Children that may have lost their parent.
            models.Index(
                fields=("parent_step",),
                name="execution_open_child_idx",
                condition=Q(
                    parent_step__isnull=False,
                    status__in=("PENDING", "RUNNING", "WAITING", "PAUSED"),
                ),
            ),
            # What retention reads: the ended ones of a workflow, those that ended first.
            models.Index(
                fields=("workflow", "completed_at"),
                name="execution_retention_idx",
                condition=Q(
                    parent_step__isnull=True, status__in=("COMPLETED", "FAILED", "CANCELLED")
                ),
            ),
            models.Index(
                fields=("rerun_of",),
                name="execution_rerun_of_idx",
                condition=Q(rerun_of__isnull=False),
            ),
            models.Index(
                fields=("correlation_id",),
                name="execution_correlation_idx",
                condition=~Q(correlation_id=""),
            ),
        )

    def __str__(self) -> str:
        return f"{self.workflow_name} {self.short_id}"

    @property
    def short_id(self) -> str:
        """The end of the id, by which pages show it: the beginning is that of its neighbours."""
        return str(self.id)[-8:]

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def is_compensating(self) -> bool:
        """Return whether its steps are being compensated, or were to be when that failed."""
        return self.ends_as is not None and self.status not in TERMINAL

    @property
    def was_compensated(self) -> bool:
        """Return whether its steps were compensated: then nothing is left to go on from."""
        return self.ends_as is not None and self.status in TERMINAL

    @property
    def is_queued(self) -> bool:
        """Return whether it waits for a slot."""
        return self.queued_at is not None and self.status == ExecutionStatus.PENDING

    @property
    def is_held(self) -> bool:
        """Return whether its steps are kept from being claimed: paused, or without a slot."""
        return self.status == ExecutionStatus.PAUSED or self.queued_at is not None

    @property
    def execution_time(self) -> float | None:
        """Seconds from the start to the end; None before the end."""
        if self.started_at is None or self.completed_at is None:
            return None
        return round((self.completed_at - self.started_at).total_seconds(), 6)
