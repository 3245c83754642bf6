"""How large requests are: about, and at most (pure)."""

from __future__ import annotations

import json
import math
from typing import Any

from model_orchestration.adapters.audio import (
    MOST_TOKENS_A_SECOND,
    SPOKEN_TOKENS_A_SECOND,
    most_seconds,
)
from model_orchestration.adapters.base import ModelCall, estimate_tokens
from model_orchestration.choosing import Target
from model_orchestration.models.model import RequestType
from model_orchestration.pricing import Usage

# What the form of a message adds, and what an image in a message is at most.
MESSAGE_TOKENS, IMAGE_TOKENS = 16, 8192
_INPUTS = ("messages", "prompt", "input", "tools", "functions", "response_format")
_NATIVE_INPUTS = ("system", "messages", "tools", "output_config")
_GENERATES = (RequestType.CHAT, RequestType.COMPLETION)


def input_bound(call: ModelCall) -> int:
    """Return the most tokens that the input can be.

    Tokenizers that work on bytes make at most a token of each byte of UTF-8.
    """
    text_bytes, images = _measure(call)
    messages = call.body.get("messages")
    count = len(messages) if isinstance(messages, list) else 0
    return text_bytes + images * IMAGE_TOKENS + (count + 1) * MESSAGE_TOKENS


def input_estimate(call: ModelCall) -> int:
    """Return about how many tokens the input is."""
    text_bytes, images = _measure(call)
    return estimate_tokens(text_bytes) + images * IMAGE_TOKENS // 8


def usage_bound(
    call: ModelCall, target: Target, input_tokens: int, *, default_output: int
) -> tuple[Usage, int | None]:
    """Return the most that a model can use, and how many tokens it has to be told to answer with.

    None where the caller said so itself.
    """
    if call.request_type == RequestType.IMAGE_GENERATION:
        count = call.body.get("n") or 1
        return Usage(input_tokens, 0, images=count), None
    if call.file is not None:
        # Providers count whole seconds.
        seconds = math.ceil(most_seconds(call.file.content))
        heard = math.ceil(seconds * MOST_TOKENS_A_SECOND)
        said = math.ceil(seconds * SPOKEN_TOKENS_A_SECOND)
        return Usage(input_tokens + heard, said, audio_seconds=seconds), None
    if call.request_type not in _GENERATES:
        return Usage(input_tokens), None
    asked = max(call.body.get(name) or 0 for name in ("max_completion_tokens", "max_tokens"))
    output = asked or target.max_tokens or default_output
    count = max(call.body.get("n") or 1, call.body.get("best_of") or 1) * _prompts(call)
    return Usage(input_tokens, output * count), None if asked else output


def _prompts(call: ModelCall) -> int:
    """Return how many texts are gone on with: each in a list of texts, or of lists of tokens."""
    prompt = call.body.get("prompt")
    if not isinstance(prompt, list) or all(type(each) is int for each in prompt):
        return 1
    return len(prompt)


def _measure(call: ModelCall) -> tuple[int, int]:
    """Return how many bytes of text an input has, and how many images."""
    size = _Size()
    # As it is sent: what has no word in OpenAI's form, as a document, is of the size that it has.
    inputs = (call.body, _INPUTS) if call.native is None else (call.native, _NATIVE_INPUTS)
    for name in inputs[1]:
        size.add(inputs[0].get(name))
    return size.text_bytes, size.images


class _Size:
    def __init__(self) -> None:
        self.text_bytes = 0
        self.images = 0

    def add(self, value: Any) -> None:
        if isinstance(value, str):
            self.text_bytes += len(value.encode())
        elif isinstance(value, dict):
            if value.get("type") in ("image_url", "image", "input_image"):
                self.images += 1
                return
            for key, each in value.items():
                self.text_bytes += len(key)
                self.add(each)
        elif isinstance(value, list):
            # A list of tokens, which is as long as it is.
            if value and all(type(each) is int for each in value):
                self.text_bytes += len(value)
                return
            for each in value:
                self.add(each)
        elif value is not None:
            self.text_bytes += len(json.dumps(value))
