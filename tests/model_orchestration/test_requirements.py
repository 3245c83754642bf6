"""Models that are not named: chosen by what is required of them, and told why."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from model_orchestration import qualities
from model_orchestration.choosing import ModelChoices, RouteRules, Target, Wish
from model_orchestration.exceptions import InvalidModelRequest
from model_orchestration.models import Model, ModelPerformance, ModelPrice, ModelRoute, Request
from model_orchestration.models.model import RequestType
from model_orchestration.outcomes import ModelAttempt, choice_reason_of
from model_orchestration.paces import paces
from model_orchestration.pricing import Price
from model_orchestration.requirements import read_requirements
from tests import factories
from tests.support.model_providers import Provider, chunk, last_chunk, refusing, streaming

CHAT = RequestType.CHAT
HELLO: Any = [{"role": "user", "content": "Say hello."}]


def target(name: str, price: str | None, **fields: Any) -> Target:
    cost = Price(Decimal(price), Decimal(price) * 2) if price is not None else None
    usual: dict[str, Any] = {"provider": "CUSTOM", "capabilities": ("CHAT",), "price": cost}
    return Target(name, connection="c", connection_id="1", sent_name=name, **{**usual, **fields})


MODELS = [
    target("dear", "5", token_limit=200_000, provider="OPENAI", capabilities=("CHAT", "EMBEDDING")),
    target("cheap", "0.5", token_limit=8_000),
    target("middle", "1"),
    target("unpriced", None),
    target("old", "0.1", status="DEPRECATED"),
    target("off", "0.1", status="INACTIVE"),
    target("vectors", "0.01", capabilities=("EMBEDDING",)),
]
QUALITIES = {"dear": 0.9, "cheap": 0.4}
ROUTE = RouteRules("some", "PRIORITY", (("dear", 1), ("cheap", 1)), frozenset(), 3, 60.0)
CHOICES = ModelChoices({each.model: each for each in MODELS}, {"some": ROUTE})


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    paces.clear()
    qualities.forget_qualities()


def wish(**required: Any) -> Wish:
    return Wish(100, requirements=read_requirements({"requirements": required}),
                qualities=QUALITIES)  # fmt: skip


@pytest.mark.once
@pytest.mark.parametrize(
    ("required", "expected"),
    [
        ({}, ["cheap", "middle", "dear", "unpriced"]),
        ({"context_tokens": 8001}, ["middle", "dear", "unpriced"]),
        ({"max_price": 2}, ["cheap", "middle"]),
        ({"max_price": 0.99}, []),
        ({"capability": "embedding"}, ["dear"]),
        ({"provider": "openai"}, ["dear"]),
        ({"min_quality": 0.5}, ["middle", "dear", "unpriced"]),
        ({"min_quality": 0.6}, ["dear"]),
        ({"prefer": "quality"}, ["dear", "middle", "unpriced", "cheap"]),
        ({"prefer": "QUALITY", "max_price": 3}, ["middle", "cheap"]),
        ({"max_latency_ms": 500}, ["middle", "dear", "unpriced"]),
    ],
)
def test_auto_is_what_meets_the_requirements_in_the_order_that_is_preferred(
    required: dict[str, Any], expected: list[str]
) -> None:
    paces.note("cheap", 600, stream=False)
    if not expected:
        with pytest.raises(InvalidModelRequest, match="'cheap' costs 1 USD for a million tokens"):
            CHOICES.plan("auto", CHAT, wish(**required))
        return
    plan = CHOICES.plan("Auto", CHAT, wish(**required))
    assert [each.model for each in plan.targets] == expected


@pytest.mark.once
def test_latency_is_preferred_as_it_was_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_orchestration.paces.EXPLORED_SHARE", 0)
    for name, milliseconds in (("cheap", 90), ("dear", 10), ("middle", 40), ("unpriced", 70)):
        paces.note(name, milliseconds, stream=False)
    plan = CHOICES.plan("auto", CHAT, wish(prefer="LATENCY"))
    assert [each.model for each in plan.targets] == ["dear", "middle", "unpriced", "cheap"]


@pytest.mark.once
def test_requirements_choose_among_a_route_and_hold_for_a_named_model() -> None:
    assert [t.model for t in CHOICES.plan("some", CHAT, wish()).targets] == ["dear", "cheap"]
    by_price = CHOICES.plan("some", CHAT, wish(prefer="PRICE"))
    assert [each.model for each in by_price.targets] == ["cheap", "dear"]
    assert by_price.reason == "The cheapest of the route 'some'"
    assert CHOICES.plan("cheap", CHAT, wish(max_price=1)).reason == "It was asked for"
    with pytest.raises(InvalidModelRequest, match="'dear' costs 10 USD"):
        CHOICES.plan("dear", CHAT, wish(max_price=1))


@pytest.mark.once
def test_reason_tells_after_which_others_a_model_served() -> None:
    plan = CHOICES.plan("auto", CHAT, wish(max_price=20))
    failed = ModelAttempt("cheap", 5, "RATE", 429)
    served = ModelAttempt("dear", 5)
    assert choice_reason_of(plan, "cheap", [ModelAttempt("cheap", 5)]) == (
        "The cheapest of 3 models that meet the requirements.")  # fmt: skip
    assert choice_reason_of(plan, "dear", [failed, served]) == (
        "The cheapest of 3 models that meet the requirements, after cheap (RATE),"
        " middle (left alone).")  # fmt: skip


@pytest.mark.once
@pytest.mark.parametrize(
    ("given", "where", "sentence"),
    [
        (5, "requirements", "Must be an object of: capability"),
        ("{", "requirements", "Must be an object"),
        ({"max_prize": 1}, "requirements.max_prize", "did you mean max_price?"),
        ({"max_price": "1"}, "requirements.max_price", "number from 0"),
        ({"max_cost": -1}, "requirements.max_cost", "number from 0"),
        ({"context_tokens": 1.5}, "requirements.context_tokens", "whole number"),
        ({"context_tokens": True}, "requirements.context_tokens", "whole number"),
        ({"min_quality": 2}, "requirements.min_quality", "from 0 to 1"),
        ({"capability": "SONG"}, "requirements.capability", "Use one of: CHAT"),
        ({"prefer": ["PRICE"]}, "requirements.prefer", "Use one of: PRICE"),
    ],
)
def test_odd_requirement_is_named(given: Any, where: str, sentence: str) -> None:
    with pytest.raises(InvalidModelRequest) as refused:
        read_requirements({"requirements": given})
    assert refused.value.details["param"] == where
    assert sentence in refused.value.message


# --- Through the hub ---


@pytest.fixture
def two(make_model: Callable[..., Model]) -> None:
    """A cheap model, and a dear one whose answers people like."""
    for name, price in (("cheap", "1"), ("dear", "8")):
        model = make_model(name)
        ModelPrice.objects.create(model=model, valid_from=timezone.now(), input=price, output=price)
    ModelPerformance.objects.create(
        model_id="dear", task_type="poems", sample_count=2, quality_count=2, quality_sum=1.8
    )


def asking(**required: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": HELLO, "max_tokens": 10,
            "extra_body": {"requirements": required}}  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
@pytest.mark.usefixtures("two")
def test_packages_choose_by_requirement_and_are_told_why(
    hub: str, key: str, provider: Provider
) -> None:
    poems = {"X-Task-Type": "Poems"}
    with openai.OpenAI(base_url=f"{hub}/v1", api_key=key, max_retries=0) as client:
        create = client.chat.completions.with_raw_response.create
        cheap = create(**asking(max_price=9))
        liked = create(**asking(prefer="quality"), extra_headers=poems)
        assert cheap.parse().model_dump()["model_reason"] == cheap.headers["x-model-reason"]
        provider.next(refusing(503, {}), refusing(503, {}))
        second = create(**asking())
        provider.next(streaming([chunk("Hi"), *last_chunk(prompt=1, completion=1)]))
        stream = create(**asking(), stream=True)
        "".join(each.choices[0].delta.content or "" for each in stream.parse())
        with pytest.raises(openai.BadRequestError, match="'cheap' costs 1 USD") as refused:
            create(**asking(max_price=0.5))
        with pytest.raises(openai.BadRequestError, match="'cheap' may cost"):
            create(**asking(max_cost=0.000001))
    assert refused.value.param == "requirements"
    answers = (cheap, liked, second, stream)
    assert [each.headers["x-model"] for each in answers] == ["cheap", "dear", "dear", "cheap"]
    assert liked.headers["x-model-reason"] == (
        "The best by feedback of 2 models that meet the requirements.")  # fmt: skip
    assert second.headers["x-model-reason"].endswith(", after cheap (UNAVAILABLE).")
    recorded = list(Request.objects.order_by("id").values_list("choice_reason", flat=True))
    assert recorded == [each.headers["x-model-reason"] for each in answers]
    assert all("requirements" not in each.body for each in provider.received)
    with anthropic.Anthropic(base_url=hub, api_key=key, max_retries=0) as client:
        told = client.messages.with_raw_response.create(**asking(max_price=9))
        assert (told.headers["x-model"], told.parse().model) == ("cheap", "cheap")


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
@pytest.mark.usefixtures("two", "shared_client")
def test_own_routes_choose_where_no_model_is_named() -> None:
    program: APIClient = factories.caller("SERVICE", name="program")
    body = {"messages": HELLO, "requirements": {"prefer": "PRICE"}}
    told = program.post("/models/chat", body).json()
    assert (told["model_id"], told["model_reason"]) == (
        "cheap", "The cheapest of 2 models that meet the requirements.")  # fmt: skip
    refused = program.post("/models/chat", {**body, "provider": "OLLAMA"})
    assert refused.status_code == 400
    assert "requirements" in refused.json()["errors"], refused.content
    ModelRoute.objects.create(name="both", targets=[{"model": "dear"}, {"model": "cheap"}])
    by_route = program.post("/models/chat", {**body, "model_id": "both"}).json()
    assert by_route["model_reason"] == "The cheapest of the route 'both'."
