"""Decides how often, and after how long, a call to an unavailable hub is made again."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_RETRY_AFTER_SECONDS = 60.0


def backoff(attempt: int, *, base: float, most: float) -> float:
    """Return the seconds to wait after the attempt (from 1): twice as many each time."""
    return min(base * 2.0 ** min(attempt - 1, 16), most)


@dataclass(frozen=True)
class BackoffPolicy:
    """Exponential backoff: base, twice the base, and so on, up to the maximum. In seconds."""

    retries: int
    base_delay: float
    max_delay: float

    def delay(self, attempt: int, *, retry_after: float | None = None) -> float | None:
        """Return the seconds to wait after the attempt (from 1); None when there is to be no other.

        What the hub asked for with Retry-After is waited at least; when that is more than a
        minute, there is no other attempt.
        """
        if attempt > self.retries:
            return None
        wait = backoff(attempt, base=self.base_delay, most=self.max_delay)
        wait = max(wait, retry_after or 0.0)
        return wait if wait <= LONGEST_RETRY_AFTER_SECONDS else None


WRITE = BackoffPolicy(retries=3, base_delay=0.5, max_delay=4.0)
DELETE = BackoffPolicy(retries=2, base_delay=1.0, max_delay=4.0)
READ = BackoffPolicy(retries=2, base_delay=0.5, max_delay=2.0)
NEVER = BackoffPolicy(retries=0, base_delay=0.0, max_delay=0.0)
POLICIES = {"GET": READ, "POST": WRITE, "PATCH": WRITE, "PUT": WRITE, "DELETE": DELETE}
