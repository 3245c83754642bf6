"""Content negotiation: there is one form of every answer."""

from __future__ import annotations

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation


class AlwaysJSON(BaseContentNegotiation):
    """Answers JSON whatever was asked for, and picks the parser by content type."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        wanted = request.content_type.split(";")[0].strip().lower()
        for parser in parsers:
            if wanted in ("", parser.media_type) or wanted.endswith("+json"):
                return parser
        return None

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type
