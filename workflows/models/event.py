"""Events: the append-only history of an execution."""

from __future__ import annotations

from django.db import models

from core.db.json_fields import object_field
from core.db.models import AppendedModel
from core.db.vocabulary import EnumField, Vocabulary, enum_check
from workflows.models.execution import WorkflowExecution


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
