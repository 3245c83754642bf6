"""POST actions on a resource, and lists of its parts: how views declare them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action

from core.api.list_items import in_list
from core.api.pagination import GrowingListPagination
from core.api.serializers import AnswerSerializer

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


def nested_list(serializer: type[AnswerSerializer], **options: Any) -> Decorator:
    """Let a method be the list, under its name, of parts of a resource that grow without end."""

    def decorate(method: Callable[..., Any]) -> Any:
        options.setdefault("filterset_class", None)
        options.setdefault("ordering_fields", ())
        listed = action(
            detail=True, methods=["get"], pagination_class=GrowingListPagination, **options
        )
        return extend_schema(responses=in_list(serializer))(listed(method))

    return decorate
