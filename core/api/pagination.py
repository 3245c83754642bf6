"""Lists in pages: numbered ones, and cursors for lists that only grow."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from django.core.exceptions import ValidationError as FieldError
from django.db import connection
from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

DEFAULT_PER_PAGE = 10
MOST_PER_PAGE = 200
LARGEST_PAGE = 1_000_000
EXACT_COUNT_LIMIT = 10_000


def read_number(query: Any, name: str, default: int, *, most: int = LARGEST_PAGE) -> int:
    """Return a query parameter that counts from 1, at most `most`: a larger one is cut to that.

    Raises:
        ValidationError: it is not such a number.
    """
    text = query.get(name, "")
    if text == "":
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 1 <= number <= LARGEST_PAGE:
        sentence = f"'{text[:50]}' is not a whole number from 1 to {most}."
        raise ValidationError({name: [sentence]})
    return min(number, most)


class PageNumberPagination(BasePagination):
    """`?page=1&per_page=10`; a page past the end is empty, and per_page is cut to 200."""

    page = 1
    per_page = DEFAULT_PER_PAGE
    total = 0
    is_estimate = False
    query_names = frozenset({"page", "per_page"})

    def read_page(self, request: Any) -> tuple[int, int]:
        """Return the number of the page, and how many items it has."""
        query = request.query_params
        page = read_number(query, "page", 1)
        return page, read_number(query, "per_page", DEFAULT_PER_PAGE, most=MOST_PER_PAGE)

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any]:
        self.request = request
        self.page, self.per_page = self.read_page(request)
        self.total = self.count(queryset)
        first = (self.page - 1) * self.per_page
        if first >= self.total and not self.is_estimate:
            return []
        return list(queryset[first : first + self.per_page])

    def count(self, queryset: Any) -> int:
        return len(queryset) if isinstance(queryset, list) else queryset.count()

    def get_paginated_response(self, data: Any) -> Response:
        pages = -(-self.total // self.per_page)
        more = len(data) == self.per_page if self.is_estimate else self.page < pages
        body = {
            "items": data,
            "total": self.total,
            "page": self.page,
            "per_page": self.per_page,
            "pages": pages,
            "next": self.link_to(self.page + 1) if more else None,
            "previous": self.link_to(min(self.page - 1, pages)) if self.page > 1 else None,
        }
        return Response(body | ({"total_is_estimate": True} if self.is_estimate else {}))

    def link_to(self, page: int) -> str | None:
        if page < 1:
            return None
        return replace_query_param(self.request.build_absolute_uri(), "page", page)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return _page_schema(schema, number={"type": "integer"})

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            _parameter("page", "Which page, from 1 on.", maximum=LARGEST_PAGE),
            _parameter("per_page", f"How many items a page has; at most {MOST_PER_PAGE}."),
        ]


class BodyPagination(PageNumberPagination):
    """Pages of an answer to a POST: `page` and `per_page` of the body, or else of the query.

    There are no links, as a link carries no body.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    def read_page(self, request: Any) -> tuple[int, int]:
        page, per_page = super().read_page(request)
        return self.body.get("page", page), min(self.body.get("per_page", per_page), MOST_PER_PAGE)

    def link_to(self, page: int) -> str | None:
        return None


class GrowingListPagination(PageNumberPagination):
    """Numbered pages, or `?cursor=` at constant cost, in the view's `cursor_order`.

    Beyond 10,000 rows `total` is an estimate; with a cursor there is none.
    """

    query_names = frozenset({"page", "per_page", "cursor"})

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any]:
        self.cursor = request.query_params.get("cursor")
        if self.cursor is None:
            return super().paginate_queryset(queryset, request, view)
        if wrong := sorted({"page", "ordering"} & set(request.query_params)):
            raise ValidationError({name: ["Not together with cursor."] for name in wrong})
        self.request = request
        _, self.per_page = self.read_page(request)
        order = getattr(view, "cursor_order", "-id")
        found = list(_after(queryset, order, self.cursor)[: self.per_page + 1])
        last = found[self.per_page - 1] if len(found) > self.per_page else None
        self.following = _encode(getattr(last, order.lstrip("-"))) if last else None
        return found[: self.per_page]

    def get_paginated_response(self, data: Any) -> Response:
        if self.cursor is None:
            return super().get_paginated_response(data)
        here = self.request.build_absolute_uri()
        body = {
            "items": data,
            "total": None,
            "page": None,
            "per_page": self.per_page,
            "pages": None,
            "next": replace_query_param(here, "cursor", self.following) if self.following else None,
            "previous": None,
            "cursor": self.following,
        }
        return Response(body)

    def count(self, queryset: QuerySet[Any]) -> int:
        counted = queryset.order_by().values("pk")[: EXACT_COUNT_LIMIT + 1].count()
        if counted <= EXACT_COUNT_LIMIT:
            return counted
        self.is_estimate = True
        return max(counted, _estimate(queryset))

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        page_schema = _page_schema(schema, number={"type": ["integer", "null"]})
        page_schema["properties"]["cursor"] = {"type": ["string", "null"]}
        return page_schema

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        cursor = {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string"}}
        text = "Empty for the first items, then the `cursor` of the answer before."
        return [*super().get_schema_operation_parameters(view), {**cursor, "description": text}]


def _after(queryset: QuerySet[Any], order: str, cursor: str) -> QuerySet[Any]:
    ordered = queryset.order_by(order)
    if not cursor:
        return ordered
    name = order.lstrip("-")
    value = _decode(cursor, queryset.model._meta.get_field(name))
    return ordered.filter(**{f"{name}__{'lt' if order.startswith('-') else 'gt'}": value})


def _estimate(queryset: QuerySet[Any]) -> int:
    """Return the planner's guess for a whole table; nothing for a filter or another database."""
    if connection.vendor != "postgresql" or queryset.query.where:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
            [queryset.model._meta.db_table],
        )
        return int(cursor.fetchone()[0])


def _encode(key: object) -> str:
    return base64.urlsafe_b64encode(str(key).encode()).decode().rstrip("=")


def _decode(cursor: str, field: Any) -> Any:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        value = field.to_python(text.decode("ascii"))
        field.run_validators(value)
    except (ValueError, binascii.Error, FieldError):
        sentence = "This is no cursor. Use the `cursor` of the answer before, or leave it empty."
        raise ValidationError({"cursor": [sentence]}) from None
    return value


def _page_schema(items: dict[str, Any], *, number: dict[str, Any]) -> dict[str, Any]:
    link = {"type": ["string", "null"], "format": "uri"}
    return {
        "type": "object",
        "required": ["items", "total", "page", "per_page", "pages", "next", "previous"],
        "properties": {
            "items": items,
            "total": number,
            "page": number,
            "per_page": {"type": "integer"},
            "pages": number,
            "next": link,
            "previous": link,
            "total_is_estimate": {"type": "boolean"},
        },
    }


def _parameter(name: str, description: str, **limits: int) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "integer", "minimum": 1, **limits},
    }
