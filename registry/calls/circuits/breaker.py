"""The breaker around a call: pybreaker's, with its state in a shared row and no lock while calling.

What pybreaker brings is the contract: settings, which errors count (`is_system_error`), the storage
that a breaker reads, its names of states. What it does under its lock and with plain counters is
replaced: `call_async` asks for leave to call, calls, and records how that went.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pybreaker

from registry.calls.circuits.outcome_buffer import OutcomeBuffer
from registry.calls.circuits.profile import Profile
from registry.calls.circuits.store import CircuitReading
from registry.calls.circuits.transitions import BUCKETS, CallOutcome, Circuit, OutcomeKind
from registry.exceptions import CallError, ServiceResponseError
from registry.models import CircuitState

if TYPE_CHECKING:
    from registry.calls.circuits.breaker_set import BreakerSet

T = TypeVar("T")

# Where another worker probes, its answer is worth waiting for a moment.
PROBE_PAUSE_SECONDS = 2.0
# Those who wait for the same circuit come back spread over a tenth of their wait, at most this.
LONGEST_SPREAD_SECONDS = 5.0
COUNT_SECONDS = 1.0
_NAMES: dict[str, str] = {
    CircuitState.CLOSED: pybreaker.STATE_CLOSED,
    CircuitState.DISABLED: pybreaker.STATE_CLOSED,
    CircuitState.OPEN: pybreaker.STATE_OPEN,
    CircuitState.FORCED_OPEN: pybreaker.STATE_OPEN,
    CircuitState.HALF_OPEN: pybreaker.STATE_HALF_OPEN,
}


def is_about_target(error: BaseException) -> bool:
    """Whether an error is of who was called, and not of the hub's own side."""
    return isinstance(error, CallError) and error.about_target


def tells_nothing(error: BaseException) -> bool:
    """Whether an error says nothing of who was called: a refusal of what was sent, or our fault."""
    if not is_about_target(error):
        return True
    if not isinstance(error, ServiceResponseError) or error.upstream_status is None:
        return False
    return 300 <= error.upstream_status < 500 and error.upstream_status not in (408, 429)


class CallRefused(pybreaker.CircuitBreakerError):
    """No call was made. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RowStorage(pybreaker.CircuitBreakerStorage):
    """What this process last read of the row.

    It has no setters, and the inherited increments and resets do nothing: a breaker that merely
    notices a change must not touch counters that all workers share. The row changes only by the
    updates of `registry.calls.circuits.store`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.circuit = Circuit()

    @property  # type: ignore[misc]  # without the setter, on purpose
    def state(self) -> str:
        return _NAMES[self.circuit.state]

    @property
    def counter(self) -> int:
        return self.circuit.failure_count

    @property
    def success_counter(self) -> int:
        return self.circuit.success_count

    @property  # type: ignore[misc]  # the same
    def opened_at(self) -> datetime | None:
        return self.circuit.opened_at


