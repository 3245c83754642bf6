"""Budgets hold whoever asks at once, and what is held comes back however a request ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from model_orchestration import catalog
from model_orchestration.acceptance import AcceptedRequest, Purpose, admit
from model_orchestration.adapters.base import ModelCall
from model_orchestration.choosing import Target
from model_orchestration.exceptions import BudgetExceeded, PriceMissing
from model_orchestration.limits import Spender
from model_orchestration.models import (
    Model,
    ModelBudget,
    ProviderQuota,
    QuotaWindow,
    Request,
    RequestState,
    RequestType,
    UsageSource,
)
from model_orchestration.outcomes import RequestOutcome
from model_orchestration.pricing import Usage
from model_orchestration.settlement import sweep_expired, write_outcomes
from model_orchestration.sizes import IMAGE_TOKENS, input_bound, usage_bound
from tests.support.connections import make_connection

CALLERS = 64
# One byte of prompt, and what a prompt adds: 23 tokens of input, 77 of output.
CALL = ModelCall(RequestType.COMPLETION, {"prompt": "a" * 7, "max_tokens": 77})
BOUND = 100
ALICE = Purpose(Spender("id-1", "alice", "apollo", "u1"))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_model(name: str = "m", cost: str | None = "0.001", **fields: Any) -> Model:
    return Model.objects.create(
        name=name,
        connection=make_connection(),
        capabilities=["COMPLETION", "IMAGE_GENERATION"],
        provider=fields.pop("provider", "CUSTOM"),
        cost_per_token=cost,
        **fields,
    )


def make_budget(**fields: Any) -> ModelBudget:
    defaults = {"name": "all", "scope": "ALL", "period": "DAY"}
    return ModelBudget.objects.create(**{**defaults, **fields})


def finish(accepted: AcceptedRequest, tokens: int = BOUND, cost: int = 100_000_000) -> None:
    target = accepted.plan.targets[0]
    usage = Usage(tokens, 0)
    source = UsageSource.PROVIDER
    write_outcomes([RequestOutcome(accepted.id, RequestState.SETTLED, target, usage, source, cost)])


def try_to_admit(_: object = None) -> AcceptedRequest | None:
    try:
        return admit(CALL, "m", ALICE)
    except BudgetExceeded:
        return None
    finally:
        if threading.current_thread() is not threading.main_thread():
            connections.close_all()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "period", [{"period": "DAY"}, {"period": "ROLLING", "rolling_seconds": 3600}]
)
def test_callers_who_ask_at_once_never_pass_a_budget(period: dict[str, Any]) -> None:
    make_model()
    make_budget(cost_limit="1.00", **period)
    make_budget(name="alice's", scope="KEY", subject="alice", token_limit=10_000)
    catalog.forget()
    with ThreadPoolExecutor(CALLERS) as pool:
        admitted = [each for each in pool.map(try_to_admit, range(CALLERS)) if each]
    assert len(admitted) == 10
    assert all(row.reserved_nanousd <= 10**9 for row in QuotaWindow.objects.all())
    assert Request.objects.filter(state="REFUSED").count() == CALLERS - 10
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_finish_apart, admitted))
    for row in QuotaWindow.objects.filter(series__startswith="ALL"):
        assert (row.used_nanousd, row.reserved_nanousd, row.used_requests) == (10**9, 0, 10)
    assert try_to_admit() is None


def _finish_apart(accepted: AcceptedRequest) -> None:
    finish(accepted)
    connections.close_all()


@pytest.mark.django_db
def test_what_was_not_used_comes_back() -> None:
    make_model()
    make_budget(cost_limit="0.25")
    first, second = try_to_admit(), try_to_admit()
    assert first and second and try_to_admit() is None
    finish(first, tokens=20, cost=20_000_000)
    assert try_to_admit() is not None
    assert try_to_admit() is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("limit", "times"),
    [({"token_limit": 250}, 2), ({"request_limit": 3}, 3), ({"cost_limit": "0.1"}, 1)],
)
def test_each_amount_is_bounded(limit: dict[str, Any], times: int) -> None:
    make_model()
    make_budget(**limit)
    assert [try_to_admit() is not None for _ in range(times + 1)] == [True] * times + [False]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("scope", "subject", "applies"),
    [
        ("KEY", "alice", True), ("KEY", "ID-1", True), ("KEY", "bob", False),
        ("PROJECT", "Apollo", True), ("PROJECT", "", False), ("USER", "u1", True),
        ("USER", "u2", False), ("MODEL", "M", True), ("MODEL", "other", False), ("ALL", "", True),
    ],
)  # fmt: skip
def test_budget_bounds_whom_it_names(scope: str, subject: str, applies: bool) -> None:
    make_model()
    make_budget(scope=scope, subject=subject, request_limit=0)
    assert (try_to_admit() is None) == applies


@pytest.mark.django_db
def test_soft_budget_lets_pass_and_counts() -> None:
    make_model()
    make_budget(cost_limit="0.1", on_exceed="WARN")
    assert try_to_admit() and try_to_admit()
    assert QuotaWindow.objects.get().reserved_nanousd == 200_000_000


@pytest.mark.django_db
def test_warning_comes_once_for_each_share_of_a_limit() -> None:
    make_model()
    make_budget(token_limit=1000, on_exceed="WARN", warn_at=[50, 80])
    warned = []
    for tokens in (400, 100, 100, 300):
        admitted = try_to_admit()
        assert admitted is not None
        finish(admitted, tokens=tokens)
        warned.append(len(QuotaWindow.objects.get().warned))
    assert warned == [0, 1, 1, 2]
    assert QuotaWindow.objects.get().warned[1] == "all: 80 % of tokens"


@pytest.mark.django_db
def test_free_model_serves_when_the_money_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(cost="0", provider="OLLAMA")
    make_model("dear")
    make_budget(cost_limit="0")
    assert try_to_admit() is not None
    with pytest.raises(BudgetExceeded):
        admit(CALL, "dear", ALICE)


@pytest.mark.django_db
def test_what_has_no_price_is_refused_where_its_cost_is_bounded() -> None:
    make_model(cost=None)
    image = ModelCall(RequestType.IMAGE_GENERATION, {"prompt": "a cat"})
    assert admit(image, "m", ALICE)
    make_budget(cost_limit="5")
    with pytest.raises(PriceMissing, match="has no price"):
        admit(image, "m", ALICE)


@pytest.mark.django_db
def test_quota_of_a_provider_leaves_the_other_models_of_a_route() -> None:
    make_model("first", provider="OPENAI")
    make_model("second", provider="OLLAMA")
    ProviderQuota.objects.create(provider="OPENAI", daily_token_limit=50)
    from model_orchestration.models import ModelRoute

    ModelRoute.objects.create(name="m", targets=[{"model": "first"}, {"model": "second"}])
    admitted = try_to_admit()
    assert admitted is not None
    assert [target.model for target in admitted.plan.targets] == ["second"]
    with pytest.raises(BudgetExceeded, match=r"quota of OPENAI \(day\)"):
        admit(CALL, "first", ALICE)


@pytest.mark.django_db
def test_window_of_the_reservation_is_charged_though_another_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_model()
    make_budget(cost_limit="0.1", time_zone="America/New_York")
    before = datetime(2026, 3, 2, 4, 59, 59, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: before)
    admitted = try_to_admit()
    assert admitted is not None
    monkeypatch.setattr(timezone, "now", lambda: before + timedelta(seconds=5))
    finish(admitted, cost=50_000_000)
    assert try_to_admit() is not None
    old, new = QuotaWindow.objects.order_by("starts_at")
    assert (old.used_nanousd, old.reserved_nanousd) == (50_000_000, 0)
    assert (new.used_nanousd, new.reserved_nanousd) == (0, 100_000_000)
    assert old.ends_at == new.starts_at == datetime(2026, 3, 2, 5, tzinfo=UTC)


@pytest.mark.django_db
def test_rolling_budget_forgets_what_is_long_past(monkeypatch: pytest.MonkeyPatch) -> None:
    make_model()
    make_budget(period="ROLLING", rolling_seconds=3600, request_limit=2)
    admitted = []
    for minutes in (0, 30, 59, 62):
        moment = NOON + timedelta(minutes=minutes)
        monkeypatch.setattr(timezone, "now", lambda moment=moment: moment)
        admitted.append(try_to_admit() is not None)
    assert admitted == [True, True, False, True]


@pytest.mark.django_db
def test_sweep_charges_what_was_reserved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    make_model()
    make_budget(cost_limit="1")
    admitted = try_to_admit()
    assert admitted is not None
    row = Request.objects.get()
    assert row.lease_until is not None
    assert sweep_expired(now=row.lease_until - timedelta(seconds=1)) == 0
    assert sweep_expired(now=row.lease_until + timedelta(seconds=1)) == 1
    finish(admitted, cost=1)  # who was only slow comes too late
    window, row = QuotaWindow.objects.get(), Request.objects.get()
    assert (window.used_nanousd, window.reserved_nanousd) == (100_000_000, 0)
    assert (row.state, row.usage_source, row.cost) == ("EXPIRED", "ESTIMATED", 0.1)


@pytest.mark.django_db
def test_failed_request_costs_nothing() -> None:
    make_model()
    make_budget(cost_limit="1", request_limit=1)
    admitted = try_to_admit()
    assert admitted is not None
    write_outcomes([RequestOutcome(admitted.id, RequestState.FAILED, None, error_code="x")])
    window = QuotaWindow.objects.get()
    assert (window.used_nanousd, window.reserved_nanousd, window.used_requests) == (0, 0, 0)
    assert Decimal(window.reserved_requests) == 0


@pytest.mark.django_db
def test_accepting_takes_as_many_queries_whatever_is_configured(
    django_assert_num_queries: Callable[..., Any],
) -> None:
    make_model()
    for number in range(5):
        make_model(f"m{number}")
        make_budget(name=f"b{number}", scope="ALL", period=("DAY", "MONTH")[number % 2],
                    cost_limit=number + 1)  # fmt: skip
    catalog.forget()
    admit(CALL, "m", ALICE)  # makes the windows
    catalog.forget()
    # 2 savepoints, holds and row, which PostgreSQL takes in one statement.
    own = 3 if connections["default"].vendor == "postgresql" else 4
    with django_assert_num_queries(6 + own):  # of the catalog 6
        admit(CALL, "m", ALICE)
    with django_assert_num_queries(own):
        admit(CALL, "m", ALICE)


@pytest.mark.once
@pytest.mark.parametrize(
    ("body", "most"),
    [
        ({"prompt": "a", "max_tokens": 7}, 7),
        ({"prompt": ["a", "b"], "max_tokens": 7, "n": 2}, 28),
        ({"prompt": [1, 2], "max_tokens": 7, "best_of": 3}, 21),
        ({"messages": [], "max_tokens": 5, "max_completion_tokens": 9}, 9),
        ({"messages": []}, 50),
    ],
)
def test_bound_is_of_all_that_is_asked_for(body: dict[str, Any], most: int) -> None:
    kind = RequestType.CHAT if "messages" in body else RequestType.COMPLETION
    target = Target("m", "CUSTOM", "c", "c", "m", max_tokens=50)
    usage, _ = usage_bound(ModelCall(kind, body), target, 3, default_output=4096)
    assert (usage.input_tokens, usage.output_tokens) == (3, most)


@pytest.mark.once
def test_size_of_a_document_counts_though_openai_has_no_word_for_it() -> None:
    source = {"type": "base64", "data": "A" * 5000}
    blocks = [{"type": "document", "source": source}, {"type": "image", "source": source}]
    native = {"messages": [{"role": "user", "content": blocks}]}
    call = ModelCall(RequestType.CHAT, {"messages": []}, native=native)
    assert 5000 + IMAGE_TOKENS < input_bound(call) < 2 * 5000 + IMAGE_TOKENS
