"""Decides when answers of a health URL change the status of an instance (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.policies.number_ranges import NumberRange, range_problems, refuse

MOST_IN_A_ROW = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """How often a health URL is asked, and how many answers in a row it takes to believe them."""

    failure_threshold: int = 3
    success_threshold: int = 2
    interval_seconds: int = 30


_RANGES = {
    "failure_threshold": NumberRange(1, 100, whole=True),
    "success_threshold": NumberRange(1, 100, whole=True),
    "interval_seconds": NumberRange(5, 3600, whole=True),
}


@dataclass(frozen=True, slots=True)
class Streak:
    """Answers of one kind in a row, and whether the instance is thought well of."""

    failures: int = 0
    successes: int = 0
    healthy: bool = True


def plan_of(overrides: Mapping[str, Any], *, default: ProbePlan) -> ProbePlan:
    """Return the plan of a service: the default, and what it sets otherwise."""
    values = {name: overrides.get(name, getattr(default, name)) for name in _RANGES}
    return ProbePlan(**values)


def count_answer(streak: Streak, *, healthy: bool, plan: ProbePlan) -> Streak:
    """Return the streak after one more answer; health changes only at the threshold of the plan."""
    if healthy:
        successes = min(streak.successes + 1, MOST_IN_A_ROW)
        return Streak(0, successes, streak.healthy or successes >= plan.success_threshold)
    failures = min(streak.failures + 1, MOST_IN_A_ROW)
    return Streak(failures, 0, streak.healthy and failures < plan.failure_threshold)


def describe_streak(streak: Streak, *, plan: ProbePlan) -> str:
    """Say how near the next change is, such as `2 of 3 failures`; empty when none is under way."""
    if streak.healthy and streak.failures:
        return f"{streak.failures} of {plan.failure_threshold} failures"
    if not streak.healthy:
        return f"{streak.successes} of {plan.success_threshold} successes"
    return ""


def validate_probing(value: Any) -> None:
    """Refuse what is not an object of known settings with possible values."""
    refuse(range_problems(value, _RANGES))
