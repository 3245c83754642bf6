"""What a workflow definition says, as frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from workflows.expressions import Expression, Template

MAX_RETRY_AFTER_SECONDS = 24 * 3_600


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, when and after which errors a step is tried again."""

    max_attempts: int = 3
    base_delay: float = 0.5
    max_delay: float = 30.0
    backoff: str = "EXPONENTIAL"
    jitter: bool = True
    on: tuple[str, ...] = ("TIMEOUT", "CONNECTION", "UNAVAILABLE", "429", "5XX")
    max_elapsed: float | None = None

    def delay(self, attempt: int, *, retry_after: float | None, fraction: float) -> float:
        """Give the seconds to wait after failed attempt number `attempt`, which counts from 1.

        `fraction` in [0, 1) is the jitter's draw, spread over the upper half of the delay. A longer
        Retry-After wins, up to 24 hours.
        """
        if self.backoff == "EXPONENTIAL":
            # Beyond 2^62 every delay is at its maximum, and a float would overflow.
            planned = math.ldexp(self.base_delay, min(attempt - 1, 62))
        elif self.backoff == "LINEAR":
            planned = self.base_delay * attempt
        else:
            planned = self.base_delay
        planned = min(planned, self.max_delay)
        if self.jitter:
            planned = planned / 2 + planned / 2 * fraction
        if retry_after is None:
            return planned
        return max(planned, min(retry_after, MAX_RETRY_AFTER_SECONDS))

    def allows(
        self, attempt: int, *, kind: str, status_code: int | None, code: str, elapsed: float
    ) -> bool:
        """Say whether attempt number `attempt`, which failed thus, may be followed by another."""
        if attempt >= self.max_attempts:
            return False
        if self.max_elapsed is not None and elapsed >= self.max_elapsed:
            return False
        names = {kind.upper(), code.upper()}
        if status_code is not None:
            names |= {str(status_code), f"{status_code // 100}XX"}
        return not names.isdisjoint(self.on)


NO_RETRY = RetryPolicy(max_attempts=1)


@dataclass(frozen=True, slots=True)
class Target:
    """Who is called: a registered name, a type for discovery, a connection or an integration."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where to go on: to `step` (None ends the workflow) if `when` is true or absent."""

    when: Expression | None
    step: str | None


@dataclass(frozen=True, slots=True)
class Fallback:
    """What stands in for a failed step: an output, or another step."""

    output: Template | None
    step: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `next` is empty where the workflow ends."""

    id: str
    name: str
    kind: str = "ACTION"
    target: Target | None = None
    action: str | None = None
    input: Template | None = None
    when: Expression | None = None
    retry: RetryPolicy = NO_RETRY
    timeout: float | None = None
    optional: bool = False
    fallback: Fallback | None = None
    next: tuple[Route, ...] = ()
    output: Template | None = None
    error: Template | None = None
    max_visits: int | None = None
    container: str | None = None
    branch: int | None = None
    branches: tuple = ()
    join: str | int = "ALL"
    body: object = None
    over: Template | None = None
    max_concurrency: int | None = None
    tolerate_failures: int = 0
    seconds: Template | None = None
    until: Template | None = None
    event: Template | None = None
    match: Expression | None = None
    assignees: tuple = ()
    form: dict | None = None
    due: Template | None = None
    escalate_to: tuple = ()
    on_timeout: str = "FAIL"
    minimum: int = 1
    workflow: str | None = None
    version: int | None = None
    on_error: tuple = ()
    compensate: object = None

    @property
    def followers(self) -> tuple[str, ...]:
        """The steps that may come right after this one, its fallback step included."""
        names = [route.step for route in self.next if route.step is not None]
        if self.fallback is not None and self.fallback.step is not None:
            names.append(self.fallback.step)
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow's steps in their order, where it starts, and the document it was read from."""

    steps: dict[str, Step]
    first: str
    output: Template | None
    document: dict[str, Any] = field(repr=False)
    timeout: float | None = None
    concurrency: int | None = None
