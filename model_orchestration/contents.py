"""What is kept of what is said in a request, as the policy of its project has it (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils.crypto import salted_hmac

from model_orchestration.adapters.base import ModelCall
from model_orchestration.models.content import USUAL_RETENTION_DAYS, ContentKept
from model_orchestration.redaction import Redactor

# Of one request; what is beyond is not kept.
MOST_CHARACTERS = 256 * 1024
# What a caller says, by the type of the request.
_SAID = ("messages", "prompt", "input")
# Of one list, such as tokens.
MOST_VALUES = 4096
_LONGEST_WORD = 200


@dataclass(frozen=True, slots=True)
class ContentRules:
    """What a policy says; `patterns` are names and regular expressions."""

    keeps: str = ContentKept.METADATA
    retention_days: int = USUAL_RETENTION_DAYS
    patterns: tuple[tuple[str, str], ...] = ()

    @property
    def keeps_text(self) -> bool:
        return self.keeps in (ContentKept.REDACTED, ContentKept.FULL)

    @property
    def retention(self) -> timedelta:
        return timedelta(days=self.retention_days)

    def describe(self, call: ModelCall) -> dict[str, Any]:
        """Return what is told of a request in its record: no word of what was said."""
        return {} if self.keeps == ContentKept.NONE else describe(call)

    def error(self, message: str) -> str:
        """Return an error as it is recorded: providers like to repeat what they refuse."""
        if self.keeps == ContentKept.FULL:
            return message
        if self.keeps == ContentKept.NONE:
            return ""
        return Redactor(self.patterns).text(message)


USUAL_RULES = ContentRules()


@dataclass(frozen=True, slots=True)
class KeptText:
    """What is kept of a request, and how often something was taken out of it."""

    question: Any = field(repr=False)
    answer: Any = field(repr=False)
    redactions: int


def describe(call: ModelCall) -> dict[str, Any]:
    """Return the parameters and sizes of a request.

    Equal texts have equal digests; they are keyed, so that a short one cannot be guessed.
    """
    body = call.body
    said = [body[name] for name in _SAID if name in body]
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    told: dict[str, Any] = {
        "parameters": {k: v for k, v in body.items() if isinstance(v, int | float)},
        "bytes": len(text.encode()),
        "digest": salted_hmac("model request", text, algorithm="sha256").hexdigest(),
    }
    for name in ("messages", "tools"):
        if isinstance(body.get(name), list):
            told[name] = len(body[name])
    if call.file is not None:
        told["file_bytes"] = len(call.file.content)
    return told


def kept_text(rules: ContentRules, call: ModelCall, answer: Any) -> KeptText:
    """Return what is kept of a request and its answer. Files and images are not."""
    left = _Room(MOST_CHARACTERS)
    question: Any = left.cut(call.body)
    if call.file is not None:
        question["file"] = f"({len(call.file.content)} bytes)"
    answer = left.cut(answer)
    if rules.keeps == ContentKept.FULL:
        return KeptText(question, answer, 0)
    redactor = Redactor(rules.patterns)
    return KeptText(redactor.value(question), redactor.value(answer), redactor.redactions)


class StreamedText:
    """Puts the pieces of a streamed answer together, as far as it is kept."""

    def __init__(self) -> None:
        self._choices: dict[int, dict[str, Any]] = {}
        self._left = MOST_CHARACTERS

    @property
    def answer(self) -> dict[str, Any]:
        """The answer as it would have come whole."""
        return {"choices": [self._choices[index] for index in sorted(self._choices)]}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Add a chunk of OpenAI's form; providers send what they like, and only text is kept."""
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and self._left > 0:
                self._add_choice(choice)

    def _add_choice(self, choice: Mapping[str, Any]) -> None:
        index = choice.get("index")
        kept = self._choices.setdefault(index if type(index) is int else 0, {})
        self._append(kept, "text", choice.get("text"))
        delta = choice.get("delta")
        if isinstance(delta, dict):
            message = kept.setdefault("message", {"role": "assistant"})
            for name in ("content", "refusal", "reasoning_content"):
                self._append(message, name, delta.get(name))
            calls = delta.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                self._add_tool_call(message.setdefault("tool_calls", []), call)
        if isinstance(reason := choice.get("finish_reason"), str):
            kept["finish_reason"] = reason

    def _add_tool_call(self, calls: list[dict[str, Any]], piece: Any) -> None:
        function = piece.get("function") if isinstance(piece, dict) else None
        if not isinstance(function, dict):
            return
        if function.get("name") or not calls:  # the first piece of a call names its tool
            calls.append({"name": function.get("name"), "arguments": ""})
        self._append(calls[-1], "arguments", function.get("arguments"))

    def _append(self, target: dict[str, Any], name: str, piece: Any) -> None:
        if isinstance(piece, str) and piece:
            target[name] = target.get(name, "") + piece
            self._left -= len(piece)


class _Room:
    """How many characters may still be kept."""

    def __init__(self, most: int) -> None:
        self._left = most

    def cut(self, value: Any) -> Any:
        """Return the same JSON, with only the beginning of what there is no room for."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {name: self._part(name, each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            if len(value) > MOST_VALUES:
                return [f"({len(value)} values)"]
            return [self.cut(each) for each in value]
        return value

    def _part(self, name: str, value: Any) -> Any:
        is_file = name in ("b64_json", "data", "embedding")
        if is_file and isinstance(value, str | list) and len(value) > _LONGEST_WORD:
            return f"({len(value)} {'characters' if isinstance(value, str) else 'numbers'})"
        return self.cut(value)

    def _text(self, text: str) -> str:
        if text.startswith("data:") and len(text) > _LONGEST_WORD:
            return f"{text[:40].partition(',')[0]} ({len(text)} characters)"
        if len(text) <= self._left:
            self._left -= len(text)
            return text
        # Between two words: half of a key is not recognised as one.
        kept = text[: self._left].rpartition(" ")[0]
        self._left = 0
        return f"{kept} ({len(text) - len(kept)} characters more)"
