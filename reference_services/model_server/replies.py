"""What a handler gives back: a body, or the events of a stream."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class WireEvent:
    """One server-sent event; a piece is one that carries a part of the answer."""

    data: JsonObject
    name: str = ""
    is_piece: bool = False

    def encoded(self, padding: int = 0) -> bytes:
        """Return the event's bytes; padding is a field of so many bytes in its data."""
        data = {**self.data, "obfuscation": "x" * padding} if padding else self.data
        head = f"event: {self.name}\n" if self.name else ""
        return f"{head}data: {json.dumps(data)}\n\n".encode()


@dataclass(frozen=True)
class WireStream:
    """All events of an answer, and the bytes that mark its end."""

    events: tuple[WireEvent, ...]
    end: bytes = b""


@dataclass(frozen=True)
class RawReply:
    """An answer that is no JSON: an image, or a text."""

    body: bytes
    content_type: str


Reply = JsonObject | WireStream | RawReply
