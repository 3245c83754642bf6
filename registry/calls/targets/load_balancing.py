"""Decides which instance is called: by health, zone, weight and calls in flight."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Generic, Protocol, TypeVar

# An instance that nothing is known of is better than none.
RANK = {"ONLINE": 0, "DEGRADED": 1, "UNKNOWN": 2}
CHANCE = Random()  # noqa: S311 (spreads load)


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
    """The instances that may be called, best first: drawn while it is gone through, once.

    `fail_open` when all of them are suspects.
    """

    order: Iterator[T]
    fail_open: bool


class Candidates(Generic[T]):
    """Instances of which some may be called, made ready for choices.

    The first choices cost the same whatever their number. `zone` is the caller's.
    """

    def __init__(
        self, instances: Iterable[T], *, zone: str = "", suspected: Collection[str] = ()
    ) -> None:
        self._instances = [instance for instance in instances if instance.status in RANK]
        self._zone = zone
        tiers: dict[tuple[bool, int, bool], list[T]] = {}
        for instance in self._instances:
            away = bool(zone) and instance.zone != zone
            doubtful = instance.suspect or instance.url in suspected
            tiers.setdefault((doubtful, RANK[instance.status], away), []).append(instance)
        self._tiers = [_Tier(tiers[key]) for key in sorted(tiers)]
        self._urls = frozenset(instance.url for instance in self._instances)
        self._fail_open = all(instance.suspect for instance in self._instances)

    def __bool__(self) -> bool:
        return bool(self._instances)

    def select(
        self,
        *,
        suspected: Collection[str] = (),
        in_flight: Callable[[str], int] = lambda _: 0,
        chance: Random = CHANCE,
    ) -> Selection[T]:
        """Put the instances that may be called into the order in which to try them.

        Those that nobody suspects come first: neither the registry nor the caller, who `suspected`
        their URLs. Then health, then the caller's zone. Among equals they are drawn by weight, and
        of each two drawn the one with fewer calls in flight goes first. Weight 0 is for when there
        is no other.
        """
        tiers = self._tiers
        if not self._urls.isdisjoint(suspected):
            tiers = Candidates(self._instances, zone=self._zone, suspected=suspected)._tiers
        order = (c for tier in tiers for c in tier.spread(in_flight, chance))
        return Selection(order, bool(self) and self._fail_open)


class _Tier(Generic[T]):
    """Equals: none goes before another but by its weight, chance and load."""

    def __init__(self, equals: Sequence[T]) -> None:
        self._weighted = [c for c in equals if c.weight]
        self._sums = list(accumulate(c.weight for c in self._weighted))
        self._weightless = [c for c in equals if not c.weight]

    def spread(self, in_flight: Callable[[str], int], chance: Random) -> Iterator[T]:
        """By weighted chance, corrected by load: the power of two choices (Mitzenmacher, 2001)."""
        drawn = self._draw(chance)
        waiting = next(drawn, None)
        for other in drawn:
            assert waiting is not None
            if in_flight(other.id) < in_flight(waiting.id):
                yield other
            else:
                yield waiting
                waiting = other
        if waiting is not None:
            yield waiting
        yield from self._weightless

    def _draw(self, chance: Random) -> Iterator[T]:
        """Draw all by weight, without putting back; most callers take two.

        Those by sums of weights, which are there; the rest by exponential variates with the weight
        as rate (Efraimidis and Spirakis, 2006), which is the same distribution.
        """
        if not self._weighted:
            return
        total = self._sums[-1]
        first = bisect_right(self._sums, chance.randrange(total))
        weight = self._weighted[first].weight
        yield self._weighted[first]
        if len(self._weighted) == 1:
            return
        # A place among the others: what lies behind the first is moved on by its weight.
        at = chance.randrange(total - weight)
        second = bisect_right(self._sums, at if at < self._sums[first] - weight else at + weight)
        yield self._weighted[second]
        rest = [c for place, c in enumerate(self._weighted) if place not in (first, second)]
        keys = {c.id: chance.expovariate(c.weight) for c in rest}
        yield from sorted(rest, key=lambda c: keys[c.id])


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