class SharedBreaker(pybreaker.CircuitBreaker):
    """Guards one instance or connection; used on one event loop, shared through its row."""

    def __init__(
        self, guarded_id: str, profile: Profile, *, circuits: BreakerSet, ledger: OutcomeBuffer
    ) -> None:
        self.guarded_id = guarded_id
        self.ledger = ledger
        # When to ask for the row again if there was none, or no answer.
        self.load_again_at = 0.0
        self.loading: asyncio.Task[None] | None = None
        self._circuits = circuits
        self._clock = circuits.clock
        self._shared = RowStorage(guarded_id)
        self._updated_at: datetime | None = None
        # Moments of the row on this process's monotonic clock.
        self._retry_at = self._probe_until = 0.0
        self._until = math.inf
        self._is_claiming = False
        # The generation under which calls simply pass; None while a call has to ask.
        self._passing: int | None = None
        super().__init__(exclude=[tells_nothing], state_storage=self._shared, name=guarded_id)
        self.follow(profile)

    def follow(self, profile: Profile) -> None:
        """Go by these rules from now on."""
        self.profile = profile
        self.fail_max = profile.failure_threshold
        self.reset_timeout = profile.recovery_seconds
        self.success_threshold = profile.success_threshold
        self._bucket_seconds = profile.window_seconds / BUCKETS

    @property
    def circuit(self) -> Circuit:
        return self._shared.circuit

    @property
    def is_loaded(self) -> bool:
        return self._updated_at is not None

    def take_in(self, reading: CircuitReading) -> None:
        """Take what was read of the row, unless something newer is known."""
        circuit, known = reading.circuit, self._shared.circuit
        if self._updated_at is not None:
            newest = (known.generation, self._updated_at)
            if (circuit.generation, reading.updated_at) < newest:
                return
        if circuit.generation != known.generation:
            self.ledger.forget_successes()
        self._updated_at = reading.updated_at
        self._shared.circuit = circuit
        self._retry_at = self._local(circuit.retry_at, reading, 0.0)
        self._probe_until = self._local(circuit.probe_until, reading, 0.0)
        self._until = self._local(circuit.until, reading, math.inf)
        passes = circuit.state == CircuitState.CLOSED
        self._passing = circuit.generation if passes else None

    def _local(self, moment: datetime | None, reading: CircuitReading, otherwise: float) -> float:
        if moment is None:
            return otherwise
        return self._clock() + (moment - reading.read_at).total_seconds()

    # A call

    async def call_async(
        self,
        func: Callable[..., Awaitable[T]],
        *args: Any,
        deadline_seconds: float = 60.0,
        slow_seconds: float | None = None,
    ) -> T:
        """Await `func(*args)` if the circuit lets it through, and count how it went.

        `deadline_seconds` is how long the call may take at most. It is slow when it took longer
        than `slow_seconds`, or than the profile's timeout.

        Raises:
            CallRefused: the circuit is open; nothing was called.
        """
        if self._passing is not None and self._circuits.is_fresh():
            generation, probe = self._passing, ""
        else:
            generation, probe = await self._ask(deadline_seconds)
        started = self._clock()
        try:
            result = await func(*args)
        except Exception as error:
            await self._settle_error(error, generation, probe)
            raise
        except BaseException:
            # Cancelled, or the process ends: the instance has nothing to do with it.
            self._give_back(probe)
            raise
        slow = self._clock() - started > (slow_seconds or self.profile.timeout_seconds)
        if slow or probe:
            await self._record(OutcomeKind.SLOW if slow else OutcomeKind.SUCCESS, generation)
        elif generation == self._passing:
            self._count_success(generation)
        return result

    # Leave to call

    async def _ask(self, deadline_seconds: float) -> tuple[int, str]:
        """The generation to call under, and the word of the claim if the call is a probe."""
        await self._circuits.refresh(self)
        if self._until <= self._clock():
            await self._circuits.end_control(self)
        circuit, now = self.circuit, self._clock()
        if circuit.state in (CircuitState.CLOSED, CircuitState.DISABLED):
            return circuit.generation, ""
        if circuit.state == CircuitState.FORCED_OPEN:
            raise self._refusal(min(max(self._until - now, 0), self.profile.recovery_seconds))
        if now < self._retry_at:
            raise self._refusal(self._retry_at - now)
        if self._is_claiming or now < self._probe_until:
            raise self._refusal(PROBE_PAUSE_SECONDS)
        return await self._claim(deadline_seconds)

    async def _claim(self, deadline_seconds: float) -> tuple[int, str]:
        self._is_claiming = True
        try:
            claimed = await self._circuits.claim_probe(self, deadline_seconds=deadline_seconds)
        finally:
            self._is_claiming = False
        if claimed is None:
            raise self._refusal(PROBE_PAUSE_SECONDS)
        return claimed.generation, claimed.probe_owner

    def forget_probe(self) -> None:
        """The probe was given back: the next call may ask for it at once."""
        self._probe_until = 0.0

    def _refusal(self, seconds: float) -> CallRefused:
        spread = random.uniform(0, min(seconds / 10, LONGEST_SPREAD_SECONDS))  # noqa: S311
        circuit = self.circuit
        why = circuit.cause or "It did not answer as it should."
        if circuit.state == CircuitState.FORCED_OPEN:
            why = f"{circuit.forced_by or 'An operator'} opened it: {circuit.reason}"
        return CallRefused(why, retry_after=round(seconds + spread, 3))

    # What became of it

    def _count_success(self, generation: int) -> None:
        """Only a run of failures has to hear of a success at once, a window within a second."""
        circuit = self._shared.circuit
        if circuit.failure_count:
            self.ledger.add(CallOutcome(OutcomeKind.SUCCESS, generation))
        elif circuit.window and self._clock() - self.ledger.written_at >= COUNT_SECONDS:
            self.ledger.add(CallOutcome(OutcomeKind.COUNTED, generation))
        else:
            self.ledger.count_success(self._bucket_seconds)

    async def _settle_error(self, error: Exception, generation: int, probe: str) -> None:
        if self.is_system_error(error):
            await self._record(OutcomeKind.FAILURE, generation, str(error))
        elif probe and is_about_target(error):
            await self._record(OutcomeKind.SUCCESS, generation)  # it answered, so it is there
        else:
            self._give_back(probe)

    async def _record(self, result: OutcomeKind, generation: int, reason: str = "") -> None:
        circuit = self.circuit
        if generation == circuit.generation and circuit.state != CircuitState.DISABLED:
            outcome = CallOutcome(result, generation, reason=reason)
            await self._circuits.wait_for(self.ledger.add(outcome))

    def _give_back(self, probe: str) -> None:
        if probe:
            self._circuits.release_probe(self, probe)

    # What pybreaker would do under its lock, or with counters that belong to all workers

    def call(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("This breaker guards coroutines: await call_async().")

    def open(self) -> NoReturn:
        raise TypeError("A circuit is opened and closed through registry.calls.circuits only.")

    close = half_open = open
