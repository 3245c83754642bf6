"""The models of workflows, executions, schedules and webhooks."""

from workflows.models.bulk import SUITED, BulkAction, BulkOperation, BulkStatus
from workflows.models.event import EventKind, WorkflowEvent
from workflows.models.execution import (
    ACTIVE,
    ENDED,
    GOING_ON,
    HIGHEST_PRIORITY,
    HOLDING_SLOT,
    LOWEST_PRIORITY,
    TERMINAL,
    UNDER_DEADLINE,
    UNENDED,
    ExecutionStatus,
    WorkflowExecution,
)
from workflows.models.grant import CredentialGrant, CredentialGrantQuerySet
from workflows.models.purge import PurgeRun
from workflows.models.schedule import (
    BACKLOG,
    LARGEST_CATCH_UP,
    OPEN_RUN,
    CatchUpPolicy,
    OverlapPolicy,
    RunKind,
    RunOutcome,
    WorkflowSchedule,
    WorkflowScheduleRun,
)
from workflows.models.step import OPEN_STEP, StepStatus, WorkflowStep
from workflows.models.webhook import (
    DeliveryOutcome,
    FindBy,
    Webhook,
    WebhookDelivery,
    WebhookEffect,
)
from workflows.models.worker import Worker
from workflows.models.workflow import (
    RetentionClass,
    Workflow,
    WorkflowStatus,
    WorkflowType,
    WorkflowVersion,
    checksum_of,
)

__all__ = [
    "ACTIVE",
    "BACKLOG",
    "ENDED",
    "GOING_ON",
    "HIGHEST_PRIORITY",
    "HOLDING_SLOT",
    "LARGEST_CATCH_UP",
    "LOWEST_PRIORITY",
    "OPEN_RUN",
    "OPEN_STEP",
    "SUITED",
    "TERMINAL",
    "UNDER_DEADLINE",
    "UNENDED",
    "BulkAction",
    "BulkOperation",
    "BulkStatus",
    "CatchUpPolicy",
    "CredentialGrant",
    "CredentialGrantQuerySet",
    "DeliveryOutcome",
    "EventKind",
    "ExecutionStatus",
    "FindBy",
    "OverlapPolicy",
    "PurgeRun",
    "RetentionClass",
    "RunKind",
    "RunOutcome",
    "StepStatus",
    "Webhook",
    "WebhookDelivery",
    "WebhookEffect",
    "Worker",
    "Workflow",
    "WorkflowEvent",
    "WorkflowExecution",
    "WorkflowSchedule",
    "WorkflowScheduleRun",
    "WorkflowStatus",
    "WorkflowStep",
    "WorkflowType",
    "WorkflowVersion",
    "checksum_of",
]
