"""Keeps the connections of a process to a number, and looks at each of them once a second."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.peers import is_in_networks

if TYPE_CHECKING:
    from integration_site.front.protocol import FrontProtocol

LOOK_SECONDS = 1.0
# Of all connections together; beyond, those that have waited longest for their peer are dropped.
UNTAKEN_BYTES = 64 * 1024 * 1024


class Connections:
    """Every connection of a process. For one event loop.

    Where one more is too many, the one that has been idle for longest makes room: of the same
    address if that has as many as it may, of any if all have. Addresses of trusted proxies speak
    for many, so only the number of all holds for them.
    """

    def __init__(self, *, most: int, per_address: int, trusted: Sequence[str] = ()) -> None:
        self._most = most
        self._per_address = per_address
        self._trusted = trusted
        self._all: dict[FrontProtocol, None] = {}
        self._idle: dict[FrontProtocol, None] = {}  # the one that is idle for longest first
        self._by_address: Counter[str] = Counter()
        self._next_look: asyncio.TimerHandle | None = None

    def admit(self, connection: FrontProtocol) -> str:
        """Count a new connection; return why there is no room for it, or nothing."""
        address = connection.address
        sentence = self._make_room(address)
        self._all[connection] = None
        self._by_address[address] += 1
        if not sentence:
            self._idle[connection] = None
        if self._next_look is None:
            self._look_later(connection.loop)
        return sentence

    def _make_room(self, address: str) -> str:
        number = self._by_address[address]
        if number >= self._per_address and not is_in_networks(address, self._trusted):
            idle = next((each for each in self._idle if each.address == address), None)
            sentence = f"{address} has {number} connections here, as many as an address may have."
        elif len(self._all) >= self._most:
            idle = next(iter(self._idle), None)
            sentence = f"All {self._most} connections of this process are in use."
        else:
            return ""
        if idle is None:
            return sentence
        self.forget(idle)
        idle.transport.abort()
        return ""

    def forget(self, connection: FrontProtocol) -> None:
        self._idle.pop(connection, None)
        if connection in self._all:
            del self._all[connection]
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]

    def note_idle(self, connection: FrontProtocol) -> None:
        if connection in self._all:
            self._idle[connection] = None

    def note_busy(self, connection: FrontProtocol) -> None:
        self._idle.pop(connection, None)

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next_look = loop.call_later(LOOK_SECONDS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next_look = None
        now = loop.time()
        untaken = {each: size for each in list(self._all) if (size := each.look_at(now))}
        total = sum(untaken.values())
        for connection, size in untaken.items():
            if total <= UNTAKEN_BYTES:
                break
            connection.give_up("Answers lie untaken beyond what this process keeps.")
            total -= size
        if self._all:
            self._look_later(loop)
