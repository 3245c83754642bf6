"""Finds ways along what needs what (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

Key = TypeVar("Key")
Needs = Mapping[Key, Collection[Key]]


def needs_of(pairs: Iterable[tuple[Key, Key]]) -> dict[Key, list[Key]]:
    """Return what each needs, of pairs of one and another that it needs."""
    needs: dict[Key, list[Key]] = {}
    for one, other in pairs:
        needs.setdefault(one, []).append(other)
    return needs


def find_way(needs: Needs[Key], start: Key, end: Key) -> list[Key]:
    """Return a shortest way from what needs to what is needed, both ends with it; else nothing."""
    before: dict[Key, Key] = {}
    reached = [start]
    for here in reached:
        if here == end:
            return _walked(before, start, end)
        for there in needs.get(here, ()):
            if there not in before and there != start:
                before[there] = here
                reached.append(there)
    return []


def _walked(before: Mapping[Key, Key], start: Key, end: Key) -> list[Key]:
    way = [end]
    while way[-1] != start:
        way.append(before[way[-1]])
    return way[::-1]


def reach(needs: Needs[Key], start: Key) -> list[Key]:
    """Return all that is needed, also through others, the nearest first."""
    reached = [start]
    known = {start}
    for here in reached:
        for there in needs.get(here, ()):
            if there not in known:
                known.add(there)
                reached.append(there)
    return reached[1:]
