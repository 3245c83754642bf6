"""What one evaluation may use up, and what it is given from outside."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import datetime

from core.expressions.errors import ExpressionError

MAX_SECONDS = 0.1
MAX_VISITS = 500_000
# The CPU time of this thread: a busy machine does not fail an expression.
_clock = time.thread_time

_UUID_NAMESPACE = uuid.UUID("6f1c1f0e-6f0b-5c5e-9d0c-2f4f6f6a7c11")


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where `now()` and `uuid()` come from, so that a re-run sees the same values."""

    now: datetime
    seed: str


class EvaluationBudget:
    """What one render has used up so far."""

    __slots__ = ("deadline", "drawn", "path", "recorded", "seconds", "size", "started", "visits")

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.path = ""
        self.drawn = 0
        self.visits = 0
        self.started = 0.0
        self.deadline = 0.0
        self.seconds = 0.0
        self.size = 0

    def begin(self) -> None:
        """Start the clock of one expression."""
        self.visits = 0
        self.started = _clock()
        self.deadline = self.started + MAX_SECONDS

    def end(self) -> None:
        """Stop the clock and add up what the expression took."""
        self.seconds += _clock() - self.started

    def check(self) -> None:
        """Raise ExpressionError once the expression has taken too long."""
        if self.visits > MAX_VISITS or _clock() > self.deadline:
            raise ExpressionError(
                "The expression took more than 100 ms; select less before computing."
            )

    def draw_uuid(self) -> str:
        """Give the next UUID of this place in the template."""
        name = f"{self.recorded.seed}:{self.path}:{self.drawn}"
        self.drawn += 1
        return str(uuid.uuid5(_UUID_NAMESPACE, name))
