"""Integrations: who asks whom, what is mapped, what became of it, and trying it."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.enums import ActionVariant

from core.admin.base import (
    GrowingAdmin,
    HubAdmin,
    ReadOnlyMixin,
    actor_of,
    find_or_404,
    run_on_each,
)
from core.admin.columns import column, json_column, moment_column
from core.admin.dialogs import back_to, telling_refusals
from core.admin.filters import RelatedFilter
from core.admin.formatting import flow, milliseconds
from core.admin.pages import page_of, render_page
from core.admin.views import own_view
from core.api.suspension import result_of
from core.exceptions import IntegrationError
from core.roles import CALLS, may
from registry.admin.credential import may_use_credentials
from registry.admin.grants import (
    CredentialUsersMixin,
    allow_action,
    are_complete,
    grants_shown,
    use_view,
    users_shown,
)
from registry.admin.integration_forms import SHOWN_WHEN, IntegrationForm, TryForm
from registry.calls.headers import call_headers
from registry.integrations import lifecycle
from registry.integrations.execution import (
    IntegrationCall,
    begin_attempt,
    keep_attempt,
    preview_request,
)
from registry.integrations.grants import allow_integration, lines_of_integration
from registry.models import Integration, IntegrationExecution, IntegrationStatus, TargetKind

SHOWN_EXECUTIONS = 20


def arrow_of(integration: Integration) -> SafeString:
    """Draw who asks whom: two boxes and an arrow."""
    kind = TargetKind(integration.target_kind)
    target = integration.target_name or "nobody"
    if kind == TargetKind.SERVICE_TYPE:
        target = f"any {target.replace('_', ' ').lower()}"
    return flow(integration.source or "anyone", target, integration.call)


@admin.register(Integration)
class IntegrationAdmin(CredentialUsersMixin, HubAdmin):
    """The list of integrations, the page of one, and the panel that tries it."""

    form = IntegrationForm
    conditional_fields = SHOWN_WHEN
    list_display = (
        "name", "status_label", "arrow", "type_label", "unknown_fields_label", "last_label",
    )  # fmt: skip
    list_filter = ("status", "type", "unknown_fields")
    search_fields = ("name", "description", "source", "target", "connection__name")
    search_help_text = "Name, description, source or target"
    ordering = ("name",)
    autocomplete_fields = ("connection",)
    readonly_fields = ("created_at", "updated_at")
    change_form_outer_before_template = "console/integration_summary.html"
    actions = ("activate_selected", "deactivate_selected")
    actions_detail = ("try_it", "allow")
    fieldsets = (
        (None, {"fields": ("name", "type", "status", "description")}),
        (
            "Who calls what",
            {
                "fields": (
                    "source", "target_kind", "target", "action", "connection", "method", "path",
                )
            },
        ),
        ("How", {"fields": ("request_mapping", "unknown_fields", "response_mapping", "config")}),
        ("More", {"fields": ("metadata", "created_at", "updated_at")}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Integration]:
        return Integration.objects.with_parts()

    arrow = column("Who calls what", arrow_of)
    type_label = column("Type", lambda row: row.get_type_display(), ordering="type")
    unknown_fields_label = column(
        "Unknown fields", lambda row: row.get_unknown_fields_display(), ordering="unknown_fields"
    )
    last_label = moment_column("Last executed", "last_executed_at")

    # The page of one

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)
        form.may_use_credentials = may_use_credentials(request)
        return form

    def summary(self, request: HttpRequest, row: Integration) -> dict[str, Any]:
        executions = IntegrationExecution.objects.filter(integration=row).order_by("-id")
        listed = reverse("admin:registry_integrationexecution_changelist")
        return {
            "flow": arrow_of(row),
            "executions": list(executions[:SHOWN_EXECUTIONS]),
            "history_url": f"{listed}?integration={row.pk}",
            **users_shown(request, row),
            **grants_shown(request, lines_of_integration(row)),
        }

    decide_use = use_view("integration_use")

    def hidden_actions(self, request: HttpRequest, object_id: str) -> tuple[str, ...]:
        row = self.get_queryset(request).filter(pk=object_id).first()
        complete = row is None or are_complete(lines_of_integration(row))
        return ("allow",) if complete else ()

    @allow_action("It may use them for what it sends now, as its page lists it.")
    def allow(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        row = find_or_404(self.get_queryset(request), object_id)
        with telling_refusals(request):
            allow_integration(row, actor=actor_of(request))
            messages.success(request, f"{row}: allowed.")
        return back_to(page_of(row))

    def save_model(self, request: HttpRequest, obj: Integration, form: Any, change: bool) -> None:
        may = {"may_use_credentials": may_use_credentials(request)}
        if change:
            lifecycle.update_integration(obj, form.service_fields(), **may)
        else:
            lifecycle.create_integration({"id": obj.pk, **form.service_fields()}, **may)
            obj._state.adding = False

    def delete_model(self, request: HttpRequest, obj: Integration) -> None:
        lifecycle.delete_integration(obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what goes with integrations; their history goes too and is not read row by row."""
        names = [str(integration) for integration in objs]
        return names, {"integrations": len(names)}, set(), []

    @admin.action(description="Activate", permissions=["change"])
    def activate_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._set_each(request, queryset, IntegrationStatus.ACTIVE, "activated")

    @admin.action(description="Deactivate", permissions=["change"])
    def deactivate_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._set_each(request, queryset, IntegrationStatus.INACTIVE, "deactivated")

    @staticmethod
    def _set_each(request: HttpRequest, queryset: QuerySet, status: str, done: str) -> None:
        may = may_use_credentials(request)
        run_on_each(
            request,
            queryset,
            lambda row: lifecycle.update_integration(
                row, {"status": status}, may_use_credentials=may
            ),
            done=done,
        )

    # Trying it

    def has_try_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may call the target, as over the API."""
        return may(request.user, CALLS)

    @action(
        description="Try it",
        icon="science",
        variant=ActionVariant.PRIMARY,
        permissions=["try"],
    )
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the panel."""
        return redirect(reverse("admin:integration_try", args=(object_id,)))

    @own_view("<uuid:pk>/try/", name="integration_try")
    def try_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show the request as it is mapped, and with "Send" what the target answers."""
        integration = find_or_404(self.get_queryset(request), str(pk))
        if not self.has_try_permission(request, integration):
            raise PermissionDenied
        form = TryForm(request.POST if request.method == "POST" else None)
        outcome = _try(request, integration, form) if form.is_valid() else {}
        shown = {"original": integration, "flow": arrow_of(integration), "form": form, **outcome}
        title = f"Try {integration.name}"
        return render_page(self, request, "console/integration_try.html", title=title, **shown)


def _try(request: HttpRequest, integration: Integration, form: TryForm) -> dict[str, Any]:
    """Return what is sent and dropped; with "Send", also what came back."""
    fields = form.cleaned_data
    call = IntegrationCall(
        payload=fields["payload"],
        context=fields["context"],
        headers=call_headers(fields["context"]),
        actor=actor_of(request),
    )
    outcome: dict[str, Any] = {"tried": True}
    try:
        fitted = preview_request(integration, call)
        outcome |= {"sent": fitted.sent, "warnings": fitted.warnings}
        if "send" in request.POST:
            begin = partial(begin_attempt, integration, call)
            outcome["executed"] = keep_attempt(result_of(request, "attempt", begin))
    except IntegrationError as error:
        outcome["failure"] = error
    return outcome


class IntegrationListFilter(RelatedFilter):
    """One integration."""

    title = "integration"
    parameter_name = "integration"
    model = Integration


def note_of(row: IntegrationExecution) -> str:
    """Return the note on an execution: its error, or what was dropped."""
    if row.error:
        return str(row.error.get("message", ""))
    return " ".join(str(warning.get("message", "")) for warning in row.warnings)


@admin.register(IntegrationExecution)
class IntegrationExecutionAdmin(ReadOnlyMixin, GrowingAdmin):
    """The list of executions, the latest first."""

    list_display = ("when", "integration_name", "status_label", "service", "took", "actor", "note")
    list_filter = ("status", IntegrationListFilter)
    list_select_related = ("integration",)
    ordering = ("-id",)
    fields = (
        "integration", "status", "actor", "service", "instance", "upstream_status", "started_at",
        "took", "error_label", "warnings_label", "request_id", "correlation_id",
    )  # fmt: skip
    readonly_fields = fields

    when = moment_column("When", "started_at")
    integration_name = column("Integration", lambda row: row.integration.name)
    took = column("Took", lambda row: milliseconds(row.duration_ms))
    note = column("Note", note_of)
    error_label = json_column("Error", "error")
    warnings_label = json_column("Warnings", "warnings")
