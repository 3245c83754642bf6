"""Objectives, with what is left of their budgets."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from core.admin.base import HubAdmin, LifecycleMixin
from core.admin.columns import column, text_column
from core.admin.formatting import NOTHING, status_badge
from core.admin.forms import description_field
from core.admin.refusals import ServiceRulesMixin
from monitoring.models import Slo
from monitoring.slos import lifecycle
from monitoring.slos.status import counted_words, read_status

FIELDS = (
    "name", "service", "kind", "source", "action", "target", "window_days", "threshold_ms",
    "min_events", "enabled", "description",
)  # fmt: skip


class SloForm(ServiceRulesMixin, forms.ModelForm):
    """An objective as a person makes or changes it."""

    check_fields = staticmethod(lifecycle.check_slo_fields)

    description = description_field(rows=2)

    class Meta:
        model = Slo
        fields = FIELDS
        labels = {
            "kind": "Good means",
            "source": "What counts",
            "target": "Target in percent",
            "window_days": "Days",
            "threshold_ms": "In time means, in ms",
            "min_events": "Fewest that prove something",
        }
        help_texts = {
            "target": "So many of them are to be good, such as 99.9.",
            "window_days": "The target is held over so many days.",
            "action": "Only calls of that action, where calls count.",
            "threshold_ms": "Only where good means in time, such as 300.",
            "min_events": "Fewer in a window prove nothing, and nobody is told.",
        }

    @property
    def service_fields(self) -> dict[str, Any]:
        """What the service takes."""
        return {name: self.cleaned_data[name] for name in FIELDS if name in self.cleaned_data}


@admin.register(Slo)
class SloAdmin(LifecycleMixin, HubAdmin):
    """Objectives by name, each with a bar of what is left."""

    is_managed_by_files = True
    create_row = staticmethod(lifecycle.create_slo)
    update_row = staticmethod(lifecycle.update_slo)
    delete_row = staticmethod(lifecycle.delete_slo)

    form = SloForm
    list_display = ("name", "service_name", "state_label", "aim", "reached", "budget")
    list_filter = ("kind", "enabled")
    search_fields = ("name", "service__name")
    search_help_text = "Name or service"
    ordering = ("name",)
    autocomplete_fields = ("service",)
    change_form_outer_before_template = "console/slo_summary.html"
    fieldsets = ((None, {"fields": FIELDS}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Slo]:
        return Slo.objects.select_related("service")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        for row in changelist.result_list:
            row.found = read_status(row, now=timezone.now())
        return changelist

    service_name = text_column("Service", "service.name", ordering="service__name")
    state_label = column("State", lambda row: status_badge(row.found.state))
    aim = column("Objective", lambda row: f"{row.target:g} % in {row.window_days} days")

    @display(description="Reached")
    def reached(self, row: Any) -> str:
        percent = row.found.budget.percent
        return NOTHING if percent is None else f"{percent:g} %"

    @display(description="Budget left")
    def budget(self, row: Any) -> SafeString | str:
        return budget_bar(row.found.budget.left) if row.found.budget.count.total else NOTHING

    def summary(self, request: HttpRequest, row: Slo) -> dict[str, Any]:
        """Return how it is, its budget and how fast that burns."""
        found = read_status(row, now=timezone.now())
        bar = budget_bar(found.budget.left) if found.budget.count.total else ""
        percent = found.budget.percent
        reached = "" if percent is None else f"{percent:g}"
        return {
            "found": found,
            "budget_bar": bar,
            "aim": f"{row.target:g}",
            "reached": reached,
            "counted_words": counted_words(row),
        }


def budget_bar(left: float) -> SafeString:
    """Return what is left of a budget as a bar and words."""
    share = min(max(left, 0.0), 1.0)
    tone = "good" if left > 0.5 else "warning" if left > 0 else "bad"
    words = f"{round(left * 100, 1):g} %" if left > 0 else "used up"
    return format_html(
        '<span class="hub-budget"><svg viewBox="0 0 100 8" preserveAspectRatio="none"'
        ' aria-hidden="true"><rect class="hub-fill" data-tone="none" width="100" height="8"'
        ' rx="2"/><rect class="hub-fill" data-tone="{}" width="{}" height="8" rx="2"/></svg>'
        "<span>{}</span></span>",
        tone,
        f"{share * 100:.1f}",
        words,
    )
