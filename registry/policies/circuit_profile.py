"""The profile of a circuit breaker: defaults by criticality, and what a service changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from registry.policies.number_ranges import NumberRange, range_problems, refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The rules of one service's circuits.

    A circuit opens after `failure_threshold` failures in a row; or when, of at least
    `minimum_calls` within `window_seconds`, the part `failure_rate` failed or the part `slow_rate`
    took longer than `timeout_seconds`. It stays open for `recovery_seconds`, twice as long after
    each failed probe up to `max_recovery_seconds`, and closes after `success_threshold` probes.
    """

    failure_threshold: int
    recovery_seconds: float
    timeout_seconds: float
    success_threshold: int = 1
    failure_rate: float = 0.5
    slow_rate: float = 0.8
    minimum_calls: int = 20
    window_seconds: float = 60.0
    max_recovery_seconds: float = 300.0

    def open_seconds(self, openings: int) -> float:
        """How long the circuit stays open the `openings`-th time without having closed between."""
        longest = max(self.max_recovery_seconds, self.recovery_seconds)
        return min(math.ldexp(self.recovery_seconds, min(openings - 1, 60)), longest)


PROFILES: Mapping[str, Profile] = {
    "CRITICAL": Profile(failure_threshold=5, recovery_seconds=30.0, timeout_seconds=5.0),
    "NON_CRITICAL": Profile(failure_threshold=3, recovery_seconds=60.0, timeout_seconds=10.0),
}
# As the workflow guide names them.
OTHER_NAMES = {"recovery_timeout": "recovery_seconds", "timeout": "timeout_seconds"}
_RANGES = {
    "failure_threshold": NumberRange(1, 1000, whole=True),
    "recovery_seconds": NumberRange(0.1, 86_400),
    "timeout_seconds": NumberRange(0.001, 3_600),
    "success_threshold": NumberRange(1, 100, whole=True),
    "failure_rate": NumberRange(0.01, 1),
    "slow_rate": NumberRange(0.01, 1),
    "minimum_calls": NumberRange(1, 100_000, whole=True),
    "window_seconds": NumberRange(1, 3_600),
    "max_recovery_seconds": NumberRange(0.1, 86_400),
}


def profile_of(criticality: str, overrides: Mapping[str, Any] | None = None) -> Profile:
    """The rules of a service: those of its criticality, and what it sets otherwise."""
    base = PROFILES.get(str(criticality), PROFILES["NON_CRITICAL"])
    if not overrides:
        return base
    renamed = {OTHER_NAMES.get(name, name): value for name, value in overrides.items()}
    return Profile(**{**asdict(base), **{k: v for k, v in renamed.items() if k in _RANGES}})


def validate_breaker(value: Any) -> None:
    """Refuse what is not an object of known settings with possible values."""
    refuse(range_problems(value, _RANGES, other_names=OTHER_NAMES))
