"""Filters of lists whose rows belong to one of many."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from core.admin.base import is_id

MAX_OFFERED = 50


class RelatedFilter(admin.SimpleListFilter):
    """One of those that rows belong to; the first fifty by name, any other by its page's link.

    `parameter_name` is the field, `model` what it refers to.
    """

    model: type[Model]

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        rows = self.model._default_manager.order_by("name").values_list("pk", "name")[:MAX_OFFERED]
        offered = {str(pk): name for pk, name in rows}
        chosen = request.GET.get(str(self.parameter_name), "")
        if chosen and chosen not in offered:
            offered[chosen] = f"The chosen {self.title}"
        return list(offered.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        chosen = self.value()
        if not chosen:
            return None
        if not is_id(chosen):
            return queryset.none()
        return queryset.filter(**{f"{self.parameter_name}_id": chosen})
