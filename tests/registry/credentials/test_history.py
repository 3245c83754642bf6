"""The audit trail of credentials is pruned by age, a bounded batch at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from core.db import retention
from core.db.uuid7 import uuid7, uuid7_at
from registry.credentials.audit import forget_events
from registry.models import CredentialEvent
from tests.support.credentials import make_credential

pytestmark = pytest.mark.django_db


def add_entry(days: float) -> CredentialEvent:
    """An entry of so many days ago; what it is about is gone."""
    at = timezone.now() - timedelta(days=days)
    return CredentialEvent.objects.create(
        id=uuid7_at(at), credential_id=uuid7(), credential_name="gone", kind="USED"
    )


def test_a_moment_divides_the_ids_before_from_those_after() -> None:
    before, moment, after = uuid7(), timezone.now() + timedelta(milliseconds=2), uuid7()
    assert before < uuid7_at(moment)
    assert uuid7_at(timezone.now() - timedelta(milliseconds=100)) < after


def test_old_entries_go_and_younger_ones_stay(settings: object) -> None:
    settings.CREDENTIAL_HISTORY_DAYS = 30  # type: ignore[attr-defined]
    make_credential("BEARER_TOKEN")
    old, young = add_entry(31), add_entry(29)
    assert forget_events(now=timezone.now()) == 1
    kept = set(CredentialEvent.objects.values_list("credential_name", "kind"))
    assert kept == {("gone", "USED"), ("bearer-token-1", "CREATED")}
    assert CredentialEvent.objects.filter(pk=young.pk).exists()
    assert not CredentialEvent.objects.filter(pk=old.pk).exists()


def test_a_batch_at_a_time_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "LARGEST_PURGE", 2)
    entries = [add_entry(500 - number) for number in range(3)]
    assert forget_events(now=timezone.now()) == 2
    assert CredentialEvent.objects.get() == entries[-1]
    assert forget_events(now=timezone.now()) == 1
    assert forget_events(now=timezone.now()) == 0


def test_nothing_is_dropped_where_it_is_kept_for_ever(settings: object) -> None:
    settings.CREDENTIAL_HISTORY_DAYS = 0  # type: ignore[attr-defined]
    add_entry(5000)
    assert forget_events(now=timezone.now()) == 0


def test_it_costs_the_same_however_much_stays(
    django_assert_num_queries: object,
) -> None:
    for number in range(20):
        add_entry(1 + number / 1000)
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert forget_events(now=timezone.now()) == 0
