"""Requests, answers, streams and errors in the form of Anthropic's Messages API (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.exceptions import IntegrationError
from core.json import strict
from model_orchestration.adapters.anthropic_stream import NATIVE
from model_orchestration.adapters.base import ModelCall
from model_orchestration.exceptions import InvalidModelRequest, ModelError
from model_orchestration.pricing import Usage
from model_orchestration.reading import read_chat
from model_orchestration.requirements import FIELD

_ERROR_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
    403: "permission_error", 404: "not_found_error", 413: "request_too_large",
    429: "rate_limit_error", 504: "timeout_error", 503: "overloaded_error",
}  # fmt: skip
_STOP_REASONS = {
    "stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use",
    "function_call": "tool_use", "content_filter": "refusal",
}  # fmt: skip


def anthropic_error(status: int, message: str) -> dict[str, Any]:
    """Return an error as Anthropic's API tells it."""
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


def read_messages(body: Mapping[str, Any]) -> tuple[str, ModelCall]:
    """Return the model that is asked for, and the call. Raises: InvalidModelRequest."""
    if type(body.get("max_tokens")) is not int:
        raise InvalidModelRequest.at("max_tokens", "Must be a whole number.")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidModelRequest.at("messages", "Give at least one message.")
    translated = [turn for message in messages for turn in _turns(message)]
    system = body.get("system")
    if system:
        translated.insert(0, {"role": "system", "content": _text_of(system)})
    names = ("model", "max_tokens", "stream", FIELD)
    given = {name: body[name] for name in names if name in body}
    same = {name: body[name] for name in ("temperature", "top_p") if body.get(name) is not None}
    extra = {
        "stop": body.get("stop_sequences"),
        "user": (body.get("metadata") or {}).get("user_id"),
        "tools": [_tool(tool) for tool in body.get("tools") or []] or None,
        "tool_choice": _tool_choice(body.get("tool_choice")),
    }
    openai = {**given, **same, **{k: v for k, v in extra.items() if v is not None}}
    model, call = read_chat({**openai, "messages": translated})
    ours = ("model", "stream", FIELD)
    native = {name: value for name, value in body.items() if name not in ours}
    return model, replace(call, native=native)


def _turns(message: Any) -> list[dict[str, Any]]:
    """Return a message as messages of OpenAI's form: each result of a tool is one of its own."""
    if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
        raise InvalidModelRequest.at("messages", "Each has a role, user or assistant.")
    content = message.get("content")
    if isinstance(content, str):
        return [{"role": message["role"], "content": content}]
    blocks = [b for b in content or [] if isinstance(b, dict)] if isinstance(content, list) else []
    results = [
        {
            "role": "tool",
            "tool_call_id": b.get("tool_use_id"),
            "content": _text_of(b.get("content")),
        }
        for b in blocks
        if b.get("type") == "tool_result"
    ]
    parts = [part for block in blocks if (part := _part(block)) is not None]
    tools = [_tool_call(block) for block in blocks if block.get("type") == "tool_use"]
    turn: dict[str, Any] = {"role": message["role"], "content": parts or None}
    if tools:
        turn["tool_calls"] = tools
    return [*results, turn] if parts or tools or not results else results


def _part(block: Mapping[str, Any]) -> dict[str, Any] | None:
    if block.get("type") == "text":
        return {"type": "text", "text": block.get("text") or ""}
    source = block.get("source")
    if block.get("type") != "image" or not isinstance(source, dict):
        return None
    url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
    return {"type": "image_url", "image_url": {"url": url}}


