"""What opens and closes a circuit, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from registry.calls.circuits.transitions import (
    CallOutcome,
    Circuit,
    OutcomeKind,
    after_lapse,
    closed,
    opened,
    record,
)
from registry.models import CircuitState
from registry.policies.circuit_profile import PROFILES, profile_of, validate_breaker
from tests.support.breakers import NOW, PROFILE

FAILURE, SUCCESS, SLOW, COUNTED = (
    OutcomeKind.FAILURE,
    OutcomeKind.SUCCESS,
    OutcomeKind.SLOW,
    OutcomeKind.COUNTED,
)


def after(circuit, *results, profile=PROFILE, now=NOW):
    outcomes = [CallOutcome(result, circuit.generation) for result in results]
    return record(circuit, outcomes, profile, now=now)


def half_open(**fields):
    circuit = opened(Circuit(), "It failed.", PROFILE, now=NOW)
    return replace(circuit, state=CircuitState.HALF_OPEN, generation=7, probe_owner="me", **fields)


# --- Consecutive failures ---


def test_failures_in_a_row_open_it_for_the_recovery_time():
    assert after(Circuit(), FAILURE, FAILURE).state == "CLOSED"
    circuit = after(Circuit(), FAILURE, FAILURE, FAILURE)
    assert (circuit.state, circuit.generation, circuit.opened_at) == ("OPEN", 1, NOW)
    assert circuit.retry_at == NOW + timedelta(seconds=60)
    assert circuit.cause == "3 failures in a row."


def test_a_success_breaks_the_row():
    assert after(Circuit(), FAILURE, FAILURE, SUCCESS, FAILURE, FAILURE).failure_count == 2


def test_earlier_successes_that_are_told_late_do_not_break_it():
    assert after(Circuit(), FAILURE, FAILURE, COUNTED, FAILURE).state == "OPEN"


def test_the_cause_names_the_last_error():
    outcome = CallOutcome(FAILURE, 0, count=3, reason="No connection to 'planner'.")
    assert "The last: No connection" in record(Circuit(), [outcome], PROFILE, now=NOW).cause


# --- Generations ---


@pytest.mark.parametrize("result", [SUCCESS, FAILURE, SLOW, COUNTED])
def test_outcomes_of_an_older_state_are_dropped(result):
    circuit = replace(half_open(), failure_count=1)
    late = CallOutcome(result, circuit.generation - 1, count=50)
    assert record(circuit, [late], PROFILE, now=NOW) == circuit


def test_what_follows_an_opening_in_the_same_batch_is_of_an_older_state():
    circuit = after(Circuit(), FAILURE, FAILURE, FAILURE, SUCCESS, SUCCESS, FAILURE)
    assert (circuit.state, circuit.generation) == ("OPEN", 1)


def test_every_change_of_the_state_raises_the_generation():
    circuit = after(Circuit(), FAILURE, FAILURE, FAILURE)
    assert closed(circuit).generation == circuit.generation + 1


# --- Windows ---


def spread(result, count, *, age=0.0):
    return CallOutcome(result, 0, count=count, age_seconds=age)


def test_a_rate_of_failures_opens_it_though_successes_come_between():
    outcomes = [spread(FAILURE, 1), spread(SUCCESS, 1)] * 10
    assert record(Circuit(), outcomes[:18], PROFILE, now=NOW).state == "CLOSED"
    circuit = record(Circuit(), outcomes, PROFILE, now=NOW)
    assert circuit.cause == "10 of 20 calls within 60 s failed."


def test_too_few_calls_say_nothing_about_a_rate():
    outcomes = [spread(FAILURE, 2), spread(SUCCESS, 1)] * 6
    assert record(Circuit(), outcomes, PROFILE, now=NOW).state == "CLOSED"


def test_successes_counted_beside_a_failure_lower_the_rate():
    outcomes = [spread(COUNTED, 100, age=3), *[spread(FAILURE, 1), spread(SUCCESS, 1)] * 10]
    circuit = record(Circuit(), outcomes, PROFILE, now=NOW)
    assert circuit.state == "CLOSED"
    assert sum(bucket[1] for bucket in circuit.window) == 120


def test_calls_leave_the_window_with_time():
    circuit = record(Circuit(), [spread(FAILURE, 2), spread(SUCCESS, 10)], PROFILE, now=NOW)
    later = NOW + timedelta(seconds=61)
    assert record(circuit, [spread(SUCCESS, 1)], PROFILE, now=later).window == ()


def test_successes_older_than_the_window_are_not_taken_in():
    outcomes = [spread(COUNTED, 100, age=61), spread(FAILURE, 1)]
    circuit = record(Circuit(), outcomes, PROFILE, now=NOW)
    assert sum(bucket[1] for bucket in circuit.window) == 1


def test_a_window_in_which_all_went_well_is_not_kept():
    assert after(Circuit(), SUCCESS, COUNTED).window == ()


def test_slow_calls_open_it_by_their_rate_only():
    assert record(Circuit(), [spread(SLOW, 19)], PROFILE, now=NOW).state == "CLOSED"
    circuit = record(Circuit(), [spread(SLOW, 16), spread(SUCCESS, 4)], PROFILE, now=NOW)
    assert circuit.cause == "16 of 20 calls within 60 s took over 10 s."


@given(st.lists(st.sampled_from([SUCCESS, FAILURE, SLOW, COUNTED]), max_size=60), st.integers(1, 9))
def test_batches_do_not_change_what_is_decided(results, size):
    outcomes = [CallOutcome(result, 0) for result in (FAILURE, *results)]
    one_by_one = whole = Circuit()
    for outcome in outcomes:
        one_by_one = record(one_by_one, [outcome], PROFILE, now=NOW)
    for first in range(0, len(outcomes), size):
        whole = record(whole, outcomes[first : first + size], PROFILE, now=NOW)
    assert (one_by_one.state, one_by_one.failure_count) == (whole.state, whole.failure_count)


# --- Probes ---


def test_a_probe_that_succeeds_closes_it_and_counts_from_zero():
    circuit = after(half_open(), SUCCESS)
    assert circuit == Circuit(generation=8, opened_at=NOW)


def test_several_probes_may_be_asked_for():
    twice = profile_of("CRITICAL", {"success_threshold": 2})
    once = after(half_open(probe_until=NOW), SUCCESS, profile=twice)
    assert (once.state, once.success_count, once.probe_until, once.retry_at) == (
        "HALF_OPEN", 1, None, NOW,
    )  # fmt: skip
    assert after(once, SUCCESS, profile=twice).state == "CLOSED"


@pytest.mark.parametrize("result", [FAILURE, SLOW])
def test_each_failed_probe_doubles_the_opening_up_to_a_cap(result):
    circuit, waits = opened(Circuit(), "", PROFILE, now=NOW), []
    for _ in range(5):
        waits.append((circuit.retry_at - NOW).total_seconds())
        circuit = after(replace(circuit, state=CircuitState.HALF_OPEN), result)
    assert waits == [60, 120, 240, 300, 300]
    assert after(half_open(open_count=5), SUCCESS).open_count == 0


def test_a_very_long_row_of_openings_stays_at_the_cap():
    assert PROFILE.open_seconds(10**6) == 300


# --- Operators ---


@pytest.mark.parametrize("state", [CircuitState.FORCED_OPEN, CircuitState.DISABLED])
def test_what_an_operator_set_ends_by_itself(state):
    held = Circuit(state=state, generation=3, until=NOW, reason="Deploying.", forced_by="ada")
    assert after_lapse(held, now=NOW - timedelta(seconds=1)) == held
    assert after_lapse(held, now=NOW) == Circuit(generation=4)
    endless = replace(held, until=None)
    assert after_lapse(endless, now=NOW) == endless
    assert after(endless, FAILURE, FAILURE, FAILURE) == endless


# --- Profiles ---


def test_profiles_are_those_of_the_workflow_guide():
    told = {
        name: (p.failure_threshold, p.recovery_seconds, p.timeout_seconds)
        for name, p in PROFILES.items()
    }
    assert told == {"CRITICAL": (5, 30, 5), "NON_CRITICAL": (3, 60, 10)}


def test_a_service_changes_single_settings_also_by_the_names_of_the_guide():
    profile = profile_of("CRITICAL", {"failure_threshold": 9, "recovery_timeout": 2, "timeout": 1})
    assert (profile.failure_threshold, profile.recovery_seconds, profile.timeout_seconds) == (
        9,
        2,
        1,
    )
    assert profile_of("CRITICAL") is PROFILES["CRITICAL"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ([], "Must be a JSON object, not list."),
        ({"treshold": 3}, "There is no setting 'treshold'; did you mean"),
        ({"failure_threshold": 0}, "must be a whole number from 1 to 1000"),
        ({"failure_threshold": 2.5}, "must be a whole number"),
        ({"failure_threshold": True}, "must be a whole number"),
        ({"failure_rate": 1.5}, "must be a number from 0.01 to 1"),
        ({"recovery_seconds": "60"}, "must be a number"),
        ({"recovery_seconds": float("nan")}, "must be a number"),
        ({"timeout": 1, "timeout_seconds": 2}, "is another name of 'timeout_seconds'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(ValidationError) as caught:
        validate_breaker(settings)
    assert sentence in caught.value.messages[0]


def test_settings_that_make_sense_are_taken():
    validate_breaker({"failure_threshold": 10, "timeout": 2.5, "slow_rate": 1})
