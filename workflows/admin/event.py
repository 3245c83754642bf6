"""Events: what happened to executions, and who did it."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from core.admin.base import GrowingAdmin, ReadOnlyMixin
from core.admin.formatting import json_block, moment
from workflows.admin.filters import CreatedFilter
from workflows.admin.step import execution_link
from workflows.models import WorkflowEvent


@admin.register(WorkflowEvent)
class WorkflowEventAdmin(ReadOnlyMixin, GrowingAdmin):
    """Newest first."""

    list_display = ("kind_label", "execution_label", "who", "sequence", "when")
    list_filter = ("kind", CreatedFilter)
    search_fields = ("actor",)
    search_help_text = "Who did it"
    ordering = ("-id",)
    fields = ("kind_label", "execution_label", "who", "sequence", "created_at", "payload_block")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowEvent]:
        events = super().get_queryset(request).select_related("execution")
        return events.defer(
            "execution__input", "execution__context", "execution__output", "execution__errors"
        )

    @display(description="What happened")
    def kind_label(self, event: WorkflowEvent) -> str:
        return event.get_kind_display()

    @display(description="Execution")
    def execution_label(self, event: WorkflowEvent) -> str:
        return execution_link(event.execution)

    @display(description="Who")
    def who(self, event: WorkflowEvent) -> str:
        return event.actor or "the hub"

    @display(description="When")
    def when(self, event: WorkflowEvent) -> str:
        return moment(event.created_at)

    @display(description="Details")
    def payload_block(self, event: WorkflowEvent) -> str:
        return json_block(event.payload)
