"""Which instance is called (pure)."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from registry.calls.targets.load_balancing import RANK, CallsInFlight, Candidates


@dataclass(frozen=True)
class One:
    """An instance as selection sees it."""

    id: str
    status: str = "ONLINE"
    zone: str = ""
    weight: int = 100
    suspect: bool = False

    @property
    def url(self) -> str:
        return f"http://{self.id}"


FLEETS = st.lists(
    st.builds(
        One,
        id=st.uuids().map(str),
        status=st.sampled_from(["ONLINE", "DEGRADED", "UNKNOWN", "OFFLINE", "MAINTENANCE"]),
        zone=st.sampled_from(["", "eu", "us"]),
        weight=st.sampled_from([0, 1, 100]),
        suspect=st.booleans(),
    ),
    unique_by=lambda one: one.id,
    max_size=12,
)


@given(fleet=FLEETS, zone=st.sampled_from(["", "eu", "us", "moon"]), loads=st.randoms())
def test_everybody_usable_is_tried_once_and_in_the_order_of_the_rules(
    fleet: list[One], zone: str, loads: random.Random
) -> None:
    load = {one.id: loads.randrange(5) for one in fleet}
    candidates = Candidates(fleet, zone=zone)
    found = candidates.select(in_flight=load.__getitem__)
    usable = [one for one in fleet if one.status in RANK]
    assert bool(candidates) == bool(usable)
    order = [*found.order]
    assert sorted(order, key=lambda one: one.id) == sorted(usable, key=lambda one: one.id)
    tiers = [(one.suspect, RANK[one.status], bool(zone) and one.zone != zone) for one in order]
    assert tiers == sorted(tiers)
    assert found.fail_open == (bool(usable) and all(one.suspect for one in usable))


@given(fleet=FLEETS)
def test_nobody_of_weight_zero_goes_before_an_equal_with_weight(fleet: list[One]) -> None:
    order = [*Candidates(fleet).select().order]
    for first, second in itertools.pairwise(order):
        equal = (first.suspect, first.status) == (second.suspect, second.status)
        assert not (equal and first.weight == 0 and second.weight > 0)


@given(loads=st.lists(st.integers(0, 50), min_size=2, max_size=8))
def test_the_busiest_of_equals_is_never_first(loads: list[int]) -> None:
    fleet = [One(str(number)) for number in range(len(loads))]
    first = next(Candidates(fleet).select(in_flight=lambda key: loads[int(key)]).order)
    busiest = max(loads)
    assert loads[int(first.id)] < busiest or loads.count(busiest) > 1


def successive(weights: dict[str, int]) -> dict[tuple[str, ...], float]:
    """The probability of each order in which these are drawn by weight, without putting back."""
    orders: dict[tuple[str, ...], float] = {}
    for order in itertools.permutations(weights):
        left, probability = sum(weights.values()), 1.0
        for one in order:
            probability *= weights[one] / left
            left -= weights[one]
        orders[order] = probability
    return orders


def test_orders_are_as_likely_as_weights_say() -> None:
    """A chi-square test at 0.1 % of the 24 orders of four, with a seed."""
    weights = {"a": 300, "b": 100, "c": 50, "d": 1}
    candidates = Candidates([One(key, weight=weight) for key, weight in weights.items()])
    chance, rounds = random.Random(7), 20_000
    drawn = Counter(
        tuple(one.id for one in candidates.select(chance=chance).order) for _ in range(rounds)
    )
    probabilities = successive(weights)
    # What is too rare to be counted alone is counted together, as the test asks.
    common = {order for order, p in probabilities.items() if p * rounds >= 5}
    expected = {order: probabilities[order] * rounds for order in common}
    rest = rounds - sum(expected.values())
    square = sum((drawn[order] - n) ** 2 / n for order, n in expected.items())
    if rest >= 5:
        square += (rounds - sum(drawn[order] for order in common) - rest) ** 2 / rest
    # The 99.9 % point for 23 degrees of freedom, of which there are no more.
    assert square < 49.7


def test_one_of_two_drawn_with_fewer_calls_goes_first_as_often_as_it_is_drawn() -> None:
    """Of a thousand equals of which one is idle, the idle one is among two drawn in 1 of 500."""
    fleet = [One(str(number)) for number in range(1000)]
    candidates, chance = Candidates(fleet), random.Random(3)
    firsts = Counter(
        next(candidates.select(in_flight=lambda key: key != "7", chance=chance).order).id
        for _ in range(50_000)
    )
    assert 70 < firsts["7"] < 130


def test_a_choice_looks_at_two() -> None:
    looked: list[str] = []

    def load(key: str) -> int:
        looked.append(key)
        return 0

    for number in (3, 3000):
        candidates = Candidates([One(str(n), weight=1 + n % 3) for n in range(number)])
        looked.clear()
        next(candidates.select(in_flight=load).order)
        assert len(looked) == 2


def test_whom_the_caller_could_not_reach_comes_last_but_comes() -> None:
    fleet = [One("a"), One("b", status="DEGRADED"), One("c", zone="eu")]
    found = Candidates(fleet, zone="eu").select(suspected={"http://c", "http://a"})
    assert [one.id for one in found.order] == ["b", "c", "a"]
    assert not found.fail_open


def test_calls_are_counted_while_they_last() -> None:
    load = CallsInFlight()
    with load.counted("a"), load.counted("a"), load.counted("b"):
        assert (load["a"], load["b"], load["c"]) == (2, 1, 0)
    assert (load["a"], load["b"]) == (0, 0)
