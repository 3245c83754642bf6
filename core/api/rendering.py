"""Renders answers of which a part may be rendered already."""

from __future__ import annotations

import secrets
from typing import Any

from rest_framework.renderers import JSONRenderer

# Nothing that a caller could have written reads so.
_MARK = secrets.token_hex(16)


class RenderedItems(tuple[bytes, ...]):
    """The items of a list, each as it is answered."""

    __slots__ = ()


class PartlyRenderedJSON(JSONRenderer):
    """Renders JSON around items that are rendered."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> Any:
        """Return the bytes of an answer."""
        items = data.get("items") if isinstance(data, dict) else None
        if not isinstance(items, RenderedItems):
            return super().render(data, accepted_media_type, renderer_context)
        around = super().render({**data, "items": _MARK}, accepted_media_type, renderer_context)
        before, after = around.split(f'"{_MARK}"'.encode())
        return b"".join((before, b"[", b",".join(items), b"]", after))
