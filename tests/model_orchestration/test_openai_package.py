"""OpenAI's own package against the hub: with another address and another key, all else as usual."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest
from aiohttp import web
from django.utils import timezone

from model_orchestration.models import Model, ModelBudget, ModelPrice, ModelRoute, Request
from tests.support.model_providers import (
    Provider,
    answering,
    chunk,
    last_chunk,
    refusing,
    streaming,
)
from tests.support.waiting import PATIENCE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.on_servers]
HELLO: Any = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def client(hub: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{hub}/v1", api_key=key, max_retries=0) as client:
        yield client


def test_chat_is_answered_and_recorded_with_its_cost(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model(provider_model="their-name", cost_per_token="0.000001")
    answer = client.chat.completions.with_raw_response.create(model="Small", messages=HELLO)
    parsed = answer.parse()
    assert parsed.choices[0].message.content == "Hello."
    assert parsed.model == "small"
    assert parsed.usage is not None and parsed.usage.total_tokens == 15
    assert answer.headers["x-cost-usd"] == "0.000015"
    assert answer.headers["x-model"] == "small"
    assert provider.received[0].body["model"] == "their-name"
    row = Request.objects.get()
    assert answer.headers["x-model-request-id"] == row.request_id
    assert (row.state, row.success, row.usage_source) == ("SETTLED", True, "PROVIDER")
    assert (row.prompt_tokens, row.completion_tokens, row.cost) == (10, 5, 0.000015)
    assert (row.model_id, row.caller, row.held) == ("small", "program", [])


def test_stream_passes_chunks_and_tells_usage_last(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model(cost_per_token="0.000001")
    stream = client.chat.completions.create(
        model="small", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    texts = [each.choices[0].delta.content or "" for each in chunks if each.choices]
    assert "".join(texts) == "Hello."
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == 15
    assert chunks[-1].usage.model_extra == {"cost": 0.000015}
    row = Request.objects.get()
    assert (row.state, row.stream, row.total_tokens) == ("SETTLED", True, 15)
    assert row.first_token_ms is not None


def test_usage_that_was_not_asked_for_is_hidden_and_still_counted(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model()
    stream = client.chat.completions.create(model="small", messages=HELLO, stream=True)
    assert all(each.usage is None and each.choices for each in stream)
    assert provider.received[0].body["stream_options"] == {"include_usage": True}
    assert Request.objects.get().total_tokens == 15


def test_first_piece_is_passed_on_before_the_last_is_there(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model()
    rest = threading.Event()
    provider.next(streaming([chunk("a"), chunk("b"), *last_chunk()], wait=rest))
    stream = iter(client.chat.completions.create(model="small", messages=HELLO, stream=True))
    assert next(stream).choices[0].delta.content == "a"
    rest.set()
    assert next(stream).choices[0].delta.content == "b"
    list(stream)
    row = Request.objects.get()
    assert row.usage_source == "ESTIMATED"
    assert row.completion_tokens == 1


def test_cut_stream_ends_in_an_error_and_is_not_sent_twice(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model("first", cost_per_token="0.000001")
    make_model("second")
    ModelRoute.objects.create(name="both", targets=[{"model": "first"}, {"model": "second"}])
    provider.next(streaming([chunk("abcd" * 10)], cut=True))
    stream = client.chat.completions.create(model="both", messages=HELLO, stream=True)
    seen: list[Any] = []
    with pytest.raises(openai.APIError, match="broke off"):
        seen.extend(stream)
    assert len(seen) == 1
    assert len(provider.received) == 1
    row = Request.objects.get()
    assert (row.state, row.success, row.error_code) == ("CUT", False, "stream_cut")
    assert row.completion_tokens == 10 and row.cost_nanousd > 0


def test_next_model_answers_where_the_first_does_not(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model("first")
    make_model("second")
    ModelRoute.objects.create(name="both", targets=[{"model": "first"}, {"model": "second"}])
    provider.next(refusing(429, {"message": "slow down"}, Retry_After="30"), answering("from B"))
    answer = client.chat.completions.with_raw_response.create(model="both", messages=HELLO)
    assert answer.parse().choices[0].message.content == "from B"
    told = {name: answer.headers[name] for name in ("x-model", "x-attempts", "x-route")}
    assert told == {"x-model": "second", "x-attempts": "2", "x-route": "both"}
    row = Request.objects.get()
    assert [each["error"] for each in row.attempts] == ["RATE", None]
    # The first said when to come again: until then nobody asks it first.
    again = client.chat.completions.with_raw_response.create(model="both", messages=HELLO)
    assert (again.headers["x-model"], again.headers["x-attempts"]) == ("second", "1")


def test_budget_refuses_tells_why_and_lets_pass_once_raised(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model(cost_per_token="0.001")
    budget = ModelBudget.objects.create(
        name="program's", scope="KEY", subject="program", period="DAY", cost_limit="0.15"
    )
    client.chat.completions.create(model="small", messages=HELLO, max_tokens=1)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="small", messages=HELLO)
    assert refused.value.code == "insufficient_quota"
    assert "program's" in refused.value.message
    assert int(refused.value.response.headers["retry-after"]) > 0
    assert refused.value.body["reset_at"]  # type: ignore[index]
    assert len(provider.received) == 1
    budget.cost_limit = 10
    budget.save()
    assert client.chat.completions.create(model="small", messages=HELLO)
    assert provider.received[-1].body["max_tokens"] == 100
    states = list(Request.objects.order_by("id").values_list("state", flat=True))
    assert states == ["SETTLED", "REFUSED", "SETTLED"]


def test_caller_who_leaves_ends_what_is_sent_and_pays_for_what_came(
    hub: str, key: str, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model(provider="OLLAMA", cost_per_token="0.000001")
    provider.next(streaming([chunk("abcd"), chunk("efgh")], wait=threading.Event()))
    with openai.OpenAI(base_url=f"{hub}/v1", api_key=key, max_retries=0) as client:
        stream = client.chat.completions.create(model="small", messages=HELLO, stream=True)
        next(iter(stream))
        stream.close()
    assert provider.left.wait(PATIENCE)
    row = _settled()
    assert (row.state, row.completion_tokens) == ("ABANDONED", 1)


def test_rest_is_read_for_its_cost_where_the_provider_charges_for_it(
    hub: str, key: str, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model(cost_per_token="0.000001", configuration={"on_disconnect": "DRAIN"})
    rest = threading.Event()
    events = [chunk("a"), chunk("b"), *last_chunk(prompt=10, completion=500)]
    provider.next(streaming(events, wait=rest))
    with openai.OpenAI(base_url=f"{hub}/v1", api_key=key, max_retries=0) as client:
        stream = client.chat.completions.create(model="small", messages=HELLO, stream=True)
        next(iter(stream))
        stream.close()
    # Nothing tells from outside that the hub has seen the caller go.
    threading.Event().wait(0.5)
    rest.set()
    row = _settled()
    assert (row.state, row.usage_source, row.completion_tokens) == ("ABANDONED", "PROVIDER", 500)
    assert row.cost == 0.00051


def test_embeddings_and_completions_and_models(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model(aliases=["vectors/large"])
    vectors = client.embeddings.create(
        model="vectors/large", input=["abc", "d"], encoding_format="float"
    )
    assert [each.embedding[0] for each in vectors.data] == [3.0, 1.0]
    assert client.completions.create(model="small", prompt="Say").choices[0].text == "Hello."
    assert [each.id for each in client.models.list()] == ["small"]
    assert client.models.retrieve("small").owned_by == "custom"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("large")


@pytest.mark.parametrize(
    ("status", "error", "expected", "code"),
    [
        (400, {"message": "temperature is bad"}, openai.BadRequestError, "invalid_request"),
        (400, {"message": "x", "code": "context_length_exceeded"}, openai.BadRequestError,
         "context_length_exceeded"),
        (401, {"message": "bad key sk-secret"}, openai.InternalServerError, "provider_credential"),
        (404, {"message": "no model"}, openai.InternalServerError, "model_unavailable"),
        (429, {"message": "later"}, openai.RateLimitError, "rate_limit_exceeded"),
        (429, {"message": "no money", "code": "insufficient_quota"}, openai.InternalServerError,
         "provider_quota"),
    ],
)  # fmt: skip
def test_errors_of_the_provider_are_told_in_openais_form(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider,
    status: int, error: dict[str, str], expected: type[openai.APIStatusError], code: str,
) -> None:  # fmt: skip
    make_model()
    provider.next(refusing(status, error))
    with pytest.raises(expected) as refused:
        client.chat.completions.create(model="small", messages=HELLO)
    assert refused.value.code == code
    assert "sk-secret" not in refused.value.message
    row = Request.objects.get()
    assert (row.state, row.success, row.cost_nanousd) == ("FAILED", False, 0)


def test_refusals_of_the_hub_are_in_openais_form(hub: str, key: str) -> None:
    def ask(body: Any, **headers: str) -> Any:
        return httpx2.post(f"{hub}/v1/chat/completions", json=body, headers=headers).json()

    assert ask({})["error"]["type"] == "authentication_error"
    missing = ask({"model": "gone", "messages": HELLO}, Authorization=f"Bearer {key}")
    assert missing["error"]["code"] == "model_not_found"
    empty = ask({"model": "gone", "messages": []}, Authorization=f"Bearer {key}")
    assert empty["error"]["param"] == "messages"


def _settled() -> Request:
    """Return the request once it is settled, which comes after its caller left."""
    for _ in range(400):
        row = Request.objects.get()
        if row.completed_at is not None:
            return row
        threading.Event().wait(0.01)
    raise AssertionError("it is not settled")


async def _image(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    data = [{"url": f"http://example.org/{number}.png"} for number in range(body["n"])]
    return web.json_response({"created": 1, "data": data})


def test_images_cost_what_each_costs_and_are_refused_without_a_price(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    model = make_model(capabilities=["IMAGE_GENERATION"], cost_per_token="0.000001")
    ModelBudget.objects.create(name="all", scope="ALL", cost_limit=1)
    with pytest.raises(openai.ConflictError):
        client.images.generate(model="small", prompt="a cat")
    now = timezone.now()
    ModelPrice.objects.create(model=model, valid_from=now, per_image="0.04")
    provider.next(_image)
    images = client.images.generate(model="small", prompt="a cat", n=2)
    assert images.data is not None and len(images.data) == 2
    row = Request.objects.get()
    assert (row.request_type, row.images, row.cost) == ("IMAGE_GENERATION", 2, 0.08)


def test_same_idempotency_key_asks_the_provider_once(
    client: openai.OpenAI, make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model(cost_per_token="0.000001")
    patient = client.with_options(max_retries=20)
    named = {"Idempotency-Key": "order-1"}

    def ask(_: int) -> str:
        return patient.chat.completions.create(
            model="small", messages=HELLO, extra_headers=named
        ).id

    with ThreadPoolExecutor(2) as pool:
        at_once = set(pool.map(ask, range(2)))
    assert at_once == {ask(3)} and len(provider.received) == 1
    assert Request.objects.count() == 1
    with pytest.raises(openai.ConflictError):
        client.chat.completions.create(
            model="small", messages=HELLO, temperature=1, extra_headers=named
        )
    with pytest.raises(openai.BadRequestError, match="Idempotency-Key"):
        client.chat.completions.create(
            model="small", messages=HELLO, stream=True, extra_headers={"Idempotency-Key": "2"}
        )
    assert len(provider.received) == 1
