"""Bounds what a key, an address and all together have under way, waiting, and half received."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from core.api.exchange import WebRequest
from integration_site.front.sending import CONNECTION_KEY, PeerConnection

Receive = Callable[[], Awaitable[dict[str, Any]]]
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
RETRY_SECONDS = 1


class Refused(Exception):
    """A request is answered by the front, with a problem document."""

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class Disconnected(Exception):
    """The caller is gone."""


@dataclass(frozen=True)
class Bounds:
    """The most of something at once; `noun` and the names of settings are for the sentences."""

    noun: str
    per_caller: int
    per_address: int
    in_all: int
    caller_setting: str = ""
    address_setting: str = ""


class Quota:
    """Amounts that callers and addresses hold, within bounds. For one event loop."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._held: Counter[str] = Counter()
        self._total = 0

    def take(self, caller: str, address: str, amount: int = 1) -> None:
        """Hold so much more.

        Raises:
            Refused: the caller, the address or all together would hold more than they may.
        """
        bounds, held = self._bounds, self._held
        if self._total + amount > bounds.in_all:
            text = f"There are {bounds.in_all} {bounds.noun} here, as many as this process takes."
            raise Refused(503, text, retry_after=RETRY_SECONDS)
        if caller != address and held[caller] + amount > bounds.per_caller:
            raise self._too_many("key", bounds.per_caller, bounds.caller_setting)
        if held[address] + amount > bounds.per_address:
            raise self._too_many("address", bounds.per_address, bounds.address_setting)
        self._add(caller, address, amount)

    def _too_many(self, who: str, most: int, setting: str) -> Refused:
        allows = f"as many as {setting} allows" if setting else "as many as it may have"
        text = f"This {who} has {most} {self._bounds.noun}, {allows}. Try again soon."
        return Refused(429, text, retry_after=RETRY_SECONDS)

    def take_anyway(self, caller: str, address: str) -> None:
        """Hold one more, whatever the bounds are."""
        self._add(caller, address, 1)

    def give_back(self, caller: str, address: str, amount: int = 1) -> None:
        self._add(caller, address, -amount)

    def _add(self, caller: str, address: str, amount: int) -> None:
        self._total += amount
        for holder in {caller, address}:
            self._held[holder] += amount
            if not self._held[holder]:
                del self._held[holder]


@dataclass(frozen=True)
class Lane:
    """The quotas of requests that take nothing from others."""

    under_way: Quota
    waiting: Quota


class Visit:
    """A request and what it is counted in, from when it is complete until it is answered."""

    def __init__(self, request: WebRequest, caller: str, lane: Lane) -> None:
        # The request itself refers to its visit: both would be left to the collector of garbage.
        self.caller = caller
        self._address = request.address
        self._is_safe = request.method in SAFE_METHODS
        self._connection: PeerConnection | None = request.scope.get(CONNECTION_KEY)
        self._lane = lane

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count the request among those under way.

        Raises:
            Refused: there are too many.
        """
        self._lane.under_way.take(self.caller, self._address)
        try:
            yield
        finally:
            self._lane.under_way.give_back(self.caller, self._address)

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Count the request among those that wait, until the block ends.

        Where no more may wait, one that has changed nothing is refused; others stay under way.

        Raises:
            Refused: see above.
            Disconnected: the caller of a request that changes nothing is gone.
        """
        address, waiting = self._address, self._lane.waiting
        try:
            waiting.take(self.caller, address)
        except Refused:
            if self._is_safe:
                raise
            yield
            return
        self._lane.under_way.give_back(self.caller, address)
        try:
            if self._is_safe:
                with self.while_connected():
                    yield
            else:
                yield  # what it has begun is ended, whoever is still there
        finally:
            waiting.give_back(self.caller, address)
            # It was let in before: it is not refused now.
            self._lane.under_way.take_anyway(self.caller, address)

    @contextmanager
    def while_connected(self) -> Iterator[None]:
        """Stop waiting in the block as soon as the caller is gone.

        Raises:
            Disconnected: it is.
        """
        connection = self._connection
        if connection is None:  # asked from within this process
            yield
            return
        if connection.is_lost():
            raise Disconnected
        task = asyncio.current_task()
        assert task is not None
        connection.when_lost = task.cancel
        try:
            yield
        except asyncio.CancelledError:
            if not connection.is_lost() or task.uncancel() > 0:
                raise
            raise Disconnected from None
        finally:
            connection.when_lost = None
