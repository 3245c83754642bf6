"""Latency and failure on demand, to show what the hub does about them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from reference_services.problems import InvalidInputError, ServiceError
from reference_services.schemas import JsonObject, described, input_check, list_of, nullable, record

MAX_LATENCY_MS = 120_000

FAULT_SCHEMA = record(
    {
        "latency_ms": {"type": "number", "minimum": 0, "maximum": MAX_LATENCY_MS},
        "fail_rate": {"type": "number", "minimum": 0, "maximum": 1},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "message": {"type": "string", "minLength": 1, "maxLength": 500},
        "actions": described(list_of({"type": "string"}), "Only these; all when empty."),
        "for_seconds": nullable({"type": "number", "exclusiveMinimum": 0, "maximum": 86_400}),
    },
    closed=True,
)
_check = input_check(FAULT_SCHEMA)


@dataclass(frozen=True)
class Fault:
    """Latency of some calls, and the share of them that fail."""

    latency_ms: float = 0
    fail_rate: float = 0
    status: int = 503
    message: str = "This service was told to fail, by POST /_fault."
    actions: tuple[str, ...] = ()
    for_seconds: float | None = None


class FaultSwitch:
    """Holds the fault that is set now. An empty body sets none, which is also how it starts."""

    def __init__(
        self,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._chance = chance
        self._clock = clock
        self._fault = Fault()
        self._ends_at: float | None = None

    def set(self, body: JsonObject, *, known_actions: tuple[str, ...]) -> None:
        errors = _check(body)
        unknown = [name for name in body.get("actions", ()) if name not in known_actions]
        if unknown and not errors:
            sentence = (
                f"{', '.join(unknown)}: no such action; there are {', '.join(known_actions)}."
            )
            errors = {"actions": [sentence]}
        if errors:
            raise InvalidInputError("The fault is not valid; see errors.", errors=errors)
        self._fault = Fault(**{**body, "actions": tuple(body.get("actions", ()))})
        seconds = self._fault.for_seconds
        self._ends_at = None if seconds is None else self._clock() + seconds

    def describe(self) -> JsonObject:
        return {**asdict(self._current()), "actions": list(self._current().actions)}

    async def apply(self, action: str) -> None:
        """Wait for the set latency, then fail as often as set."""
        fault = self._current()
        if fault.actions and action not in fault.actions:
            return
        if fault.latency_ms:
            await self._sleep(fault.latency_ms / 1000)
        if fault.fail_rate and self._chance() < fault.fail_rate:
            raise ServiceError(fault.message, status=fault.status, code="switched_fault")

    def _current(self) -> Fault:
        if self._ends_at is not None and self._clock() >= self._ends_at:
            self._fault, self._ends_at = Fault(), None
        return self._fault
