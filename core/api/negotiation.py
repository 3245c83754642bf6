"""Content negotiation: there is one form of every answer."""

from __future__ import annotations

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation

from core.media_types import is_json, media_type_of


class AlwaysJSON(BaseContentNegotiation):
    """Answers JSON whatever was asked for, and picks the parser by content type."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        wanted = request.content_type
        for parser in parsers:
            if is_json(wanted) or media_type_of(wanted) in ("", parser.media_type):
                return parser
        return None

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type
