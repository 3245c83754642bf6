"""Rounds of looks without a network: what is due is claimed, answered and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from core.db.pipeline import pipelined_transaction
from monitoring.checks.looks import Look, Seen, StateChange
from monitoring.checks.reading import looks_of
from monitoring.checks.store import claim_due, write
from monitoring.checks.subjects import keep_subjects
from monitoring.checks.sweep import tell_registry
from monitoring.models import CheckState, HealthCheck
from registry.calls.health_probe import Probe

Prober = Callable[[Sequence[str]], Sequence[Probe]]


def make_check(name: str = "shop", **fields: Any) -> HealthCheck:
    """A stored check by URL whose first look is due."""
    given = {"kind": "HTTP", "url": "http://127.0.0.1:9/", **fields}
    check = HealthCheck.objects.create(name=name, **given)
    now = timezone.now()
    CheckState.objects.create(health_check=check, since=now, next_due_at=now)
    return check


def look(answer: Callable[[Look], Seen], *, now: datetime) -> list[StateChange]:
    """One round at a time: what `answer` says was seen of everything that is due."""
    keep_subjects(now=now)
    # What is new is looked at within ten seconds: here, now.
    CheckState.objects.filter(last_result_at=None, next_due_at__gt=now).update(next_due_at=now)
    with pipelined_transaction():
        looks = looks_of(claim_due(now=now, until=now), now=now)
        seen = [answer(each) for each in looks]
        changes = write(seen)
    tell_registry(seen, now=now)
    return changes


def probe_due(*, now: datetime, prober: Prober) -> list[StateChange]:
    """One round in which a prober answers for the URLs."""

    def answer(each: Look) -> Seen:
        (said,) = prober([each.url])
        if said.healthy:
            return Seen(each, now, "OK", latency_ms=said.latency_ms, status_code=said.status_code)
        return Seen(each, now, "FAIL", "STATUS", said.error, status_code=said.status_code)

    return look(answer, now=now)
