"""Steps of executions: the units of work."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.db.models import AppendedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from workflows.definition.step_paths import is_compensation
from workflows.models.execution import WorkflowExecution


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


OPEN_STEP = (StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING)


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
        """Return what to call it on a page."""
        name = self.name or self.step_id
        return f"Undo {name}" if self.is_compensation else name

    @property
    def is_compensation(self) -> bool:
        """Return whether it undoes another step."""
        return is_compensation(self.path)

    @property
    def duration(self) -> float | None:
        """Seconds from the claim to the outcome."""
        if self.started_at is None or self.completed_at is None:
            return None
        return round((self.completed_at - self.started_at).total_seconds(), 6)
