"""Receives bodies within limits of size and time, before a thread is taken for them."""

from __future__ import annotations

import asyncio

from core.api.exchange import WebRequest
from integration_site.front.quotas import Disconnected, Quota, Receive, Refused

# More than any endpoint takes: what is refused is refused by the one that knows its limit.
MOST_BYTES = 2 * 1024 * 1024 + 1
# Recordings are what is sent that is large, by canonical path.
MOST_AUDIO_BYTES = 26 * 1024 * 1024
_LARGER = {
    f"{root}/audio/{name}": MOST_AUDIO_BYTES
    for root, names in (
        ("/v1", ("transcriptions", "translations")),
        ("/models", ("transcription", "translation")),
    )
    for name in names
}
# As Apache's mod_reqtimeout has it: a body has so long, and a second more for each that many bytes.
BODY_SECONDS = 10.0
BYTES_A_SECOND = 32 * 1024
STOPPING_SECONDS = 1.0


class Receiving:
    """The bodies that are on their way; `held` counts their bytes until they are answered."""

    def __init__(self, held: Quota) -> None:
        self._held = held
        self._deadlines: set[asyncio.Timeout] = set()

    async def body_of(self, request: WebRequest, receive: Receive) -> bytes:
        """Return the whole body of a request.

        Raises:
            Refused: it is too large, too slow, or too much with what comes in beside it.
            Disconnected: the caller is gone.
        """
        headers = request.headers
        if "content-length" not in headers and "transfer-encoding" not in headers:
            return b""
        most = _LARGER.get(request.path, MOST_BYTES)
        if int(headers.get("content-length") or 0) > most:
            raise Refused(413, _too_large(most))
        try:
            async with asyncio.timeout(BODY_SECONDS) as deadline:
                self._deadlines.add(deadline)
                try:
                    return await self._receive(request, receive, deadline, most)
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError:
            text = "The body did not come in time: within 10 seconds and one more for each 32 KiB."
            raise Refused(408, text) from None

    async def _receive(
        self, request: WebRequest, receive: Receive, deadline: asyncio.Timeout, most: int
    ) -> bytes:
        started = asyncio.get_running_loop().time()
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                part = message.get("body", b"")
                if size + len(part) > most:
                    raise Refused(413, _too_large(most))
                parts.append(part)
                if not message.get("more_body"):
                    return b"".join(parts)
                self._held.take(request.address, request.address, len(part))
                size += len(part)
                deadline.reschedule(started + BODY_SECONDS + size / BYTES_A_SECOND)
        finally:
            self._held.give_back(request.address, request.address, size)

    def keep(self, request: WebRequest) -> None:
        """Count the body of a request until it is let go.

        Raises:
            Refused: it is too much with others that are not answered yet.
        """
        if request.body:
            self._held.take(request.address, request.address, len(request.body))

    def let_go(self, request: WebRequest) -> None:
        if request.body:
            self._held.give_back(request.address, request.address, len(request.body))

    def hurry(self) -> None:
        """Give what is still on its way one more second: the process stops."""
        soon = asyncio.get_running_loop().time() + STOPPING_SECONDS
        for deadline in self._deadlines:
            deadline.reschedule(min(deadline.when() or soon, soon))


def _too_large(most: int) -> str:
    return f"The request is larger than {most // 1024 // 1024} MiB."
