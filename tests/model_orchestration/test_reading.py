"""Whatever is sent, it is read, or refused as what it is."""

from __future__ import annotations

from typing import Any

import pytest

from model_orchestration.adapters.by_provider import adapter_of
from model_orchestration.anthropic_dialect import read_messages
from model_orchestration.calls.attempts import MALFORMED
from model_orchestration.exceptions import InvalidModelRequest
from model_orchestration.native_dialect import as_chat, as_generation
from model_orchestration.reading import read_chat, read_completion, read_embedding
from model_orchestration.sizes import input_bound, input_estimate

pytestmark = pytest.mark.once
WHOLE: dict[str, Any] = {
    "model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], "prompt": "x",
    "input": "x",
}  # fmt: skip
ODD: list[Any] = [
    1, "x", None, True, [], {}, [1], [{}], [[1]], {"role": 1}, [{"role": "user", "content": 1}],
    [{"role": "assistant", "tool_calls": [1]}],
    [{"role": "user", "content": [1, {"type": "image"}]}],
]  # fmt: skip
NAMES = (
    "model", "messages", "tools", "tool_choice", "metadata", "system", "stop", "prompt", "input",
    "stream", "stream_options", "response_format", "user", "max_tokens", "n", "temperature",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "read",
    [read_chat, read_completion, read_embedding, read_messages,
     lambda body: read_chat({"model": "m", **as_chat(body)}),
     lambda body: read_chat({"model": "m", **as_generation(body)})],
)  # fmt: skip
def test_odd_part_is_read_or_refused(read: Any, name: str) -> None:
    for odd in ODD:
        try:
            model, call = read({**WHOLE, name: odd})
        except (InvalidModelRequest, *MALFORMED):
            continue
        assert model and input_bound(call) >= input_estimate(call) >= 0
        for provider in ("ANTHROPIC", "OPENAI", "CUSTOM"):
            try:
                adapter_of(provider).request(call, model="m", most_output=None)
            except MALFORMED:
                continue


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"), ({"model": " "}, "model"), ({"n": 0}, "n"),
        ({"temperature": 3}, "temperature"), ({"stream": 1}, "stream"),
        ({"messages": [{"role": "boss"}]}, "messages[0].role"),
    ],
)  # fmt: skip
def test_refusal_names_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidModelRequest) as refused:
        read_chat({**WHOLE, **fields})
    assert refused.value.details["param"] == param
