"""The form of a schedule, and that of a backfill."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
)

from core.admin.forms import StrictJSONField, description_field
from core.instants import InstantRefused, in_utc
from core.timetables import CronRefused, read_timetable, zone_of
from workflows.models import WorkflowSchedule

_TIMES = ("starts_at", "ends_at")


class ScheduleForm(forms.ModelForm):
    """A schedule; `version_number` pins a version of its workflow."""

    cron = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"class": "hub-mono", "autocomplete": "off"}),
        help_text="minute hour day-of-month month day-of-week, such as 0 9 * * 1-5 or */15 * * * *",
    )
    timezone = forms.CharField(
        max_length=64,
        initial="UTC",
        widget=UnfoldAdminTextInputWidget(attrs={"list": "hub-timezones"}),
        help_text="Such as Europe/Berlin. Ticks follow its summer time.",
    )
    version_number = forms.IntegerField(
        label="Version",
        required=False,
        min_value=1,
        max_value=10**9,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Empty: whatever version is current when it runs.",
    )
    description = description_field(rows=2)
    input = StrictJSONField(required=False, rows=6, help_text="What each execution is given.")
    context = StrictJSONField(
        required=False, rows=3, help_text="Each also gets schedule and scheduled_for."
    )

    class Meta:
        model = WorkflowSchedule
        fields = (
            "name", "workflow", "description", "cron", "timezone", "starts_at", "ends_at",
            "enabled", "overlap_policy", "catch_up_policy", "catch_up_limit", "priority", "input",
            "context",
        )  # fmt: skip
        help_texts = {
            "overlap_policy": "What a tick does while an earlier execution still runs.",
            "catch_up_policy": "What becomes of ticks that nothing was there to start.",
            "catch_up_limit": "With All: so many of them at most, the latest.",
            "priority": "From -100 to 100; higher comes first.",
            "starts_at": "No tick before, in the time zone of the schedule. May stay empty.",
            "ends_at": "No tick after, in the time zone of the schedule. May stay empty.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "version_number" in self.fields and self.instance.version is not None:
            self.initial["version_number"] = self.instance.version.number
        for name in _TIMES:
            if (moment := self.initial.get(name)) is not None:
                self.initial[name] = self._on_its_wall(moment)

    def _on_its_wall(self, moment: datetime) -> datetime:
        try:
            return moment.astimezone(zone_of(self.instance.timezone)).replace(tzinfo=None)
        except CronRefused:
            return moment  # its zone is not known any more

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        try:
            read_timetable(cleaned.get("cron", "0 0 * * *"), cleaned.get("timezone", "UTC"))
        except CronRefused as error:
            self.add_error(error.field, str(error))
        else:
            self._read_in_its_zone(cleaned)
        first, last = cleaned.get("starts_at"), cleaned.get("ends_at")
        if first and last and last <= first:
            self.add_error("ends_at", "It ends before it starts.")
        number, workflow = cleaned.get("version_number"), cleaned.get("workflow")
        if number and workflow and not workflow.versions.filter(number=number).exists():
            self.add_error("version_number", f"'{workflow.name}' has no version {number}.")
        return cleaned

    def _read_in_its_zone(self, cleaned: dict[str, Any]) -> None:
        """Read the times that are typed in as those of the schedule's time zone."""
        for name in _TIMES:
            try:
                if cleaned.get(name):
                    typed = cleaned[name].replace(tzinfo=None)
                    cleaned[name] = in_utc(typed, zone_of(cleaned.get("timezone", "UTC")))
            except InstantRefused as error:
                self.add_error(name, str(error))


class BackfillForm(forms.Form):
    """A past time, both ends included."""

    first = forms.SplitDateTimeField(label="From (UTC)", widget=UnfoldAdminSplitDateTimeWidget)
    last = forms.SplitDateTimeField(label="To (UTC)", widget=UnfoldAdminSplitDateTimeWidget)
