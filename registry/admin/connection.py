"""Connections: how each is, testing them, and the switch that stops every call."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import display

from core.admin.base import HubAdmin, actor_of, find_or_404
from core.admin.columns import column, json_column, moment_column
from core.admin.dialogs import back_to, dialog_action, telling_refusals
from core.admin.formatting import NOTHING
from core.admin.pages import page_of
from core.admin.views import own_view
from core.api.suspension import apart
from registry.admin.circuit import ReasonForm
from registry.admin.connection_forms import SETTINGS, SHOWN_WHEN, ConnectionForm, fields_of
from registry.admin.credential import may_use_credentials
from registry.admin.grants import (
    CredentialUsersMixin,
    choice_of,
    tell_awaiting,
    use_view,
    users_shown,
)
from registry.connections import lifecycle
from registry.connections.lifecycle import ConnectionEditor
from registry.connections.scheduled_checks import run_test
from registry.connections.type_specs import ADDRESS_FIELDS
from registry.models import CircuitBreakerState, Connection

CHANGE = "registry.change_connection"
SHOWN = (
    "name", "type_label", "address", "credential", "settings_shown", "limits_shown",
    "breaker_shown", "check_interval_seconds", "description",
)  # fmt: skip
_MORE = ("criticality", "limits", "breaker", "check_interval_seconds", "description")


@admin.register(Connection)
class ConnectionAdmin(CredentialUsersMixin, HubAdmin):
    """Places that are reached without being services: their secrets are credentials, never here."""

    form = ConnectionForm
    conditional_fields = SHOWN_WHEN
    list_display = ("name", "status_label", "type_label", "address_label", "checked", "problem")
    list_filter = ("status", "type", "driver")
    search_fields = ("name", "description", "base_url", "host")
    search_help_text = "Name, description, URL or host"
    ordering = ("name",)
    autocomplete_fields = ("credential",)
    change_form_outer_before_template = "console/connection_summary.html"
    actions_detail = ("disable", "enable")

    # The list

    @display(description="Type", ordering="type")
    def type_label(self, row: Connection) -> str:
        kind = row.get_type_display()
        driver = row.get_driver_display()
        return kind if row.driver == "HTTP" else f"{kind} ({driver})"

    address = address_label = column("Where", lambda row: row.address)
    checked = moment_column(
        "Last test", "last_checked_at", empty="not yet", ordering="last_checked_at"
    )

    @display(description="Problem")
    def problem(self, row: Connection) -> str:
        text = row.disabled_reason or row.last_error
        return f"{text[:120]}…" if len(text) > 120 else text or NOTHING

    # The page

    def get_fieldsets(self, request: HttpRequest, obj: Connection | None = None) -> Any:
        if obj and not self.has_change_permission(request, obj):
            return ((None, {"fields": SHOWN}),)
        own = fields_of(obj.type, obj.driver) if obj else [*ADDRESS_FIELDS, *SETTINGS]
        address = [name for name in own if "__" not in name]
        settings = [name for name in own if "__" in name]
        kind = ("name", "type") if obj else ("name", "type", "driver")
        return (
            (None, {"fields": (*kind, *address, "credential")}),
            ("Settings", {"fields": settings}),
            ("More", {"fields": _MORE}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the credential read-only to those who may not use credentials."""
        if obj and not self.has_change_permission(request, obj):
            return SHOWN
        return () if may_use_credentials(request) else ("credential",)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        # The settings are no columns.
        names = {name for _, about in self.get_fieldsets(request, obj) for name in about["fields"]}
        readonly = self.get_readonly_fields(request, obj)
        kwargs["fields"] = [n for n in ConnectionForm._meta.fields if n in names - set(readonly)]
        return super().get_form(request, obj, change=change, **kwargs)

    settings_shown = json_column("Settings", "config")
    limits_shown = json_column("Limits", "limits")
    breaker_shown = json_column("Circuit breaker", "breaker")

    def summary(self, request: HttpRequest, row: Connection) -> dict[str, Any]:
        """Return how its last test went, and what guards it."""
        return {
            "result": row.last_result,
            "circuit": CircuitBreakerState.objects.filter(connection=row.pk).first(),
            "may_test": request.user.has_perm(CHANGE) and not row.is_disabled,
            **users_shown(request, row),
        }

    decide_use = use_view("connection_use")

    def _editor(self, request: HttpRequest) -> ConnectionEditor:
        return ConnectionEditor(
            actor=actor_of(request),
            may_use_credentials=may_use_credentials(request),
            choice=choice_of(request),
        )

    def save_model(self, request: HttpRequest, obj: Connection, form: Any, change: bool) -> None:
        editor = self._editor(request)
        if change:
            saved = lifecycle.update_connection(obj, form.service_fields, editor)
        else:
            saved = lifecycle.create_connection(form.service_fields, editor)
        obj.__dict__.update(saved.__dict__)
        tell_awaiting(request, saved)

    def delete_model(self, request: HttpRequest, obj: Connection) -> None:
        lifecycle.delete_connection(obj, self._editor(request))

    # Testing

    @own_view("<str:object_id>/test", name="connection_test", methods=["POST"])
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Test it now; the page shows the result."""
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied("This needs the permission to change connections.")
        row = find_or_404(Connection.objects.select_related("credential"), object_id)
        with telling_refusals(request):
            result = run_test(row, actor=actor_of(request), run=partial(apart, request, "test"))
            word = "answered" if result["success"] else "did not answer as it should"
            tell = messages.success if result["success"] else messages.warning
            tell(request, f"{row} {word}.")
        return HttpResponseRedirect(page_of(row))

    # The kill switch

    def hidden_actions(self, request: HttpRequest, object_id: str) -> tuple[str, ...]:
        is_off = Connection.objects.filter(pk=object_id, disabled_at__isnull=False).exists()
        return ("disable",) if is_off else ("enable",)

    @dialog_action(
        "Switch off",
        icon="power_settings_new",
        title="Refuse every call through this connection?",
        explanation="Calls that begin from now on are refused, and it is not tested,"
        " until it is switched on again.",
        form=ReasonForm,
    )
    def disable(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        row = find_or_404(Connection.objects.all(), object_id)
        reason = form.cleaned_data["reason"]
        with telling_refusals(request):
            lifecycle.disable_connection(row, reason=reason, actor=actor_of(request))
            messages.success(request, f"{row} is switched off.")
        return back_to(page_of(row))

    @dialog_action(
        "Switch on",
        icon="play_circle",
        title="Let calls through again?",
        explanation="It is tested soon, and calls go through at once.",
    )
    def enable(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        row = find_or_404(Connection.objects.all(), object_id)
        with telling_refusals(request):
            lifecycle.enable_connection(row, actor=actor_of(request))
            messages.success(request, f"{row} is switched on.")
        return back_to(page_of(row))
