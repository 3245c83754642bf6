"""Models: what providers offer, what it costs, and trying it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from core.admin.base import HubAdmin, UnreadPartsMixin, find_or_404
from core.admin.columns import column, text_column
from core.configured_rows import Assign
from model_orchestration.admin.model_forms import ModelForm
from model_orchestration.admin.price import price_words, thousand_tokens
from model_orchestration.admin.provider_wizard import ProviderWizardMixin
from model_orchestration.admin.saving import ServicedMixin
from model_orchestration.admin.try_page import TryMixin
from model_orchestration.models import Model, ModelPrice, Request
from model_orchestration.services.models import assign_for
from registry.admin.credential import may_use_credentials

SHOWN_REQUESTS = 10


def price_now(model: Model) -> ModelPrice | None:
    """Return the price that holds, of those that were read with the model."""
    now = timezone.now()
    held = [price for price in model.prices.all() if price.valid_from <= now]
    return max(held, key=lambda price: price.valid_from, default=None)


@admin.register(Model)
class ModelAdmin(ServicedMixin, ProviderWizardMixin, TryMixin, UnreadPartsMixin, HubAdmin):
    """The list of models, and the page of one."""

    def assign_of(self, request: HttpRequest) -> Assign:
        return assign_for(may_use_credentials=may_use_credentials(request))

    form = ModelForm
    list_display = (
        "name", "status_label", "provider_label", "capability_tags", "connection_name",
        "price_label",
    )  # fmt: skip
    list_filter = ("status", "provider")
    search_fields = ("name", "display_name", "description", "provider_model")
    search_help_text = "Model id, name or description"
    ordering = ("name",)
    autocomplete_fields = ("connection",)
    list_before_template = "console/model_shortcuts.html"
    change_form_outer_before_template = "console/model_summary.html"
    actions_detail = ("try_it", "add_price")
    fieldsets = (
        (None, {"fields": ("name", "display_name", "description", "status", "replacement")}),
        ("Provider", {"fields": ("provider", "connection", "provider_model")}),
        (
            "What it does",
            {
                "fields": (
                    "capabilities",
                    "token_limit",
                    "max_tokens",
                    "cost_per_token",
                    "rpm",
                    "tpm",
                )
            },
        ),
        ("More", {"fields": ("aliases", "configuration", "metadata")}),
    )
    conditional_fields = {"replacement": "status != 'ACTIVE'"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        prices = ModelPrice.objects.order_by("-valid_from")
        return Model.objects.with_parts().prefetch_related(Prefetch("prices", prices))

    provider_label = column("Provider", lambda row: row.get_provider_display(), ordering="provider")
    connection_name = text_column("Connection", "connection.name")
    price_label = column("Price", lambda row: price_words(price_now(row), row))

    @display(description="Serves")
    def capability_tags(self, row: Model) -> str:
        words = ((name.replace("_", " ").lower(),) for name in row.capabilities)
        return format_html_join(" ", '<span class="hub-tag">{}</span>', words)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        more = {
            "may_try": self.has_try_permission(request),
            "may_connect": self.has_connect_permission(request),
        }
        return super().changelist_view(request, {**(extra_context or {}), **more})

    # The page of one

    def summary(self, request: HttpRequest, row: Model) -> dict[str, Any]:
        price = price_now(row)
        latest = Request.objects.filter(model_id=row.name).order_by("-id")
        listed = reverse("admin:model_orchestration_request_changelist")
        return {
            "price": price_words(price, row),
            "thousand": thousand_tokens(price) if price else "",
            "is_paused": row.is_paused(timezone.now()),
            "latest": list(latest.defer("request_data", "response_data")[:SHOWN_REQUESTS]),
            "requests_url": f"{listed}?model={row.name}",
        }

    @action(
        description="Try it", icon="science", variant=ActionVariant.PRIMARY, permissions=["try"]
    )
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that asks it."""
        row = find_or_404(Model.objects.all(), object_id)
        return redirect(f"{reverse('admin:model_try')}?model={row.name}")

    @action(description="New price", icon="payments", permissions=["change"])
    def add_price(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the form of a price."""
        url = reverse("admin:model_orchestration_modelprice_add")
        return redirect(f"{url}?model={object_id}")
