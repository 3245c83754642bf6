"""Looks at a check now, whether or not it is stored, and says what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from core.exceptions import Conflict
from monitoring.checks.answers import all_wrong, judge
from monitoring.checks.decide import SubjectFacts
from monitoring.checks.kinds import check_conditions
from monitoring.checks.looking import outcome_of, see
from monitoring.checks.looks import Look, Seen
from monitoring.checks.reading import host_of, silence_of, spec_of, url_at
from monitoring.models import CheckKind, CheckOutcome, CheckStatus, HealthCheck
from registry.calls.blocking_client import on_shared_loop
from registry.calls.client import ServiceClient
from registry.calls.probes import Reading

MOST_TRIED = 20


def begin_trial(check: HealthCheck) -> Future[list[Seen]]:
    """Begin to look at a check now, at most 20 of its subjects; nothing is recorded.

    Raises:
        Conflict: a job calls it, and nothing can be looked at.
    """
    looks = _looks(check)

    async def look(client: ServiceClient) -> list[Seen]:
        return [await see(each, client) for each in looks]

    return on_shared_loop(look)


@dataclass(frozen=True, slots=True)
class Tried:
    """What a look came to, with all that is wrong with the answer and not only the first."""

    seen: Seen
    wrong: Sequence[str]


def begin_close_trial(check: HealthCheck) -> Future[list[Tried]]:
    """Begin to look at a check now, for a person who wants to know all that is wrong.

    Raises:
        Conflict: a job calls it, and nothing can be looked at.
    """
    looks = _looks(check)

    async def look(client: ServiceClient) -> list[Tried]:
        return [await _try(each, client) for each in looks]

    return on_shared_loop(look)


async def _try(look: Look, client: ServiceClient) -> Tried:
    read: list[Reading] = []
    seen = await see(look, client, on_reading=read.append)
    if not read or seen.outcome == CheckOutcome.INCONCLUSIVE:
        return Tried(seen, [seen.error] if seen.error else [])
    return Tried(seen, all_wrong(look.spec.kind, read[0], look.spec.conditions, now=seen.at))


def _looks(check: HealthCheck) -> Sequence[Look]:
    if check.kind == CheckKind.PUSH:
        raise Conflict("A job calls this check: there is nothing to look at.")
    now, spec = timezone.now(), spec_of(check)
    facts = SubjectFacts(state=CheckStatus.UNKNOWN, since=now)

    def look(url: str, key: Any = None, missed: str = "") -> Look:
        return Look(spec, check.pk, 0, key, url, host_of(url), now, facts, missed=missed)

    if check.service is None:
        return [look(check.url)]
    instances = check.service.instances.select_related("service").order_by("url")[:MOST_TRIED]
    return [look(url_at(each, spec), each.pk, silence_of(each, spec, at=now)) for each in instances]


def describe_seen(seen: Seen) -> dict[str, Any]:
    """Return what was seen, as it is answered."""
    return {
        "url": seen.look.url,
        "outcome": seen.outcome,
        "error_kind": seen.error_kind,
        "error": seen.error,
        "latency_ms": seen.latency_ms,
        "status_code": seen.status_code,
        "certificate_expires_at": seen.certificate_ends_at,
        "checked_at": seen.at,
    }


def preview(
    *, status: int, body: str, headers: dict[str, str], latency_ms: float, conditions: Any
) -> dict[str, Any]:
    """Return how an HTTP answer that is given would be judged. Raises: ValidationFailed."""
    kept = check_conditions(CheckKind.HTTP, conditions)
    reading = Reading(latency_ms, status, headers, body.encode())
    kind, error = judge(CheckKind.HTTP, reading, kept, now=timezone.now())
    return {"outcome": outcome_of(kind), "error_kind": kind, "error": error}
