"""Finds what a service or connection leads to its credential, and may not use it yet.

What uses services and connections is known to the app of that, which adds its own `Finder` here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from registry.models import Connection, Service

Carrier = Service | Connection


@dataclass(frozen=True, slots=True)
class Dependant:
    """Something that calls what has a credential, without a grant; `grant` gives it as an actor."""

    title: str
    grant: Callable[[str], object]


Finder = Callable[[Carrier], Iterable[Dependant]]
_finders: list[Finder] = []


def add_finder(find: Finder) -> None:
    """Ask this function too for what waits for a grant."""
    if find not in _finders:
        _finders.append(find)


def dependants_of(carrier: Carrier) -> list[Dependant]:
    """Return what calls a service or connection whose credential it may not use."""
    if carrier.credential_id is None:
        return []
    return [dependant for find in _finders for dependant in find(carrier)]


def settle_dependants(carrier: Carrier, *, actor: str, grant: bool) -> None:
    """Grant what waits for the credential that was linked, or note on the row what does.

    Each finder is asked after what the one before found was granted: one may lead to another.
    """
    awaiting: list[str] = []
    for find in _finders if carrier.credential_id is not None else ():
        for dependant in find(carrier):
            if grant:
                dependant.grant(actor)
            else:
                awaiting.append(dependant.title)
    carrier.awaiting_grant = awaiting  # type: ignore[union-attr]
