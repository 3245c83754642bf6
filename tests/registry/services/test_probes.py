"""Health URLs are believed after several answers in a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from monitoring.models import CheckState, HealthCheck
from registry import services
from registry.calls.health_probe import Probe
from registry.models import RegistryChange
from registry.policies.probing import (
    ProbePlan,
    Streak,
    count_answer,
    describe_streak,
    plan_of,
    validate_probing,
)
from registry.services import Heartbeat
from tests import factories
from tests.support.checks import probe_due

PLAN = ProbePlan(failure_threshold=3, success_threshold=2)
URL = "http://planner:8000"


def after(answers: str, streak: Streak = Streak()) -> Streak:  # noqa: B008
    for answer in answers:
        streak = count_answer(streak, healthy=answer == "+", plan=PLAN)
    return streak


@pytest.mark.parametrize(
    ("answers", "healthy", "said"),
    [
        ("", True, ""),
        ("+++", True, ""),
        ("--", True, "2 of 3 failures"),
        ("--+--", True, "2 of 3 failures"),
        ("---", False, "0 of 2 successes"),
        ("---+", False, "1 of 2 successes"),
        ("---+-", False, "0 of 2 successes"),
        ("---++", True, ""),
        ("---++-", True, "1 of 3 failures"),
    ],
)
def test_only_answers_in_a_row_change_the_mind(answers: str, healthy: bool, said: str) -> None:
    streak = after(answers)
    assert streak.healthy is healthy
    assert describe_streak(streak, plan=PLAN) == said


@given(answers=st.text(alphabet="+-", max_size=40))
def test_a_lone_failure_never_changes_anything(answers: str) -> None:
    calm = answers.replace("-", "-+").replace("--", "-")
    assert after(calm).healthy


def test_a_service_may_have_its_own_plan_and_only_a_possible_one() -> None:
    assert plan_of({"failure_threshold": 7}, default=PLAN) == ProbePlan(
        failure_threshold=7, success_threshold=2
    )
    wrong: Any
    for wrong in ([], {"x": 1}, {"failure_threshold": 0}, {"interval_seconds": "5"}):
        with pytest.raises(ValidationError):
            validate_probing(wrong)
    validate_probing({"failure_threshold": 1, "interval_seconds": 3600})


class Answers:
    """A prober that says the same of every URL, and remembers which it was asked."""

    def __init__(self) -> None:
        self.healthy = True
        self.asked: list[str] = []

    def __call__(self, urls: Sequence[str]) -> list[Probe]:
        self.asked += urls
        said = "" if self.healthy else "answered 500"
        return [Probe(url, self.healthy, 200 if self.healthy else 500, 1.0, said) for url in urls]


@pytest.fixture
def prober() -> Answers:
    return Answers()


def ask(prober: Answers, times: int, *, healthy: bool, start: int) -> None:
    prober.healthy = healthy
    for turn in range(times):
        probe_due(now=timezone.now() + timedelta(seconds=31 * (start + turn)), prober=prober)


def make() -> Any:
    return factories.make_service("planner", urls=(URL,), instance={"health_url": f"{URL}/health"})


@pytest.mark.django_db
def test_the_status_changes_at_the_threshold_and_beats_do_not_hide_it(prober: Answers) -> None:
    make()
    ask(prober, 2, healthy=False, start=0)
    assert services.get_service("planner").status == "ONLINE"
    ask(prober, 1, healthy=False, start=2)
    assert services.get_service("planner").status == "DEGRADED"
    for _ in range(2):
        services.record_heartbeat(services.get_service("planner"), Heartbeat())
    assert services.get_service("planner").status == "DEGRADED"
    ask(prober, 1, healthy=True, start=3)
    assert services.get_service("planner").status == "DEGRADED"
    ask(prober, 1, healthy=True, start=4)
    services.record_heartbeat(services.get_service("planner"), Heartbeat())
    assert services.get_service("planner").status == "ONLINE"
    statuses = list(RegistryChange.objects.values_list("status", flat=True))
    assert statuses == ["DEGRADED", "ONLINE"]


@pytest.mark.django_db
def test_answers_are_heard_but_change_nothing_under_maintenance(prober: Answers) -> None:
    services.set_service_status(make(), "MAINTENANCE")
    ask(prober, 3, healthy=False, start=0)
    assert services.get_service("planner").status == "MAINTENANCE"
    assert services.lift_maintenance(services.get_service("planner")).status == "DEGRADED"


@pytest.mark.django_db
def test_what_said_goodbye_is_not_asked(prober: Answers) -> None:
    services.set_service_status(make(), "OFFLINE")
    ask(prober, 4, healthy=True, start=0)
    assert (services.get_service("planner").status, prober.asked) == ("OFFLINE", [])


@pytest.mark.django_db
def test_each_is_asked_when_its_time_has_come_and_has_a_health_url(
    prober: Answers, settings: Any
) -> None:
    service = make()
    factories.make_service("plain", urls=("http://plain",))
    now = timezone.now()
    probe_due(now=now, prober=prober)
    slot = CheckState.objects.get().next_due_at
    assert slot is not None
    for seconds, asked in ((-1, 1), (0, 2), (29, 2), (31, 3), (32, 3)):
        probe_due(now=slot + timedelta(seconds=seconds), prober=prober)
        assert len(prober.asked) == asked
    HealthCheck.objects.all().delete()
    settings.PROBE_INTERVAL_SECONDS = 0
    probe_due(now=now + timedelta(hours=1), prober=prober)
    assert not HealthCheck.objects.exists()
    service.probing = {"interval_seconds": 5}
    service.save()
    probe_due(now=now + timedelta(hours=2), prober=prober)
    assert prober.asked == [f"{URL}/health"] * 4


@pytest.mark.django_db
def test_the_health_answer_says_how_near_a_change_is(prober: Answers) -> None:
    make()
    ask(prober, 2, healthy=False, start=0)
    api = factories.caller("OPERATOR")
    instance = api.get("/registry/services/planner/health").json()["instances"][0]
    assert (instance["probe_streak"], instance["probe_error"]) == (
        "2 of 3 failures",
        "answered 500",
    )
    changed = api.patch("/registry/services/planner", {"probing": {"failure_threshold": 5}})
    assert changed.json()["probing"] == {"failure_threshold": 5}
    instance = api.get("/registry/services/planner/health").json()["instances"][0]
    assert instance["probe_streak"] == "2 of 5 failures"
    wrong = api.patch("/registry/services/planner", {"probing": {"failure_threshold": 0}})
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["probing"])
