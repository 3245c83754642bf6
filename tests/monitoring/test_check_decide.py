"""What looks mean: states, flapping, staleness, schedules, conditions. Nothing is stored here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.exceptions import ValidationFailed
from monitoring.checks import decide
from monitoring.checks.answers import judge
from monitoring.checks.decide import CheckPlan, SubjectFacts
from monitoring.checks.kinds import check_conditions, check_request, check_url
from registry.calls.probes import Reading

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
PLAN = CheckPlan(interval_seconds=10, failure_threshold=3, success_threshold=2)
WORDS = {"+": "OK", "-": "FAIL", "?": "INCONCLUSIVE"}
UP = SubjectFacts(state="UP", since=START, last_result_at=START)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def after(
    looks: list[tuple[float, str]], *, facts: SubjectFacts = UP, plan: CheckPlan = PLAN
) -> tuple[SubjectFacts, list[tuple[str, float]]]:
    """What is known after looks, and each change with the second at which it began."""
    changes = []
    for seconds, look in looks:
        facts, turns = decide.after_look(facts, WORDS[look], at=at(seconds), plan=plan)
        changes += [(each.now, (each.at - START).total_seconds()) for each in turns]
    return facts, changes


def test_what_recovers_before_it_is_believed_is_a_blip() -> None:
    facts, changes = after([(0, "-"), (10, "-"), (20, "+")])
    assert changes == [("SUSPECT", 0), ("UP", 20)]
    assert (facts.blips, facts.down_since) == (1, None)


def test_it_was_down_from_the_first_failure_until_it_is_believed_to_be_up() -> None:
    facts, changes = after([(0, "-"), (10, "-"), (20, "-")])
    assert changes == [("SUSPECT", 0), ("DOWN", 0)]
    assert facts.down_since == at(0)
    facts, changes = after([(60, "+"), (70, "+")], facts=facts, plan=CheckPlan(success_threshold=2))
    assert changes == [("RECOVERING", 60), ("UP", 70)]
    assert facts.down_since is None


STATES = [
    ("", "+", ["UP"]),
    ("", "--", []),
    ("", "---", ["DOWN"]),
    ("UP", "-+-+", ["SUSPECT", "UP", "SUSPECT", "UP"]),
    ("UP", "---+-", ["SUSPECT", "DOWN", "RECOVERING", "DOWN"]),
    ("UP", "-?-?-", ["SUSPECT", "DOWN"]),
    ("UP", "???", []),
    ("PAUSED", "---", []),
]


@pytest.mark.parametrize(("was", "looks", "states"), STATES)
def test_each_way_from_state_to_state(was: str, looks: str, states: list[str]) -> None:
    facts = SubjectFacts(state=was or "UNKNOWN", since=START)
    _, changes = after([(n * 5, look) for n, look in enumerate(looks)], facts=facts)
    assert [state for state, _ in changes] == states


def test_a_gap_is_unknown_from_the_last_look_on_and_forgets_no_outage() -> None:
    _, changes = after([(10, "+"), (3610, "+")])
    assert changes == [("STALE", 10), ("UP", 3610)]
    down, _ = after([(0, "-"), (5, "-"), (10, "-")])
    facts, changes = after([(3610, "-")], facts=down)
    assert changes == [("STALE", 10), ("DOWN", 3610)]
    assert facts.down_since == at(0)
    assert after([(35, "+")])[1] == []
    _, changes = after([(600, "?")])
    assert changes == [("STALE", 0)]


def test_flapping_begins_above_and_ends_below() -> None:
    one = CheckPlan(interval_seconds=10, failure_threshold=1, success_threshold=1)
    facts, flapped = UP, []
    for turn in range(30):
        facts, _ = after([(turn * 10, "-+"[turn % 2])], facts=facts, plan=one)
        flapped.append(facts.flapping)
    assert flapped == [False] * 5 + [True] * 25
    calm = 0
    while facts.flapping:
        facts, _ = after([(300 + calm * 10, "+")], facts=facts, plan=one)
        calm += 1
    assert 10 < calm < decide.REMEMBERED
    assert decide.share_of_changes(0) == 0
    alternating = int("10" * 10 + "1", 2)
    assert decide.share_of_changes(alternating) == pytest.approx(1)


def test_the_schedule_does_not_drift_and_is_spread() -> None:
    due = decide.next_slot("a", after=START, interval_seconds=30)
    for late in (0.2, 7, 29):
        following = decide.next_slot("a", after=due + timedelta(seconds=late), interval_seconds=30)
        assert following - due == timedelta(seconds=30)
    assert decide.next_slot("a", after=due, interval_seconds=30) > due
    slots = {decide.next_slot(str(n), after=START, interval_seconds=30) for n in range(300)}
    seconds = sorted((slot - START).total_seconds() for slot in slots)
    assert 0 < seconds[0] < 2
    assert 28 < seconds[-1] <= 30
    assert len(slots) > 290


def test_the_next_look_comes_sooner_while_a_failure_is_not_believed() -> None:
    plan = CheckPlan(interval_seconds=600, retry_seconds=10)
    suspect, _ = after([(0, "-")])
    down, _ = after([(0, "-"), (5, "-"), (10, "-")])
    assert decide.next_look("a", suspect, due=at(0), at=at(0), plan=plan) <= at(10)
    expected = decide.next_slot("a", after=at(10), interval_seconds=600)
    assert decide.next_look("a", down, due=at(10), at=at(10), plan=plan) == expected


@pytest.mark.parametrize(
    ("days", "step"), [(40, None), (29.5, 30), (13, 14), (7.5, 14), (6.9, 7), (0.5, 1), (-1, 0)]
)
def test_of_a_certificate_is_told_at_steps(days: float, step: int | None) -> None:
    ends = START + timedelta(days=days)
    assert decide.certificate_step(ends, now=START) == step


def test_the_hub_is_blind_when_no_canary_answers_or_most_hosts_fail() -> None:
    down = [(f"h{n}", "DNS") for n in range(6)]
    well = [(f"w{n}", "") for n in range(5)]
    assert decide.hub_is_blind([*down, *well])
    assert not decide.hub_is_blind([*down, *well], canaries=[False, True])
    assert decide.hub_is_blind([], canaries=[False, False])
    assert not decide.hub_is_blind([*down[:5], *well])
    assert not decide.hub_is_blind(down)
    assert not decide.hub_is_blind([(host, "STATUS") for host, _ in [*down, *well]])


def test_a_check_follows_its_service_and_that_the_hub() -> None:
    default = {"interval_seconds": 30, "failure_threshold": 3, "success_threshold": 2}
    service = {"interval_seconds": 20, "failure_threshold": 5}
    own = {"failure_threshold": 1}
    plan = decide.plan_of(own, service=service, default=default, timeout_seconds=60)
    assert plan == CheckPlan(
        interval_seconds=20, timeout_seconds=20, retry_seconds=10, failure_threshold=1,
        success_threshold=2,
    )  # fmt: skip


ANSWERS: list[tuple[dict[str, Any], Reading, str]] = [
    ({}, Reading(1, 204), ""),
    ({}, Reading(1, 301), "answered 301"),
    ({"statuses": ["301", "400-404"]}, Reading(1, 403), ""),
    ({"statuses": ["301", "400-404"]}, Reading(1, 200), "answered 200"),
    ({"keyword": "well"}, Reading(1, 200, body=b"all well"), ""),
    ({"keyword": "well"}, Reading(1, 200, body=b"ill"), "does not contain 'well'"),
    ({"absent_keyword": "error"}, Reading(1, 200, body=b"an error"), "contains 'error'"),
    ({"json": ["body.queue < `5`"]}, Reading(1, 200, body=b'{"queue": 4}'), ""),
    ({"json": ["body.queue < `5`"]}, Reading(1, 200, body=b'{"queue": 5}'), "does not hold"),
    ({"json": ["headers.\"x-up\" == 'yes'"]}, Reading(1, 200, {"X-Up": "yes"}), ""),
    ({"json": ["body.a"]}, Reading(1, 200, body=b"<p>"), "its answer is no JSON"),
    ({"json": ["sum(body)"]}, Reading(1, 200, body=b'["a"]'), "sum()"),
    ({"max_latency_ms": 100}, Reading(101, 200), "took 101 ms"),
]


@pytest.mark.parametrize(("conditions", "reading", "said"), ANSWERS)
def test_what_has_to_hold(conditions: dict[str, Any], reading: Reading, said: str) -> None:
    kept = check_conditions("HTTP", conditions)
    kind, error = judge("HTTP", reading, kept, now=START)
    assert bool(kind) == bool(said)
    assert said in error


def test_other_kinds_hold_names_and_certificates_to_what_is_expected() -> None:
    names = check_conditions("DNS", {"addresses": "192.0.2.7"})
    assert judge("DNS", Reading(1, answers=["192.0.2.7"]), names, now=START) == ("", "")
    assert judge("DNS", Reading(1, answers=["192.0.2.8"]), names, now=START)[0] == "CONDITION"
    ends = Reading(1, certificate_ends_at=START + timedelta(days=9))
    assert judge("TLS", ends, {"min_days": 10}, now=START)[0] == "CONDITION"
    assert judge("TLS", ends, {"min_days": 9}, now=START) == ("", "")


REFUSED: list[tuple[Any, str]] = [
    (lambda: check_conditions("HTTP", {"statuses": ["2xx"]}), "conditions.statuses"),
    (lambda: check_conditions("HTTP", {"json": ["a ==="]}), "conditions.json"),
    (lambda: check_conditions("HTTP", {"max_latency_ms": 0}), "conditions.max_latency_ms"),
    (lambda: check_conditions("TCP", {"json": ["a"]}), "conditions.json"),
    (lambda: check_conditions("TLS", {"certificate_days": [0]}), "conditions.certificate_days"),
    (lambda: check_conditions("DNS", {"addresses": ["x"]}), "conditions.addresses"),
    (lambda: check_request("HTTP", {"method": "BREW"}), "request.method"),
    (lambda: check_request("HTTP", {"headers": {"Authorization": "x"}}), "request.headers"),
    (lambda: check_request("HTTP", {"headers": {"X": "a\r\nb"}}), "request.headers"),
    (lambda: check_request("HTTP", {"path": "health"}), "request.path"),
    (lambda: check_url("HTTP", "tcp://a:1"), "url"),
    (lambda: check_url("TCP", "tcp://a"), "url"),
    (lambda: check_url("TLS", "tls://a/b"), "url"),
    (lambda: check_url("HTTP", "http://169.254.169.254/"), "url"),
]


@pytest.mark.parametrize(("act", "field"), REFUSED)
def test_what_cannot_be_is_refused_by_its_field(act: Any, field: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        act()
    assert set(refused.value.errors) == {field}
