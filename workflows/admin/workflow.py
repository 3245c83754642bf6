"""Workflows: what they say, as a picture and as text, and running them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display
from unfold.enums import ActionVariant

from core.admin.base import HubAdmin, UnreadPartsMixin, actor_of, find_or_404
from core.admin.columns import moment_column
from core.admin.dialogs import dialog_action
from core.admin.formatting import json_block
from registry.admin.credential import may_use_credentials
from workflows import services
from workflows.admin.dry_run import dry_run_view
from workflows.admin.graph.svg import draw_workflow
from workflows.admin.permissions import RunnableMixin, may_operate
from workflows.admin.version_diff import compare_view
from workflows.admin.workflow_forms import RunForm, WorkflowForm, start_from
from workflows.models import Workflow

MAX_VERSIONS = 20
MAX_EXECUTIONS = 10
FIELDS = ("name", "type", "status", "description", "retention", "metadata")


@admin.register(Workflow)
class WorkflowAdmin(RunnableMixin, UnreadPartsMixin, HubAdmin):
    """Definitions; a change of the text makes a new version."""

    is_managed_by_files = True
    form = WorkflowForm
    refused_at = {"steps": "definition"}
    list_display = ("name", "status_label", "type", "version_label", "owner", "changed")
    list_filter = ("status", "type")
    search_fields = ("name", "description", "owner")
    search_help_text = "Name, description or owner"
    ordering = ("name",)
    list_select_related = ("current_version",)
    readonly_fields = ("owner", "created_at", "updated_at")
    change_form_outer_before_template = "console/workflow_summary.html"
    actions_detail = ("run",)
    fieldsets = (
        (None, {"fields": ("name", "type", "status", "description")}),
        ("Definition", {"fields": ("definition", "base_version")}),
        ("More", {"fields": ("retention", "metadata", "owner", "created_at", "updated_at")}),
    )
    add_fieldsets = (
        (None, {"fields": ("name", "type", "status", "description")}),
        ("Definition", {"fields": ("definition", "base_version", "retention", "metadata")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workflow]:
        return super().get_queryset(request).select_related("current_version")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            text = ("Definition", {"fields": ("definition_block",)})
            return (self.fieldsets[0], text, self.fieldsets[2])
        return super().get_fieldsets(request, obj)

    @display(description="Text")
    def definition_block(self, workflow: Workflow) -> str:
        version = workflow.current_version
        return json_block(version.document if version else None)

    @display(description="Version")
    def version_label(self, workflow: Workflow) -> str:
        return str(workflow.current_version.number) if workflow.current_version else "–"

    changed = moment_column("Changed", "updated_at", ordering="updated_at")

    # The page of one

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)
        form.may_use_credentials = may_use_credentials(request)
        return form

    def summary(self, request: HttpRequest, row: Workflow) -> dict[str, Any]:
        version = row.current_version
        executions = row.executions.defer("input", "context", "output").order_by("-created_at")
        return {
            "graph": draw_workflow(version.document) if version else "",
            "versions": list(row.versions.defer("steps", "options")[:MAX_VERSIONS]),
            "executions": list(executions[:MAX_EXECUTIONS]),
        }

    def save_model(self, request: HttpRequest, obj: Workflow, form: Any, change: bool) -> None:
        fields = {name: form.cleaned_data[name] for name in FIELDS}
        fields["retention"] = fields["retention"] or obj.retention
        document = form.cleaned_data["definition"]
        who: dict[str, Any] = {
            "actor": actor_of(request),
            "may_use_credentials": may_use_credentials(request),
            "may_operate": may_operate(request),
        }
        if change:
            saved = services.update_workflow(obj, fields, document, **who)
        else:
            saved = services.create_workflow({"id": obj.pk, **fields}, document, **who)
            obj._state.adding = False
        obj.current_version = saved.current_version

    def delete_model(self, request: HttpRequest, obj: Workflow) -> None:
        services.delete_workflow(obj)

    # Beside it

    compare = compare_view
    run_dry = dry_run_view

    @dialog_action(
        "Run",
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        permission="run",
        title="Run this workflow",
        explanation="Starts an execution with this input.",
        form=RunForm,
    )
    def run(self, request: HttpRequest, form: RunForm, object_id: str) -> HttpResponse:
        workflow = find_or_404(Workflow.objects.select_related("current_version"), object_id)
        start = services.Start(
            input=form.cleaned_data["input"],
            context={},
            actor=actor_of(request),
            priority=form.cleaned_data["priority"] or 0,
            version=form.cleaned_data["version"],
            may_operate=may_operate(request),
        )
        return start_from(workflow, request, workflow, start)
