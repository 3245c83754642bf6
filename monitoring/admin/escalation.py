"""Policies of escalation: their levels are lines of text."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from core.admin.base import HubAdmin, LifecycleMixin
from core.admin.columns import moment_column, status_column
from core.admin.forms import description_field
from core.admin.refusals import ServiceRulesMixin
from monitoring.admin.alert_forms import kinds_field, services_field, tags_field
from monitoring.alerts import escalation_policies as policies
from monitoring.models import EscalationPolicy

_FILTERS = ("min_severity", "subjects", "services", "tags")


class EscalationPolicyForm(ServiceRulesMixin, forms.ModelForm):
    """A policy as a person makes or changes it."""

    check_fields = staticmethod(policies.check_policy_fields)
    refused_at = {"levels": "lines"}

    description = description_field(rows=2)
    lines = forms.CharField(
        label="Levels",
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget(
            attrs={
                "rows": 4,
                "class": "hub-code",
                "spellcheck": "false",
                "placeholder": "10: second-line\n30: boss, phone",
            }
        ),
        help_text="One in each line: after how many minutes in which nobody sees to it, and which"
        " channels are told then.",
    )
    subjects = kinds_field()
    services = services_field()
    tags = tags_field()

    class Meta:
        model = EscalationPolicy
        fields = ("name", "enabled", "description", "min_severity")
        labels = {"min_severity": "From this severity on"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("subjects", "services", "tags"):
            self.initial.setdefault(name, getattr(self.instance, name))
        if "lines" in self.fields:
            shown = policies.shown_levels(self.instance.levels)
            self.initial["lines"] = policies.to_lines(shown)

    @property
    def service_fields(self) -> dict[str, Any]:
        """What the service takes.

        Raises:
            ValidationFailed: a line is no level.
        """
        names = (*policies.PLAIN, "subjects")
        fields = {name: self.cleaned_data[name] for name in names if name in self.cleaned_data}
        return {**fields, "levels": policies.from_lines(self.cleaned_data.get("lines", ""))}


@admin.register(EscalationPolicy)
class EscalationPolicyAdmin(LifecycleMixin, HubAdmin):
    """Who else is told of what nobody sees to."""

    create_row = staticmethod(policies.create_policy)
    update_row = staticmethod(policies.update_policy)
    delete_row = staticmethod(policies.delete_policy)

    is_managed_by_files = True
    form = EscalationPolicyForm
    list_display = ("name", "state_label", "levels_shown", "changed")
    list_filter = ("enabled", "min_severity")
    search_fields = ("name", "description")
    search_help_text = "Name or description"
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "enabled", "lines", "description")}),
        ("Of what", {"fields": _FILTERS}),
    )

    state_label = status_column("State", "status", ordering="enabled")
    changed = moment_column("Changed", "updated_at", ordering="updated_at")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        shown = iter(policies.shown_levels([level for row in rows for level in row.levels]))
        for row in rows:
            row.shown = [next(shown) for _ in row.levels]
        changelist.result_list = rows
        return changelist

    @display(description="Levels")
    def levels_shown(self, row: Any) -> str:
        return "; ".join(
            f"after {level['after_minutes']} min {', '.join(level['channels']) or 'nobody'}"
            for level in row.shown
        )
