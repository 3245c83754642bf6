"""Errors and streams in the form that the callers of a route expect (pure)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from core.exceptions import IntegrationError
from model_orchestration.exceptions import ModelError
from model_orchestration.models.fields import usd_of
from model_orchestration.pricing import Usage

# Of OpenAI's errors, the type by what the hub calls it; others by their status.
_OPENAI_CODES = {
    "token_limit_exceeded": "context_length_exceeded",
    "content_filtered": "content_filter",
}
_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
# What a refusal for a budget tells beside its sentence.
_TOLD = ("scope", "budget", "reset_at")
_SERVER_ERROR = "server_error"


def openai_error(
    status: int, message: str, *, code: str = "", param: str | None = None, **more: Any
) -> dict[str, Any]:
    """Return an error as OpenAI's API tells it."""
    code = _OPENAI_CODES.get(code, code)
    kind = _OPENAI_TYPES.get(status, _SERVER_ERROR)
    if code == "insufficient_quota":
        kind = code
    told = {"message": message, "type": kind, "param": param, "code": code or None, **more}
    return {"error": told}


def openai_refusal(error: IntegrationError) -> dict[str, Any]:
    """Return an error of the hub as OpenAI's API tells it."""
    param = error.details.get("param") or next(iter(error.details.get("errors") or ()), None)
    about = {name: error.details[name] for name in _TOLD if error.details.get(name)}
    return openai_error(error.status_code, error.message, code=error.code, param=param, **about)


def retry_headers(retry_after: float | None) -> dict[str, str]:
    return {} if retry_after is None else {"Retry-After": str(math.ceil(retry_after))}


class OpenAIWriter:
    """Writes a stream as OpenAI's API does; the usage comes last, where it was asked for."""

    def __init__(self, *, wants_usage: bool) -> None:
        self._wants_usage = wants_usage
        self._last: Mapping[str, Any] = {}

    def refusal(self, error: ModelError) -> dict[str, Any]:
        return openai_refusal(error)

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        self._last = chunk
        return _data(chunk)

    def end(self, usage: Usage, cost_nanousd: int) -> bytes:
        told = b""
        if self._wants_usage:
            names = ("id", "object", "created", "model", "system_fingerprint")
            same = {name: self._last[name] for name in names if name in self._last}
            told = _data({**same, "choices": [], "usage": openai_usage(usage, cost_nanousd)})
        return told + b"data: [DONE]\n\n"

    def error(self, error: ModelError) -> bytes:
        return _data(openai_refusal(error))


def openai_usage(usage: Usage, cost_nanousd: int) -> dict[str, Any]:
    """Return a usage as OpenAI's API tells it, with what it cost in US dollars."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "cost": float(usd_of(cost_nanousd)),
    }


def _data(document: Any) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n".encode()
