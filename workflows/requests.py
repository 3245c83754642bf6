"""Handlers of the mediator: a request names a type of workflow, or a workflow."""

from __future__ import annotations

from workflows import services
from workflows.services import Start, Started


def start_by_type(workflow_type: str, start: Start) -> Started:
    """Start the workflow that stands for this type.

    Raises:
        NotFound: no workflow of this type is active.
    """
    return services.start_execution(services.workflow_of_type(workflow_type), start)
