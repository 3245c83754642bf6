"""Whether one more request is within a rate (pure).

The sliding window counter of Cloudflare ("How we built rate limiting capable of scaling to millions
of domains", 2017): of the minute before, the part counts that a window of 60 seconds still covers.
Two numbers a key are all that is kept, and they add up over processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RateDecision:
    """Whether a request may go on, and what is left of the limit after it.

    `reset_seconds` is until the minute is over; of a refusal, until a request is taken again.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """Return the fields of draft-ietf-httpapi-ratelimit-headers-06, and Retry-After."""
        fields = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Policy": f"{self.limit};w={WINDOW_SECONDS}",
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }
        return fields if self.allowed else {**fields, "Retry-After": str(self.reset_seconds)}


def decide(limit: int, *, previous: int, current: int, elapsed: float) -> RateDecision:
    """Return whether one more request is within `limit` a minute.

    `previous` and `current` are the requests that were let through in the minute before and in
    this one, of which `elapsed` seconds have passed.
    """
    left = limit - previous * (1 - elapsed / WINDOW_SECONDS) - current
    if left <= 0:
        wait = _wait(limit, previous=previous, current=current, elapsed=elapsed)
        return RateDecision(False, limit, 0, math.floor(wait) + 1)
    return RateDecision(True, limit, math.ceil(left) - 1, math.ceil(WINDOW_SECONDS - elapsed))


def _wait(limit: int, *, previous: int, current: int, elapsed: float) -> float:
    """Return the seconds until something is left, if nothing else is let through meanwhile."""
    if current < limit:
        return WINDOW_SECONDS * (1 - (limit - current) / previous) - elapsed
    return WINDOW_SECONDS - elapsed + WINDOW_SECONDS * (1 - limit / current)
