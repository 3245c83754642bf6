"""What ran: executions, their steps and the events in between."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.db.json_fields import object_field
from core.db.models import AppendedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from workflows.models.workflow import Workflow, WorkflowType, WorkflowVersion
from workflows.step_paths import is_compensation


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


class StepStatus(Vocabulary):
    """Where one attempt at a step stands."""

    PENDING = "PENDING", "Pending"
    RUNNING = "RUNNING", "Running"
    WAITING = "WAITING", "Waiting"
    COMPLETED = "COMPLETED", "Completed"
    FAILED = "FAILED", "Failed"
    SKIPPED = "SKIPPED", "Skipped"
    CANCELLED = "CANCELLED", "Cancelled"
    COMPENSATED = "COMPENSATED", "Compensated"
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
# Executions in these hold one of the places that the `concurrency` of their workflow allows.
HOLDING = UNENDED
LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100
OPEN_STEP = (StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING)


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
    correlation_id = models.CharField(max_length=100, blank=True, default="")
    started_by = models.CharField(max_length=100, blank=True, default="")
    # Higher comes first.
    priority = models.SmallIntegerField(default=0)
    # Since when it waits for one of its workflow's places; empty when it has one, or needs none.
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
                fields=("workflow", "idempotency_key"),
                name="workflow_execution_idempotency_key",
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
            # Who holds a place of a workflow, and who waits for one, in order.
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
    def is_being_undone(self) -> bool:
        """Whether what it did is being undone, or was to be when that failed."""
        return self.ends_as is not None and self.status not in TERMINAL

    @property
    def was_undone(self) -> bool:
        """Whether what it did was undone, so that there is nothing left to go on from."""
        return self.ends_as is not None and self.status in TERMINAL

    @property
    def is_queued(self) -> bool:
        """Whether it waits for a place."""
        return self.queued_at is not None and self.status == ExecutionStatus.PENDING

    @property
    def is_held(self) -> bool:
        """Whether its steps are kept from being claimed: paused, or without a place."""
        return self.status == ExecutionStatus.PAUSED or self.queued_at is not None

    @property
    def execution_time(self) -> float | None:
        """Seconds from the start to the end; None before the end."""
        if self.started_at is None or self.completed_at is None:
            return None
        return round((self.completed_at - self.started_at).total_seconds(), 6)


class WorkflowStep(AppendedModel):
    """One attempt at one step: the unit of work, and all that is needed to go on with it.

    `path` is the step's place inside branches and iterations, and equals `step_id` outside them;
    `scope` is the branch or element, such as `each/17`, and empty at the top. A path that begins
    with `~` is that of the row which undoes the step at the rest of it.
    `wake_at` says from when on a PENDING or WAITING row may be claimed; `fence` grows with every
    claim, so that a holder whose lease was taken away writes nothing.
    """

    # The index of (execution, scope) serves the key as well.
    execution = models.ForeignKey(
        WorkflowExecution, on_delete=models.CASCADE, related_name="steps", db_index=False
    )
    step_id = models.CharField(max_length=100)
    path = models.CharField(max_length=500)
    scope = models.CharField(max_length=500, blank=True, default="")
    attempt = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=200, blank=True, default="")
    status = EnumField(vocabulary=StepStatus, max_length=20, default=StepStatus.PENDING)
    service = models.CharField(max_length=100, blank=True, default="")
    instance = models.CharField(max_length=500, blank=True, default="")
    action = models.CharField(max_length=100, blank=True, default="")
    input = models.JSONField(null=True, blank=True)
    output = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    # What was done to the input before it was sent; empty where nothing was.
    warnings = models.JSONField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    wake_at = models.DateTimeField(null=True, blank=True)
    lease_owner = models.CharField(max_length=100, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.BigIntegerField(default=0)
    # Of the execution: claims are ordered by it, highest first.
    priority = models.SmallIntegerField(default=0, db_default=0)
    deaths = models.PositiveSmallIntegerField(default=0)
    # The attempts before the present budget of the retry policy, and when that budget began.
    retry_base = models.PositiveIntegerField(default=0)
    retry_since = models.DateTimeField(null=True, blank=True)
    # Of a PARALLEL or MAP: its branches, and how many have begun, are done, have failed, must be
    # done, and may fail.
    total = models.PositiveIntegerField(default=0)
    begun = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    needed = models.PositiveIntegerField(default=0)
    tolerated = models.PositiveIntegerField(default=0)
    # Taken over from the execution that this one reruns: it was not called again. The engine's own
    # inserts do not name the column, so the database knows what it is.
    reused = models.BooleanField(default=False, db_default=False)
    # While the execution is paused or queued: when it would have been looked at.
    held_wake_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "workflow_step"
        ordering = ("id",)
        verbose_name = "step"
        constraints = (
            enum_check("workflow_step", "status", StepStatus),
            models.UniqueConstraint(
                fields=("execution", "path", "attempt"),
                name="workflow_step_execution_path_attempt_key",
            ),
        )
        indexes = (
            # The sweeps read what is due, not what is done: PENDING rows are, and WAITING rows in
            # the order of their time within each priority.
            models.Index(
                F("status"),
                F("priority").desc(),
                F("wake_at"),
                name="step_claim_idx",
                condition=Q(status__in=("PENDING", "WAITING"), wake_at__isnull=False),
            ),
            # The inbox reads what waits for people.
            models.Index(
                F("id"),
                name="step_waiting_idx",
                condition=Q(status__in=("WAITING", "NEEDS_REVIEW")),
            ),
            models.Index(F("lease_until"), name="step_lease_idx", condition=Q(status="RUNNING")),
            models.Index(
                fields=("deaths", "wake_at"),
                name="step_suspect_idx",
                condition=Q(deaths__gt=0, status__in=("PENDING", "WAITING")),
            ),
            models.Index(fields=("execution", "scope"), name="step_execution_scope_idx"),
        )

    def __str__(self) -> str:
        return f"{self.path} ({self.status.lower()})"

    @property
    def title(self) -> str:
        """What to call it on a page."""
        name = self.name or self.step_id
        return f"Undo {name}" if self.is_compensation else name

    @property
    def is_compensation(self) -> bool:
        """Whether it undoes another step."""
        return is_compensation(self.path)

    @property
    def duration(self) -> float | None:
        """Seconds from the claim to the outcome."""
        if self.started_at is None or self.completed_at is None:
            return None
        return round((self.completed_at - self.started_at).total_seconds(), 6)


class EventKind(Vocabulary):
    """What happened to an execution."""

    STARTED = "STARTED", "Started"
    COMPLETED = "COMPLETED", "Completed"
    FAILED = "FAILED", "Failed"
    CANCELLED = "CANCELLED", "Cancelled"
    PAUSED = "PAUSED", "Paused"
    RESUMED = "RESUMED", "Resumed"
    RETRIED = "RETRIED", "Retried"
    SIGNAL = "SIGNAL", "Signal"
    SIGNAL_SET_ASIDE = "SIGNAL_SET_ASIDE", "Signal set aside"
    APPROVED = "APPROVED", "Approved"
    REJECTED = "REJECTED", "Rejected"
    STEP_COMPLETED = "STEP_COMPLETED", "Step completed by a person"
    STEP_FAILED = "STEP_FAILED", "Step failed by a person"
    NEEDS_REVIEW = "NEEDS_REVIEW", "Needs review"
    COMPENSATING = "COMPENSATING", "Compensating"


class WorkflowEvent(AppendedModel):
    """One entry of an execution's history: append-only, numbered without gaps."""

    execution = models.ForeignKey(
        WorkflowExecution, on_delete=models.CASCADE, related_name="events"
    )
    sequence = models.PositiveIntegerField()
    kind = EnumField(vocabulary=EventKind)
    actor = models.CharField(max_length=100, blank=True, default="")
    payload = object_field()

    class Meta:
        db_table = "workflow_event"
        ordering = ("execution", "sequence")
        verbose_name = "event"
        constraints = (
            enum_check("workflow_event", "kind", EventKind),
            models.UniqueConstraint(
                fields=("execution", "sequence"), name="workflow_event_execution_sequence_key"
            ),
        )

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind}"
