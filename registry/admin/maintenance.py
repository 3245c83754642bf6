"""Maintenance in the admin: set with a reason and an end, and lifted."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from core.admin.base import HubAdmin
from core.admin.columns import column
from core.admin.dialogs import dialog_action, minutes_field
from core.admin.formatting import NOTHING, moment
from core.models.audit import MAX_REASON
from registry.models import ServiceStatus

SET, LIFTED = "set to maintenance", "lifted from maintenance"
MAINTENANCE = ServiceStatus.MAINTENANCE


class MaintenanceForm(BaseDialogForm):
    """Why, and for how long."""

    reason = forms.CharField(
        required=False,
        max_length=MAX_REASON,
        widget=UnfoldAdminTextInputWidget,
        help_text="Shown on its page, and kept for those who ask later.",
    )
    minutes = minutes_field("Ends by itself after so many minutes. Empty: when somebody lifts it.")

    def order(self) -> dict[str, Any]:
        """Return the reason and the end, as the services take them."""
        return {"reason": self.cleaned_data["reason"], "until": self._until()}

    def _until(self) -> datetime | None:
        minutes = self.cleaned_data["minutes"]
        return timezone.now() + timedelta(minutes=float(minutes)) if minutes else None


class MaintainedAdmin(HubAdmin):
    """Two actions on a page, of which the one that makes sense now is offered."""

    actions_detail: tuple[str, ...] = ("start_maintenance", "lift_maintenance")

    def set_status(self, row: Any, status: str, **order: Any) -> object:
        """Set the status of a row."""
        raise NotImplementedError

    def lift(self, row: Any, *, actor: str) -> object:
        """End the maintenance of a row."""
        raise NotImplementedError

    def hidden_actions(self, request: HttpRequest, object_id: str) -> tuple[str, ...]:
        is_off = self.model.objects.filter(pk=object_id, status=MAINTENANCE).exists()
        return ("start_maintenance",) if is_off else ("lift_maintenance",)

    @dialog_action(
        "Set maintenance",
        icon="build",
        title="Set it to maintenance?",
        explanation="It is not called, and no heartbeat brings it back, until maintenance is"
        " lifted or ends. Health URLs are still asked.",
        form=MaintenanceForm,
    )
    def start_maintenance(
        self, request: HttpRequest, form: MaintenanceForm, object_id: str
    ) -> HttpResponse:
        act = partial(self.set_status, status=MAINTENANCE, **form.order())
        return self.run_on_page(request, object_id, act, done=SET)

    @dialog_action(
        "Lift maintenance",
        icon="play_circle",
        title="Lift maintenance?",
        explanation="What is known from heartbeats and health URLs counts again.",
    )
    def lift_maintenance(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.run_on_page(request, object_id, self.lift, done=LIFTED)

    maintenance_label = column("Maintenance", lambda row: describe_maintenance(row) or NOTHING)


def describe_maintenance(row: Any) -> str:
    """Describe the maintenance of a row: start, end, who set it and why; empty without it."""
    if row.maintenance_since is None:
        return ""
    parts = [format_html("started {}", moment(row.maintenance_since))]
    if row.maintenance_until:
        parts.append(format_html("ends {}", moment(row.maintenance_until)))
    if row.maintenance_by:
        parts.append(format_html("by {}", row.maintenance_by))
    if row.maintenance_reason:
        parts.append(format_html("“{}”", row.maintenance_reason))
    return format_html(", ".join("{}" for _ in parts), *parts)
