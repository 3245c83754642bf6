"""Which instance is called (pure)."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from registry.calls.targets.load_balancing import RANK, CallsInFlight, select_instances


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
    found = select_instances(fleet, zone=zone, in_flight=load.__getitem__)
    usable = [one for one in fleet if one.status in RANK]
    assert sorted(found.order, key=lambda one: one.id) == sorted(usable, key=lambda one: one.id)
    tiers = [
        (one.suspect, RANK[one.status], bool(zone) and one.zone != zone) for one in found.order
    ]
    assert tiers == sorted(tiers)
    assert found.fail_open == (bool(usable) and all(one.suspect for one in usable))


@given(fleet=FLEETS)
def test_nobody_of_weight_zero_goes_before_an_equal_with_weight(fleet: list[One]) -> None:
    order = select_instances(fleet).order
    for first, second in itertools.pairwise(order):
        equal = (first.suspect, first.status) == (second.suspect, second.status)
        assert not (equal and first.weight == 0 and second.weight > 0)


@given(loads=st.lists(st.integers(0, 50), min_size=2, max_size=8))
def test_the_busiest_of_equals_is_never_first(loads: list[int]) -> None:
    fleet = [One(str(number)) for number in range(len(loads))]
    first = select_instances(fleet, in_flight=lambda key: loads[int(key)]).order[0]
    busiest = max(loads)
    assert loads[int(first.id)] < busiest or loads.count(busiest) > 1


def test_chance_follows_weight() -> None:
    chance = random.Random(7)
    fleet = [One("a", weight=300), One("b", weight=100)]
    firsts = Counter(
        select_instances(fleet, draw=chance.expovariate).order[0].id for _ in range(4000)
    )
    assert 0.71 < firsts["a"] / 4000 < 0.79


def test_whom_the_caller_could_not_reach_comes_last_but_comes() -> None:
    fleet = [One("a"), One("b", status="DEGRADED"), One("c", zone="eu")]
    found = select_instances(fleet, zone="eu", suspected={"http://c", "http://a"})
    assert [one.id for one in found.order] == ["b", "c", "a"]
    assert not found.fail_open


def test_calls_are_counted_while_they_last() -> None:
    load = CallsInFlight()
    with load.counted("a"), load.counted("a"), load.counted("b"):
        assert (load["a"], load["b"], load["c"]) == (2, 1, 0)
    assert (load["a"], load["b"]) == (0, 0)
