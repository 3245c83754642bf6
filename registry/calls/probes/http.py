"""Asks a URL, reads its answer up to a bound, and tells why none came."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import aiohttp
from yarl import URL

from registry.calls.body_reader import WrongEncoding, inflater_of
from registry.calls.connection_errors import describe_connection_error
from registry.calls.probes.certificates import end_of
from registry.calls.probes.reading import ProbeFailed, Reading
from registry.network.address_policy import AddressPolicy, AddressRefused
from registry.network.dialer import refusal_in, refusal_of

MOST_READ = 256 * 1024
_PIECE = 65_536


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is sent to a URL. `redirects` is how many are followed, each held to the policy."""

    url: URL
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    redirects: int = 0


async def ask(
    session: aiohttp.ClientSession, request: HttpRequest, policy: AddressPolicy, seconds: float
) -> Reading:
    """Send a request and return what was answered, up to its last byte, within so many seconds.

    Raises:
        ProbeFailed: nothing usable came.
    """
    started = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            reading = await _exchange(session, request, policy)
    except TimeoutError:
        raise ProbeFailed("TIMEOUT", f"no answer within {seconds:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise to_failure(error) from None
    reading.latency_ms = round((time.perf_counter() - started) * 1000, 1)
    return reading


async def _exchange(
    session: aiohttp.ClientSession, request: HttpRequest, policy: AddressPolicy
) -> Reading:
    url, left = request.url, request.redirects
    while True:
        if refused := refusal_of(url, policy):
            raise ProbeFailed("POLICY", f"not asked: {refused}")
        async with session.request(
            request.method,
            url,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
        ) as response:
            target = response.headers.get("Location")
            if not (left and target and response.status in (301, 302, 303, 307, 308)):
                ends = _certificate_end(response) if url.scheme == "https" else None
                body = await _read(response)
                return Reading(
                    0.0, response.status, response.headers, body, certificate_ends_at=ends
                )
            left -= 1
            url = url.join(URL(target))


def _certificate_end(response: aiohttp.ClientResponse) -> datetime | None:
    connection = response.connection
    if connection is None or connection.transport is None:
        return None
    return end_of(connection.transport.get_extra_info("ssl_object"))


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body, inflated, up to the bound; what cannot be inflated is as good as empty."""
    try:
        inflate = inflater_of(response)
        body = bytearray()
        async for piece in response.content.iter_chunked(_PIECE):
            for part in inflate.feed(piece, _PIECE):
                body += part
                if len(body) >= MOST_READ:
                    return bytes(body[:MOST_READ])
    except WrongEncoding:
        return b""
    return bytes(body)


def to_failure(error: BaseException) -> ProbeFailed:
    """Return what an error of a socket, of TLS or of HTTP means for who asked."""
    refusal = error if isinstance(error, AddressRefused) else refusal_in(error)
    if refusal is not None:
        return ProbeFailed("POLICY", f"not asked: {refusal}")
    return ProbeFailed(_kind_of(error), describe_connection_error(error))


def _kind_of(error: BaseException) -> str:
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    if isinstance(inner or error, ssl.SSLError | ssl.CertificateError):
        return "TLS"
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(
        inner or error, socket.gaierror
    ):
        return "DNS"
    if isinstance(inner or error, TimeoutError):
        return "TIMEOUT"
    return "CONNECT"
