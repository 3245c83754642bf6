"""Silences, each with the open incidents that it matches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectMultipleWidget

from core.admin.base import HubAdmin, LifecycleMixin
from core.admin.columns import column, moment_column, status_column, text_column
from core.admin.dialogs import dialog_action
from core.admin.forms import WordsField, description_field
from core.admin.refusals import ServiceRulesMixin
from monitoring.alerts import silencing
from monitoring.models import AlertSilence, Subject


class SilenceWindowForm(ServiceRulesMixin, forms.ModelForm):
    """A silence as a person makes or changes it; its times are typed in UTC."""

    check_fields = staticmethod(silencing.check_silence_fields)

    description = description_field(rows=2)
    subjects = forms.MultipleChoiceField(
        label="Only these kinds",
        required=False,
        choices=Subject.choices,
        widget=UnfoldAdminSelectMultipleWidget,
    )
    services = WordsField(
        label="Only these services",
        required=False,
        help_text="Names such as pay-*, separated by commas.",
    )
    tags = WordsField(
        label="Only with these tags", required=False, help_text="Services with one of them."
    )
    about = WordsField(
        label="Only about",
        required=False,
        help_text="Names of checks, connections, workflows and whatever else incidents are about.",
    )

    class Meta:
        model = AlertSilence
        fields = ("name", "description", "starts_at", "ends_at")
        labels = {"starts_at": "From (UTC)", "ends_at": "Until (UTC)"}
        help_texts = {"starts_at": "Empty: from now on."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "starts_at" in self.fields:
            self.fields["starts_at"].required = False
        for name in silencing.MATCHERS:
            self.initial.setdefault(name, getattr(self.instance, name))

    @property
    def service_fields(self) -> dict[str, Any]:
        """What the service takes: of one that is there, what was changed."""
        names = silencing.PLAIN if self.instance._state.adding else self.changed_data
        given = {name: self.cleaned_data[name] for name in names if name in self.cleaned_data}
        if given.get("starts_at", ...) is None:
            del given["starts_at"]
        return given


@admin.register(AlertSilence)
class AlertSilenceAdmin(LifecycleMixin, HubAdmin):
    """Silences, the last to end first."""

    create_row = staticmethod(silencing.create_silence)
    update_row = staticmethod(silencing.update_silence)
    delete_row = staticmethod(silencing.delete_silence)

    form = SilenceWindowForm
    list_display = ("name", "status_label", "matchers", "until", "by")
    search_fields = ("name", "description")
    search_help_text = "Name or why"
    ordering = ("-ends_at", "name")
    change_form_outer_before_template = "console/silence_summary.html"
    fieldsets = (
        (None, {"fields": ("name", "description")}),
        ("Of what", {"fields": silencing.MATCHERS}),
        ("When", {"fields": ("starts_at", "ends_at")}),
    )
    actions_detail = ("expire",)

    status_label = status_column("State", "status")
    matchers = column("Of what", lambda row: matchers_of(row))
    until = moment_column("Until", "ends_at", ordering="ends_at")
    by = text_column("By", "created_by")

    def summary(self, request: HttpRequest, row: AlertSilence) -> dict[str, Any]:
        """Return what it matches, in words and now."""
        return {"matchers": matchers_of(row), "matched": silencing.matched_by(row)}

    def hidden_actions(self, request: HttpRequest, object_id: str) -> Iterable[str]:
        holds = AlertSilence.objects.filter(pk=object_id, ends_at__gt=timezone.now())
        return () if holds.exists() else ("expire",)

    @dialog_action(
        "End it now",
        icon="notifications_active",
        title="Is it to end now?",
        explanation="What is still wrong is told after its wait.",
    )
    def expire(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.run_on_page(request, object_id, silencing.expire_silence, done="ended")


def matchers_of(silence: AlertSilence) -> str:
    """Return what a silence is of, in words."""
    kinds = [Subject(each).label for each in silence.subjects if each in Subject.values]
    parts = (
        ("", kinds),
        ("of ", silence.services),
        ("tagged ", silence.tags),
        ("about ", silence.about),
    )
    return "; ".join(f"{word}{', '.join(names)}" for word, names in parts if names)
