"""Speaks to servers with OpenAI's API: OpenAI, Ollama, vLLM and others (pure)."""

from __future__ import annotations

from typing import Any

from core.json import strict
from model_orchestration.adapters.audio import likely_seconds
from model_orchestration.adapters.base import (
    AudioFile,
    ModelAnswer,
    ModelCall,
    StreamFailed,
    WireRequest,
    classify_status,
)
from model_orchestration.models.model import RequestType
from model_orchestration.models.route import ErrorClass
from model_orchestration.pricing import Usage

PATHS = {
    RequestType.CHAT: "/chat/completions",
    RequestType.COMPLETION: "/completions",
    RequestType.EMBEDDING: "/embeddings",
    RequestType.IMAGE_GENERATION: "/images/generations",
    RequestType.AUDIO_TRANSCRIPTION: "/audio/transcriptions",
    RequestType.AUDIO_TRANSLATION: "/audio/translations",
}
_GENERATES = (RequestType.CHAT, RequestType.COMPLETION)
_OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens")
_DONE = "[DONE]"
_CONTEXT_WORDS = ("context length", "context window", "maximum context", "too long")


class OpenAIAdapter:
    """The API as OpenAI publishes it; `limit_name` is the field that bounds the output."""

    def __init__(self, *, limit_name: str) -> None:
        self._limit_name = limit_name

    def request(self, call: ModelCall, *, model: str, most_output: int | None) -> WireRequest:
        body = {**call.body, "model": model}
        bounded = any(body.get(name) is not None for name in _OUTPUT_LIMITS)
        if most_output is not None and not bounded and call.request_type in _GENERATES:
            is_chat = call.request_type == RequestType.CHAT
            body[self._limit_name if is_chat else "max_tokens"] = most_output
        if call.stream:
            options = body.get("stream_options") or {}
            body |= {"stream": True, "stream_options": {**options, "include_usage": True}}
        return WireRequest(PATHS[call.request_type], body, file=call.file)

    def answer(self, call: ModelCall, document: Any) -> ModelAnswer:
        if call.file is not None:
            return _heard(document, call.file)
        expected = "data" if call.request_type not in _GENERATES else "choices"
        if not isinstance(document, dict) or not isinstance(document.get(expected), list):
            raise ValueError(f"it has no list '{expected}'")
        usage = usage_in(document.get("usage"))
        if call.request_type == RequestType.IMAGE_GENERATION:
            usage = Usage(
                input_tokens=usage.input_tokens if usage else 0,
                output_tokens=usage.output_tokens if usage else 0,
                images=len(document["data"]),
            )
        return ModelAnswer(document, usage)

    def reader(self, call: ModelCall) -> OpenAIReader:
        return OpenAIReader()

    def classify(self, status: int, document: Any) -> ErrorClass:
        error = document.get("error") if isinstance(document, dict) else None
        error = error if isinstance(error, dict) else {}
        code = f"{error.get('code') or ''} {error.get('type') or ''}".lower()
        message = str(error.get("message") or "").lower()
        if "insufficient_quota" in code or "billing" in code:
            return ErrorClass.QUOTA
        if "content_filter" in code or "content_policy" in code:
            return ErrorClass.CONTENT
        is_refusal = status in (400, 413, 422)
        if is_refusal and ("context_length" in code or _has(message, _CONTEXT_WORDS)):
            return ErrorClass.CONTEXT
        return classify_status(status)


def _heard(document: Any, file: AudioFile) -> ModelAnswer:
    """Return what was heard; how long the recording is, where the provider does not tell it."""
    if not isinstance(document, dict) or not isinstance(document.get("text"), str):
        raise ValueError("it has no text")
    told = document.get("usage")
    told = told if isinstance(told, dict) else {}
    seconds = _seconds(told.get("seconds")) or _seconds(document.get("duration"))
    if seconds is None and "input_tokens" not in told:
        return ModelAnswer(document, None)
    return ModelAnswer(
        document,
        Usage(
            input_tokens=_count(told.get("input_tokens")),
            output_tokens=_count(told.get("output_tokens")),
            audio_seconds=seconds or likely_seconds(file.content),
        ),
    )


def _seconds(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 10**7 else None


class OpenAIReader:
    """Reads a stream of chunks; the usage may be in any of them."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.is_complete = False
        self.text_bytes = 0

    def feed(self, name: str, data: str) -> list[dict[str, Any]]:
        if data.strip() == _DONE:
            self.is_complete = True
            return []
        chunk = strict.parse(data)
        if not isinstance(chunk, dict):
            raise ValueError("a chunk is no JSON object")
        if chunk.get("error"):
            raise StreamFailed(_message_of(chunk["error"]))
        if (usage := usage_in(chunk.pop("usage", None))) is not None:
            self.usage = usage
        choices = chunk.get("choices") or []
        self.text_bytes += sum(_text_bytes(choice) for choice in choices)
        # Not every server says [DONE] after its last chunk.
        self.is_complete = self.is_complete or any(_is_last(choice) for choice in choices)
        return [chunk] if choices else []


def usage_in(told: Any) -> Usage | None:
    """Return the usage that an answer tells; None where it tells none."""
    if not isinstance(told, dict) or "prompt_tokens" not in told:
        return None
    details = told.get("prompt_tokens_details") or {}
    output = told.get("completion_tokens_details") or {}
    return Usage(
        input_tokens=_count(told.get("prompt_tokens")),
        output_tokens=_count(told.get("completion_tokens")),
        cached_tokens=_count(details.get("cached_tokens")),
        cache_write_tokens=_count(details.get("cache_write_tokens")),
        reasoning_tokens=_count(output.get("reasoning_tokens")),
    )


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**31 else 0


def _message_of(error: Any) -> str:
    return str(error.get("message") if isinstance(error, dict) else error)[:500]


def _is_last(choice: Any) -> bool:
    return isinstance(choice, dict) and choice.get("finish_reason") is not None


def _text_bytes(choice: Any) -> int:
    """Return how many bytes of text a choice of a chunk brings."""
    if not isinstance(choice, dict):
        return 0
    delta = choice.get("delta") or {}
    texts = [choice.get("text"), delta.get("content"), delta.get("refusal")]
    tools = delta.get("tool_calls") or []
    texts += [(tool.get("function") or {}).get("arguments") for tool in tools]
    return sum(len(text.encode()) for text in texts if isinstance(text, str))


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)
