"""What a channel is told, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.alerts.decide import (
    MOST_MESSAGES,
    Alert,
    IncidentTraits,
    Times,
    is_for,
    is_silenced_by,
    plan_group,
    plan_messages,
)
from monitoring.alerts.outbox import LONGEST_WAIT_SECONDS, seconds_to_wait
from monitoring.models import AlertChannel, AlertSilence

pytestmark = pytest.mark.once
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
TIMES = Times(timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=4))


def at(**after: float) -> datetime:
    return START + timedelta(**after)


def alert(**fields: Any) -> Alert:
    usual = {
        "incident_id": UUID(int=1), "group_key": "service:1", "is_firing": True,
        "is_acknowledged": False, "waits_from": START,
    }  # fmt: skip
    return Alert(**{**usual, **fields})


def reason(now: datetime, *alerts: Alert) -> str:
    plan = plan_group("service:1", alerts, TIMES, now=now)
    return str(plan.reason) if plan else ""


def told(state: str = "FIRING", **fields: Any) -> Alert:
    return alert(told=state, told_at=START, **fields)


@pytest.mark.parametrize(
    ("now", "alerts", "expected"),
    [
        (at(seconds=29), [alert()], ""),
        (at(seconds=30), [alert()], "FIRING"),
        (at(hours=1), [alert(is_firing=False)], ""),  # it ended before it was told
        (at(hours=1), [alert(is_acknowledged=True)], ""),  # somebody sees to it already
        (at(minutes=4), [told()], ""),
        (at(hours=3, minutes=59), [told()], ""),
        (at(hours=4), [told()], "REPEAT"),
        (at(hours=4), [told(is_acknowledged=True)], ""),
        (at(minutes=4, seconds=59), [told(is_firing=False)], ""),
        (at(minutes=5), [told(is_firing=False)], "RESOLVED"),
        (at(hours=9), [told("RESOLVED", is_firing=False)], ""),
        # Under maintenance nobody is told, and from its end on after the group wait.
        (at(hours=1), [alert(is_held=True)], ""),
        (at(hours=4), [told(is_held=True)], ""),
        (at(minutes=5), [told(is_held=True, is_firing=False)], "RESOLVED"),
        (at(hours=1), [alert(waits_from=at(minutes=59, seconds=31))], ""),
        # What became worse is told once more, also to whom it was told.
        (at(minutes=5), [told(is_worse=True)], "FIRING"),
        (at(minutes=5), [told(is_worse=True, is_acknowledged=True)], ""),
        # It came back: told again, after the interval.
        (at(minutes=1), [told("RESOLVED")], ""),
        (at(minutes=5), [told("RESOLVED")], "FIRING"),
        # Something else on the same subject comes to what was told.
        (at(minutes=1), [told(), alert(incident_id=UUID(int=2), waits_from=at(seconds=20))], ""),
        (at(minutes=5), [told(), alert(incident_id=UUID(int=2), waits_from=at(seconds=20))],
         "FIRING"),
    ],
)  # fmt: skip
def test_when_a_subject_is_told(now: datetime, alerts: list[Alert], expected: str) -> None:
    assert reason(now, *alerts) == expected


def test_a_channel_that_never_repeats() -> None:
    never = Times(TIMES.wait, TIMES.interval, None)
    assert plan_group("service:1", [told()], never, now=at(days=30)) is None


def test_an_end_and_what_goes_on_are_one_message() -> None:
    alerts = [told(is_firing=False), alert(incident_id=UUID(int=2), told="FIRING", told_at=START)]
    plan = plan_group("service:1", alerts, TIMES, now=at(minutes=5))
    assert plan is not None
    assert (plan.reason, plan.firing, plan.ended) == ("FIRING", (UUID(int=2),), (UUID(int=1),))


def test_a_thousand_at_once_are_one_message() -> None:
    alerts = [alert(incident_id=uuid4(), group_key=f"service:{n}") for n in range(1000)]
    (plan,) = plan_messages(alerts, TIMES, now=at(seconds=30))
    assert (plan.reason, len(plan.firing)) == ("FIRING", 1000)
    few = alerts[:MOST_MESSAGES]
    assert len(plan_messages(few, TIMES, now=at(seconds=30))) == MOST_MESSAGES


@given(changes=st.lists(st.tuples(st.integers(1, 4000), st.booleans(), st.booleans()), max_size=30))
def test_whatever_happens_each_end_is_told_once_to_whom_the_beginning_was(
    changes: list[tuple[int, bool, bool]],
) -> None:
    """One incident that opens, ends and comes back, looked at at any times."""
    now, state, told_at, messages = START, None, None, []
    for seconds, firing, acknowledged in [*changes, (90_000, False, False)]:
        now += timedelta(seconds=seconds)
        seen = alert(
            is_firing=firing, is_acknowledged=acknowledged, told=state, told_at=told_at,
            waits_from=START,
        )  # fmt: skip
        plan = plan_group("service:1", [seen], TIMES, now=now)
        if plan is None:
            continue
        assert told_at is None or now - told_at >= TIMES.interval
        state, told_at = ("FIRING" if plan.firing else "RESOLVED"), now
        messages.append(str(plan.reason))
    news = [each for each in messages if each != "REPEAT"]
    assert news == ["FIRING", "RESOLVED"] * (len(news) // 2)


def channel(**fields: Any) -> AlertChannel:
    return AlertChannel(name="on-call", type="SLACK", **fields)


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ({}, True),
        ({"min_severity": "CRITICAL"}, False),
        ({"subjects": ["SERVICE_DEGRADED"]}, True),
        ({"subjects": ["SERVICE_DOWN"]}, False),
        ({"services": ["pay-*"]}, True),
        ({"services": ["PAY-IN"]}, True),
        ({"services": ["mail", "pay-out"]}, False),
        ({"tags": ["money"]}, True),
        ({"tags": ["mail"]}, False),
        ({"services": ["pay-*"], "tags": ["mail"]}, False),
    ],
)
def test_filters(filters: dict[str, Any], passes: bool) -> None:
    given = IncidentTraits("SERVICE_DEGRADED", "WARNING", service="pay-in", tags=["money"])
    assert is_for(channel(**filters), given) is passes
    of_hub = not {"services", "tags"} & filters.keys() and passes
    assert is_for(channel(**filters), IncidentTraits("SERVICE_DEGRADED", "WARNING")) is of_hub


@pytest.mark.parametrize(
    ("matchers", "is_matched"),
    [
        ({"about": ["pay-check"]}, True),
        ({"about": ["Pay-*"], "services": ["pay-in"]}, True),
        ({"about": ["pay-check"], "services": ["mail"]}, False),
        ({"about": ["pay-in"]}, False),
        ({"subjects": ["CHECK_FAILING"], "tags": ["money"]}, True),
        ({"subjects": ["SERVICE_DOWN"], "tags": ["money"]}, False),
    ],
)
def test_a_silence_is_of_what_passes_all_its_matchers(
    matchers: dict[str, Any], is_matched: bool
) -> None:
    check = IncidentTraits("CHECK_FAILING", "CRITICAL", "pay-check", "pay-in", ["money"])
    assert is_silenced_by(AlertSilence(**matchers), check) is is_matched
    is_of_hub = not {"about", "services", "tags"} & matchers.keys()
    assert is_silenced_by(
        AlertSilence(**matchers), IncidentTraits("CHECK_FAILING", "CRITICAL")
    ) is (is_of_hub and is_matched)


@given(attempts=st.integers(1, 10_000), share=st.floats(0, 1))
def test_attempts_come_ever_more_seldom_and_never_at_once(attempts: int, share: float) -> None:
    pause = seconds_to_wait(attempts, None, share=share)
    assert 2.5 <= pause <= LONGEST_WAIT_SECONDS
    assert pause <= seconds_to_wait(attempts + 1, None, share=share)


@pytest.mark.parametrize(("asked", "pause"), [(0.0, 1.0), (7.0, 7.0), (1e9, 3600.0)])
def test_the_receiver_says_when_to_come_back(asked: float, pause: float) -> None:
    assert seconds_to_wait(9, asked, share=1) == pause
