"""Which executions a filter selects: the same names and meanings for lists and bulk operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet

from registry.identifiers import read_id
from workflows.models import Workflow, WorkflowExecution

NAMES = (
    "status", "type", "workflow", "correlation_id", "created_after", "created_before", "search",
)  # fmt: skip
_LOOKUPS = {
    "status": "status__in",
    "type": "type__in",
    "workflow": "workflow_id",
    "correlation_id": "correlation_id",
    "created_after": "created_at__gte",
    "created_before": "created_at__lt",
}


def select_executions(wanted: Mapping[str, Any]) -> QuerySet[WorkflowExecution]:
    """The executions that a stored filter selects; `workflow` is an id here."""
    given = {name: value for name, value in wanted.items() if value not in (None, "", [])}
    search = given.pop("search", "")
    found = WorkflowExecution.objects.filter(**{_LOOKUPS[k]: v for k, v in given.items()})
    return search_executions(found, search) if search else found


def search_executions(
    executions: QuerySet[WorkflowExecution], term: str
) -> QuerySet[WorkflowExecution]:
    """Those with this id or correlation id, or of a workflow with this in its name.

    It looks only where an index answers.
    """
    found = Q(correlation_id=term)
    found |= Q(workflow__in=Workflow.objects.filter(name__icontains=term).values("pk"))
    key = read_id(term)
    return executions.filter(found | Q(pk=key) if key else found)
