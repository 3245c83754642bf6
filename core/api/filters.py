"""Filters that refuse what they do not know, and ordering from a fixed list."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError

from core.api.list_items import INCLUDE
from core.suggestions import did_you_mean, no_such_filter

ALWAYS_ALLOWED = frozenset({"format"})


class StrictFilterBackend(DjangoFilterBackend):
    """Filters by the view's `filterset_class`, orders by its `ordering_fields`."""

    def filter_queryset(self, request: Any, queryset: Any, view: Any) -> Any:
        self._refuse_unknown(request, view)
        rows = super().filter_queryset(request, queryset, view)
        return self._order(request, rows, view) if isinstance(rows, QuerySet) else rows

    def _refuse_unknown(self, request: Any, view: Any) -> None:
        filterset = getattr(view, "filterset_class", None)
        names = set(filterset.base_filters) if filterset else set()
        names |= getattr(view.paginator, "query_names", frozenset()) if view.paginator else set()
        if getattr(view, "ordering_fields", None):
            names.add("ordering")
        if getattr(view, "listed", None) and view.listed.left_out:
            names.add(INCLUDE)
        unknown = sorted(set(request.query_params) - names - ALWAYS_ALLOWED)
        if unknown:
            raise ValidationError({name: [no_such_filter(name, sorted(names))] for name in unknown})

    @staticmethod
    def _order(request: Any, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        text = request.query_params.get("ordering", "")
        if not text:
            return queryset
        names = [name.strip() for name in text.split(",")]
        allowed = view.ordering_fields
        wrong = next((name for name in names if name.removeprefix("-") not in allowed), None)
        if wrong is not None:
            sentence = (
                f"'{wrong[:100]}' orders nothing{did_you_mean(wrong, allowed)} Order by one of:"
                f" {', '.join(allowed)}; a dash before it turns it round."
            )
            raise ValidationError({"ordering": [sentence]})
        return queryset.order_by(*names, "pk")
