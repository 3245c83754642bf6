"""Schedules: when workflows are started by the clock, and what became of each tick."""

from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from core.db.json_fields import object_field
from core.db.models import AppendedModel, NamedModel, NamedQuerySet, name_constraint
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from workflows.models.execution import (
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    WorkflowExecution,
)
from workflows.models.workflow import Workflow, WorkflowVersion

LARGEST_CATCH_UP = 100
LONGEST_CRON = 100


class OverlapPolicy(Vocabulary):
    """What a tick does while an earlier execution of its schedule still runs."""

    SKIP = "SKIP", "Skip: leave the tick out"
    QUEUE = "QUEUE", "Queue: wait for the end, one tick at most"
    CANCEL_RUNNING = "CANCEL_RUNNING", "Cancel running: end the earlier one, then start"
    ALLOW = "ALLOW", "Allow: run beside it"


class CatchUpPolicy(Vocabulary):
    """What becomes of ticks that passed while nothing could start them."""

    NONE = "NONE", "None: leave them out"
    LAST = "LAST", "Last: run the latest of them"
    ALL = "ALL", "All: run them one after another"


class RunKind(Vocabulary):
    """What a run of a schedule is due to."""

    TICK = "TICK", "Tick"
    CATCH_UP = "CATCH_UP", "Catch-up"
    MANUAL = "MANUAL", "Run now"
    BACKFILL = "BACKFILL", "Backfill"


class RunOutcome(Vocabulary):
    """What became of a run of a schedule."""

    PENDING = "PENDING", "Pending"
    QUEUED = "QUEUED", "Queued"
    STARTED = "STARTED", "Started"
    CANCELLED_RUNNING = "CANCELLED_RUNNING", "Started, earlier one cancelled"
    SKIPPED = "SKIPPED", "Skipped"
    FAILED = "FAILED", "Failed to start"


# Runs that are still to start.
OPEN_RUN = (RunOutcome.PENDING, RunOutcome.QUEUED)
# Runs that come from a list of past ticks, worked off in order.
BACKLOG = (RunKind.CATCH_UP, RunKind.BACKFILL)


class ScheduleQuerySet(NamedQuerySet["WorkflowSchedule"]):
    """Selections of schedules."""

    def with_workflow(self) -> ScheduleQuerySet:
        """With what is shown of its workflow and pinned version."""
        return self.select_related("workflow", "version").defer(
            "workflow__metadata", "workflow__description", "version__steps", "version__options"
        )


class WorkflowSchedule(NamedModel):
    """When a workflow is started: a cron expression in a time zone.

    `next_run_at` is the next tick, and empty when there is none: disabled, or past `ends_at`.
    """

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="schedules")
    # Empty: whatever version is current when it runs.
    version = models.ForeignKey(
        WorkflowVersion, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    cron = models.CharField(max_length=LONGEST_CRON)
    timezone = models.CharField(max_length=64, default="UTC")
    overlap_policy = EnumField(vocabulary=OverlapPolicy, default=OverlapPolicy.SKIP)
    catch_up_policy = EnumField(vocabulary=CatchUpPolicy, default=CatchUpPolicy.LAST)
    catch_up_limit = models.PositiveSmallIntegerField(
        default=10, validators=[MinValueValidator(1), MaxValueValidator(LARGEST_CATCH_UP)]
    )
    input = object_field()
    context = object_field()
    priority = models.SmallIntegerField(
        default=0,
        validators=[MinValueValidator(LOWEST_PRIORITY), MaxValueValidator(HIGHEST_PRIORITY)],
    )
    enabled = models.BooleanField(default=True)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    next_run_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_run_at = models.DateTimeField(null=True, blank=True, editable=False)
    owner = models.CharField(max_length=100, blank=True, default="")

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        db_table = "workflow_schedule"
        ordering = ("name",)
        verbose_name = "schedule"
        constraints = (
            enum_check("workflow_schedule", "overlap_policy", OverlapPolicy),
            enum_check("workflow_schedule", "catch_up_policy", CatchUpPolicy),
            name_constraint("workflow_schedule", "A schedule"),
        )
        indexes = (
            models.Index(
                fields=("next_run_at",),
                name="schedule_due_idx",
                condition=Q(enabled=True, next_run_at__isnull=False),
            ),
        )

    @property
    def state(self) -> str:
        """ACTIVE, DISABLED, or ENDED when no tick is left."""
        if not self.enabled:
            return "DISABLED"
        return "ACTIVE" if self.next_run_at else "ENDED"

    @property
    def actor(self) -> str:
        """The name under which its executions are started."""
        return f"schedule:{self.name}"[:100]


class RunQuerySet(models.QuerySet["WorkflowScheduleRun"]):
    """Selections of runs."""

    def with_execution(self) -> RunQuerySet:
        """With the status of the execution, and nothing of its documents."""
        documents: tuple[Any, ...] = ("input", "context", "output", "errors")
        return self.select_related("execution").defer(*(f"execution__{d}" for d in documents))


class WorkflowScheduleRun(AppendedModel):
    """What became of one tick: at most one execution for each (schedule, tick)."""

    schedule = models.ForeignKey(WorkflowSchedule, on_delete=models.CASCADE, related_name="runs")
    tick = models.DateTimeField()
    kind = EnumField(vocabulary=RunKind, default=RunKind.TICK)
    outcome = EnumField(vocabulary=RunOutcome, default=RunOutcome.PENDING)
    execution = models.ForeignKey(
        WorkflowExecution, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=500, blank=True, default="")
    actor = models.CharField(max_length=100, blank=True, default="")
    started_at = models.DateTimeField(null=True, blank=True)
    # Started, and not yet seen to have ended: so few rows tell what a schedule has going.
    running = models.BooleanField(default=False, editable=False)

    objects = RunQuerySet.as_manager()

    class Meta:
        db_table = "workflow_schedule_run"
        ordering = ("-tick",)
        verbose_name = "run of a schedule"
        verbose_name_plural = "runs of schedules"
        constraints = (
            enum_check("workflow_schedule_run", "kind", RunKind),
            enum_check("workflow_schedule_run", "outcome", RunOutcome),
            models.UniqueConstraint(
                fields=("schedule", "tick"), name="workflow_schedule_run_schedule_tick_key"
            ),
        )
        indexes = (
            models.Index(
                fields=("schedule", "tick"),
                name="schedule_run_open_idx",
                condition=Q(outcome__in=("PENDING", "QUEUED")),
            ),
            models.Index(
                fields=("schedule",), name="schedule_run_going_idx", condition=Q(running=True)
            ),
            models.Index(fields=("schedule", "-id"), name="schedule_run_newest_idx"),
        )

    def __str__(self) -> str:
        return f"{self.tick:%Y-%m-%d %H:%M:%S} {self.outcome.lower()}"
