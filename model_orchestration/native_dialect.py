"""Requests and answers in the form of the hub's own routes (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from model_orchestration.exceptions import InvalidModelRequest

_SAME = (
    "max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "stop",
    "tools", "tool_choice", "response_format",
)  # fmt: skip
_OF_MESSAGES = ("role", "content", "name", "function_call", "tool_calls", "tool_call_id")


def as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chat in OpenAI's form; what is null was not given, and other fields are left out."""
    messages = body.get("messages")
    if isinstance(messages, list):
        messages = [_message(each) for each in messages]
    named = {"prompt": body["prompt"]} if body.get("prompt") is not None else {}
    return {**_options(body), "messages": messages, **named}


def as_completion(body: Mapping[str, Any]) -> dict[str, Any]:
    return {**_options(body), "prompt": body.get("prompt")}


def as_embedding(body: Mapping[str, Any]) -> dict[str, Any]:
    given = body.get("input") if body.get("input") is not None else body.get("texts")
    return {"input": given, **_user(body)}


def as_image(body: Mapping[str, Any]) -> dict[str, Any]:
    names = ("prompt", "size", "quality", "n", "style", "response_format")
    return {name: body[name] for name in names if body.get(name) is not None} | _user(body)


def as_audio(body: Mapping[str, Any]) -> dict[str, Any]:
    names = ("language", "prompt", "temperature", "response_format")
    return {name: body[name] for name in names if body.get(name) is not None}


def as_generation(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chat of one `prompt`, or of a `message` whose `context` is told first.

    Raises:
        InvalidModelRequest: there is neither.
    """
    text = body.get("prompt") or body.get("message")
    if not isinstance(text, str):
        raise InvalidModelRequest.at("prompt", "Give a prompt, or a message with its context.")
    messages = [{"role": "user", "content": text}]
    if context := body.get("context"):
        told = context if isinstance(context, str) else json.dumps(context, ensure_ascii=False)
        messages.insert(0, {"role": "system", "content": told})
    return {**_options(body), "messages": messages}


def wrapped(
    body: Mapping[str, Any],
    *,
    request_id: str,
    model: str,
    provider: str,
    reason: str,
    latency_ms: float,
    cost: float,
) -> dict[str, Any]:
    """Return an answer with what it was: roles are in upper case, as all words of the hub."""
    choices = [_choice(each) for each in body.get("choices") or []]
    return {
        "response": {**body, "choices": choices} if choices else dict(body),
        "request_id": request_id,
        "model_id": model,
        "provider": provider,
        "model_reason": reason,
        "latency_ms": latency_ms,
        "cost": cost,
    }


def text_of(body: Mapping[str, Any]) -> str:
    """Return the text of an answer to a chat."""
    choice = (body.get("choices") or [{}])[0]
    return str((choice.get("message") or {}).get("content") or "")


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    return {name: message[name] for name in _OF_MESSAGES if message.get(name) is not None}


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    if not isinstance(message, dict):
        return dict(choice)
    return {**choice, "message": {**message, "role": str(message.get("role") or "").upper()}}


def _options(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in _SAME if body.get(name) is not None} | _user(body)


def _user(body: Mapping[str, Any]) -> dict[str, Any]:
    user = body.get("user_id")
    return {"user": user} if isinstance(user, str) and user else {}
