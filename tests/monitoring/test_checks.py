"""Checks as they are carried out: claimed, looked at over the network, written."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from monitoring.checks.store import claim_due
from monitoring.checks.sweep import Sweeper
from monitoring.models import CheckState, HealthCheckResult
from registry.calls.blocking_client import close_shared_client
from tests.support.alerts import receiver
from tests.support.checks import make_check
from tests.support.waiting import until


@pytest.mark.django_db(transaction=True)
def test_what_is_due_is_asked_over_the_network_and_written() -> None:
    sweeper = Sweeper()
    with receiver() as server:
        make_check(url=server.url)

        def is_seen() -> bool:
            sweeper.sweep()
            return HealthCheckResult.objects.exists()

        until(is_seen)
    state = CheckState.objects.get()
    assert (state.state, state.outcome, state.error) == ("UP", "OK", "")
    assert state.next_due_at is not None
    assert state.next_due_at > timezone.now()
    close_shared_client()


@pytest.mark.django_db
def test_a_claim_holds_until_its_lease_ends() -> None:
    make_check()
    now = timezone.now()
    assert len(claim_due(now=now, until=now)) == 1
    assert claim_due(now=now, until=now) == []
    later = now + timedelta(seconds=91)
    assert len(claim_due(now=later, until=later)) == 1
