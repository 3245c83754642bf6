"""The envelope that lists came in (pure)."""

from __future__ import annotations

from integration_site.legacy.model import Exchange, Json

_PAGINATION = ("total", "page", "per_page", "pages")


def list_envelope(answer: Json, items: list[Json], exchange: Exchange, *, noun: str) -> Json:
    """Return a page of the API as an old list: `success`, `message`, `items`, `metadata`."""
    query, body = exchange.request.query, exchange.request.body
    filters = {name: values[-1] for name, values in query.items() if name not in _PAGINATION}
    filters |= {name: value for name, value in body.items() if value is not None}
    return {
        **answer,
        "success": True,
        "message": f"{noun} retrieved successfully",
        "items": items,
        "metadata": {
            "filters": filters,
            "sort": query.get("ordering", (None,))[-1],
            "pagination": {name: answer.get(name) for name in _PAGINATION},
        },
    }
