"""The circuit breaker of the client: a hub that is down is left alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service_integration_client.exceptions import (
    HUB,
    CircuitOpenError,
    RequestTimeoutError,
    ServiceUnavailableError,
)

CLOSED, OPEN, HALF_OPEN = "CLOSED", "OPEN", "HALF_OPEN"
FAILURE_THRESHOLD = 5
RECOVERY_SECONDS = 10.0


def is_any_error(error: Exception) -> bool:
    return True


def is_outage_of_hub(error: Exception) -> bool:
    """Return whether the hub itself cannot be reached, and not just a service behind it."""
    if isinstance(error, ServiceUnavailableError):
        return error.service_name == HUB
    return isinstance(error, RequestTimeoutError) and error.status_code is None


class CircuitBreaker:
    """Closed, it lets calls through. Open, it refuses them. Half open, it lets one call try.

    `failure_threshold` failures in a row open it. After `recovery_timeout` seconds one call is let
    through: it closes the breaker, or opens it again. A call that takes longer than `timeout`
    seconds is a failure; given to a client, its calls wait no longer than that. None sets no such
    limit. `is_failure` tells what counts. Threads and event loops may share one breaker.
    """

    def __init__(
        self,
        failure_threshold: int = FAILURE_THRESHOLD,
        recovery_timeout: float = RECOVERY_SECONDS,
        timeout: float | None = None,
        *,
        name: str = HUB,
        is_failure: Callable[[Exception], bool] = is_any_error,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` is what errors call it; `clock` answers seconds. Raises: ValueError."""
        if failure_threshold < 1 or recovery_timeout <= 0 or (timeout is not None and timeout <= 0):
            raise ValueError(
                "failure_threshold is 1 or more; recovery_timeout and timeout are greater than 0."
            )
        self.failure_threshold = failure_threshold
        self.recovery_timeout = recovery_timeout
        self.timeout = timeout
        self.name = name
        self._is_failure = is_failure
        self._clock = clock
        self._lock = threading.Lock()
        # Calls that end in another round than they began in say nothing any more.
        self._round = 0
        self._opened_at: float | None = None
        self._is_probing = False
        self._failures = 0
        self._last_error = ""

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.name!r}, {self.state})"

    @property
    def state(self) -> str:
        """CLOSED, OPEN or HALF_OPEN."""
        if self._opened_at is None:
            return CLOSED
        return OPEN if self._remaining() > 0 else HALF_OPEN

    def reset(self) -> None:
        """Close it and count from zero."""
        with self._lock:
            self._close()

    @contextmanager
    def guard(self, *, extra_seconds: float = 0.0) -> Iterator[None]:
        """Guard one call, in a thread or in a coroutine; it may take `extra_seconds` longer.

        Raises: CircuitOpenError, and then the call is not made.
        """
        current, started = self._admit(), self._clock()
        try:
            yield
        except Exception as error:
            self._record(current, failure=error if self._is_failure(error) else None)
            raise
        except BaseException:
            self._abandon(current)
            raise
        late = self.timeout is not None and self._clock() - started > self.timeout + extra_seconds
        sentence = f"No answer within {self.timeout:g} s." if late else ""
        self._record(current, failure=TimeoutError(sentence) if late else None)

    def _admit(self) -> int:
        """Return the round that the call belongs to. Raises: CircuitOpenError."""
        with self._lock:
            if self._opened_at is None:
                return self._round
            remaining = self._remaining()
            if remaining > 0 or self._is_probing:
                raise self._refusal(remaining)
            self._is_probing = True
            self._round += 1
            return self._round

    def _record(self, current: int, *, failure: Exception | None) -> None:
        with self._lock:
            if current != self._round:
                return
            if failure is None:
                self._close()
                return
            self._failures += 1
            self._last_error = str(failure) or type(failure).__name__
            if self._is_probing or self._failures >= self.failure_threshold:
                self._open()

    def _abandon(self, current: int) -> None:
        """Forget a cancelled call, which shows nothing; the next one may try."""
        with self._lock:
            if current == self._round:
                self._is_probing = False

    def _open(self) -> None:
        self._opened_at = self._clock()
        self._is_probing = False
        self._round += 1

    def _close(self) -> None:
        if self._opened_at is not None:
            self._round += 1
        self._opened_at = None
        self._is_probing = False
        self._failures = 0
        self._last_error = ""

    def _remaining(self) -> float:
        opened_at = self._clock() if self._opened_at is None else self._opened_at
        return max(0.0, opened_at + self.recovery_timeout - self._clock())

    def _refusal(self, remaining: float) -> CircuitOpenError:
        return CircuitOpenError(
            f"Calls to {self.name} are refused for {remaining:.1f} s more, after {self._failures}"
            f" failures in a row. The last one: {self._last_error}",
            service_name=self.name,
            retry_after=remaining,
        )
