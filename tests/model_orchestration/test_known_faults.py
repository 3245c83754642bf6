"""Faults that hurt users of other gateways, and what official packages send and read."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from django.utils import timezone

from model_orchestration.failures import Failure, wait_before_again
from model_orchestration.models import Model, ModelPrice, Request
from model_orchestration.models.route import ErrorClass
from tests.support.model_providers import (
    Provider,
    answering,
    chunk,
    last_chunk,
    refusing,
    streaming,
    usage_of,
)

HELLO: Any = [{"role": "user", "content": "Say hello."}]
MEGABYTE = 2**20
PIXEL = "iVBORw0KGgo="
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
through_hub = pytest.mark.django_db(transaction=True)
on_servers = pytest.mark.on_servers


@pytest.fixture
def client(hub: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{hub}/v1", api_key=key, max_retries=0) as client:
        yield client


@pytest.mark.once
def test_each_attempt_waits_as_it_is_told_and_nobody_waits_long() -> None:
    waits = [
        wait_before_again(Failure(ErrorClass.RATE, "", 429, seconds), attempts=attempts)
        for seconds, attempts in ((1, 1), (2, 1), (5, 1), (None, 1), (1, 2))
    ]
    assert waits == [1, 2, None, None, None]


@through_hub
@on_servers
def test_usage_counts_in_whichever_chunk_it_comes_and_cached_tokens_cost_less(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    ModelPrice.objects.create(
        model=make_model(), valid_from=timezone.now(), input="2", output="8", cached_input="0.5"
    )
    usage = usage_of(16_111, 10, cached=15_872)
    provider.next(streaming([chunk("a"), chunk(usage=usage)]))
    list(client.chat.completions.create(model="small", messages=HELLO, stream=True))
    row = Request.objects.get()
    assert (row.state, row.usage_source, row.cached_tokens) == ("SETTLED", "PROVIDER", 15_872)
    assert row.cost_nanousd == 239 * 2000 + 15_872 * 500 + 10 * 8000


@through_hub
@on_servers
def test_large_piece_of_a_stream_is_passed_whole_and_a_larger_one_is_an_error(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model()
    provider.next(streaming([chunk("a" * 2 * MEGABYTE), *last_chunk(prompt=1, completion=1)]))
    pieces = list(client.chat.completions.create(model="small", messages=HELLO, stream=True))
    assert pieces[0].choices[0].delta.content == "a" * 2 * MEGABYTE
    too_large = streaming([chunk("a"), chunk("b" * 9 * MEGABYTE), *last_chunk()])
    provider.next(too_large)
    stream = client.chat.completions.create(model="small", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        list(stream)
    assert Request.objects.order_by("-id")[0].state == "CUT"


@through_hub
@on_servers
def test_callers_who_end_at_once_lose_no_increment(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    from model_orchestration.models import ModelBudget, QuotaWindow

    make_model(cost_per_token="0.000001")
    ModelBudget.objects.create(name="all", scope="ALL", cost_limit=1)
    numbers = itertools.count()

    def ask() -> None:
        while next(numbers) < 40:
            client.chat.completions.create(model="small", messages=HELLO)

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for each in askers:
        each.start()
    for each in askers:
        each.join()
    window = QuotaWindow.objects.get()
    assert (window.used_requests, window.used_nanousd) == (40, 40 * 15_000)
    assert (window.reserved_requests, window.reserved_nanousd) == (0, 0)


@through_hub
@on_servers
def test_failure_of_an_account_is_no_fault_of_the_caller_and_nothing_of_it_is_told(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model()
    provider.next(refusing(401, {"message": "Incorrect key sk-canary"}))
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="small", messages=HELLO)
    assert (refused.value.status_code, refused.value.code) == (502, "provider_credential")
    assert "canary" not in str(refused.value.body)
    assert "canary" not in Request.objects.get().error_message


class Weather(pydantic.BaseModel):
    """What a model is asked to answer with."""

    city: str
    degrees: int


@through_hub
@on_servers
def test_openais_package_sends_tools_schemas_and_images_and_reads_what_comes(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model()
    function = {"name": "weather", "arguments": '{"city": "Oslo"}'}
    call = {"id": "c1", "type": "function", "function": function}
    seen: Any = [{"role": "user", "content": [
        {"type": "text", "text": "Where is that?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]}]  # fmt: skip
    provider.next(answering("", message={"tool_calls": [call]}, finish_reason="tool_calls"))
    choice = client.chat.completions.create(
        model="small", messages=seen, tools=[TOOL], tool_choice="required"
    ).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert [each.to_dict() for each in choice.message.tool_calls or ()] == [call]
    sent = provider.received[0].body
    assert (sent["messages"], sent["tools"], sent["tool_choice"]) == (seen, [TOOL], "required")

    provider.next(answering('{"city": "Oslo", "degrees": -4}'))
    parsed = client.chat.completions.parse(model="small", messages=HELLO, response_format=Weather)
    assert parsed.choices[0].message.parsed == Weather(city="Oslo", degrees=-4)
    wanted = provider.received[1].body["response_format"]
    assert (wanted["type"], wanted["json_schema"]["name"]) == ("json_schema", "Weather")

    def delta(**fields: Any) -> dict[str, Any]:
        return chunk(choices=[{"index": 0, "delta": {"tool_calls": [{"index": 0, **fields}]},
                               "finish_reason": None}])  # fmt: skip

    begin = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    parts = [delta(function={"arguments": each}) for each in ('{"city": ', '"Oslo"}')]
    provider.next(streaming([delta(**begin), *parts, *last_chunk(prompt=3, completion=4)]))
    with client.chat.completions.stream(
        model="small", messages=HELLO, tools=[TOOL], stream_options={"include_usage": True}
    ) as stream:
        final = stream.get_final_completion()
    called = final.choices[0].message.tool_calls or []
    assert [each.function.arguments for each in called] == ['{"city": "Oslo"}']
    assert final.usage is not None and final.usage.total_tokens == 7


@through_hub
@on_servers
def test_anthropics_package_sends_images(
    hub: str, key: str, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model()
    source: Any = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    with anthropic.Anthropic(base_url=hub, api_key=key, max_retries=0) as client:
        client.messages.create(model="small", max_tokens=9, messages=[
            {"role": "user", "content": [{"type": "image", "source": source}]},
        ])  # fmt: skip
    part = provider.received[0].body["messages"][0]["content"][0]
    assert part == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
