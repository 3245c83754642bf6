"""What lists of workflows and executions may be filtered by."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet

from core.api.instants import InstantFilter
from core.api.query_filters import LONGEST_TEXT, VocabularyFilter
from core.db.names import reference_filter
from workflows.execution_filters import search_executions
from workflows.models import (
    ExecutionStatus,
    RunKind,
    RunOutcome,
    Workflow,
    WorkflowExecution,
    WorkflowSchedule,
    WorkflowScheduleRun,
    WorkflowStatus,
    WorkflowType,
)


class WorkflowFilter(django_filters.FilterSet):
    """Filters of the workflow list."""

    status = VocabularyFilter(WorkflowStatus)
    type = VocabularyFilter(WorkflowType)
    name = django_filters.CharFilter(lookup_expr="iexact", max_length=LONGEST_TEXT)
    search = django_filters.CharFilter(method="containing", max_length=LONGEST_TEXT)

    class Meta:
        model = Workflow
        fields = ()

    def containing(self, queryset: QuerySet[Workflow], _: str, value: str) -> QuerySet[Workflow]:
        return queryset.filter(Q(name__icontains=value) | Q(description__icontains=value))


EXECUTION_ORDERING = ("created_at", "started_at", "completed_at")


class ExecutionFilter(django_filters.FilterSet):
    """Filters of the execution lists."""

    status = VocabularyFilter(ExecutionStatus)
    type = VocabularyFilter(WorkflowType)
    workflow = django_filters.CharFilter(method="of_workflow", max_length=LONGEST_TEXT)
    correlation_id = django_filters.CharFilter(max_length=LONGEST_TEXT)
    created_after = InstantFilter(field_name="created_at", lookup_expr="gte")
    created_before = InstantFilter(field_name="created_at", lookup_expr="lt")
    search = django_filters.CharFilter(method="containing", max_length=LONGEST_TEXT)

    class Meta:
        model = WorkflowExecution
        fields = ()

    def containing(self, queryset: QuerySet[Any], _: str, value: str) -> QuerySet[Any]:
        return search_executions(queryset, value)

    def of_workflow(self, queryset: QuerySet[Any], _: str, value: str) -> QuerySet[Any]:
        return queryset.filter(workflow__in=Workflow.objects.filter(reference_filter(value)))


class ScheduleFilter(django_filters.FilterSet):
    """Filters of the schedule list."""

    workflow = django_filters.CharFilter(method="of_workflow", max_length=LONGEST_TEXT)
    enabled = django_filters.BooleanFilter()
    search = django_filters.CharFilter(method="containing", max_length=LONGEST_TEXT)

    class Meta:
        model = WorkflowSchedule
        fields = ()

    def of_workflow(self, queryset: QuerySet[Any], _: str, value: str) -> QuerySet[Any]:
        return queryset.filter(workflow__in=Workflow.objects.filter(reference_filter(value)))

    def containing(self, queryset: QuerySet[Any], _: str, value: str) -> QuerySet[Any]:
        return queryset.filter(Q(name__icontains=value) | Q(description__icontains=value))


class RunFilter(django_filters.FilterSet):
    """Filters of the runs of a schedule."""

    outcome = VocabularyFilter(RunOutcome)
    kind = VocabularyFilter(RunKind)

    class Meta:
        model = WorkflowScheduleRun
        fields = ()
