"""What happens to workflows and executions."""

from workflows.services.control import (
    cancel_execution,
    pause_execution,
    resume_execution,
    retry_execution,
)
from workflows.services.definitions import (
    OPTION_KEYS,
    RegistryDirectory,
    activate_version,
    create_workflow,
    delete_workflow,
    get_workflow,
    save_definition,
    update_workflow,
    validate_document,
    workflow_of_type,
)
from workflows.services.people import decide_approval, settle_reviewed, signal_execution
from workflows.services.reading import get_execution, wait_for_end
from workflows.services.starting import Start, Started, start_execution

__all__ = [
    "OPTION_KEYS",
    "RegistryDirectory",
    "Start",
    "Started",
    "activate_version",
    "cancel_execution",
    "create_workflow",
    "decide_approval",
    "delete_workflow",
    "get_execution",
    "get_workflow",
    "pause_execution",
    "resume_execution",
    "retry_execution",
    "save_definition",
    "settle_reviewed",
    "signal_execution",
    "start_execution",
    "update_workflow",
    "validate_document",
    "wait_for_end",
    "workflow_of_type",
]
