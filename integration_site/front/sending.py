"""Sends answers in pieces, and keeps what slow peers leave untaken within bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from core.api.exchange import Headers, WebAnswer, WebRequest

Send = Callable[[dict[str, Any]], Awaitable[None]]
# Where the protocol keeps itself, in the scope of a request.
CONNECTION_KEY = "hub.connection"
MIB = 1024 * 1024
UNTAKEN_BYTES, UNTAKEN_BYTES_OF_ADDRESS = 128 * MIB, 64 * MIB
# A peer that takes an answer slowly has this much of it copied for it.
PIECE_BYTES = 64 * 1024


class PeerConnection(Protocol):
    """What is known of the other end; `when_lost` is called as soon as it is gone."""

    when_lost: Callable[[], object] | None

    def is_lost(self) -> bool:
        """Return whether nobody is there any more."""

    def is_stalled(self) -> bool:
        """Return whether the peer has taken nothing for a while."""

    def give_up(self, reason: str) -> None:
        """Drop the connection with what lies untaken."""


@dataclass(eq=False, frozen=True)
class _LargeAnswer:
    address: str
    size: int
    connection: PeerConnection | None


class Sending:
    """The large answers that are being sent. For one event loop.

    Where one more is too much, for its address or for all, those that have stalled are dropped, the
    oldest first.
    """

    def __init__(self) -> None:
        self._answers: dict[_LargeAnswer, None] = {}
        self._of_address: Counter[str] = Counter()
        self._total = 0

    async def send(self, answer: WebAnswer, request: WebRequest, send: Send) -> None:
        """Send an answer under the id of its request."""
        head, body, size = _head_of(answer, request), answer.body, len(answer.body)
        if size <= PIECE_BYTES:
            await send(head)
            await send({"type": "http.response.body", "body": body})
            return
        large = _LargeAnswer(request.address, size, request.scope.get(CONNECTION_KEY))
        self._add(large)
        try:
            await send(head)
            for at in range(0, size, PIECE_BYTES):
                piece = body[at : at + PIECE_BYTES]
                more = at + PIECE_BYTES < size
                await send({"type": "http.response.body", "body": piece, "more_body": more})
        finally:
            self._remove(large)

    async def stream(
        self, head: WebAnswer, parts: AsyncIterator[bytes], request: WebRequest, send: Send
    ) -> None:
        """Send the parts as they come, each once the peer has taken enough of those before."""
        start = _head_of(head, request)
        start["headers"] = [pair for pair in start["headers"] if pair[0] != b"content-length"]
        await send(start)
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _add(self, large: _LargeAnswer) -> None:
        self._answers[large] = None
        self._of_address[large.address] += large.size
        self._total += large.size
        if self._is_too_much(large.address):
            self._make_room(large.address)

    def _is_too_much(self, address: str) -> bool:
        of_address = self._of_address[address]
        return self._total > UNTAKEN_BYTES or of_address > UNTAKEN_BYTES_OF_ADDRESS

    def _make_room(self, address: str) -> None:
        for large in list(self._answers):
            if not self._is_too_much(address):
                return
            is_concerned = self._total > UNTAKEN_BYTES or large.address == address
            if is_concerned and large.connection and large.connection.is_stalled():
                self._remove(large)
                large.connection.give_up("More answers lie untaken than this process keeps.")

    def _remove(self, large: _LargeAnswer) -> None:
        if large in self._answers:
            del self._answers[large]
            self._total -= large.size
            self._of_address[large.address] -= large.size
            if not self._of_address[large.address]:
                del self._of_address[large.address]


def _head_of(answer: WebAnswer, request: WebRequest) -> dict[str, Any]:
    headers = [*_encoded(answer.headers)]
    headers.append((b"x-request-id", request.request_id.encode("latin-1")))
    if answer.status not in (204, 304):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


@lru_cache(2048)  # answers of one kind have the same
def _encoded(headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers
        if name.lower() not in ("x-request-id", "content-length")
    )
