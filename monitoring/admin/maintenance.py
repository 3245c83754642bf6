"""Windows of maintenance, with the times that they come to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectMultipleWidget

from core.admin.base import HubAdmin, LifecycleMixin
from core.admin.columns import column
from core.admin.dialogs import dialog_action
from core.admin.formatting import NOTHING, moment
from core.admin.forms import WordsField, description_field
from core.admin.refusals import ServiceRulesMixin
from core.timetables import CronRefused, in_words, zone_of
from monitoring.maintenance import lifecycle
from monitoring.maintenance.planning import LIVE
from monitoring.models import MaintenanceOccurrence, MaintenanceWindow, WindowStatus
from registry.models import ServiceType

SHOWN = 10
FIELDS = ("name", "description", "everything", *lifecycle.TIMES, "suppress_alerts", "public")


class MaintenanceWindowForm(ServiceRulesMixin, forms.ModelForm):
    """A window as a person plans or changes it; its times are typed in UTC."""

    check_fields = staticmethod(lifecycle.check_window_fields)

    description = description_field(rows=2)
    services = WordsField(
        required=False, help_text="Names such as billing or pay-*, separated by commas."
    )
    tags = WordsField(required=False, help_text="Services with one of these tags.")
    types = forms.MultipleChoiceField(
        required=False, choices=ServiceType.choices, widget=UnfoldAdminSelectMultipleWidget
    )

    class Meta:
        model = MaintenanceWindow
        fields = FIELDS
        labels = {
            "starts_at": "Starts at (UTC)",
            "ends_at": "Ends at (UTC)",
            "cron": "Recurs",
            "duration_minutes": "Minutes each time",
            "timezone": "Time zone",
            "suppress_alerts": "Nobody is called",
            "public": "On status pages",
        }
        help_texts = {
            "starts_at": "Of what recurs: no time of it begins before. May stay empty then.",
            "ends_at": "Of what recurs: no time of it begins after. May stay empty then.",
            "cron": "minute hour day-of-month month day-of-week, such as 0 2 * * 0. Empty: once.",
            "duration_minutes": "Of what recurs only.",
            "timezone": "On whose clock it recurs, such as Europe/Berlin.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("services", "tags", "types"):
            self.initial.setdefault(name, getattr(self.instance, name))

    @property
    def service_fields(self) -> dict[str, Any]:
        """What the service takes: of one that is there, what was changed."""
        names = lifecycle.PLAIN if self.instance._state.adding else self.changed_data
        return {name: self.cleaned_data[name] for name in names if name in self.cleaned_data}


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(LifecycleMixin, HubAdmin):
    """Windows by name, each with what it is of and when it comes next."""

    is_managed_by_files = True
    create_row = staticmethod(lifecycle.create_window)
    update_row = staticmethod(lifecycle.update_window)
    delete_row = staticmethod(lifecycle.delete_window)

    form = MaintenanceWindowForm
    list_display = ("name", "status_label", "subjects", "when", "next_label")
    list_filter = ("status", "public")
    search_fields = ("name", "description")
    search_help_text = "Name or description"
    ordering = ("name",)
    change_form_outer_before_template = "console/maintenance_summary.html"
    fieldsets = (
        (None, {"fields": ("name", "description", "suppress_alerts", "public")}),
        ("Of what", {"fields": ("services", "tags", "types", "everything")}),
        ("When", {"fields": lifecycle.TIMES}),
    )
    actions_detail = ("finish", "cancel")

    def get_queryset(self, request: HttpRequest) -> QuerySet[MaintenanceWindow]:
        """With when each is now, or comes next."""
        coming = MaintenanceOccurrence.objects.filter(
            window=OuterRef("pk"), ends_at__gt=timezone.now()
        )
        first = Subquery(coming.order_by("starts_at").values("starts_at")[:1])
        return super().get_queryset(request).annotate(coming_at=first)

    subjects = column("Of what", lambda row: subjects_of(row))
    when = column("When", lambda row: when_of(row))

    @display(description="Now or next")
    def next_label(self, row: MaintenanceWindow) -> str:
        coming = row.coming_at  # type: ignore[attr-defined]  # of `get_queryset`
        return moment(coming) if coming and row.status in LIVE else NOTHING

    def summary(self, request: HttpRequest, row: MaintenanceWindow) -> dict[str, Any]:
        """Return what it is of, and its times: those to come, and the latest that were."""
        now = timezone.now()
        coming = list(row.occurrences.filter(ends_at__gt=now)[:SHOWN])
        past = list(row.occurrences.filter(ends_at__lte=now).order_by("-starts_at")[:SHOWN])
        return {
            "subjects": subjects_of(row),
            "when": when_of(row),
            "coming": [(each, on_the_clock(row, each.starts_at)) for each in coming],
            "past": [(each, on_the_clock(row, each.starts_at)) for each in past],
        }

    def hidden_actions(self, request: HttpRequest, object_id: str) -> Iterable[str]:
        row = MaintenanceWindow.objects.filter(pk=object_id).first()
        if row is None or row.status not in LIVE:
            return ("finish", "cancel")
        return () if row.status == WindowStatus.IN_PROGRESS else ("finish",)

    @dialog_action(
        "Finish",
        icon="check_circle",
        title="Is the work done?",
        explanation="What is still wrong is told from then on. What recurs comes again.",
    )
    def finish(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.run_on_page(request, object_id, lifecycle.finish_window, done="finished")

    @dialog_action(
        "Call off",
        icon="event_busy",
        title="Is it called off for good?",
        explanation="What is under way ends, and nothing of it comes any more.",
    )
    def cancel(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.run_on_page(request, object_id, lifecycle.cancel_window, done="called off")


def subjects_of(window: MaintenanceWindow) -> str:
    """Return what a window is of, in words."""
    if window.everything:
        return "Everything"
    types = [ServiceType(each).label for each in window.types if each in ServiceType.values]
    return ", ".join([*window.services, *(f"tag {each}" for each in window.tags), *types])


def when_of(window: MaintenanceWindow) -> str:
    """Return when a window is, in words."""
    if not window.recurs:
        return f"Once, {_utc(window.starts_at)} to {_utc(window.ends_at)}"
    try:
        words = in_words(window.cron)
    except ValueError:
        words = window.cron
    return f"{words}, {window.timezone}, for {window.duration_minutes} minutes"


def on_the_clock(window: MaintenanceWindow, when: datetime) -> str:
    """Return a time on the clock of a window's zone; nothing where that is UTC."""
    try:
        local = when.astimezone(zone_of(window.timezone))
    except CronRefused:
        return ""
    return "" if window.timezone == "UTC" else f"{local:%a %d %b, %H:%M} {local.tzname()}"


def _utc(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else NOTHING
