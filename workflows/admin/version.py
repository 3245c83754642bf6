"""Versions: what workflows said at each time."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from registry.admin.base import HubAdmin, ReadOnlyMixin, find_or_404, is_id
from registry.admin.dialogs import back_to
from registry.admin.display import json_block, moment
from registry.exceptions import IntegrationError
from workflows import services
from workflows.admin.drawing import draw_workflow
from workflows.models import WorkflowVersion


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(ReadOnlyMixin, HubAdmin):
    """Read-only: a version never changes; another can be made the current one."""

    list_display = ("workflow", "number", "current", "made")
    list_display_links = ("workflow", "number")
    search_fields = ("workflow__name",)
    search_help_text = "Workflow"
    ordering = ("workflow__name", "-number")
    sortable_by = ()
    actions_detail = ("activate",)
    fieldsets = (
        (None, {"fields": ("workflow_label", "number", "current", "made")}),
        ("Picture", {"fields": ("picture",)}),
        ("Definition", {"fields": ("document_block", "checksum")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowVersion]:
        return super().get_queryset(request).select_related("workflow")

    @display(description="Workflow")
    def workflow_label(self, version: WorkflowVersion) -> str:
        return format_html(
            '<a class="hub-link" href="{}">{}</a>',
            reverse("admin:workflows_workflow_change", args=(version.workflow_id,)),
            version.workflow.name,
        )

    @display(description="Current", boolean=True)
    def current(self, version: WorkflowVersion) -> bool:
        return version.workflow.current_version_id == version.pk

    @display(description="Made")
    def made(self, version: WorkflowVersion) -> str:
        return moment(version.created_at)

    @display(description="Steps")
    def picture(self, version: WorkflowVersion) -> str:
        return format_html('<div class="hub-scroll">{}</div>', draw_workflow(version.document))

    @display(description="Text")
    def document_block(self, version: WorkflowVersion) -> str:
        return json_block(version.document)

    # Making it the current one

    def has_activate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether this person may say which version new executions use."""
        return request.user.has_perm("workflows.change_workflow")

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        if not is_id(object_id):
            return []
        found = WorkflowVersion.objects.filter(pk=object_id)
        is_current = found.filter(workflow__current_version=F("pk")).exists()
        return [] if is_current else super().get_actions_detail(request, object_id)

    @action(
        description="Make current",
        icon="check_circle",
        permissions=["activate"],
        dialog={
            "title": "Use this version from now on?",
            "description": "New executions start with it. Those that run keep theirs.",
            "form_class": None,
            "form_submit_text": "Make current",
        },
    )
    def activate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        version = find_or_404(WorkflowVersion.objects.select_related("workflow"), object_id)
        try:
            services.activate_version(version.workflow, version.number)
            messages.success(request, f"Version {version.number} is the current one.")
        except IntegrationError as error:
            messages.error(request, error.message)
        return back_to(reverse("admin:workflows_workflowversion_change", args=(object_id,)))
