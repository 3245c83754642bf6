"""Reads an answer without ever holding more of it than is allowed, however it is compressed.

aiohttp would inflate each piece as it comes, and a small piece can be a thousand times as much. So
answers come as they were sent, and are inflated here, up to the limit and not a byte beyond.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import aiohttp

ACCEPTED = "gzip, deflate"
_PIECE = 65536
_GZIP, _ZLIB, _RAW = 31, 15, -15


class TooLarge(ValueError):
    """The answer is larger than was allowed."""


class WrongEncoding(ValueError):
    """The answer is not encoded as it says, or in a way that was not asked for."""


async def read_answer(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the whole body, inflated.

    Raises:
        TooLarge: it has more than `most` bytes, as it came or inflated.
        WrongEncoding: it cannot be inflated.
    """
    body, received = bytearray(), 0
    inflate: Inflater | None = None
    async for piece in response.content.iter_chunked(_PIECE):
        received += len(piece)
        if received > most:
            raise TooLarge
        inflate = inflate or inflater_of(response)
        for part in inflate.feed(piece, _PIECE):
            body += part
            if len(body) > most:
                raise TooLarge
    if inflate is not None:
        inflate.finish()
    return bytes(body)


def inflater_of(response: aiohttp.ClientResponse) -> Inflater:
    """Return what inflates the body of an answer. Raises: WrongEncoding."""
    return Inflater(response.headers.get("Content-Encoding", ""))


class Inflater:
    """Inflates one body, piece by piece, in parts of a bounded size."""

    def __init__(self, encoding: str) -> None:
        self._name = encoding.strip().lower()
        if self._name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise WrongEncoding(
                f"The answer is encoded as '{encoding[:50]}', which was not asked for."
            )
        self._stream: Any = None

    def feed(self, data: bytes, most: int) -> Iterator[bytes]:
        """Yield the content of this piece, in parts of at most `most` bytes.

        Raises:
            WrongEncoding: it is not what it says to be.
        """
        if self._name in ("", "identity"):
            yield data
            return
        if self._stream is None and data:
            self._stream = zlib.decompressobj(self._window(data))
        try:
            yield from self._inflate(data, most)
        except zlib.error:
            raise WrongEncoding(f"The answer is no {self._name}, though it says so.") from None

    def _inflate(self, data: bytes, most: int) -> Iterator[bytes]:
        while data:
            if self._stream.eof:
                if self._name == "deflate":
                    return
                # A gzip file may consist of several, one after the other (RFC 1952, 2.2).
                self._stream = zlib.decompressobj(_GZIP)
            yield self._stream.decompress(data, most)
            data = self._stream.unconsumed_tail or self._stream.unused_data

    def _window(self, data: bytes) -> int:
        """Return the window bits; some servers send deflate without the header of RFC 9110."""
        if self._name != "deflate":
            return _GZIP
        return _ZLIB if data[0] & 0x0F == 8 else _RAW

    def finish(self) -> None:
        """Refuse a body that ended in the middle.

        Raises:
            WrongEncoding: it ended in the middle.
        """
        if self._stream is not None and not self._stream.eof:
            raise WrongEncoding("The answer ends in the middle of its compressed data.")
