"""Bounds what a key, an address and all together have under way, waiting, and half received."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
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
        self._held: dict[str, int] = {}
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
        if caller != address and held.get(caller, 0) + amount > bounds.per_caller:
            raise self._too_many("key", bounds.per_caller, bounds.caller_setting)
        if held.get(address, 0) + amount > bounds.per_address:
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
        self._hold(address, amount)
        if caller != address:
            self._hold(caller, amount)

    def _hold(self, holder: str, amount: int) -> None:
        held = self._held.get(holder, 0) + amount
        if held:
            self._held[holder] = held
        else:
            self._held.pop(holder, None)


@dataclass(frozen=True)
class Lane:
    """The quotas of requests that take nothing from others."""

    under_way: Quota
    waiting: Quota


class Visit:
    """A request and what it is counted in, from when it is complete until it is answered."""

    __slots__ = ("_address", "_connection", "_is_safe", "_lane", "caller")

    def __init__(self, request: WebRequest, caller: str, lane: Lane) -> None:
        # The request itself refers to its visit: both would be left to the collector of garbage.
        self.caller = caller
        self._address = request.address
        self._is_safe = request.method in SAFE_METHODS
        self._connection: PeerConnection | None = request.scope.get(CONNECTION_KEY)
        self._lane = lane

    def begin(self) -> None:
        """Count the request among those under way, until `end`.

        Raises:
            Refused: there are too many.
        """
        self._lane.under_way.take(self.caller, self._address)

    def end(self) -> None:
        self._lane.under_way.give_back(self.caller, self._address)

    def set_aside(self) -> AbstractContextManager[None]:
        """Give the block in which the request is counted among those that wait.

        Where no more may wait, one that has changed nothing is refused; others stay under way.

        Raises, as the block does:
            Refused: see above.
            Disconnected: the caller of a request that changes nothing is gone.
        """
        try:
            self._lane.waiting.take(self.caller, self._address)
        except Refused:
            if self._is_safe:
                raise
            return nullcontext()
        self.end()
        # What others have begun is ended, whoever is still there.
        return _Aside(self, self._connection if self._is_safe else None)

    def resume(self) -> None:
        """Count a request that was set aside as under way again."""
        self._lane.waiting.give_back(self.caller, self._address)
        # It was let in before: it is not refused now.
        self._lane.under_way.take_anyway(self.caller, self._address)

    def while_connected(self) -> AbstractContextManager[None]:
        """Give a block in which waiting stops as soon as the caller is gone.

        Raises, as the block does:
            Disconnected: it is.
        """
        return _WhileConnected(self._connection)


class _WhileConnected(AbstractContextManager[None]):
    """A block that is left once a connection is lost.

    A class: thousands wait in such blocks, and a generator would take four times the memory.
    """

    __slots__ = ("_connection", "_task")

    def __init__(self, connection: PeerConnection | None) -> None:
        self._connection = connection  # none where a request is from within this process

    def __enter__(self) -> None:
        if self._connection is None:
            return
        if self._connection.is_lost():
            raise Disconnected
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._connection.when_lost = task.cancel

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._connection is None:
            return
        self._connection.when_lost = None
        was_cancelled = kind is asyncio.CancelledError and self._connection.is_lost()
        if was_cancelled and self._task.uncancel() == 0:
            raise Disconnected from None


class _Aside(_WhileConnected):
    """The block of a request that was set aside."""

    __slots__ = ("_visit",)

    def __init__(self, visit: Visit, connection: PeerConnection | None) -> None:
        super().__init__(connection)
        self._visit = visit

    def __enter__(self) -> None:
        try:
            super().__enter__()
        except Disconnected:
            self._visit.resume()
            raise

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._visit.resume()
        super().__exit__(kind, *rest)
