"""Guards calls by a circuit that is shared through its row, without a lock while calling."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pybreaker

from registry.calls.circuits.outcome_buffer import OutcomeBuffer
from registry.calls.circuits.store import CircuitReading
from registry.calls.circuits.transitions import BUCKETS, CallOutcome, Circuit, OutcomeKind
from registry.exceptions import CallError, ServiceResponseError
from registry.models import CircuitState
from registry.policies.circuit_profile import Profile

if TYPE_CHECKING:
    from registry.calls.circuits.breaker_set import BreakerSet

T = TypeVar("T")

# Where another worker probes, its answer is worth waiting for a moment.
PROBE_PAUSE_SECONDS = 2.0
# Those who wait for the same circuit come back spread over a tenth of their wait, at most this.
LONGEST_SPREAD_SECONDS = 5.0
COUNT_SECONDS = 1.0
_STATES: dict[str, str] = {
    CircuitState.CLOSED: pybreaker.STATE_CLOSED,
    CircuitState.DISABLED: pybreaker.STATE_CLOSED,
    CircuitState.OPEN: pybreaker.STATE_OPEN,
    CircuitState.FORCED_OPEN: pybreaker.STATE_OPEN,
    CircuitState.HALF_OPEN: pybreaker.STATE_HALF_OPEN,
}


def is_about_target(error: BaseException) -> bool:
    """Return whether an error is of who was called, and not of the hub's own side."""
    return isinstance(error, CallError) and error.about_target


def tells_nothing(error: BaseException) -> bool:
    """Return whether an error says nothing of who was called: it refused the request, or we erred.

    This is the exclusion of pybreaker.
    """
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
    """The row as this process last read it, for pybreaker to read.

    The row changes only by the updates of `registry.calls.circuits.store`, so it cannot be set
    here, and the inherited increments and resets do nothing: a breaker that merely notices a change
    must not touch counters that all workers share.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.circuit = Circuit()

    @property
    def counter(self) -> int:
        return self.circuit.failure_count

    @property
    def success_counter(self) -> int:
        return self.circuit.success_count

    def _refuse(self, _: object) -> NoReturn:
        raise TypeError("A circuit is opened and closed through registry.calls.circuits only.")

    state = property(lambda self: _STATES[self.circuit.state], _refuse)
    opened_at = property(lambda self: self.circuit.opened_at, _refuse)


class SharedBreaker:
    """Guards one instance or connection; used on one event loop, shared through its row.

    The contract is pybreaker's: its states, its exclusion of errors that do not count, listeners
    that hear of each change which this process notices, and a `CircuitBreakerError` for a call that
    is not made. Who may call and what becomes of the row is decided here, since pybreaker holds a
    lock while it calls, and counts in each process what all of them share.
    """

    def __init__(self, guarded_id: str, profile: Profile, *, breakers: BreakerSet) -> None:
        self.guarded_id = guarded_id
        self.profile = profile
        self.outcomes = OutcomeBuffer(partial(breakers.record, guarded_id), clock=breakers.clock)
        # When to ask for the row again if there was none, or no answer.
        self.load_again_at = 0.0
        self.loading: asyncio.Task[None] | None = None
        self._breakers = breakers
        self._clock = breakers.clock
        self._row = RowStorage(guarded_id)
        self._standard = pybreaker.CircuitBreaker(
            exclude=[tells_nothing],
            listeners=[self.outcomes],
            state_storage=self._row,
            name=guarded_id,
        )
        self._updated_at: datetime | None = None
        # Moments of the row on this process's monotonic clock.
        self._retry_at = self._probe_until = 0.0
        self._until = math.inf
        self._is_claiming = False
        # The generation under which calls simply pass; None while a call has to ask.
        self._passing: int | None = None

    @property
    def circuit(self) -> Circuit:
        return self._row.circuit

    @property
    def state(self) -> str:
        """The state in the words of pybreaker: closed, open or half-open."""
        return self._standard.current_state

    @property
    def is_loaded(self) -> bool:
        return self._updated_at is not None

    def update(self, reading: CircuitReading) -> None:
        """Take over what was read of the row, unless something newer is known."""
        circuit, current = reading.circuit, self.circuit
        if self._updated_at is not None:
            newest = (current.generation, self._updated_at)
            if (circuit.generation, reading.updated_at) < newest:
                return
        self._updated_at = reading.updated_at
        self._row.circuit = circuit
        if circuit.generation != current.generation:
            self._standard.state = self.state  # tells the listeners
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

    async def call(
        self,
        function: Callable[..., Awaitable[T]],
        *args: Any,
        deadline_seconds: float = 60.0,
        slow_seconds: float | None = None,
    ) -> T:
        """Await `function(*args)` if the circuit lets it through, and count how it went.

        `deadline_seconds` is how long the call may take at most. It is slow when it took longer
        than `slow_seconds`, or than the profile's timeout.

        Raises:
            CallRefused: the circuit is open; nothing was called.
        """
        if self._passing is not None and self._breakers.is_fresh():
            generation, probe = self._passing, ""
        else:
            generation, probe = await self._ask(deadline_seconds)
        started = self._clock()
        try:
            result = await function(*args)
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
        """Return the generation to call under, and the owner of the claim if the call is a probe.

        Raises: CallRefused.
        """
        await self._breakers.refresh(self)
        if self._until <= self._clock():
            await self._breakers.end_control(self)
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
            claimed = await self._breakers.claim_probe(self, deadline_seconds=deadline_seconds)
        finally:
            self._is_claiming = False
        if claimed is None:
            raise self._refusal(PROBE_PAUSE_SECONDS)
        return claimed.generation, claimed.probe_owner

    def forget_probe(self) -> None:
        """Let the next call ask for the probe at once: it was given back."""
        self._probe_until = 0.0

    def _refusal(self, seconds: float) -> CallRefused:
        spread = random.uniform(0, min(seconds / 10, LONGEST_SPREAD_SECONDS))  # noqa: S311
        circuit = self.circuit
        reason = circuit.cause or "It did not answer as it should."
        if circuit.state == CircuitState.FORCED_OPEN:
            reason = f"{circuit.forced_by or 'An operator'} opened it: {circuit.reason}"
        return CallRefused(reason, retry_after=round(seconds + spread, 3))

    # The outcome of a call

    def _count_success(self, generation: int) -> None:
        """Record a success at once where failures run, within a second where a window does."""
        circuit = self._row.circuit
        if circuit.failure_count:
            self.outcomes.add(CallOutcome(OutcomeKind.SUCCESS, generation))
        elif circuit.window and self._clock() - self.outcomes.written_at >= COUNT_SECONDS:
            self.outcomes.add(CallOutcome(OutcomeKind.COUNTED, generation))
        else:
            self.outcomes.count_success(self.profile.window_seconds / BUCKETS)

    async def _settle_error(self, error: Exception, generation: int, probe: str) -> None:
        if self._standard.is_system_error(error):
            await self._record(OutcomeKind.FAILURE, generation, str(error))
        elif probe and is_about_target(error):
            await self._record(OutcomeKind.SUCCESS, generation)  # it answered, so it is there
        else:
            self._give_back(probe)

    async def _record(self, kind: OutcomeKind, generation: int, reason: str = "") -> None:
        circuit = self.circuit
        if generation == circuit.generation and circuit.state != CircuitState.DISABLED:
            outcome = CallOutcome(kind, generation, reason=reason)
            await self._breakers.wait_for(self.outcomes.add(outcome))

    def _give_back(self, probe: str) -> None:
        if probe:
            self._breakers.release_probe(self, probe)
