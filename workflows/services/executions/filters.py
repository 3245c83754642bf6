"""Selects executions by filters that mean the same in lists and in bulk operations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast

from core.identifiers import read_id
from workflows.models import Workflow, WorkflowExecution

NAMES = (
    "status", "type", "workflow", "correlation_id", "created_after", "created_before", "search",
)  # fmt: skip
# The end of an id, by which pages show an execution, is looked for among so many.
LATEST_EXECUTIONS = 10_000
_SHORT_ID = re.compile(r"[0-9a-f]{8}\Z")
_LOOKUPS = {
    "status": "status__in",
    "type": "type__in",
    "workflow": "workflow_id",
    "correlation_id": "correlation_id",
    "created_after": "created_at__gte",
    "created_before": "created_at__lt",
}


def select_executions(wanted: Mapping[str, Any]) -> QuerySet[WorkflowExecution]:
    """Return the executions that a stored filter selects; `workflow` is an id here."""
    values = {name: value for name, value in wanted.items() if value not in (None, "", [])}
    search = values.pop("search", "")
    executions = WorkflowExecution.objects.filter(**{_LOOKUPS[k]: v for k, v in values.items()})
    return search_executions(executions, search) if search else executions


def with_short_id(text: str) -> QuerySet[WorkflowExecution]:
    """Return those of the latest executions whose id ends so; none for what is no such end."""
    if not _SHORT_ID.match(text.lower()):
        return WorkflowExecution.objects.none()
    latest = WorkflowExecution.objects.order_by("-created_at", "-id")[:LATEST_EXECUTIONS]
    rows = WorkflowExecution.objects.filter(pk__in=latest.values("pk"))
    return rows.annotate(text=Cast("pk", CharField())).filter(text__endswith=text.lower())


def search_executions(
    executions: QuerySet[WorkflowExecution], term: str
) -> QuerySet[WorkflowExecution]:
    """Return those with this id, its end or correlation id, or of a workflow with this in its name.

    It looks only where an index answers, and for the end of an id among the latest.
    """
    matches = Q(correlation_id=term)
    matches |= Q(workflow__in=Workflow.objects.filter(name__icontains=term).values("pk"))
    matches |= Q(pk__in=with_short_id(term).values("pk"))
    key = read_id(term)
    return executions.filter(matches | Q(pk=key) if key else matches)
