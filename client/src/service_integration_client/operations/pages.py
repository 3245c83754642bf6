"""Reads a list from one page to the next, until there is none."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

from service_integration_client.hub import Hub

PER_PAGE = 100


async def by_number(
    get_page: Callable[..., Any], hub: Hub, /, *args: Any, **filters: Any
) -> AsyncGenerator[Any, None]:
    """Yield the items by page numbers, from `page` on where it is given."""
    page = filters.pop("page", None) or 1
    per_page = filters.pop("per_page", None) or PER_PAGE
    while True:
        answer = await get_page(hub, *args, page=page, per_page=per_page, **filters)
        for item in answer["items"]:
            yield item
        if not answer.get("next"):
            return
        page += 1


async def by_cursor(
    get_page: Callable[..., Any], hub: Hub, /, *args: Any, **filters: Any
) -> AsyncGenerator[Any, None]:
    """Yield the items by the cursor of each answer: a list that grows meanwhile is not read twice.

    A page or an ordering that is asked for goes by numbers.
    """
    if filters.get("page") or filters.get("ordering"):
        async for item in by_number(get_page, hub, *args, **filters):
            yield item
        return
    per_page = filters.pop("per_page", None) or PER_PAGE
    cursor = ""
    while cursor is not None:
        answer = await get_page(hub, *args, page=None, cursor=cursor, per_page=per_page, **filters)
        for item in answer["items"]:
            yield item
        cursor = answer.get("cursor")
