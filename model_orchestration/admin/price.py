"""Prices of models: what a thousand tokens cost, and from when on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone

from core.admin.base import HubAdmin
from core.admin.columns import column, moment_column
from core.admin.formatting import NOTHING
from model_orchestration.admin.amounts import dollars
from model_orchestration.models import Model, ModelPrice
from model_orchestration.services.models import add_price

# From so many times as much as the dearest of the other models on, a price may be one per token.
UNUSUAL_FACTOR = 100


def per_million(amount: Decimal | None) -> str:
    return NOTHING if amount is None else dollars(amount)


def thousand_tokens(price: ModelPrice) -> str:
    """Return what 1,000 tokens cost, which tells a price that was typed in for one."""
    return f"{dollars(price.input / 1000)} in, {dollars(price.output / 1000)} out"


def price_words(price: ModelPrice | None, model: Model) -> str:
    """Return a price in a line."""
    if price is not None:
        return f"{dollars(price.input)} in, {dollars(price.output)} out per million tokens"
    if model.cost_per_token is not None:
        return f"{dollars(model.cost_per_token * 10**6)} per million tokens"
    return "no price"


@admin.register(ModelPrice)
class ModelPriceAdmin(HubAdmin):
    """The list of prices. What was served before a price began costs what it cost then."""

    list_display = ("model", "valid", "input_label", "output_label", "thousand", "others")
    list_filter = ("model",)
    list_select_related = ("model",)
    autocomplete_fields = ("model",)
    ordering = ("model__name", "-valid_from")
    fieldsets = (
        (None, {"fields": ("model", "valid_from")}),
        (
            "US dollars per million tokens",
            {"fields": ("input", "output", "cached_input", "cache_write", "reasoning")},
        ),
        ("US dollars for others", {"fields": ("per_image", "per_second")}),
    )

    valid = moment_column("Holds from", "valid_from", ordering="valid_from")
    input_label = column("Input", lambda row: per_million(row.input))
    output_label = column("Output", lambda row: per_million(row.output))
    thousand = column("1,000 tokens cost", thousand_tokens)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "valid_from":
            kwargs |= {"required": False, "help_text": "In UTC. Empty: from now on."}
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """Leave it to the service, which records it with its model."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse to change what requests were charged with: a new price takes its place."""
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ModelPrice | None = None) -> bool:
        """Allow it for prices to come alone."""
        begun = obj is not None and obj.valid_from <= timezone.now()
        return not begun and super().has_delete_permission(request, obj)

    def others(self, row: ModelPrice) -> str:
        """Return the prices of what is no token."""
        shown = [
            f"{dollars(amount)} {noun}"
            for amount, noun in ((row.per_image, "an image"), (row.per_second, "a second"))
            if amount is not None
        ]
        return ", ".join(shown) or NOTHING

    def save_model(self, request: HttpRequest, obj: ModelPrice, form: Any, change: bool) -> None:
        fields = {name: value for name, value in form.cleaned_data.items() if name != "model"}
        obj.__dict__.update(add_price(obj.model, fields).__dict__)
        messages.info(request, f"1,000 tokens of {obj.model} cost {thousand_tokens(obj)}.")
        if _is_unusual(obj):
            messages.warning(
                request,
                "That is a hundred times another price than every other model has. Prices are for"
                " a million tokens: was it meant for one, or for a thousand?",
            )


def _is_unusual(price: ModelPrice) -> bool:
    """Return whether a price is far from those of all other models."""
    rows = ModelPrice.objects.exclude(model=price.model_id).exclude(input=0)
    others = [amount for amount in rows.values_list("input", flat=True)[:1000] if amount]
    if not others or not price.input:
        return False
    far_above = price.input >= UNUSUAL_FACTOR * max(others)
    return far_above or price.input * UNUSUAL_FACTOR <= min(others)
