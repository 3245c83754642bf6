"""Speaks to Anthropic's API: the Messages API, version 2023-06-01 (pure)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from core.json import strict
from model_orchestration.adapters.anthropic_stream import AnthropicReader, usage_in
from model_orchestration.adapters.base import (
    ModelAnswer,
    ModelCall,
    StreamReader,
    WireRequest,
    classify_status,
)
from model_orchestration.models.model import RequestType
from model_orchestration.models.route import ErrorClass

VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 4096
FINISH_REASONS = {
    "end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "max_tokens": "length",
    "model_context_window_exceeded": "length", "tool_use": "tool_calls",
    "refusal": "content_filter",
}  # fmt: skip
_DATA_URL = re.compile(r"data:([\w/+.-]+);base64,(.*)", re.DOTALL)
_TOOL_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_CONTEXT_WORDS = ("prompt is too long", "context window", "exceed context limit")
_QUOTA_WORDS = ("usage limit", "credit balance")


class AnthropicAdapter:
    """The API as Anthropic publishes it."""

    def request(self, call: ModelCall, *, model: str, most_output: int | None) -> WireRequest:
        if call.request_type != RequestType.CHAT:
            raise ValueError("Anthropic's API serves chats alone")
        body = dict(call.native) if call.native is not None else _translated(call.body)
        body |= {"model": model, "stream": call.stream}
        body["max_tokens"] = body.get("max_tokens") or most_output or DEFAULT_MAX_TOKENS
        return WireRequest("/messages", body, {"anthropic-version": VERSION})

    def answer(self, call: ModelCall, document: Any) -> ModelAnswer:
        if not isinstance(document, dict) or not isinstance(document.get("content"), list):
            raise ValueError("it has no list 'content'")
        usage = usage_in(document.get("usage"))
        message = _message_of(document["content"])
        finish = FINISH_REASONS.get(str(document.get("stop_reason")), "stop")
        body: dict[str, Any] = {
            "id": str(document.get("id") or ""),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": document.get("model"),
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        }
        return ModelAnswer(body, usage, document)

    def reader(self, call: ModelCall) -> StreamReader:
        return AnthropicReader(is_native=call.native is not None)

    def classify(self, status: int, document: Any) -> ErrorClass:
        error = document.get("error") if isinstance(document, dict) else None
        message = str(error.get("message") or "").lower() if isinstance(error, dict) else ""
        if status == 400 and any(word in message for word in _QUOTA_WORDS):
            return ErrorClass.QUOTA
        if status == 400 and any(word in message for word in _CONTEXT_WORDS):
            return ErrorClass.CONTEXT
        return classify_status(status)


def _translated(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request in Anthropic's words; what it has no word for is left out."""
    system, messages = _conversation(body.get("messages") or [])
    translated: dict[str, Any] = {"messages": messages}
    if system:
        translated["system"] = system
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    stop = body.get("stop")
    given = {
        "max_tokens": limit,
        "temperature": None if body.get("temperature") is None else min(body["temperature"], 1),
        "top_p": body.get("top_p"),
        "stop_sequences": [stop] if isinstance(stop, str) else stop,
        "metadata": {"user_id": body["user"]} if body.get("user") else None,
        "tools": [_tool(each) for each in body.get("tools") or []] or None,
        "tool_choice": _tool_choice(body),
        "output_config": _output_config(body.get("response_format")),
    }
    return translated | {name: value for name, value in given.items() if value is not None}


def _conversation(messages: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """Return what is said by the system, and the turns of the others, who take turns."""
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            system.append(_text_of(message.get("content")))
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = list(_blocks(message))
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return "\n\n".join(text for text in system if text), turns


def _blocks(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if message["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id")}
        yield {**result, "content": _text_of(content)}
        return
    if isinstance(content, str):
        if content:
            yield {"type": "text", "text": content}
    else:
        for part in content or []:
            yield _part(part)
    for call in message.get("tool_calls") or []:
        function = call.get("function") or {}
        name, arguments = function.get("name"), _arguments(function.get("arguments"))
        yield {"type": "tool_use", "id": call.get("id"), "name": name, "input": arguments}


def _part(part: Any) -> dict[str, Any]:
    if not isinstance(part, dict):
        return {"type": "text", "text": str(part)}
    if part.get("type") != "image_url":
        return {"type": "text", "text": str(part.get("text") or "")}
    image = part.get("image_url")
    url = str(image.get("url") if isinstance(image, dict) else image)
    if data := _DATA_URL.fullmatch(url):
        source = {"type": "base64", "media_type": data[1], "data": data[2]}
    else:
        source = {"type": "url", "url": url}
    return {"type": "image", "source": source}


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def _arguments(text: Any) -> Any:
    try:
        return strict.parse(text or "{}")
    except strict.JSONRefused:
        return {"arguments": text}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool.get("function") or {}
    named = {"name": function.get("name"), "description": function.get("description")}
    schema = function.get("parameters") or {"type": "object"}
    return {k: v for k, v in named.items() if v is not None} | {"input_schema": schema}


def _tool_choice(body: Mapping[str, Any]) -> dict[str, Any] | None:
    choice = body.get("tool_choice")
    translated: dict[str, Any] | None = None
    if isinstance(choice, str):
        translated = {"type": _TOOL_CHOICES.get(choice, "auto")}
    elif isinstance(choice, dict):
        translated = {"type": "tool", "name": (choice.get("function") or {}).get("name")}
    if body.get("parallel_tool_calls") is False and body.get("tools"):
        translated = {**(translated or {"type": "auto"}), "disable_parallel_tool_use": True}
    return translated


def _output_config(wanted: Any) -> dict[str, Any] | None:
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    schema = (wanted.get("json_schema") or {}).get("schema") or {"type": "object"}
    return {"format": {"type": "json_schema", "schema": schema}}


def _message_of(content: list[Any]) -> dict[str, Any]:
    blocks = [block for block in content if isinstance(block, dict)]
    text = "".join(str(b.get("text") or "") for b in blocks if b.get("type") == "text")
    tools = [
        {
            "id": block.get("id"),
            "type": "function",
            "function": {
                "name": block.get("name"),
                "arguments": json.dumps(block.get("input") or {}),
            },
        }
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not tools else None}
    return {**message, "tool_calls": tools} if tools else message
