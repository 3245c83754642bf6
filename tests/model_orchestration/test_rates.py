"""What models are sent in a minute, and pauses that providers ask for: counted by all processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from django.db import connections
from django.utils import timezone

from model_orchestration import catalog
from model_orchestration.acceptance import Purpose, admit
from model_orchestration.adapters.base import ModelCall
from model_orchestration.calls.pauses import pauses
from model_orchestration.exceptions import RateExceeded
from model_orchestration.limits import Spender
from model_orchestration.models import (
    Model,
    ModelRoute,
    QuotaWindow,
    Request,
    RequestState,
    RequestType,
)
from model_orchestration.outcomes import ModelAttempt, RequestOutcome
from model_orchestration.services.history import drop_requests
from model_orchestration.settlement import write_outcomes
from tests.support.connections import make_connection
from tests.support.model_providers import Provider, answering, refusing

HELLO: Any = [{"role": "user", "content": "Say hello."}]
# 23 tokens of input at most, and 77 of output.
CALL = ModelCall(RequestType.COMPLETION, {"prompt": "a" * 7, "max_tokens": 77})
ALICE = Purpose(Spender("id-1", "alice"))
NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=timezone.get_default_timezone())


def make_rated(name: str = "m", **fields: Any) -> Model:
    return Model.objects.create(
        name=name, connection=make_connection(), capabilities=["COMPLETION"], provider="CUSTOM",
        **fields,
    )  # fmt: skip


def is_admitted(_: object = None) -> bool:
    try:
        admit(CALL, "m", ALICE)
    except RateExceeded:
        return False
    finally:
        if threading.current_thread() is not threading.main_thread():
            connections.close_all()
    return True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("rates", "most"), [({"rpm": 5}, 5), ({"tpm": 300}, 3)])
def test_callers_who_ask_at_once_are_sent_as_many_as_a_minute_allows(
    rates: dict[str, Any], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_rated(**rates)
    catalog.forget()
    monkeypatch.setattr(timezone, "now", lambda: NOON)
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(is_admitted, range(16))) == most
    assert not is_admitted()
    monkeypatch.setattr(timezone, "now", lambda: NOON + timedelta(seconds=30))
    assert is_admitted()


@pytest.mark.django_db
def test_refusal_says_when_and_a_route_asks_the_next_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_rated(rpm=1)
    make_rated("other")
    ModelRoute.objects.create(name="both", targets=[{"model": "m"}, {"model": "other"}])
    monkeypatch.setattr(timezone, "now", lambda: NOON)
    served = [admit(CALL, "both", ALICE).plan.targets[0].model for _ in range(2)]
    assert served == ["m", "other"]
    with pytest.raises(RateExceeded, match="'m' is sent 1 requests in a minute") as refused:
        admit(CALL, "m", ALICE)
    assert (refused.value.status_code, refused.value.retry_after) == (429, 30)
    assert Request.objects.filter(state="REFUSED").get().error_code == "rate_limit_exceeded"


@pytest.mark.django_db
def test_what_was_sent_counts_also_if_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    make_rated(rpm=3, tpm=1000)
    monkeypatch.setattr(timezone, "now", lambda: NOON)
    accepted = admit(CALL, "m", ALICE)
    failed = [ModelAttempt("m", 1, "UNAVAILABLE", 503), ModelAttempt("m", 1, "UNAVAILABLE", 503)]
    write_outcomes([RequestOutcome(accepted.id, RequestState.FAILED, None, attempts=failed)])
    window = QuotaWindow.objects.get()
    assert (window.used_requests, window.reserved_requests, window.used_tokens) == (2, 0, 0)
    assert [is_admitted(), is_admitted()] == [True, False]


@pytest.mark.django_db
def test_windows_of_minutes_and_pieces_are_dropped_once_they_count_no_more() -> None:
    now = timezone.now()
    for series, hours in (("a:MINUTE", 25), ("b:MINUTE", 23), ("c:ROLLING:3600", 26),
                          ("d:ROLLING:7200", 25.5), ("e:DAY:UTC", 2000)):  # fmt: skip
        ends_at = now - timedelta(hours=hours)
        QuotaWindow.objects.create(series=series, starts_at=ends_at, ends_at=ends_at)
    assert drop_requests(now=now) == 2
    left = sorted(QuotaWindow.objects.values_list("series", flat=True))
    assert left == ["b:MINUTE", "d:ROLLING:7200", "e:DAY:UTC"]


# --- Pauses, through the hub ---


@pytest.fixture
def ask(hub: str, key: str) -> Callable[..., httpx2.Response]:
    def ask(model: str = "small") -> httpx2.Response:
        return httpx2.post(
            f"{hub}/v1/chat/completions", json={"model": model, "messages": HELLO},
            headers={"Authorization": f"Bearer {key}"}, timeout=60,
        )  # fmt: skip

    return ask


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
def test_provider_that_wants_a_pause_is_asked_by_no_process(
    ask: Callable[..., httpx2.Response], make_model: Callable[..., Model], provider: Provider
) -> None:
    make_model()
    make_model("twin", connection=Model.objects.get().connection, provider_model="small")
    provider.next(refusing(429, {"message": "slow down"}, Retry_After="30"))
    assert ask().status_code == 429
    pauses.clear()  # what another process knows is in the rows alone
    for name in ("small", "twin"):
        later = ask(name)
        assert later.status_code == 503
        assert 20 < int(later.headers["Retry-After"]) <= 30
    assert len(provider.received) == 1
    Model.objects.update(paused_until=timezone.now())
    catalog.forget()
    assert ask().status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
def test_each_attempt_is_counted_by_the_breaker_and_waits_as_it_is_told(
    ask: Callable[..., httpx2.Response], make_model: Callable[..., Model], provider: Provider
) -> None:
    connection = make_connection(
        base_url=provider.url,
        breaker={"failure_threshold": 3, "recovery_seconds": 60},
    )
    make_model(connection=connection)
    down = refusing(503, {"message": "down"}, Retry_After="0")
    provider.next(down, down, down, answering())
    assert [ask().status_code, ask().status_code] == [503, 503]
    assert len(provider.received) == 3  # two of the first, one of the second
    assert ask().status_code == 503
    assert len(provider.received) == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_servers
def test_limit_of_a_connection_holds_for_its_models(
    ask: Callable[..., httpx2.Response], make_model: Callable[..., Model], provider: Provider
) -> None:
    connection = make_connection(
        base_url=provider.url,
        limits={"per_second": 0.01, "burst": 1, "wait_seconds": 0},
    )
    make_model(connection=connection)
    assert ask().status_code == 200
    refused = ask()
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(refused.headers["Retry-After"]) > 2
    assert len(provider.received) == 1
