"""Versions: what workflows said at each time."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.decorators import display

from core.admin.base import HubAdmin, ReadOnlyMixin, actor_of, find_or_404
from core.admin.columns import json_column, moment_column
from core.admin.dialogs import back_to, dialog_action, telling_refusals
from core.admin.formatting import NOTHING, moment, status_badge
from core.admin.pages import page_of
from registry.admin.circuit import ReasonForm
from registry.admin.credential import may_use_credentials
from workflows import services
from workflows.admin.graph.svg import draw_workflow
from workflows.admin.permissions import RunnableMixin, may_operate
from workflows.admin.version_grants import VersionGrantsMixin
from workflows.admin.workflow_forms import RunVersionForm, start_from
from workflows.models import WorkflowVersion

MAX_OTHERS = 5


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(VersionGrantsMixin, RunnableMixin, ReadOnlyMixin, HubAdmin):
    """Read-only: a version never changes; another can be made the current one."""

    list_display = ("workflow", "number", "state", "made")
    list_display_links = ("workflow", "number")
    search_fields = ("workflow__name",)
    search_help_text = "Workflow"
    ordering = ("workflow__name", "-number")
    sortable_by = ()
    actions_detail = ("run_version", "activate", "allow", "withdraw", "retire", "reinstate")
    fieldsets = (
        (None, {"fields": ("workflow_label", "number", "state", "why", "made", "compared")}),
        ("Picture", {"fields": ("picture",)}),
        ("Definition", {"fields": ("document_block", "checksum")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowVersion]:
        return super().get_queryset(request).select_related("workflow")

    @display(description="Workflow")
    def workflow_label(self, version: WorkflowVersion) -> str:
        return format_html(
            '<a class="hub-link" href="{}">{}</a>',
            page_of(version.workflow),
            version.workflow.name,
        )

    @display(description="State")
    def state(self, version: WorkflowVersion) -> str:
        is_current = version.workflow.current_version_id == version.pk
        words = (["CURRENT"] if is_current else []) + (["RETIRED"] if version.is_retired else [])
        return format_html_join(" ", "{}", ((status_badge(word),) for word in words)) or "Earlier"

    @display(description="Why it is retired")
    def why(self, version: WorkflowVersion) -> str:
        if version.retired_at is None:
            return NOTHING
        by = f", by {version.retired_by}" if version.retired_by else ""
        return format_html("{} ({}{})", version.retired_reason, moment(version.retired_at), by)

    made = moment_column("Made", "created_at")

    @display(description="Compare")
    def compared(self, version: WorkflowVersion) -> str:
        numbers = version.workflow.versions.exclude(number=version.number)
        others = list(numbers.order_by("-number").values_list("number", flat=True)[:MAX_OTHERS])
        url = reverse("admin:workflow_compare", args=(version.workflow_id,))
        links = ((url, *sorted((n, version.number)), f"with version {n}") for n in others)
        link = '<a class="hub-link" href="{}?before={}&amp;after={}">{}</a>'
        return format_html_join(", ", link, links) or "There is no other version."

    @display(description="Steps")
    def picture(self, version: WorkflowVersion) -> str:
        return format_html('<div class="hub-scroll">{}</div>', draw_workflow(version.document))

    document_block = json_column("Text", "document")

    # Making it the current one

    def has_activate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may say which version new executions use."""
        return request.user.has_perm("workflows.change_workflow")

    def hidden_actions(self, request: HttpRequest, object_id: str) -> tuple[str, ...]:
        versions = WorkflowVersion.objects.filter(pk=object_id)
        about = versions.values_list("workflow__current_version", "retired_at").first()
        current, retired_at = about or (None, None)
        hidden = ["reinstate"] if retired_at is None else ["run_version", "activate", "retire"]
        if str(current) == object_id:
            hidden.append("activate")
        elif not may_operate(request):
            hidden.append("run_version")
        return (*hidden, *self.hidden_grant_actions(object_id))

    # Retiring it

    def has_retire_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may say that nobody starts a version any more."""
        return self.has_activate_permission(request) or may_operate(request)

    def has_reinstate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may let a retired version be started again."""
        return may_operate(request)

    @dialog_action(
        "Run this version",
        icon="play_arrow",
        permission="run",
        title="Run this version",
        explanation="Starts an execution of this version with this input.",
        form=RunVersionForm,
        submit="Run",
    )
    def run_version(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        version = find_or_404(self.get_queryset(request), object_id)
        start = services.Start(
            input=form.cleaned_data["input"],
            context={},
            actor=actor_of(request),
            version=version.number,
            may_operate=may_operate(request),
        )
        return start_from(version, request, version.workflow, start)

    @dialog_action(
        "Make current",
        icon="check_circle",
        permission="activate",
        title="Use this version from now on?",
        explanation="New executions start with it. Those that run keep theirs.",
    )
    def activate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        version = find_or_404(self.get_queryset(request), object_id)
        with telling_refusals(request):
            services.activate_version(
                version.workflow,
                version.number,
                actor=actor_of(request),
                may_use_credentials=may_use_credentials(request),
            )
            messages.success(request, f"Version {version.number} is the current one.")
        return back_to(page_of(version))

    @dialog_action(
        "Retire",
        icon="block",
        permission="retire",
        title="Let nobody start this version any more?",
        explanation="Executions that began go on. What names it fails and says why.",
        form=ReasonForm,
    )
    def retire(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        version = find_or_404(self.get_queryset(request), object_id)
        with telling_refusals(request):
            reason = form.cleaned_data["reason"]
            services.retire_version(version, reason, actor=actor_of(request))
            messages.success(request, f"Version {version.number} is retired.")
        return back_to(page_of(version))

    @dialog_action(
        "Reinstate",
        icon="undo",
        permission="reinstate",
        title="Let this version be started again?",
        explanation="See why it was retired before.",
        form=ReasonForm,
    )
    def reinstate(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        version = find_or_404(self.get_queryset(request), object_id)
        with telling_refusals(request):
            services.reinstate_version(version, form.cleaned_data["reason"])
            messages.success(request, f"Version {version.number} can be started again.")
        return back_to(page_of(version))
