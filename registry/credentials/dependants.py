"""Finds what a service, connection or integration leads to a credential, and lets it use that.

What calls those is known to the app of that, which adds its own `Finder` here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db.models import Model

from core.exceptions import ValidationFailed
from registry.models import Connection, Integration, Service
from registry.policies.credential_grants import GrantLine

Carrier = Service | Connection


@dataclass(frozen=True, slots=True)
class Dependant:
    """Something that calls what has a credential, and each use of it that it makes.

    `grant` lets it use the credential, as an actor, where it `is_waiting` for that; `withdraw`
    takes that back, for a reason, where it can be taken back.
    """

    row: Model
    title: str
    lines: Sequence[GrantLine]
    is_waiting: bool
    grant: Callable[[str], object]
    withdraw: Callable[[str, str], object] | None = None

    @property
    def holds_grant(self) -> bool:
        """Whether it may use the credential in a way that can be taken back."""
        return self.withdraw is not None

    @property
    def key(self) -> str:
        """What stands for it in requests."""
        return f"{self.row._meta.model_name}-{self.row.pk}"


Finder = Callable[[Carrier | Integration], Iterable[Dependant]]
_finders: list[Finder] = []


def add_finder(find: Finder) -> None:
    """Ask this function too for what uses a credential."""
    if find not in _finders:
        _finders.append(find)


def dependants_of(row: Carrier | Integration) -> Iterator[Dependant]:
    """Yield what calls a row with the credential that it leads to, granted or not."""
    if isinstance(row, Integration) or row.credential_id is not None:
        for find in _finders:
            yield from find(row)


@dataclass(frozen=True, slots=True)
class GrantChoice:
    """Which of what waits for a credential that is linked may use it: all, or by their keys.

    `answers` is the mark of the question that a person answered; None where nobody is asked.
    """

    allows_all: bool = False
    keys: frozenset[str] = frozenset()
    answers: str | None = None

    def allows(self, dependant: Dependant) -> bool:
        """Return whether it may use the credential."""
        return self.allows_all or dependant.key in self.keys


NONE = GrantChoice()


class GrantsUnanswered(ValidationFailed):
    """Something calls what gets a credential, and the person who links it was not asked of it."""

    dependants: Sequence[Dependant] = ()


def mark_of(waiting: Iterable[Dependant]) -> str:
    """Return what stands for the question whether these may use a credential."""
    asked = sorted(f"{each.key} {line.call}" for each in waiting for line in each.lines)
    return hashlib.sha256("\n".join(asked).encode()).hexdigest()[:32]


def settle_dependants(carrier: Carrier, *, actor: str, choice: GrantChoice) -> None:
    """Grant what waits for the credential that was linked, or note on the row what does.

    Each finder is asked after what the one before found was granted: one may lead to another.

    Raises:
        GrantsUnanswered: a person is to be asked first, and was not asked of what waits now.
    """
    if choice.answers is not None:
        waiting = [each for each in dependants_of(carrier) if each.is_waiting]
        if waiting and mark_of(waiting) != choice.answers:
            raise _unanswered(waiting)
    awaiting: list[str] = []
    for find in _finders if carrier.credential_id is not None else ():
        for dependant in find(carrier):
            if dependant.is_waiting and choice.allows(dependant):
                dependant.grant(actor)
            elif dependant.is_waiting:
                awaiting.append(dependant.title)
    carrier.awaiting_grant = awaiting  # type: ignore[union-attr]


def _unanswered(waiting: Sequence[Dependant]) -> GrantsUnanswered:
    who = f"The {waiting[0].title} calls" if len(waiting) == 1 else f"{len(waiting)} others call"
    sentence = f"{who} it already. Say above which may use this credential, and save again."
    error = GrantsUnanswered.at("credential", sentence)
    error.dependants = waiting
    return error
