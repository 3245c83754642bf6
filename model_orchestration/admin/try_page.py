"""A page that asks a model and shows its answer as it comes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from core.admin.base import find_or_404
from core.admin.pages import render_page
from core.admin.views import own_view
from core.roles import may
from model_orchestration.models import Model, ModelRoute, ModelStatus, Prompt, RequestType

MOST_CHOICES = 500


class TryMixin:
    """Adds the page. The browser asks the API itself, so what it shows is what a program gets."""

    def has_try_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may have models answer, as over the API."""
        return may(request.user, "models:use")

    @own_view("try/", name="model_try", methods=["GET"], permissions=["try"])
    def try_view(self, request: HttpRequest) -> HttpResponse:
        key = request.GET.get("prompt", "")
        served = Model.objects.exclude(status=ModelStatus.INACTIVE).order_by("name")
        rows = served.values_list("name", "capabilities")[:MOST_CHOICES]
        models = [name for name, capabilities in rows if RequestType.CHAT in capabilities]
        names = ModelRoute.objects.order_by("name").values_list("name", flat=True)
        context = {
            "models": models,
            "routes": list(names[:MOST_CHOICES]),
            "chosen": request.GET.get("model", ""),
            "prompt": find_or_404(Prompt.objects.all(), key) if key else None,
        }
        return render_page(self, request, "console/model_try.html", title="Try a model", **context)
