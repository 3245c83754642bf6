"""Budgets and the quotas of providers, with bars of what is used of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from core.admin.base import HubAdmin
from core.admin.columns import column
from core.admin.formatting import NOTHING, moment
from core.admin.forms import StrictJSONField
from core.durations import in_words
from model_orchestration.admin.amounts import Level, draw_levels
from model_orchestration.admin.levels import LimitLevels, levels_of
from model_orchestration.admin.saving import ServicedMixin
from model_orchestration.catalog import limit_of_budget, limits_of_quota
from model_orchestration.limits import Limit
from model_orchestration.models import BudgetPeriod, BudgetScope, ModelBudget, ProviderQuota
from model_orchestration.services.models import assign_budget


class WarnAtForm(forms.ModelForm):
    """A limit as a person types it."""

    warn_at = StrictJSONField(
        expected=list,
        required=False,
        rows=2,
        help_text="At how many percent of a limit is warned, once in each window: [50, 80, 95].",
    )


class BudgetForm(WarnAtForm):
    """A budget as a person types it; what its scope and period have no use for is left out."""

    def clean(self) -> Any:
        data = super().clean()
        if self.cleaned_data.get("period") != BudgetPeriod.ROLLING:
            self.cleaned_data["rolling_seconds"] = None
        if self.cleaned_data.get("scope") == BudgetScope.ALL:
            self.cleaned_data["subject"] = ""
        return data


def period_of(limit: Limit) -> str:
    """Return the period of a limit in words."""
    if limit.rolling_seconds:
        return f"the last {in_words(limit.rolling_seconds)}"
    return f"this {BudgetPeriod(limit.period).label.lower()}, {limit.zone}"


class LeveledAdmin(HubAdmin):
    """Rows with limits: how full each is, read for the whole list in one query."""

    form = WarnAtForm
    change_form_outer_before_template = "console/model_limit_summary.html"
    exceed_label = column("When it is used up", lambda row: row.get_on_exceed_display())

    def limits(self, row: Any) -> Iterable[Limit]:
        """Return the limits of a row."""
        raise NotImplementedError

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        self._learn(changelist.result_list)
        return changelist

    def _learn(self, rows: Iterable[Any]) -> None:
        """Set `levels` of each row."""
        pairs = [(row, limit) for row in rows for limit in self.limits(row)]
        found = levels_of([limit for _, limit in pairs], now=timezone.now())
        for row in rows:
            row.levels = []
        for (row, _), levels in zip(pairs, found, strict=True):
            row.levels.append(levels)

    @display(description="Used")
    def used(self, row: Any) -> str:
        levels = [level for each in row.levels for level in self.shown_levels(each)]
        return draw_levels(levels) if levels else NOTHING

    def shown_levels(self, levels: LimitLevels) -> list[Level]:
        """Return the levels of a limit as the list shows them."""
        return levels.levels

    @display(description="Begins anew")
    def reset(self, row: Any) -> str:
        ends = [each.window.ends_at for each in row.levels if each.window.since is None]
        return moment(min(ends)) if ends else NOTHING

    def summary(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        self._learn([row])
        shown = [
            {
                "period": period_of(each.limit),
                "bars": draw_levels(each.levels),
                "ends_at": None if each.window.since else each.window.ends_at,
            }
            for each in row.levels
        ]
        return {"windows": shown}


@admin.register(ModelBudget)
class ModelBudgetAdmin(ServicedMixin, LeveledAdmin):
    """What keys, projects, users and models may use."""

    assign = staticmethod(assign_budget)
    form = BudgetForm

    list_display = ("name", "scope_label", "period_label", "used", "reset", "exceed_label")
    list_filter = ("scope", "period", "on_exceed")
    search_fields = ("name", "subject", "description")
    search_help_text = "Name, subject or description"
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "scope", "subject", "description")}),
        ("When", {"fields": ("period", "rolling_seconds", "time_zone")}),
        ("How much", {"fields": ("cost_limit", "token_limit", "request_limit")}),
        ("What then", {"fields": ("on_exceed", "warn_at")}),
    )
    conditional_fields = {
        "subject": "scope != 'ALL'",
        "rolling_seconds": "period == 'ROLLING'",
        "time_zone": "period != 'ROLLING'",
    }

    period_label = column("Counted in", lambda row: period_of(limit_of_budget(row)))

    @display(description="Of", ordering="scope")
    def scope_label(self, row: ModelBudget) -> str:
        return f"{row.scope.capitalize()} {row.subject}" if row.subject else "All requests"

    def limits(self, row: Any) -> Iterable[Limit]:
        return (limit_of_budget(row),)


@admin.register(ProviderQuota)
class ProviderQuotaAdmin(LeveledAdmin):
    """What all requests to one kind of provider may use."""

    list_display = ("provider_label", "used", "reset", "exceed_label")
    ordering = ("provider",)
    fieldsets = (
        (None, {"fields": ("provider", "time_zone")}),
        ("In a day", {"fields": ("daily_cost_limit", "daily_token_limit")}),
        ("In a month", {"fields": ("monthly_cost_limit", "monthly_token_limit")}),
        ("What then", {"fields": ("on_exceed", "warn_at")}),
    )

    def shown_levels(self, levels: LimitLevels) -> list[Level]:
        """Say of which period each is: there are two."""
        period = f" a {levels.limit.period.lower()}"
        return [replace(level, period=period) for level in levels.levels]

    provider_label = column("Provider", lambda row: row.get_provider_display(), ordering="provider")

    def limits(self, row: Any) -> Iterable[Limit]:
        return tuple(limits_of_quota(row))
