"""Looks at one subject: asks it, and says what was seen."""

from __future__ import annotations

import structlog
from django.utils import timezone
from yarl import URL

from monitoring.checks.answers import judge
from monitoring.checks.decide import is_own_fault
from monitoring.checks.looks import Look, Seen
from monitoring.models import CheckErrorKind, CheckOutcome
from registry.calls.client import ServiceClient
from registry.calls.probes import HttpRequest, ProbeFailed, Reading

logger = structlog.get_logger(__name__)


async def see(look: Look, client: ServiceClient) -> Seen:
    """Look once, and return what was seen; whatever goes wrong here is no fault of theirs."""
    at = timezone.now()
    late_ms = max(int((at - look.due).total_seconds() * 1000), 0)
    reading: Reading | None = None
    try:
        reading = await _ask(look, client)
        kind, error = judge(reading, look.spec.conditions)
    except ProbeFailed as failure:
        kind, error = failure.kind, str(failure)
    except Exception as problem:
        logger.exception("look_failed", check=look.spec.name)
        kind, error = CheckErrorKind.INTERNAL.value, str(problem)[:200] or type(problem).__name__
    outcome = CheckOutcome.OK if not kind else CheckOutcome.FAIL
    if is_own_fault(kind):
        outcome = CheckOutcome.INCONCLUSIVE
    return Seen(
        look=look,
        at=at,
        outcome=str(outcome),
        error_kind=kind,
        error=error,
        latency_ms=reading.latency_ms if reading else None,
        status_code=reading.status if reading else None,
        certificate_ends_at=reading.certificate_ends_at if reading else None,
        late_ms=late_ms,
    )


async def _ask(look: Look, client: ServiceClient) -> Reading:
    request = HttpRequest(URL(look.url))
    return await client.ask(request, look.spec.plan.timeout_seconds)
