"""Steps: every attempt at every step of every execution."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.decorators import display

from core.admin.base import GrowingAdmin, ReadOnlyMixin, is_id
from core.admin.formatting import duration, json_block, moment
from core.admin.pages import page_of
from workflows.admin.filters import CreatedFilter
from workflows.models import WorkflowExecution, WorkflowStep


def execution_link(execution: WorkflowExecution) -> str:
    return format_html(
        '<a class="hub-link" href="{}">{} <span class="hub-id">{}</span></a>',
        page_of(execution),
        execution.workflow_name,
        execution.short_id,
    )


@admin.register(WorkflowStep)
class WorkflowStepAdmin(ReadOnlyMixin, GrowingAdmin):
    """Newest first; the service or instance that was called can be searched for."""

    list_display = (
        "label",
        "status_label",
        "execution_label",
        "attempt",
        "called",
        "began",
        "took",
    )
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
        (
            "Times",
            {"fields": ("took", "created_at", "started_at", "completed_at", "wake_at")},
        ),
        ("Claim", {"fields": ("lease_owner", "lease_until", "fence", "deaths")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowStep]:
        steps = super().get_queryset(request).select_related("execution")
        return steps.defer(
            "execution__input", "execution__context", "execution__output", "execution__errors"
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if is_id(term):
            return queryset.filter(Q(execution_id=term) | Q(pk=term)), False
        return queryset.filter(Q(step_id=term) | Q(service__iexact=term)), False

    @display(description="Step")
    def label(self, step: WorkflowStep) -> str:
        return step.title

    @display(description="Execution")
    def execution_label(self, step: WorkflowStep) -> str:
        return execution_link(step.execution)

    @display(description="Called")
    def called(self, step: WorkflowStep) -> str:
        return " · ".join(part for part in (step.service, step.action) if part) or "–"

    @display(description="Began")
    def began(self, step: WorkflowStep) -> str:
        return moment(step.started_at)

    @display(description="Took")
    def took(self, step: WorkflowStep) -> str:
        return duration(step.started_at, step.completed_at)

    @display(description="Input")
    def input_block(self, step: WorkflowStep) -> str:
        return json_block(step.input)

    @display(description="Output")
    def output_block(self, step: WorkflowStep) -> str:
        return json_block(step.output)

    @display(description="Error")
    def error_block(self, step: WorkflowStep) -> str:
        return json_block(step.error)
