"""Reads streams of Anthropic's Messages API (pure)."""

from __future__ import annotations

import time
from typing import Any

from core.json import strict
from model_orchestration.adapters.base import StreamFailed
from model_orchestration.pricing import Usage

# Under which a chunk carries the event of Anthropic that it is, for callers of that API.
NATIVE = "native"
_FINISH_REASONS = {
    "max_tokens": "length", "model_context_window_exceeded": "length", "tool_use": "tool_calls",
    "refusal": "content_filter",
}  # fmt: skip


class AnthropicReader:
    """Reads a stream of events; what was counted comes first, and again with the last of them."""

    def __init__(self, *, is_native: bool = False) -> None:
        self.is_complete = False
        self.text_bytes = 0
        self._is_native = is_native
        self._counted: dict[str, Any] = {}
        self._id = ""
        self._created = int(time.time())
        self._tools: dict[int, int] = {}

    @property
    def usage(self) -> Usage | None:
        return usage_in(self._counted)

    def feed(self, name: str, data: str) -> list[dict[str, Any]]:
        event = strict.parse(data)
        if not isinstance(event, dict):
            raise ValueError("an event is no JSON object")
        kind = str(event.get("type") or name)
        if kind == "error":
            error = event.get("error")
            raise StreamFailed(
                str(error.get("message") if isinstance(error, dict) else error)[:500]
            )
        chunks = self._read(kind, event)
        if not self._is_native:
            return chunks
        return [] if kind in ("message_stop", "ping") else [{NATIVE: (kind, event)}]

    def _read(self, kind: str, event: dict[str, Any]) -> list[dict[str, Any]]:
        if kind == "message_start":
            message = event.get("message") or {}
            self._id = str(message.get("id") or "")
            self._count(message.get("usage"))
            return [self._chunk({"role": "assistant", "content": ""})]
        if kind == "content_block_start":
            return self._begin_block(event)
        if kind == "content_block_delta":
            return self._go_on(event)
        if kind == "message_delta":
            self._count(event.get("usage"))
            reason = str((event.get("delta") or {}).get("stop_reason") or "")
            return [self._chunk({}, finish=_FINISH_REASONS.get(reason, "stop"))]
        if kind == "message_stop":
            self.is_complete = True
        return []

    def _count(self, told: Any) -> None:
        if isinstance(told, dict):
            self._counted |= {name: value for name, value in told.items() if value is not None}

    def _begin_block(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        block = event.get("content_block") or {}
        if block.get("type") != "tool_use":
            return []
        place = self._tools[event.get("index", 0)] = len(self._tools)
        function = {"name": block.get("name"), "arguments": ""}
        tool = {"index": place, "id": block.get("id"), "type": "function", "function": function}
        return [self._chunk({"tool_calls": [tool]})]

    def _go_on(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        delta = event.get("delta") or {}
        text = delta.get("text") or delta.get("partial_json") or delta.get("thinking") or ""
        self.text_bytes += len(str(text).encode())
        if delta.get("type") == "text_delta":
            return [self._chunk({"content": text})]
        if delta.get("type") == "input_json_delta":
            place = self._tools.get(event.get("index", 0), 0)
            return [
                self._chunk({"tool_calls": [{"index": place, "function": {"arguments": text}}]})
            ]
        return []

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }


def usage_in(told: Any) -> Usage | None:
    """Return the usage that is told; Anthropic counts apart what is of a cache."""
    if not isinstance(told, dict) or "input_tokens" not in told:
        return None
    read = _count(told.get("cache_read_input_tokens"))
    written = _count(told.get("cache_creation_input_tokens"))
    details = told.get("output_tokens_details") or {}
    return Usage(
        input_tokens=_count(told.get("input_tokens")) + read + written,
        output_tokens=_count(told.get("output_tokens")),
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=_count(details.get("thinking_tokens")),
    )


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**31 else 0
