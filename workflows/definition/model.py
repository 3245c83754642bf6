"""The values that make up a workflow definition."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from core.expressions import Expression, Template

MAX_RETRY_AFTER_SECONDS = 24 * 3_600


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, when and after which errors a step is tried again.

    `max_attempts` None sets no limit. What `never` names is not retried, whatever `on` says.
    """

    max_attempts: int | None = 3
    base_delay: float = 0.5
    max_delay: float = 30.0
    backoff: str = "EXPONENTIAL"
    jitter: bool = True
    on: tuple[str, ...] = ("TIMEOUT", "CONNECTION", "UNAVAILABLE", "429", "5XX")
    max_elapsed: float | None = None
    never: tuple[str, ...] = ()

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

    def allows(self, attempt: int, *, kind: str, status_code: int | None, code: str) -> bool:
        """Say whether attempt number `attempt`, which failed thus, may be followed by another.

        When that would begin is another question: `max_elapsed` bounds it, and so do others.
        """
        if self.max_attempts is not None and attempt >= self.max_attempts:
            return False
        names = {kind.upper(), code.upper()}
        if status_code is not None:
            names |= {str(status_code), f"{status_code // 100}XX"}
        return names.isdisjoint(self.never) and not names.isdisjoint(self.on)


NO_RETRY = RetryPolicy(max_attempts=1)


@dataclass(frozen=True, slots=True)
class StepTarget:
    """Who is called: a registered name, a type for discovery, a connection or an integration.

    `id` is the row that the name stood for when the definition was saved.
    """

    kind: str
    name: str
    id: str = ""


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
class ErrorRoute:
    """Where to go on after errors of these codes: to `step` (None ends the workflow or branch).

    The codes are lower-case; "*" stands for any.
    """

    match: tuple[str, ...]
    step: str | None


@dataclass(frozen=True, slots=True)
class Compensation:
    """The call that undoes a completed step."""

    target: StepTarget
    action: str | None = None
    input: Template | None = None
    unknown_fields: str | None = None
    retry: RetryPolicy = NO_RETRY
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A list of steps inside a PARALLEL or MAP, by their ids, and the one that starts."""

    first: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `next` is empty where the workflow ends, or the branch that the step is in."""

    id: str
    name: str
    kind: str = "ACTION"
    container: str | None = None
    """The id of the PARALLEL or MAP step around this one."""
    branch: int | None = None
    """The index of the branch of `container` that this is in; 0 in a MAP."""
    when: Expression | None = None
    next: tuple[Route, ...] = ()
    max_visits: int | None = None

    # ACTION; `input` also WORKFLOW and APPROVAL, `timeout` also WORKFLOW, APPROVAL and EVENT.
    target: StepTarget | None = None
    action: str | None = None
    input: Template | None = None
    unknown_fields: str | None = None
    """What happens to fields that the action does not know; None: as the action says."""
    retry: RetryPolicy = NO_RETRY
    timeout: float | None = None
    # Every kind that can fail, but for those that only compute.
    optional: bool = False
    fallback: Fallback | None = None
    on_error: tuple[ErrorRoute, ...] = ()
    # ACTION and WORKFLOW.
    compensate: Compensation | None = None

    # TRANSFORM, SUCCEED and FAIL.
    output: Template | None = None
    error: Template | None = None

    # PARALLEL.
    branches: tuple[Block, ...] = ()
    join: str | int = "ALL"
    """ALL, ANY, or how many branches have to complete."""

    # MAP. `over` renders to a list; without `max_concurrency` the engine's own bound holds.
    over: Template | None = None
    body: Block | None = None
    max_concurrency: int | None = None
    tolerate_failures: int = 0

    # WAIT: one of them; a number, an ISO time.
    seconds: Template | None = None
    until: Template | None = None

    # EVENT. `match` may also read `event`, the payload.
    event: Template | None = None
    match: Expression | None = None

    # APPROVAL. `due` renders to seconds or to an ISO time; `on_timeout` holds after `timeout`.
    assignees: tuple[str, ...] = ()
    form: dict[str, Any] | None = field(default=None, hash=False)
    due: Template | None = None
    escalate_to: tuple[str, ...] = ()
    on_timeout: str = "FAIL"
    minimum: int = 1

    # WORKFLOW.
    workflow: str | None = None
    workflow_id: str = ""
    version: int | None = None

    @property
    def followers(self) -> tuple[str, ...]:
        """The steps that may come right after this one, on a failure too."""
        names = [route.step for route in self.next]
        names += [route.step for route in self.on_error]
        names.append(self.fallback.step if self.fallback is not None else None)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The lists of steps inside this one."""
        return self.branches if self.body is None else (*self.branches, self.body)


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow's steps, where it starts, and the document it was read from.

    `steps` holds those inside of others too, in the order of the document. `timeout` bounds the
    whole execution, in seconds; `concurrency` how many executions run at once. One that `is_light`
    computes next to nothing.
    """

    steps: dict[str, Step]
    first: str
    output: Template | None
    document: dict[str, Any] = field(repr=False)
    timeout: float | None = None
    concurrency: int | None = None
    is_light: bool = False
