"""POST actions on a resource, and lists of its parts: how views declare them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.serializers import BaseSerializer

from core.api.pagination import GrowingListPagination

Decorator = Callable[[Callable[..., Any]], Any]


def post_action(
    *,
    responses: Any,
    request: Any = None,
    parameters: Any = None,
    detail: bool = True,
    **options: Any,
) -> Decorator:
    """Let a method be what a POST to its name, below the resource, does."""

    def decorate(method: Callable[..., Any]) -> Any:
        described = extend_schema(request=request, responses=responses, parameters=parameters)
        return described(action(detail=detail, methods=["post"], **options)(method))

    return decorate


def nested_list(serializer: type[BaseSerializer[Any]], **options: Any) -> Decorator:
    """Let a method be the list, under its name, of parts of a resource that grow without end."""

    def decorate(method: Callable[..., Any]) -> Any:
        options.setdefault("filterset_class", None)
        options.setdefault("ordering_fields", ())
        listed = action(
            detail=True, methods=["get"], pagination_class=GrowingListPagination, **options
        )
        return extend_schema(responses=serializer(many=True))(listed(method))

    return decorate
