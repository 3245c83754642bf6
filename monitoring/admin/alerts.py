"""Alert channels and their messages."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from unfold.decorators import display

from core.admin.base import (
    GrowingAdmin,
    HubAdmin,
    LifecycleMixin,
    ReadOnlyMixin,
    SwitchedMixin,
    UnreadPartsMixin,
    actor_of,
    find_or_404,
)
from core.admin.columns import column, json_column, moment_column, status_column, text_column
from core.admin.dialogs import telling_refusals
from core.admin.formatting import NOTHING
from core.admin.pages import page_of
from core.admin.views import own_view
from core.api.suspension import apart
from monitoring.admin.alert_forms import SHOWN_WHEN, ChannelForm, fields_of
from monitoring.alerts import channels, outbox
from monitoring.models import AlertChannel, AlertDelivery, ChannelType, DeliveryState

CHANGE = "monitoring.change_alertchannel"
SHOWN_DELIVERIES = 20
_FILTERS = (
    "min_severity", "subjects", "services", "tags", "only_escalated", "send_resolved",
)  # fmt: skip
_TIMES = ("group_wait_seconds", "group_interval_seconds", "repeat_seconds", "per_minute")
_QUIET = ("quiet_hours", "quiet_timezone", "quiet_min_severity")
SHOWN = (
    "name", "type_label", "enabled", "description", "settings_shown", "min_severity",
    "kinds_shown", "services_shown", "tags_shown", "only_escalated", "send_resolved", *_TIMES,
    "quiet_shown",
)  # fmt: skip


@admin.register(AlertChannel)
class AlertChannelAdmin(LifecycleMixin, SwitchedMixin, UnreadPartsMixin, HubAdmin):
    """Where incidents are told; the secret of a channel goes in and never comes out."""

    is_managed_by_files = True
    create_row = staticmethod(channels.create_channel)
    update_row = staticmethod(channels.update_channel)
    delete_row = staticmethod(channels.delete_channel)

    form = ChannelForm
    conditional_fields = SHOWN_WHEN
    list_display = ("name", "state_label", "type_label", "told_of", "sent", "problem")
    list_filter = ("type", "enabled")
    search_fields = ("name", "description")
    search_help_text = "Name or description"
    ordering = ("name",)
    actions = ("enable_selected", "disable_selected")
    change_form_outer_before_template = "console/alert_channel_summary.html"

    # The list

    state_label = status_column("State", "status", ordering="enabled")
    type_label = column("Type", lambda row: row.get_type_display(), ordering="type")
    sent = moment_column("Last message", "last_sent_at", empty="none yet", ordering="last_sent_at")

    @display(description="Told of")
    def told_of(self, row: AlertChannel) -> str:
        if row.only_escalated:
            return "what is escalated"
        kinds = f"{len(row.subjects)} kinds" if row.subjects else "everything"
        of = ", ".join([*row.services[:2], *(f"#{tag}" for tag in row.tags[:2])])
        severe = ", critical only" if row.min_severity == "CRITICAL" else ""
        return f"{kinds}{f' of {of}' if of else ''}{severe}"

    @display(description="Problem")
    def problem(self, row: AlertChannel) -> str:
        text = row.last_error
        return f"{text[:120]}…" if len(text) > 120 else text or NOTHING

    # The page

    def get_fieldsets(self, request: HttpRequest, obj: AlertChannel | None = None) -> Any:
        if obj and not self.has_change_permission(request, obj):
            return ((None, {"fields": SHOWN}),)
        types = [obj.type] if obj else ChannelType.values
        own = [name for type in types for name in fields_of(type)]
        keep = "Leave a secret empty to keep the one that is stored."
        about = {"description": keep} if obj and obj.has_secret else {}
        return (
            (None, {"fields": ("name", "type", "enabled", *own, "description"), **about}),
            ("What is told", {"fields": _FILTERS}),
            ("When", {"fields": _TIMES}),
            ("Quiet hours", {"fields": _QUIET}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        only_looks = obj and not self.has_change_permission(request, obj)
        return SHOWN if only_looks else super().get_readonly_fields(request, obj)

    settings_shown = json_column("Settings", "config")
    kinds_shown = column("Only these kinds", lambda row: ", ".join(row.subjects) or NOTHING)
    services_shown = column("Only these services", lambda row: ", ".join(row.services) or NOTHING)
    quiet_shown = column("Quiet hours", lambda row: quiet_words(row))
    tags_shown = column("Only with these tags", lambda row: ", ".join(row.tags) or NOTHING)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        # The parts of the types are no columns.
        readonly = self.get_readonly_fields(request, obj)
        kwargs["fields"] = [n for n in ChannelForm._meta.fields if n not in readonly]
        return super().get_form(request, obj, change=change, **kwargs)

    @method_decorator(sensitive_post_parameters())
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Keep what was typed out of reports of errors."""
        return super().changeform_view(request, *args, **kwargs)

    def summary(self, request: HttpRequest, row: AlertChannel) -> dict[str, Any]:
        """Return how it is, and what was told there last."""
        listed = reverse("admin:monitoring_alertdelivery_changelist")
        return {
            "deliveries": list(row.deliveries.order_by("-id")[:SHOWN_DELIVERIES]),
            "history_url": f"{listed}?channel__id__exact={row.pk}",
            "may_test": request.user.has_perm(CHANGE),
        }

    def set_enabled(self, request: HttpRequest, row: AlertChannel, enabled: bool) -> None:
        channels.update_channel(row, {"enabled": enabled}, actor=actor_of(request))

    @own_view("<str:object_id>/test", name="alert_channel_test", methods=["POST"])
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send a test message now; the page shows how it went."""
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied("This needs the permission to change alert channels.")
        row = find_or_404(AlertChannel.objects.all(), object_id)
        with telling_refusals(request):
            sent = apart(request, "test", partial(outbox.send_test, row))
            if sent.state == DeliveryState.SENT:
                messages.success(request, f"{row}: the test message was taken.")
            else:
                messages.warning(request, f"{row}: {sent.response}")
        return HttpResponseRedirect(page_of(row))


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(ReadOnlyMixin, GrowingAdmin):
    """What was told, the latest first."""

    list_display = ("when", "channel_name", "state_label", "reason_label", "title", "answer")
    list_filter = ("state", "reason", "channel")
    list_select_related = ("channel",)
    ordering = ("-id",)
    change_form_outer_before_template = "console/alert_delivery_summary.html"
    fields = (
        "reason_label", "severity_label", "channel", "attempts", "status_code", "sent",
        "next_try", "created_at",
    )  # fmt: skip
    readonly_fields = fields

    when = moment_column("When", "created_at")
    channel_name = text_column("Channel", "channel.name")
    state_label = status_column("State", "state")
    reason_label = column("Why", lambda row: row.get_reason_display())
    severity_label = status_column("Severity", "severity")
    answer = text_column("Answer", "response")
    sent = moment_column("Sent", "sent_at", empty="not yet")

    @display(description="Next attempt")
    def next_try(self, row: AlertDelivery) -> str:
        waits = row.state == DeliveryState.PENDING
        return f"{row.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC" if waits else NOTHING

    def summary(self, request: HttpRequest, row: AlertDelivery) -> dict[str, Any]:
        is_dead = row.state == DeliveryState.DEAD
        return {"may_retry": is_dead and request.user.has_perm(CHANGE)}

    @own_view("<str:object_id>/retry", name="alert_delivery_retry", methods=["POST"])
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send a message that was given up once more."""
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied("This needs the permission to change alert channels.")
        row = find_or_404(AlertDelivery.objects.select_related("channel"), object_id)
        with telling_refusals(request):
            outbox.retry_delivery(row)
            messages.success(request, "It is sent again.")
        return HttpResponseRedirect(page_of(row))


def quiet_words(channel: AlertChannel) -> str:
    """Return when a channel is quiet, in words."""
    if not channel.quiet_hours:
        return NOTHING
    return f"{'; '.join(channel.quiet_hours)} on the clock of {channel.quiet_timezone}"
