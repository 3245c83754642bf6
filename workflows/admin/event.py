"""Events: what happened to executions, and who did it."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from core.admin.base import GrowingAdmin, ReadOnlyMixin
from core.admin.columns import column, json_column, moment_column, text_column
from workflows.admin.filters import CreatedFilter
from workflows.admin.step import execution_column, with_execution
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
        return with_execution(super().get_queryset(request))

    kind_label = column("What happened", WorkflowEvent.get_kind_display)
    execution_label = execution_column
    who = text_column("Who", "actor", empty="the hub")
    when = moment_column("When", "created_at")
    payload_block = json_column("Details", "payload")
