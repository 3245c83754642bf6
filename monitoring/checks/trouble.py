"""What is wrong now, as the states of checks say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from monitoring.checks.decide import NETWORK_FAULTS, certificate_step
from monitoring.models import CheckOutcome, CheckState, CheckStatus, HealthCheck

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class CheckTrouble:
    """Something that is wrong of a check, in words; `is_severe` where it is as bad as it gets."""

    check: HealthCheck
    cause: str
    is_severe: bool = True


def checks_down(unresolved: Collection[UUID]) -> Iterator[CheckTrouble]:
    """Find checks that are down; not those of health URLs, which decide the status of services.

    While one flaps, that is told, and nothing new.
    """
    rows = _states().filter(down_since__isnull=False, health_check__is_automatic=False)
    for check, states in _by_check(rows):
        if any(each.flapping for each in states) and check.pk not in unresolved:
            continue
        yield CheckTrouble(check, _on_down(states), check.severity == "CRITICAL")


def checks_flapping() -> Iterator[CheckTrouble]:
    """Find checks whose subjects go up and down too often to tell each time."""
    for check, states in _by_check(_states().filter(flapping=True)):
        at = _places(states)
        cause = f"It goes up and down too often to tell each time{at}."
        yield CheckTrouble(check, cause, is_severe=False)


def certificates_ending(now: datetime) -> Iterator[CheckTrouble]:
    """Find certificates that ended, or do so soon."""
    rows = _states().filter(certificate_expires_at__isnull=False)
    for check, states in _by_check(rows):
        ends = min(each.certificate_expires_at for each in states if each.certificate_expires_at)
        step = certificate_step(ends, now=now, days=check.conditions.get("certificate_days"))
        if step is None:
            continue
        when = f"{ends:%Y-%m-%d %H:%M} UTC"
        soon = f"in less than {step} day{'' if step == 1 else 's'}, on {when}"
        cause = f"Its certificate ended on {when}." if step == 0 else f"It ends {soon}: renew it."
        yield CheckTrouble(check, cause, is_severe=step <= 7)


def count_blind() -> int:
    """Return of how many subjects the hub could not tell how they are, by a fault of its own."""
    rows = _states().filter(outcome=CheckOutcome.INCONCLUSIVE)
    return rows.filter(error_kind__in=NETWORK_FAULTS).count()


def _states() -> QuerySet[CheckState]:
    rows = CheckState.objects.exclude(state=CheckStatus.PAUSED)
    return rows.select_related("health_check__service", "instance")


def _by_check(rows: QuerySet[CheckState]) -> Iterator[tuple[HealthCheck, list[CheckState]]]:
    found: dict[UUID, list[CheckState]] = defaultdict(list)
    for state in rows.order_by("health_check__name"):
        found[state.health_check_id].append(state)
    for states in found.values():
        yield states[0].health_check, states


def _on_down(states: list[CheckState]) -> str:
    since = min(each.down_since for each in states if each.down_since)
    error = next((each.error for each in states if each.error), "") or "it does not answer well"
    return f"Down since {since:%Y-%m-%d %H:%M:%S} UTC{_places(states)}: {error.rstrip('.')}."


def _places(states: list[CheckState]) -> str:
    urls = [each.instance.url for each in states if each.instance]
    if not urls:
        return ""
    more = f" and {len(urls) - MOST_NAMED} more" if len(urls) > MOST_NAMED else ""
    return f" at {', '.join(urls[:MOST_NAMED])}{more}"
