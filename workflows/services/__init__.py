"""The operations on workflows and executions."""

from workflows.execution_rows import Start, workflow_to_start, workflows_to_start
from workflows.services.definitions.comparison import ComparedVersions, compare_versions
from workflows.services.definitions.grants import (
    allow_version,
    lines_of_version,
    uses_of_version,
    withdraw_version,
)
from workflows.services.definitions.lifecycle import (
    OPTION_KEYS,
    activate_version,
    create_workflow,
    delete_workflow,
    get_version,
    get_workflow,
    save_definition,
    update_workflow,
)
from workflows.services.definitions.registry_directory import validate_document
from workflows.services.definitions.retirement import (
    OPERATE,
    reinstate_version,
    retire_version,
)
from workflows.services.dry_runs import DryRun, dry_run_document, dry_run_workflow
from workflows.services.executions.bulk_operations import (
    BulkOrder,
    cancel_bulk,
    count_bulk,
    covered_executions,
    get_bulk,
    resolve_workflow,
    start_bulk,
)
from workflows.services.executions.concurrency_limit import queue_of
from workflows.services.executions.control import (
    cancel_execution,
    pause_execution,
    resume_execution,
    retry_execution,
)
from workflows.services.executions.human_tasks import decide_approval, settle_reviewed
from workflows.services.executions.lookup import get_execution, read_again, wait_for_end
from workflows.services.executions.rerun import NEWEST, Rerun, rerun_execution
from workflows.services.executions.signals import SentSignal, signal_execution, signal_many
from workflows.services.executions.start import Started, accepted, start_execution, start_many
from workflows.services.expression_trials import evaluate_expression, evaluate_template
from workflows.services.schedules.backfill import (
    LARGEST_BACKFILL,
    Backfill,
    cancel_backlog,
    plan_backfill,
    start_backfill,
)
from workflows.services.schedules.lifecycle import (
    create_schedule,
    delete_schedule,
    get_schedule,
    next_ticks,
    preview,
    set_enabled,
    update_schedule,
)
from workflows.services.schedules.runs import run_now, sweep_schedules
from workflows.services.webhooks.deliveries import receive_message
from workflows.services.webhooks.lifecycle import (
    check_webhook_fields,
    create_webhook,
    delete_webhook,
    forget_deliveries,
    get_webhook,
    update_webhook,
)
from workflows.signalling.ends import when_ended
from workflows.validation.credential_use import check_connections

__all__ = [
    "LARGEST_BACKFILL",
    "NEWEST",
    "OPERATE",
    "OPTION_KEYS",
    "Backfill",
    "BulkOrder",
    "ComparedVersions",
    "DryRun",
    "Rerun",
    "SentSignal",
    "Start",
    "Started",
    "accepted",
    "activate_version",
    "allow_version",
    "cancel_backlog",
    "cancel_bulk",
    "cancel_execution",
    "check_connections",
    "check_webhook_fields",
    "compare_versions",
    "count_bulk",
    "covered_executions",
    "create_schedule",
    "create_webhook",
    "create_workflow",
    "decide_approval",
    "delete_schedule",
    "delete_webhook",
    "delete_workflow",
    "dry_run_document",
    "dry_run_workflow",
    "evaluate_expression",
    "evaluate_template",
    "forget_deliveries",
    "get_bulk",
    "get_execution",
    "get_schedule",
    "get_version",
    "get_webhook",
    "get_workflow",
    "lines_of_version",
    "next_ticks",
    "pause_execution",
    "plan_backfill",
    "preview",
    "queue_of",
    "read_again",
    "receive_message",
    "reinstate_version",
    "rerun_execution",
    "resolve_workflow",
    "resume_execution",
    "retire_version",
    "retry_execution",
    "run_now",
    "save_definition",
    "set_enabled",
    "settle_reviewed",
    "signal_execution",
    "signal_many",
    "start_backfill",
    "start_bulk",
    "start_execution",
    "start_many",
    "sweep_schedules",
    "update_schedule",
    "update_webhook",
    "update_workflow",
    "uses_of_version",
    "validate_document",
    "wait_for_end",
    "when_ended",
    "withdraw_version",
    "workflow_to_start",
    "workflows_to_start",
]
