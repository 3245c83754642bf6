"""Steps: every attempt at every step of every execution."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.decorators import display

from core.admin.base import GrowingAdmin, ReadOnlyMixin, is_id
from core.admin.columns import (
    column,
    duration_column,
    json_column,
    moment_column,
    text_column,
)
from core.admin.formatting import NOTHING
from core.admin.pages import page_of
from workflows.admin.filters import CreatedFilter
from workflows.models import WorkflowStep


def with_execution(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return rows of executions with what `execution_column` shows, and without long values."""
    values = (f"execution__{name}" for name in ("input", "context", "output", "errors"))
    return rows.select_related("execution").defer(*values)


def _link_to_execution(row: Any) -> str:
    return format_html(
        '<a class="hub-link" href="{}">{} <span class="hub-id">{}</span></a>',
        page_of(row.execution),
        row.execution.workflow_name,
        row.execution.short_id,
    )


execution_column = column("Execution", _link_to_execution)


@admin.register(WorkflowStep)
class WorkflowStepAdmin(ReadOnlyMixin, GrowingAdmin):
    """Newest first; the service or instance that was called can be searched for."""

    list_display = (
        "label", "status_label", "execution_label", "attempt", "called", "began", "took",
    )  # fmt: skip
    list_filter = ("status", CreatedFilter)
    search_fields = ("id",)
    search_help_text = "Step id, service or execution id"
    ordering = ("-id",)
    fieldsets = (
        (
            None,
            {"fields": ("label", "status_label", "execution_label", "attempt", "path", "reused")},
        ),
        ("Called", {"fields": ("service", "instance", "action")}),
        ("Values", {"fields": ("input_block", "output_block", "error_block")}),
        ("Times", {"fields": ("took", "created_at", "started_at", "completed_at", "wake_at")}),
        ("Claim", {"fields": ("lease_owner", "lease_until", "fence", "deaths")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowStep]:
        return with_execution(super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if is_id(term):
            return queryset.filter(Q(execution_id=term) | Q(pk=term)), False
        return queryset.filter(Q(step_id=term) | Q(service__iexact=term)), False

    label = text_column("Step", "title")
    execution_label = execution_column

    @display(description="Called")
    def called(self, step: WorkflowStep) -> str:
        return " · ".join(part for part in (step.service, step.action) if part) or NOTHING

    began = moment_column("Began", "started_at")
    took = duration_column()
    input_block = json_column("Input", "input")
    output_block = json_column("Output", "output")
    error_block = json_column("Error", "error")
