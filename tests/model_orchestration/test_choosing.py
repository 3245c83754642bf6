"""In which order the models of a route are asked."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest

from model_orchestration.choosing import Target, order
from model_orchestration.paces import EXPLORED_SHARE, paces
from model_orchestration.pricing import Price

pytestmark = pytest.mark.once
ROUNDS = 2000


def target(name: str, price: str | None = None) -> Target:
    cost = Price.per_token(Decimal(price)) if price else None
    return Target(name, "CUSTOM", "c", "1", name, price=cost)


TARGETS = [(target("a", "0.003"), 1), (target("b"), 3), (target("c", "0.001"), 0)]


def first_of(strategy: str, *, stream: bool = False) -> Counter[str]:
    chance = random.Random(7)
    return Counter(order(TARGETS, strategy, chance, stream=stream)[0].model for _ in range(ROUNDS))


@pytest.fixture(autouse=True)
def _nothing_noted() -> Iterator[None]:
    yield
    paces.clear()


def test_strategies_order_by_list_price_and_weight() -> None:
    assert [each.model for each in order(TARGETS, "PRIORITY")] == ["a", "b", "c"]
    assert [each.model for each in order(TARGETS, "CHEAPEST")] == ["c", "a", "b"]
    weighted = first_of("WEIGHTED")
    assert weighted["c"] == 0 and weighted["b"] == pytest.approx(ROUNDS * 3 / 4, rel=0.1)


def test_fastest_is_asked_first_and_others_now_and_then() -> None:
    for name, milliseconds in (("a", 30), ("b", 10), ("c", 20)):
        paces.note(name, milliseconds, stream=False)
    fastest = first_of("FASTEST")
    assert fastest["b"] == pytest.approx(ROUNDS * (1 - EXPLORED_SHARE), rel=0.05)
    assert fastest["a"] and fastest["c"]


def test_fastest_asks_what_is_new_and_leaves_what_fails() -> None:
    for name in ("a", "b"):
        paces.note(name, 10, stream=True)
    assert first_of("FASTEST", stream=True).most_common(1)[0][0] == "c"
    paces.note_failure("c", stream=True)
    assert first_of("FASTEST", stream=True).most_common(1)[0][0] == "a"


def test_average_follows_what_changes() -> None:
    paces.note("a", 100, stream=False)
    for _ in range(30):
        paces.note("a", 10, stream=False)
    assert 10 <= paces.of("a", stream=False) < 11
