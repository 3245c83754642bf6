"""Looks at one subject: asks it, and says what was seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import structlog
from django.utils import timezone
from yarl import URL

from monitoring.checks.answers import judge
from monitoring.checks.decide import is_own_fault
from monitoring.checks.looks import CheckSpec, Look, Seen
from monitoring.models import CheckErrorKind, CheckKind, CheckOutcome
from registry.calls.client import ServiceClient
from registry.calls.probes import (
    HttpRequest,
    ProbeFailed,
    Reading,
    connect,
    read_certificate,
    resolve_name,
)

logger = structlog.get_logger(__name__)


async def see(
    look: Look, client: ServiceClient, *, on_reading: Callable[[Reading], None] | None = None
) -> Seen:
    """Look once, and return what was seen; whatever goes wrong here is no fault of theirs.

    `on_reading` is given the whole answer, of which what is seen keeps little.
    """
    at = timezone.now()
    late_ms = max(int((at - look.due).total_seconds() * 1000), 0)
    spec = look.spec
    reading: Reading | None = None
    try:
        if look.missed:
            kind, error = CheckErrorKind.MISSED.value, look.missed
        elif spec.kind == CheckKind.HEARTBEAT:
            kind, error = "", ""
        else:
            reading = await _ask(look, client)
            if on_reading:
                on_reading(reading)
            kind, error = judge(spec.kind, reading, spec.conditions, now=at)
    except ProbeFailed as failure:
        kind, error = failure.kind, str(failure)
    except Exception as problem:
        logger.exception("look_failed", check=spec.name)
        kind, error = CheckErrorKind.INTERNAL.value, str(problem)[:200] or type(problem).__name__
    return Seen(
        look=look,
        at=at,
        outcome=outcome_of(kind),
        error_kind=kind,
        error=error,
        latency_ms=reading.latency_ms if reading else None,
        status_code=reading.status if reading else None,
        certificate_ends_at=reading.certificate_ends_at if reading else None,
        late_ms=late_ms,
    )


def outcome_of(error_kind: str) -> str:
    """Return what a look came to that failed in this way, or did not: then it is empty."""
    if not error_kind:
        return str(CheckOutcome.OK)
    own = is_own_fault(error_kind)
    return str(CheckOutcome.INCONCLUSIVE if own else CheckOutcome.FAIL)


async def _ask(look: Look, client: ServiceClient) -> Reading:
    spec, seconds = look.spec, float(look.spec.plan.timeout_seconds)
    url = _url(look.url)
    host, port, policy = url.raw_host or "", url.port or 0, client.policy
    if spec.kind == CheckKind.HTTP:
        return await client.ask(_request(url, spec), seconds)
    if spec.kind == CheckKind.DNS:
        return await resolve_name(host, policy, seconds)
    if spec.kind == CheckKind.TLS:
        return await read_certificate(host, port or 443, policy, seconds)
    reads = bool(spec.conditions.get("keyword"))
    return await connect(host, port, policy, seconds, reads=reads)


@lru_cache(maxsize=8192)
def _url(text: str) -> URL:
    return URL(text, encoded=True)


def _request(url: URL, spec: CheckSpec) -> HttpRequest:
    asked: Any = spec.request
    if not asked:
        return HttpRequest(url)
    body = asked.get("body")
    return HttpRequest(
        url,
        method=asked.get("method", "GET"),
        headers=asked.get("headers", {}),
        body=body.encode() if body else None,
        redirects=asked.get("redirects", 0),
    )
