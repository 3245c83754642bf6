"""Says how far a step is, how fast it goes, and how long the rest may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

SECONDS_BETWEEN = 2.0


@dataclass
class StepProgress:
    """Counts rows of one step and says so now and then."""

    title: str
    total: int
    say: Callable[[str], None]
    done: int = 0
    _begun: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)
    _before: int = 0

    def __post_init__(self) -> None:
        self._before = self.done

    def advance(self, rows: int) -> None:
        self.done += rows
        now = time.monotonic()
        if now - self._told >= SECONDS_BETWEEN:
            self._told = now
            self.say(self.line(now - self._begun))

    def finish(self) -> None:
        self.say(self.line(time.monotonic() - self._begun))

    def line(self, seconds: float) -> str:
        """Return `executions  120,000 of 1,000,000  8,300 rows/s  about 2 min left`."""
        rate = (self.done - self._before) / max(seconds, 0.001)
        parts = [f"{self.title:<14} {self.done:,} of {self.total:,}"]
        if self.done > self._before:
            parts.append(f"{rate:,.0f} rows/s")
        if rate > 0 and self.total > self.done:
            parts.append(f"{_span((self.total - self.done) / rate)} left")
        return "  ".join(parts)


def _span(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"
