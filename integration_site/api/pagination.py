"""Lists in pages: numbered ones, and cursors for lists that only grow."""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

DEFAULT_PER_PAGE = 10
MOST_PER_PAGE = 200
LARGEST_PAGE = 1_000_000
EXACT_COUNT_LIMIT = 10_000


def read_number(request: Any, name: str, default: int) -> int:
    """A query parameter that counts from 1.

    Raises:
        ValidationError: it is not such a number.
    """
    text = request.query_params.get(name, "")
    if text == "":
        return default
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:12]) <= LARGEST_PAGE:
        raise ValidationError({name: [f"'{text[:50]}' is not a whole number from 1 on."]})
    return int(text)


class PageNumberPagination(BasePagination):
    """`?page=1&per_page=10`; a page past the end is empty, and per_page is cut to 200."""

    page = 1
    per_page = DEFAULT_PER_PAGE
    total = 0
    is_estimate = False
    query_names = frozenset({"page", "per_page"})

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any]:
        self.request = request
        self.page = read_number(request, "page", 1)
        self.per_page = min(read_number(request, "per_page", DEFAULT_PER_PAGE), MOST_PER_PAGE)
        self.total = self.count(queryset)
        first = (self.page - 1) * self.per_page
        if first >= self.total and not self.is_estimate:
            return []
        return list(queryset[first : first + self.per_page])

    def count(self, queryset: Any) -> int:
        return len(queryset) if isinstance(queryset, list) else queryset.count()

    def get_paginated_response(self, data: Any) -> Response:
        pages = -(-self.total // self.per_page)
        body = {
            "items": data,
            "total": self.total,
            "page": self.page,
            "per_page": self.per_page,
            "pages": pages,
            "next": self._link(self.page + 1) if self.page < pages else None,
            "previous": self._link(min(self.page - 1, pages)) if 1 < self.page else None,
        }
        return Response(body | ({"total_is_estimate": True} if self.is_estimate else {}))

    def _link(self, page: int) -> str | None:
        if page < 1:
            return None
        return replace_query_param(self.request.build_absolute_uri(), "page", page)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        number = {"type": "integer"}
        return {
            "type": "object",
            "required": ["items", "total", "page", "per_page", "pages", "next", "previous"],
            "properties": {
                "items": schema,
                "total": number,
                "page": number,
                "per_page": number,
                "pages": number,
                "next": link,
                "previous": link,
                "total_is_estimate": {"type": "boolean"},
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            _parameter("page", "Which page, from 1 on."),
            _parameter("per_page", f"How many items a page has; at most {MOST_PER_PAGE}."),
        ]


class GrowingListPagination(PageNumberPagination):
    """Numbered pages, or `?cursor=` at constant cost; newest first, by time-ordered ids.

    Beyond 10,000 rows `total` is an estimate.
    """

    query_names = frozenset({"page", "per_page", "cursor"})

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any]:
        self.cursor = request.query_params.get("cursor")
        if self.cursor is None:
            return super().paginate_queryset(queryset, request, view)
        self.request = request
        self.per_page = min(read_number(request, "per_page", DEFAULT_PER_PAGE), MOST_PER_PAGE)
        ordered = queryset.order_by("-id")
        if self.cursor:
            ordered = ordered.filter(id__lt=_decode(self.cursor))
        found = list(ordered[: self.per_page + 1])
        self.following = (
            _encode(found[self.per_page - 1].pk) if len(found) > self.per_page else None
        )
        return found[: self.per_page]

    def get_paginated_response(self, data: Any) -> Response:
        if self.cursor is None:
            return super().get_paginated_response(data)
        here = remove_query_param(self.request.build_absolute_uri(), "page")
        following = replace_query_param(here, "cursor", self.following) if self.following else None
        return Response(
            {"items": data, "per_page": self.per_page, "next": following, "cursor": self.following}
        )

    def count(self, queryset: QuerySet[Any]) -> int:
        counted = queryset.order_by().values("pk")[: EXACT_COUNT_LIMIT + 1].count()
        if counted <= EXACT_COUNT_LIMIT:
            return counted
        self.is_estimate = True
        return max(counted, _estimate(queryset))

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        cursor = {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string"}}
        text = "Empty for the newest items, then the `cursor` of the answer before."
        return [*super().get_schema_operation_parameters(view), {**cursor, "description": text}]


def _estimate(queryset: QuerySet[Any]) -> int:
    """The planner's guess for a whole table; nothing for a filtered list or another database."""
    if connection.vendor != "postgresql" or queryset.query.where:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
            [queryset.model._meta.db_table],
        )
        return int(cursor.fetchone()[0])


def _encode(key: uuid.UUID) -> str:
    return base64.urlsafe_b64encode(key.bytes).decode().rstrip("=")


def _decode(cursor: str) -> uuid.UUID:
    try:
        return uuid.UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error):
        sentence = "This is no cursor. Use the `cursor` of the answer before, or leave it empty."
        raise ValidationError({"cursor": [sentence]}) from None


def _parameter(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "integer", "minimum": 1},
    }
