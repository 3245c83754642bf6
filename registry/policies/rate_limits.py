"""The limits of the calls of one service or connection (pure).

The rate is the generic cell rate algorithm: all that is kept of the past is the moment until which
the calls so far are paid for. A call that is a little early is given its turn instead of refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.policies.number_ranges import NumberRange, range_problems, refuse

DEFAULT_WAIT_SECONDS = 5.0
_RANGES = {
    "per_second": NumberRange(0.001, 100_000),
    "burst": NumberRange(1, 100_000, whole=True),
    "max_concurrency": NumberRange(1, 10_000, whole=True),
    "wait_seconds": NumberRange(0, 60),
}


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Calls begin at most `per_second`, `burst` of them at once after a rest.

    0 is no limit. A call waits at most `wait_seconds` for its turn before it is refused.
    """

    per_second: float = 0.0
    burst: int = 1
    max_concurrency: int = 0
    wait_seconds: float = DEFAULT_WAIT_SECONDS

    @property
    def interval_seconds(self) -> float:
        """The time that one call takes from the rate."""
        return 1 / self.per_second if self.per_second else 0.0

    @property
    def tolerance_seconds(self) -> float:
        """How far ahead of the rate calls may be: that of the burst, without the call itself."""
        return (self.burst - 1) * self.interval_seconds


@dataclass(frozen=True, slots=True)
class CallTurn:
    """Whether a call may go, and after how many seconds it goes or may be tried again."""

    granted: bool
    seconds: float = 0.0
    paid_until: float = 0.0


def next_turn(
    paid_until: float, limits: CallLimits, *, now: float, wait_seconds: float
) -> CallTurn:
    """The turn of one more call, when the calls so far are paid for until `paid_until`."""
    behind = max(paid_until, now)
    delay = max(behind - now - limits.tolerance_seconds, 0.0)
    if delay > wait_seconds + 1e-6:
        return CallTurn(False, delay, paid_until)
    return CallTurn(True, delay, behind + limits.interval_seconds)


def limits_of(value: Mapping[str, Any] | None) -> CallLimits | None:
    """The limits that a row sets; None when it sets none. Without `burst`, a second's calls are."""
    if not value or not (value.get("per_second") or value.get("max_concurrency")):
        return None
    per_second = float(value.get("per_second") or 0.0)
    burst = int(value.get("burst") or max(1, math.ceil(per_second)))
    wait = float(value.get("wait_seconds", DEFAULT_WAIT_SECONDS))
    return CallLimits(per_second, burst, int(value.get("max_concurrency") or 0), wait)


def validate_limits(value: Any) -> None:
    """Refuse what is not an object of known limits with possible values."""
    unknown = "There is no limit '{name}'{close} Use: {names}."
    problems = range_problems(value, _RANGES, unknown=unknown)
    if "burst" in value and "per_second" not in value:
        problems.append("'burst' needs 'per_second': it is what may go at once above that rate.")
    refuse(problems)
