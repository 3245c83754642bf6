"""Budgets say what requests sum up to; what differs is found, and set right."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from model_orchestration.acceptance import AcceptedRequest, Purpose, admit
from model_orchestration.adapters.base import ModelCall
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
from model_orchestration.outcomes import ModelAttempt, RequestOutcome
from model_orchestration.pricing import Usage
from model_orchestration.services.balance import find_imbalances
from model_orchestration.settlement import sweep_expired, write_outcomes
from tests.support.connections import make_connection

pytestmark = pytest.mark.django_db
CALL = ModelCall(RequestType.COMPLETION, {"prompt": "a" * 7, "max_tokens": 77})
ENDS = (RequestState.SETTLED, RequestState.CUT, RequestState.ABANDONED, RequestState.FAILED)


def found() -> list[str]:
    return [f"{each.about}: {each.found}" for each in find_imbalances(now=timezone.now())]


def finish(accepted: AcceptedRequest, chance: random.Random) -> None:
    state = chance.choice(ENDS)
    target = accepted.plan.targets[0]
    tokens = 0 if state == RequestState.FAILED else chance.randrange(1, 100)
    outcome = RequestOutcome(
        accepted.id, state, None if state == RequestState.FAILED else target, Usage(tokens, 0),
        UsageSource.PROVIDER, tokens * 1000, [ModelAttempt("m", 1.0)],
    )  # fmt: skip
    write_outcomes([outcome])


@pytest.fixture
def requests() -> list[AcceptedRequest]:
    """Requests that ended in every way, and three that have not."""
    Model.objects.create(
        name="m", connection=make_connection(), capabilities=["COMPLETION"], provider="CUSTOM",
        cost_per_token="0.000001", rpm=1000,
    )  # fmt: skip
    ModelBudget.objects.create(name="all", scope="ALL", period="MONTH", cost_limit=5)
    ModelBudget.objects.create(
        name="alice's", scope="KEY", subject="alice", period="ROLLING", rolling_seconds=600,
        token_limit=10**6,
    )  # fmt: skip
    ProviderQuota.objects.create(provider="CUSTOM", daily_token_limit=10**6)
    chance = random.Random(5)
    names = ("alice", "bob")
    made = [admit(CALL, "m", Purpose(Spender("", chance.choice(names)))) for _ in range(30)]
    for accepted in made[3:]:
        finish(accepted, chance)
    return made


@pytest.mark.usefixtures("requests")
def test_budgets_say_what_requests_sum_up_to_however_they_end() -> None:
    assert len({row.series for row in QuotaWindow.objects.all()}) == 4
    assert found() == []
    assert sum(row.reserved_requests for row in QuotaWindow.objects.all()) >= 9
    later = timezone.now() + timedelta(hours=1)
    assert sweep_expired(now=later) == 3
    assert found() == []
    assert not any(row.reserved_requests for row in QuotaWindow.objects.all())


def test_what_differs_is_told_and_repaired(
    requests: list[AcceptedRequest], capsys: pytest.CaptureFixture[str]
) -> None:
    row = QuotaWindow.objects.get(series__startswith="ALL")
    right = row.used_nanousd
    QuotaWindow.objects.filter(pk=row.pk).update(used_nanousd=right + 7, reserved_tokens=0)
    stuck = Request.objects.get(pk=requests[0].id)
    Request.objects.filter(pk=stuck.pk).update(lease_until=timezone.now() - timedelta(hours=1))
    window, left = found()
    assert window.startswith("window ALL:")
    assert f"used_nanousd is {right + 7}, and its requests sum up to {right}" in window
    assert left.startswith(f"request {stuck.request_id}: its lease ended at")
    with pytest.raises(SystemExit):
        call_command("check_model_budgets", "--json")
    assert [json.loads(line)["about"] for line in capsys.readouterr().out.splitlines()] == [
        window.partition(": used")[0].partition(": reserved")[0], f"request {stuck.request_id}",
    ]  # fmt: skip
    with pytest.raises(SystemExit):  # the request is for the sweep to settle
        call_command("check_model_budgets", "--repair")
    assert "2 differences, 1 repaired." in capsys.readouterr().out
    assert sweep_expired(now=timezone.now()) == 1
    call_command("check_model_budgets")
    assert "0 differences." in capsys.readouterr().out
    row.refresh_from_db()
    assert row.used_nanousd == right + 100_000  # of the one that the sweep charged


@pytest.mark.usefixtures("requests")
def test_charge_that_is_not_the_cost_is_told() -> None:
    settled = Request.objects.filter(state="SETTLED", cost_nanousd__gt=0).first()
    assert settled is not None
    Request.objects.filter(pk=settled.pk).update(cost_nanousd=1)
    told = found()
    assert told
    assert all(f"request {settled.request_id}: it cost 1, and" in each for each in told)


@pytest.mark.usefixtures("requests")
def test_windows_of_which_requests_do_not_tell_all_are_left_out(settings: Any) -> None:
    QuotaWindow.objects.update(used_tokens=10**9, is_traceable=False)
    assert found() == []
    QuotaWindow.objects.update(is_traceable=True)
    assert len(found()) >= 4
    settings.MODEL_HISTORY_DAYS = 0
    assert found() == []
