"""Permissions that views and actions ask for beside those of Django on each model."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def may_control(request: HttpRequest) -> bool:
    """Return whether this person may cancel, retry, pause and decide executions."""
    return request.user.has_perm("workflows.change_workflowexecution")


def may_operate(request: HttpRequest) -> bool:
    """Return whether this person may start other versions and reruns with other inputs.

    Over the API that is the scope workflows:operate; in the admin it goes with control.
    """
    return may_control(request)


class ControlledMixin:
    """Rows on which those act who control executions."""

    def has_control_permission(self, request: HttpRequest) -> bool:
        return may_control(request)


class RunnableMixin:
    """Rows that start executions: who may edit a workflow may run it."""

    def has_run_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        names = ("workflows.add_workflowexecution", "workflows.change_workflow")
        return any(request.user.has_perm(name) for name in names)
