"""Asks an instance how it is."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import aiohttp
from yarl import URL

from registry.calls.body_reader import read_start
from registry.calls.connection_errors import describe_connection_error
from registry.calls.error_responses import describe_error_response
from registry.network.address_policy import AddressPolicy
from registry.network.dialer import refusal_in, refusal_of

PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class Probe:
    """The answer of a health URL. `latency_ms` is None when there was no answer."""

    url: str
    healthy: bool
    status_code: int | None
    latency_ms: float | None
    error: str


async def probe(session: aiohttp.ClientSession, url: str, policy: AddressPolicy) -> Probe:
    """GET a health URL: healthy is a 2xx within five seconds."""
    started = time.perf_counter()
    try:
        target = URL(url)
        if refused := refusal_of(target, policy):
            return Probe(url, False, None, None, f"not asked: {refused}")
        async with asyncio.timeout(PROBE_SECONDS):
            async with session.get(target, allow_redirects=False) as response:
                body = await read_start(response, 65536)
                latency = round((time.perf_counter() - started) * 1000, 1)
                healthy = 200 <= response.status < 300
                error = f"answered {response.status}{describe_error_response(body)}"
                return Probe(url, healthy, response.status, latency, "" if healthy else error)
    except TimeoutError:
        return Probe(url, False, None, None, f"no answer within {PROBE_SECONDS:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as problem:
        refusal = refusal_in(problem)
        error = f"not asked: {refusal}" if refusal else describe_connection_error(problem)
        return Probe(url, False, None, None, error)
