"""Asks an instance how it is."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from yarl import URL

from registry.calls.error_responses import describe_error_response
from registry.calls.probes import HttpRequest, ProbeFailed, ask
from registry.network.address_policy import AddressPolicy

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
    try:
        request = HttpRequest(URL(url))
        reading = await ask(session, request, policy, PROBE_SECONDS)
    except ValueError:
        return Probe(url, False, None, None, "the URL cannot be asked")
    except ProbeFailed as failure:
        return Probe(url, False, None, None, str(failure))
    status = reading.status or 0
    if 200 <= status < 300:
        return Probe(url, True, status, reading.latency_ms, "")
    error = f"answered {status}{describe_error_response(reading.body)}"
    return Probe(url, False, status, reading.latency_ms, error)
