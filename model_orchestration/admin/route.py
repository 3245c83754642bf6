"""Routes: names that callers ask for, and the models that may serve them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from unfold.decorators import display

from core.admin.base import HubAdmin
from core.admin.columns import column
from core.admin.formatting import NOTHING
from core.roles import may
from model_orchestration.admin.model import price_now
from model_orchestration.admin.model_forms import RouteForm
from model_orchestration.admin.price import price_words
from model_orchestration.admin.saving import ServicedMixin
from model_orchestration.models import Model, ModelRoute, ModelStatus, RouteStrategy
from model_orchestration.services.models import assign_route
from registry.models import CircuitBreakerState, CircuitState, Connection

REFUSING = (CircuitState.OPEN, CircuitState.FORCED_OPEN)


@admin.register(ModelRoute)
class ModelRouteAdmin(ServicedMixin, HubAdmin):
    """The list of routes, and the page of one."""

    assign = staticmethod(assign_route)

    form = RouteForm
    list_display = ("name", "strategy_label", "models_label", "attempts", "deadline")
    list_filter = ("strategy",)
    search_fields = ("name", "description")
    search_help_text = "Name or description"
    ordering = ("name",)
    change_form_outer_before_template = "console/model_route_summary.html"
    fieldsets = (
        (None, {"fields": ("name", "description", "strategy", "targets")}),
        ("When one fails", {"fields": ("fallback_on", "max_attempts", "deadline_seconds")}),
    )

    strategy_label = column(
        "Strategy", lambda row: RouteStrategy(row.strategy).label.partition(":")[0],
        ordering="strategy",
    )  # fmt: skip
    attempts = column("Attempts", lambda row: str(row.max_attempts))
    deadline = column("Deadline", lambda row: f"{row.deadline_seconds:g} s")

    @display(description="Models")
    def models_label(self, row: ModelRoute) -> str:
        tags = [(target_words(row, target),) for target in row.targets]
        between = format_html(' <span class="hub-dim">{}</span> ', _between(row))
        return format_html_join(between, '<span class="hub-nowrap">{}</span>', tags) or NOTHING

    def summary(self, request: HttpRequest, row: ModelRoute) -> dict[str, Any]:
        return {
            "targets": targets_of(row),
            "order": RouteStrategy(row.strategy).label,
            "may_try": may(request.user, "models:use"),
        }


def _between(row: ModelRoute) -> str:
    return "or" if row.strategy == RouteStrategy.WEIGHTED else "then"


def target_words(row: ModelRoute, target: dict[str, Any]) -> str:
    """Return a target in words: its model, and its share where chance decides."""
    if row.strategy != RouteStrategy.WEIGHTED:
        return str(target["model"])
    total = sum(each.get("weight", 1) for each in row.targets) or 1
    return f"{target['model']} {target.get('weight', 1) / total:.0%}"


def targets_of(row: ModelRoute) -> list[dict[str, Any]]:
    """Return the models of a route as they are now, and what is in the way of each."""
    names = [str(target["model"]) for target in row.targets]
    rows = Model.objects.filter(name__in=names).with_parts().prefetch_related("prices")
    models = {model.name.lower(): model for model in rows}
    ids = [model.connection_id for model in models.values()]
    open_circuits = set(
        CircuitBreakerState.objects.filter(connection__in=ids, state__in=REFUSING).values_list(
            "connection_id", flat=True
        )
    )
    return [
        _state_of(row, target, models.get(str(target["model"]).lower()), open_circuits)
        for target in row.targets
    ]


def _state_of(
    row: ModelRoute, target: dict[str, Any], model: Model | None, open_circuits: set[Any]
) -> dict[str, Any]:
    shown: dict[str, Any] = {"words": target_words(row, target), "model": model}
    if model is None:
        return {**shown, "status": "REMOVED", "why": "There is no such model: it is passed over."}
    return {
        **shown,
        "status": model.status,
        "price": price_words(price_now(model), model),
        "why": _hindrance(model, model.connection, open_circuits),
    }


def _hindrance(model: Model, connection: Connection, open_circuits: set[Any]) -> str:
    """Return why a model is not asked now; empty where it is."""
    if model.status == ModelStatus.INACTIVE:
        return "It is passed over while it is inactive."
    if connection.is_disabled:
        return f"Its connection {connection.name} is switched off."
    if model.is_paused(timezone.now()):
        return f"It wants to be left alone until {model.paused_until:%H:%M:%S} UTC, and comes last."
    if connection.pk in open_circuits:
        return f"The circuit of {connection.name} is open: it is passed over until it closes."
    return ""
