"""What lists of workflows and executions may be filtered by."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet

from core.api.instants import InstantFilter
from core.api.query_filters import NameFilter, SearchFilter, TextFilter, VocabularyFilter
from core.db.names import reference_filter
from workflows.models import (
    ExecutionStatus,
    RunKind,
    RunOutcome,
    Workflow,
    WorkflowStatus,
    WorkflowType,
)
from workflows.services.executions.filters import search_executions


class WorkflowFilter(django_filters.FilterSet):
    """Filters of the workflow list."""

    status = VocabularyFilter(WorkflowStatus)
    type = VocabularyFilter(WorkflowType)
    name = NameFilter()
    search = SearchFilter()


EXECUTION_ORDERING = ("created_at", "started_at", "completed_at")


class ExecutionFilter(django_filters.FilterSet):
    """Filters of the execution lists."""

    status = VocabularyFilter(ExecutionStatus)
    type = VocabularyFilter(WorkflowType)
    workflow = TextFilter(method="of_workflow")
    correlation_id = TextFilter()
    created_after = InstantFilter(field_name="created_at", lookup_expr="gte")
    created_before = InstantFilter(field_name="created_at", lookup_expr="lt")
    search = TextFilter(method="containing")

    def containing(self, queryset: QuerySet[Any], _: str, value: str) -> QuerySet[Any]:
        return search_executions(queryset, value)

    def of_workflow(self, queryset: QuerySet[Any], _: str, value: str) -> QuerySet[Any]:
        return queryset.filter(workflow__in=Workflow.objects.filter(reference_filter(value)))


class ScheduleFilter(django_filters.FilterSet):
    """Filters of the schedule list."""

    workflow = TextFilter(method="of_workflow")
    enabled = django_filters.BooleanFilter()
    search = SearchFilter()

    def of_workflow(self, queryset: QuerySet[Any], _: str, value: str) -> QuerySet[Any]:
        return queryset.filter(workflow__in=Workflow.objects.filter(reference_filter(value)))


class RunFilter(django_filters.FilterSet):
    """Filters of the runs of a schedule."""

    outcome = VocabularyFilter(RunOutcome)
    kind = VocabularyFilter(RunKind)
