"""Errors of workflows."""

from __future__ import annotations

from core.exceptions import IntegrationError


class WorkflowError(IntegrationError):
    """A workflow could not go on."""

    code = "workflow_error"
    status_code = 409
    permanent = True
