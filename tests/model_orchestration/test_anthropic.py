"""Anthropic's API, on either side: its models asked by OpenAI's package, others by Anthropic's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

from model_orchestration.adapters.anthropic import AnthropicAdapter
from model_orchestration.adapters.base import ModelCall
from model_orchestration.models import Model, ModelBudget, Request, RequestType
from model_orchestration.models.route import ErrorClass
from tests.support.connections import make_connection
from tests.support.credentials import make_credential
from tests.support.model_providers import (
    Provider,
    answering,
    chunk,
    last_chunk,
    provider_server,
    refusing,
    streaming,
    usual_anthropic,
)

stand_ins = [
    pytest.mark.django_db(transaction=True), pytest.mark.on_servers,
    pytest.mark.usefixtures("claude"),
]  # fmt: skip
HELLO: Any = [{"role": "user", "content": "Say hello."}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
CLAUDES_TOOL: Any = {"name": "weather", "input_schema": WEATHER}


@pytest.fixture(scope="module")
def _claude_server() -> Iterator[Provider]:
    with provider_server(usual_anthropic) as provider:
        yield provider


@pytest.fixture
def claude_server(_claude_server: Provider) -> Provider:
    _claude_server.acts.clear()
    _claude_server.received.clear()
    return _claude_server


@pytest.fixture
def claude(claude_server: Provider, make_model: Callable[..., Model]) -> Model:
    fields = {"attributes": {"header": "x-api-key"}, "secret": {"key": "sk-ant-canary"}}
    url = claude_server.url
    make_credential("API_KEY", name="key", allowed_origins=[url.removesuffix("/v1")], **fields)
    connection = make_connection(base_url=url, credential="key")
    return make_model("claude", provider="ANTHROPIC", connection=connection,
                      capabilities=["CHAT"], cost_per_token="0.000001")  # fmt: skip


@pytest.fixture
def by_openai(hub: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{hub}/v1", api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
def by_anthropic(hub: str, key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=hub, api_key=key, max_retries=0) as client:
        yield client


class TestWithStandIns:
    """Both packages against the hub."""

    pytestmark = stand_ins

    def test_openais_package_asks_claude(
        self, by_openai: openai.OpenAI, claude_server: Provider
    ) -> None:
        messages: Any = [{"role": "system", "content": "Be kind."}, *HELLO]
        answer = by_openai.chat.completions.create(model="claude", messages=messages, tools=[TOOL])
        choice = answer.choices[0]
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Hello.")
        call: Any = choice.message.tool_calls[0]  # type: ignore[index]
        assert (call.id, call.function.name, call.function.arguments) == (
            "toolu_1", "weather", '{"city": "Rome"}')  # fmt: skip
        assert answer.usage is not None and answer.usage.prompt_tokens == 130
        sent = claude_server.received[0]
        assert (sent.body["system"], sent.body["tools"]) == ("Be kind.", [CLAUDES_TOOL])
        assert sent.headers["x-api-key"] == "sk-ant-canary"
        assert sent.headers["anthropic-version"] == "2023-06-01"
        row = Request.objects.get()
        assert (row.prompt_tokens, row.cached_tokens, row.cache_write_tokens) == (130, 100, 20)

    def test_openais_package_streams_claude(self, by_openai: openai.OpenAI) -> None:
        with by_openai.chat.completions.stream(
            model="claude", messages=HELLO, tools=[TOOL], stream_options={"include_usage": True}
        ) as stream:
            final = stream.get_final_completion()
        message = final.choices[0].message
        assert message.content == "Hello."
        assert message.tool_calls[0].function.arguments == '{"city": "Rome"}'  # type: ignore[index]
        assert final.usage is not None and final.usage.total_tokens == 135
        assert Request.objects.get().total_tokens == 135

    def test_anthropics_package_asks_claude_as_it_is(
        self, by_anthropic: anthropic.Anthropic, claude_server: Provider
    ) -> None:
        answer = by_anthropic.messages.create(
            model="claude", max_tokens=50, messages=HELLO, tools=[CLAUDES_TOOL],
            extra_body={"top_k": 3},
            system=[{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
        )  # fmt: skip
        assert (answer.model, answer.stop_reason) == ("claude", "tool_use")
        assert answer.usage.cache_read_input_tokens == 100
        sent = claude_server.received[0].body
        assert (sent["top_k"], sent["max_tokens"]) == (3, 50)
        assert sent["system"][0]["cache_control"] == {"type": "ephemeral"}

    def test_anthropics_package_streams_claude(self, by_anthropic: anthropic.Anthropic) -> None:
        with by_anthropic.messages.stream(
            model="claude", max_tokens=50, messages=HELLO, tools=[CLAUDES_TOOL]
        ) as stream:
            final = stream.get_final_message()
        assert (final.model, final.stop_reason, final.usage.output_tokens) == (
            "claude", "tool_use", 5)  # fmt: skip
        assert [block.type for block in final.content] == ["text", "tool_use"]
        assert Request.objects.get().total_tokens == 135

    def test_anthropics_package_asks_another_model(
        self, by_anthropic: anthropic.Anthropic, make_model: Callable[..., Model],
        provider: Provider,
    ) -> None:  # fmt: skip
        make_model()
        call = {"id": "c1", "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}  # fmt: skip
        provider.next(answering("", message={"tool_calls": [call]}, finish_reason="tool_calls"))
        answer = by_anthropic.messages.create(
            model="small", max_tokens=50, system="Be kind.", tools=[CLAUDES_TOOL],
            tool_choice={"type": "any"}, messages=[
                *HELLO,
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "X"}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "sunny"}]},
            ],
        )  # fmt: skip
        assert answer.stop_reason == "tool_use"
        assert answer.content[0].to_dict() == {
            "type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"},
        }  # fmt: skip
        sent = provider.received[0].body
        assert [each["role"] for each in sent["messages"]] == [
            "system", "user", "assistant", "tool"]  # fmt: skip
        assert sent["tool_choice"] == "required"

    def test_anthropics_package_streams_another_model(
        self, by_anthropic: anthropic.Anthropic, make_model: Callable[..., Model],
        provider: Provider,
    ) -> None:  # fmt: skip
        make_model()
        tool = {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": ""}}
        rest = {"index": 0, "function": {"arguments": '{"city":"Oslo"}'}}
        delta = lambda **fields: {"index": 0, "delta": fields, "finish_reason": None}  # noqa: E731
        provider.next(streaming([
            chunk("Well"), chunk(choices=[delta(tool_calls=[tool])]),
            chunk(choices=[delta(tool_calls=[rest])]), *last_chunk(prompt=7, completion=3),
        ]))  # fmt: skip
        with by_anthropic.messages.stream(model="small", max_tokens=50, messages=HELLO) as stream:
            final = stream.get_final_message()
        assert [block.to_dict() for block in final.content] == [
            {"type": "text", "text": "Well"},
            {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
        ]  # fmt: skip
        assert (final.usage.input_tokens, final.usage.output_tokens) == (7, 3)

    @pytest.mark.parametrize(
        ("status", "kind", "message", "expected"),
        [
            (529, "overloaded_error", "busy", anthropic.InternalServerError),
            (429, "rate_limit_error", "later", anthropic.RateLimitError),
            (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum",
             anthropic.BadRequestError),
        ],
    )  # fmt: skip
    def test_errors_are_told_in_anthropics_form(
        self, by_anthropic: anthropic.Anthropic, claude_server: Provider, status: int, kind: str,
        message: str, expected: type[anthropic.APIStatusError],
    ) -> None:  # fmt: skip
        refusal = refusing(status, {"type": kind, "message": message}, Retry_After="9")
        claude_server.next(refusal)
        with pytest.raises(expected) as refused:
            by_anthropic.messages.create(model="claude", max_tokens=5, messages=HELLO)
        assert refused.value.body["type"] == "error"  # type: ignore[index]
        assert "sk-ant-canary" not in str(refused.value.body)

    def test_budget_is_refused_in_anthropics_form(self, by_anthropic: anthropic.Anthropic) -> None:
        ModelBudget.objects.create(name="none", scope="ALL", request_limit=0)
        with pytest.raises(anthropic.RateLimitError, match="'none' allows 0 requests"):
            by_anthropic.messages.create(model="claude", max_tokens=5, messages=HELLO)


def _sent(**body: Any) -> Any:
    call = ModelCall(RequestType.CHAT, {"messages": HELLO, **body})
    return AnthropicAdapter().request(call, model="m", most_output=None).body


@pytest.mark.once
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"max_tokens": 4096, "stream": False}),
        ({"max_completion_tokens": 7, "temperature": 1.5}, {"max_tokens": 7, "temperature": 1}),
        ({"stop": "x", "user": "u"}, {"stop_sequences": ["x"], "metadata": {"user_id": "u"}}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        ({"tools": [TOOL], "parallel_tool_calls": False},
         {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": WEATHER}}},
         {"output_config": {"format": {"type": "json_schema", "schema": WEATHER}}}),
    ],
)  # fmt: skip
def test_request_is_put_into_anthropics_words(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert expected.items() <= _sent(**given).items()


@pytest.mark.once
def test_images_and_results_of_tools_are_blocks() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    linked = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
    call = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
    sent = _sent(messages=[
        {"role": "user", "content": [{"type": "text", "text": "See"}, image, linked]},
        {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "b"}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ])["messages"]  # fmt: skip
    assert [block["type"] for block in sent[0]["content"]] == ["text", "image", "image"]
    assert sent[0]["content"][1]["source"]["media_type"] == "image/png"
    assert [each["role"] for each in sent] == ["user", "assistant", "user"]
    assert [block["tool_use_id"] for block in sent[2]["content"]] == ["a", "b"]


@pytest.mark.once
@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (400, "prompt is too long: 5 tokens > 4 maximum", ErrorClass.CONTEXT),
        (400, "You have reached your specified API usage limits", ErrorClass.QUOTA),
        (400, "max_tokens: must be positive", ErrorClass.INVALID), (401, "", ErrorClass.CREDENTIAL),
        (429, "", ErrorClass.RATE), (529, "", ErrorClass.UNAVAILABLE),
        (404, "", ErrorClass.NOT_FOUND),
    ],
)  # fmt: skip
def test_errors_are_classified(status: int, message: str, expected: ErrorClass) -> None:
    document = {"type": "error", "error": {"type": "x", "message": message}}
    assert AnthropicAdapter().classify(status, document) == expected
