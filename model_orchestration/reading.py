"""Reads what callers ask of models, in the form of OpenAI's API (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.json import strict
from model_orchestration.adapters.base import AudioFile, ModelCall
from model_orchestration.exceptions import InvalidModelRequest
from model_orchestration.models.model import RequestType
from model_orchestration.requirements import FIELD, read_requirements

ROLES = ("system", "developer", "user", "assistant", "function", "tool")
LARGEST_COUNT = 128
MOST_TOKENS = 10_000_000
# What is said to the hub, and not to the model.
_OURS = ("model", "stream", FIELD)
# Where each of these may lie.
_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
_COUNTS = {
    "max_tokens": MOST_TOKENS, "max_completion_tokens": MOST_TOKENS, "n": LARGEST_COUNT,
    "best_of": LARGEST_COUNT, "dimensions": MOST_TOKENS,
}  # fmt: skip


def read_chat(body: Mapping[str, Any]) -> tuple[str, ModelCall]:
    """Return the model that is asked for, and the call. Raises: InvalidModelRequest."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidModelRequest.at("messages", "Give at least one message.")
    read = [_read_message(message, place) for place, message in enumerate(messages)]
    return _read({**body, "messages": read}, RequestType.CHAT)


def read_completion(body: Mapping[str, Any]) -> tuple[str, ModelCall]:
    """Return the model that is asked for, and the call. Raises: InvalidModelRequest."""
    _need_text(body, "prompt")
    return _read(body, RequestType.COMPLETION)


def read_embedding(body: Mapping[str, Any]) -> tuple[str, ModelCall]:
    """Return the model that is asked for, and the call. Raises: InvalidModelRequest."""
    _need_text(body, "input")
    if body.get("stream"):
        raise InvalidModelRequest.at("stream", "Embeddings are not streamed.")
    return _read(body, RequestType.EMBEDDING)


def read_image(body: Mapping[str, Any]) -> tuple[str, ModelCall]:
    """Return the model that is asked for, and the call. Raises: InvalidModelRequest."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise InvalidModelRequest.at("prompt", "Give a text.")
    if body.get("stream"):
        raise InvalidModelRequest.at("stream", "Images are not streamed.")
    return _read(body, RequestType.IMAGE_GENERATION)


AUDIO_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
# In which an answer is no JSON.
TEXT_FORMATS = {"text": "text/plain", "srt": "text/plain", "vtt": "text/vtt"}


def read_transcription(body: Mapping[str, Any]) -> tuple[str, ModelCall]:
    """Return the model that is asked for, and the call. Raises: InvalidModelRequest."""
    return _read_audio(body, RequestType.AUDIO_TRANSCRIPTION)


def read_translation(body: Mapping[str, Any]) -> tuple[str, ModelCall]:
    """Return the model that is asked for, and the call. Raises: InvalidModelRequest."""
    return _read_audio(body, RequestType.AUDIO_TRANSLATION)


def _read_audio(body: Mapping[str, Any], request_type: RequestType) -> tuple[str, ModelCall]:
    file = body.get("file")
    if not isinstance(file, AudioFile) or not file.content:
        raise InvalidModelRequest.at("file", "Give a recording, as a file of the form.")
    wanted = body.get("response_format")
    if wanted is not None and wanted not in AUDIO_FORMATS:
        raise InvalidModelRequest.at("response_format", f"Use one of: {', '.join(AUDIO_FORMATS)}.")
    if str(body.get("stream") or "false").lower() != "false":
        raise InvalidModelRequest.at("stream", "What is heard is not streamed.")
    rest = {k: v for k, v in body.items() if k not in ("file", "stream")}
    if isinstance(rest.get("temperature"), str):  # all of a form is text
        rest["temperature"] = _number(rest["temperature"])
    model, call = _read(rest, request_type)
    return model, replace(call, file=file)


def _number(text: str) -> Any:
    try:
        return strict.parse_number(text)
    except strict.JSONRefused:
        return text  # what is wrong with it is told by who knows its range


def _read(body: Mapping[str, Any], request_type: RequestType) -> tuple[str, ModelCall]:
    model = body.get("model")
    if not isinstance(model, str) or not model.strip():
        raise InvalidModelRequest.at("model", "Give the id of a model, or the name of a route.")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise InvalidModelRequest.at("stream", "Must be true or false.")
    check_numbers(body)
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise InvalidModelRequest.at("stream_options", "Must be an object.")
    rest = {k: v for k, v in body.items() if k not in _OURS}
    if not stream:
        rest.pop("stream_options", None)
    required = read_requirements(body)
    return model, ModelCall(request_type, rest, bool(stream), requirements=required)


def _read_message(message: Any, place: int) -> dict[str, Any]:
    at = f"messages[{place}]"
    if not isinstance(message, dict):
        raise InvalidModelRequest.at(at, "Must be an object with a role and a content.")
    role = str(message.get("role") or "").lower()
    if role not in ROLES:
        raise InvalidModelRequest.at(f"{at}.role", f"Use one of: {', '.join(ROLES)}.")
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise InvalidModelRequest.at(f"{at}.content", "Must be a text, or a list of parts.")
    return {**message, "role": role}


def _need_text(body: Mapping[str, Any], name: str) -> None:
    value = body.get(name)
    if not isinstance(value, str | list) or not value:
        raise InvalidModelRequest.at(name, "Give a text, or a list of texts or tokens.")


def check_numbers(body: Mapping[str, Any]) -> None:
    """Refuse numbers that are out of their range. Raises: InvalidModelRequest."""
    for name, (least, most) in _RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:
            raise InvalidModelRequest.at(name, f"Must be a number from {least} to {most}.")
    for name, largest in _COUNTS.items():
        value = body.get(name)
        if value is not None and (type(value) is not int or not 1 <= value <= largest):
            raise InvalidModelRequest.at(name, f"Must be a whole number from 1 to {largest}.")
