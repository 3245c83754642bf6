"""Much of a budget being used is an incident: once for each share of it in each period."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from model_orchestration import catalog
from model_orchestration.limits import Limit
from model_orchestration.models import ModelBudget, ProviderQuota, QuotaWindow
from model_orchestration.periods import day_of, piece_of
from monitoring.incidents import watch_fleet
from monitoring.models import Incident
from tests.model_orchestration.test_budgets import finish, make_budget, make_model, try_to_admit

NOW = timezone.now()
TODAY = day_of("ALL:", "UTC", NOW)


def look(days: int = 0) -> list[tuple[str, str, str]]:
    """Look at what is wrong now, and return what is an incident of budgets since the first."""
    catalog.forget()
    watch_fleet(now=NOW + timedelta(days=days))
    rows = Incident.objects.filter(subject="MODEL_BUDGET").order_by("opened_at", "id")
    return [(str(row.severity), str(row.status), row.cause.partition(" is")[0]) for row in rows]


def use(tokens: int, series: str = "ALL:", now: datetime = NOW) -> None:
    window = day_of(series, "UTC", now)
    QuotaWindow.objects.create(
        pk=window.id, series=window.series, starts_at=window.starts_at, ends_at=window.ends_at,
        used_tokens=tokens,
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_callers_who_pass_a_share_at_once_are_one_incident(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    make_model()
    make_budget(token_limit=1000, warn_at=[80, 95], on_exceed="WARN")
    catalog.forget()
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(_use, range(9)))
    for _ in range(2):
        assert look() == [("WARNING", "OPEN", "80 % of its tokens")]
    _use(0, tokens=60)
    assert look() == [
        ("WARNING", "RESOLVED", "80 % of its tokens"), ("WARNING", "OPEN", "95 % of its tokens"),
    ]  # fmt: skip


def _use(_: int, tokens: int = 100) -> None:
    admitted = try_to_admit()
    assert admitted is not None
    finish(admitted, tokens=tokens)
    connections.close_all()


def _raise_it() -> None:
    ModelBudget.objects.update(token_limit=5000)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("days", "change"), [(1, lambda: None), (0, _raise_it)], ids=["next period", "raised"]
)
def test_what_is_used_up_is_critical_until_there_is_more(
    days: int, change: Callable[[], None]
) -> None:
    make_budget(token_limit=1000)
    use(1000)
    assert look() == [("CRITICAL", "OPEN", "100 % of its tokens")]
    incident = Incident.objects.get()
    assert incident.about == "all"
    until = f"{TODAY.ends_at:%Y-%m-%d %H:%M} UTC."
    assert incident.cause.endswith(f"used. Requests are refused. It begins anew on {until}")
    change()
    assert [status for _, status, _ in look(days)] == ["RESOLVED"]


@pytest.mark.django_db
def test_next_period_is_an_incident_of_its_own() -> None:
    make_budget(token_limit=1000, warn_at=[80])
    use(800)
    look()
    QuotaWindow.objects.update(used_tokens=0)
    assert [status for _, status, _ in look()] == ["RESOLVED"]
    use(800, now=NOW + timedelta(days=1))
    assert [status for _, status, _ in look(days=1)] == ["RESOLVED", "OPEN"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("tokens", "fields", "severity"),
    [
        (499, {}, None),
        (500, {}, "WARNING"),
        (1000, {"warn_at": []}, None),
        (1000, {"warn_at": [80], "on_exceed": "WARN"}, "CRITICAL"),
        (0, {"token_limit": 0}, None),
    ],
)
def test_only_shares_that_warn_are_told(
    tokens: int, fields: dict[str, Any], severity: str | None
) -> None:
    make_budget(**{"token_limit": 1000, **fields})
    use(tokens)
    assert [each[0] for each in look()] == ([severity] if severity else [])


@pytest.mark.django_db
def test_quotas_and_rolling_budgets_are_told_too() -> None:
    ProviderQuota.objects.create(provider="OPENAI", daily_token_limit=100)
    use(80, "PROVIDER:openai")
    rolling = Limit("r", "ALL", "", "ROLLING", rolling_seconds=3600)
    make_budget(name="hourly", period="ROLLING", rolling_seconds=3600, token_limit=10)
    piece = piece_of("ALL:", 3600, NOW - timedelta(minutes=5))
    assert piece.series == rolling.window(NOW).series
    QuotaWindow.objects.create(
        pk=piece.id, series=piece.series, starts_at=piece.starts_at, ends_at=piece.ends_at,
        used_tokens=10,
    )  # fmt: skip
    for _ in range(2):
        look()
    told = Incident.objects.order_by("about").values_list("about", "severity", "status")
    assert list(told) == [
        ("hourly", "CRITICAL", "OPEN"), ("quota of OPENAI (day)", "WARNING", "OPEN"),
    ]  # fmt: skip
