"""Circuit breakers: which are open and why, and doing something about it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.validators import MaxLengthValidator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from core.admin.base import HubAdmin, ReadOnlyMixin, actor_of, find_or_404
from core.admin.columns import column, moment_column, status_column, text_column
from core.admin.dialogs import back_to, dialog_action, minutes_field, telling_refusals
from core.admin.pages import page_of, page_of_id
from core.models.audit import MAX_REASON
from registry.calls.circuits.operator_control import (
    Control,
    Order,
    control_circuit,
)
from registry.models import CircuitBreakerState, Connection, ServiceInstance
from registry.models.circuit import TROUBLED_FIRST

CONTROL = "registry.change_circuitbreakerstate"


class ReasonForm(BaseDialogForm):
    """The reason of an act."""

    reason = forms.CharField(
        validators=[MaxLengthValidator(MAX_REASON)],
        widget=UnfoldAdminTextInputWidget(attrs={"maxlength": MAX_REASON}),
        help_text="Kept in the audit trail, for those who ask later.",
    )


class HoldForm(ReasonForm):
    """Why, and for how long."""

    minutes = minutes_field("Ends by itself after so many minutes. Empty: when somebody ends it.")


@admin.register(CircuitBreakerState)
class CircuitBreakerAdmin(ReadOnlyMixin, HubAdmin):
    """One breaker for whatever was called; those that refuse calls come first."""

    list_display = ("instance_label", "state_label", "failures", "opened", "retried", "why")
    list_filter = ("state",)
    search_fields = ("instance__service__name", "instance__url", "connection__name")
    search_help_text = "Service, connection or URL"
    ordering = TROUBLED_FIRST
    actions_detail = ("close", "open", "disable", "reset")
    fieldsets = (
        (None, {"fields": ("instance_link", "state_label", "why", "opened", "retried")}),
        ("Counted", {"fields": ("failures", "success_count", "open_count", "last_failure")}),
        ("Held by a person", {"fields": ("forced_by", "reason", "held_until")}),
    )
    readonly_fields = (
        "instance_link", "state_label", "why", "opened", "retried", "failures", "success_count",
        "open_count", "last_failure", "forced_by", "reason", "held_until",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[CircuitBreakerState]:
        return CircuitBreakerState.objects.with_places()

    instance_label = column("Guards", str)

    @display(description="Guards")
    def instance_link(self, circuit: CircuitBreakerState) -> str:
        model = Connection if circuit.connection_id else ServiceInstance
        url = page_of_id(model, circuit.guarded_id)
        return format_html('<a class="hub-link" href="{}">{}</a>', url, circuit)

    state_label = status_column("State", "state", ordering="state")
    failures = column("Failures in a row", lambda row: row.failure_count, ordering="failure_count")
    opened = moment_column("Last opened", "opened_at", ordering="opened_at")
    retried = moment_column("Tried again", "next_try_at")
    last_failure = moment_column("Last failure", "last_failure_at")
    held_until = moment_column("Held until", "until")
    why = text_column("Why", "explanation")

    # Control

    def has_control_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may open and close circuits."""
        return request.user.has_perm(CONTROL)

    @dialog_action(
        "Close the circuit",
        icon="check_circle",
        permission="control",
        title="Let calls through?",
        explanation="Ends what holds it open or disabled, and counts failures from zero.",
        form=ReasonForm,
    )
    def close(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        return self._control(request, form, object_id, Control.CLOSE)

    @dialog_action(
        "Force open",
        icon="block",
        permission="control",
        title="Refuse every call to it?",
        explanation="Other instances of the service are called instead, if there are any.",
        form=HoldForm,
    )
    def open(self, request: HttpRequest, form: HoldForm, object_id: str) -> HttpResponse:
        return self._control(request, form, object_id, Control.OPEN)

    @dialog_action(
        "Disable",
        icon="toggle_off",
        permission="control",
        title="Let every call through, whatever happens?",
        explanation="Nothing is counted meanwhile: the circuit cannot open by itself.",
        form=HoldForm,
        submit="Disable the breaker",
    )
    def disable(self, request: HttpRequest, form: HoldForm, object_id: str) -> HttpResponse:
        return self._control(request, form, object_id, Control.DISABLE)

    @dialog_action(
        "Reset",
        icon="restart_alt",
        permission="control",
        title="Forget everything about this circuit?",
        explanation="It is closed, as if nothing had ever been called.",
        form=ReasonForm,
        submit="Reset the breaker",
    )
    def reset(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        return self._control(request, form, object_id, Control.RESET)

    def _control(
        self, request: HttpRequest, form: ReasonForm, object_id: str, control: Control
    ) -> HttpResponse:
        circuit = find_or_404(CircuitBreakerState.objects.all(), object_id)
        minutes = form.cleaned_data.get("minutes")
        order = Order(
            control=control,
            actor=actor_of(request),
            reason=form.cleaned_data["reason"],
            seconds=float(minutes) * 60 if minutes else None,
        )
        with telling_refusals(request):
            changed = control_circuit(str(circuit.pk), order)
            messages.success(request, f"{changed}: {changed.get_state_display().lower()}.")
        return back_to(page_of(circuit))
