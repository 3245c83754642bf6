"""What runs across services, and what ran."""

from workflows.models.execution import (
    ENDED,
    OPEN_STEP,
    TERMINAL,
    UNENDED,
    EventKind,
    ExecutionStatus,
    StepStatus,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowStep,
)
from workflows.models.worker import Worker
from workflows.models.workflow import (
    Workflow,
    WorkflowStatus,
    WorkflowType,
    WorkflowVersion,
    checksum_of,
)

__all__ = [
    "ENDED",
    "OPEN_STEP",
    "TERMINAL",
    "UNENDED",
    "EventKind",
    "ExecutionStatus",
    "StepStatus",
    "Worker",
    "Workflow",
    "WorkflowEvent",
    "WorkflowExecution",
    "WorkflowStatus",
    "WorkflowStep",
    "WorkflowType",
    "WorkflowVersion",
    "checksum_of",
]
