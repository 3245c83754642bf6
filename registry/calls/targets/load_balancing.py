"""Decides which instance is called: by health, zone, weight and calls in flight."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import expovariate
from typing import Generic, Protocol, TypeVar

# An instance that nothing is known of is better than none.
RANK = {"ONLINE": 0, "DEGRADED": 1, "UNKNOWN": 2}


class Selectable(Protocol):
    """An instance as selection sees it."""

    @property
    def id(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def weight(self) -> int: ...
    @property
    def suspect(self) -> bool: ...


T = TypeVar("T", bound=Selectable)


@dataclass(frozen=True, slots=True)
class Selection(Generic[T]):
    """The instances that may be called, best first; `fail_open` when all of them are suspects."""

    order: tuple[T, ...]
    fail_open: bool


def select_instances(
    instances: Sequence[T],
    *,
    zone: str = "",
    suspected: Collection[str] = (),
    in_flight: Callable[[str], int] = lambda _: 0,
    draw: Callable[[float], float] = expovariate,
) -> Selection[T]:
    """Put the instances that may be called into the order in which to try them.

    Those that nobody suspects come first: neither the registry nor the caller, who `suspected`
    their URLs. Then health, then the caller's zone. Among equals they are drawn by weight, and of
    each two drawn the one with fewer calls in flight goes first. Weight 0 is for when there is no
    other. `draw` gives an exponential variate of a rate.
    """
    tiers: dict[tuple[bool, int, bool], list[T]] = {}
    for instance in instances:
        if instance.status in RANK:
            away = bool(zone) and instance.zone != zone
            doubtful = instance.suspect or instance.url in suspected
            tiers.setdefault((doubtful, RANK[instance.status], away), []).append(instance)
    order = [c for key in sorted(tiers) for c in _spread(tiers[key], in_flight, draw)]
    return Selection(tuple(order), bool(order) and all(c.suspect for c in order))


def _spread(
    equals: Sequence[T], in_flight: Callable[[str], int], draw: Callable[[float], float]
) -> list[T]:
    """By weighted chance, corrected by load: the power of two choices (Mitzenmacher, 2001)."""
    drawn = _draw_by_weight([c for c in equals if c.weight], draw)
    order: list[T] = []
    while len(drawn) > 1:
        second_is_idler = in_flight(drawn[1].id) < in_flight(drawn[0].id)
        order.append(drawn.pop(int(second_is_idler)))
    return [*order, *drawn, *(c for c in equals if not c.weight)]


def _draw_by_weight(weighted: Sequence[T], draw: Callable[[float], float]) -> list[T]:
    """Exponential variates with the weight as rate (Efraimidis and Spirakis, 2006)."""
    keys = {c.id: draw(c.weight) for c in weighted}
    return sorted(weighted, key=lambda c: keys[c.id])


class CallsInFlight:
    """Counts this process's calls by instance, from begin to end; may be read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def __getitem__(self, instance_id: str) -> int:
        return self._counts[instance_id]

    @contextmanager
    def counted(self, instance_id: str) -> Iterator[None]:
        """Count one call until the block ends."""
        with self._lock:
            self._counts[instance_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._counts[instance_id] -= 1
                if not self._counts[instance_id]:
                    del self._counts[instance_id]


calls_in_flight = CallsInFlight()