def _tool_call(block: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": block.get("name"), "arguments": json.dumps(block.get("input") or {})}
    return {"id": block.get("id"), "type": "function", "function": function}


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def _tool(tool: Any) -> dict[str, Any]:
    tool = tool if isinstance(tool, dict) else {}
    named = {name: tool[name] for name in ("name", "description") if name in tool}
    return {"type": "function", "function": {**named, "parameters": tool.get("input_schema") or {}}}


def _tool_choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return None
    if choice.get("type") == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return {"auto": "auto", "any": "required", "none": "none"}.get(str(choice.get("type")))


def message_of(
    body: Mapping[str, Any], native: Mapping[str, Any] | None, *, model: str, usage: Usage
) -> dict[str, Any]:
    """Return an answer as Anthropic's API gives it: the provider's own, where it is Anthropic."""
    if native is not None:
        return {**native, "model": model}
    choice = (body.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    content: list[dict[str, Any]] = []
    if message.get("content"):
        content.append({"type": "text", "text": message["content"]})
    content += [_tool_use(tool) for tool in message.get("tool_calls") or []]
    return {
        "id": str(body.get("id") or ""),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": _STOP_REASONS.get(str(choice.get("finish_reason")), "end_turn"),
        "stop_sequence": None,
        "usage": anthropic_usage(usage),
    }


def _tool_use(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool.get("function") or {}
    try:
        given = strict.parse(function.get("arguments") or "{}")
    except strict.JSONRefused:
        given = {"arguments": function.get("arguments")}
    return {
        "type": "tool_use", "id": tool.get("id"), "name": function.get("name"), "input": given,
    }  # fmt: skip


def anthropic_usage(usage: Usage) -> dict[str, Any]:
    """Return a usage as Anthropic's API tells it."""
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    return {
        "input_tokens": usage.input_tokens - cached - written,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "output_tokens": usage.output_tokens,
    }


class AnthropicWriter:
    """Writes a stream as Anthropic's API does."""

    def __init__(self) -> None:
        self._has_begun = self._is_native = False
        self._open = -1  # the block that is being written
        self._blocks: dict[object, int] = {}
        self._stop = "end_turn"

    def refusal(self, error: ModelError) -> dict[str, Any]:
        return anthropic_refusal(error)

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        if NATIVE in chunk:
            self._is_native = True
            name, event = chunk[NATIVE]
            if name == "message_start":
                event = {**event, "message": {**event["message"], "model": chunk["model"]}}
            return _event(name, event)
        parts = [] if self._has_begun else [self._begin(chunk)]
        for choice in chunk.get("choices") or []:
            parts += self._write_delta(choice.get("delta") or {})
            if choice.get("finish_reason"):
                self._stop = _STOP_REASONS.get(choice["finish_reason"], "end_turn")
        return b"".join(parts)

    def end(self, usage: Usage, cost_nanousd: int) -> bytes:
        if self._is_native:
            return _event("message_stop", {"type": "message_stop"})
        delta = {"stop_reason": self._stop, "stop_sequence": None}
        told = {"type": "message_delta", "delta": delta, "usage": anthropic_usage(usage)}
        last = _event("message_delta", told) + _event("message_stop", {"type": "message_stop"})
        return b"".join(self._close()) + last

    def error(self, error: ModelError) -> bytes:
        return _event("error", anthropic_refusal(error))

    def _begin(self, chunk: dict[str, Any]) -> bytes:
        self._has_begun = True
        message: dict[str, Any] = {
            "id": str(chunk.get("id") or ""), "type": "message", "role": "assistant",
            "model": chunk.get("model"), "content": [], "stop_reason": None,
            "stop_sequence": None, "usage": {"input_tokens": 0, "output_tokens": 0},
        }  # fmt: skip
        return _event("message_start", {"type": "message_start", "message": message})

    def _write_delta(self, delta: Mapping[str, Any]) -> list[bytes]:
        parts: list[bytes] = []
        if delta.get("content"):
            parts += self._open_block("text", {"type": "text", "text": ""})
            parts.append(self._delta({"type": "text_delta", "text": delta["content"]}))
        for tool in delta.get("tool_calls") or []:
            function = tool.get("function") or {}
            named = {"id": tool.get("id"), "name": function.get("name"), "input": {}}
            key = ("tool", tool.get("index", 0))
            parts += self._open_block(key, {"type": "tool_use", **named})
            if function.get("arguments"):
                json_delta = {"type": "input_json_delta", "partial_json": function["arguments"]}
                parts.append(self._delta(json_delta))
        return parts

    def _open_block(self, key: object, block: dict[str, Any]) -> list[bytes]:
        if self._blocks.get(key) == self._open and self._open >= 0:
            return []
        parts = self._close()
        self._open = self._blocks[key] = len(self._blocks)
        started = {"type": "content_block_start", "index": self._open, "content_block": block}
        return [*parts, _event("content_block_start", started)]

    def _close(self) -> list[bytes]:
        if self._open < 0:
            return []
        stopped = {"type": "content_block_stop", "index": self._open}
        self._open = -1
        return [_event("content_block_stop", stopped)]

    def _delta(self, delta: dict[str, Any]) -> bytes:
        told = {"type": "content_block_delta", "index": self._open, "delta": delta}
        return _event("content_block_delta", told)


def anthropic_refusal(error: IntegrationError) -> dict[str, Any]:
    """Return an error of the hub as Anthropic's API tells it."""
    return anthropic_error(error.status_code, error.message)


def _event(name: str, document: Any) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n".encode()
