"""The profile of a circuit breaker: defaults by criticality, and what a service changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.core.exceptions import ValidationError

from core.suggestions import did_you_mean


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
NAMES = tuple(field.name for field in fields(Profile))
_WHOLE = ("failure_threshold", "success_threshold", "minimum_calls")
_LIMITS: Mapping[str, tuple[float, float]] = {
    "failure_threshold": (1, 1000),
    "success_threshold": (1, 100),
    "minimum_calls": (1, 100_000),
    "failure_rate": (0.01, 1),
    "slow_rate": (0.01, 1),
    "recovery_seconds": (0.1, 86_400),
    "max_recovery_seconds": (0.1, 86_400),
    "timeout_seconds": (0.001, 3_600),
    "window_seconds": (1, 3_600),
}


def profile_of(criticality: str, overrides: Mapping[str, Any] | None = None) -> Profile:
    """The rules of a service: those of its criticality, and what it sets otherwise."""
    base = PROFILES.get(str(criticality), PROFILES["NON_CRITICAL"])
    if not overrides:
        return base
    given = {OTHER_NAMES.get(name, name): value for name, value in overrides.items()}
    return Profile(**{**asdict(base), **{k: v for k, v in given.items() if k in NAMES}})


def validate_breaker(value: Any) -> None:
    """Refuse what is not an object of known settings with possible values."""
    if not isinstance(value, dict):
        raise ValidationError(f"Must be a JSON object, not {type(value).__name__}.")
    problems = [sentence for name in value if (sentence := _problem(name, value))]
    if problems:
        raise ValidationError(problems)


def _problem(name: str, settings: Mapping[str, Any]) -> str:
    known = OTHER_NAMES.get(name, name)
    if known not in NAMES:
        close = did_you_mean(name, NAMES)
        return f"There is no setting '{name[:100]}'{close} Use: {', '.join(NAMES)}."
    if known != name and known in settings:
        return f"'{name}' is another name of '{known}': give one of them."
    value, (least, most) = settings[name], _LIMITS[known]
    kinds = int if known in _WHOLE else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        word = "a whole number" if known in _WHOLE else "a number"
        return f"'{name}' must be {word} from {least:g} to {most:g}."
    return ""
