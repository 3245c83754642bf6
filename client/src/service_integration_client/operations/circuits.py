"""Circuit breakers: seen, opened, closed, disabled, reset."""

from __future__ import annotations

from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.requests import create, read, segment

CIRCUITS = "/health/circuit-breakers"


async def get_circuit_breakers(
    hub: Hub,
    state: str | None = None,
    *,
    service: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> Any:
    """One page of the circuit breakers, those that refuse calls first."""
    request = read(CIRCUITS, state=state, service=service, page=page, per_page=per_page)
    return await hub.call(request)


async def get_circuit_breaker(hub: Hub, breaker_id: str) -> Any:
    """A breaker, by its id or that of what it guards. Raises: ResourceNotFoundError."""
    path = f"{CIRCUITS}/{segment(breaker_id)}"
    return await hub.call(read(path, about=("circuit breaker", breaker_id)))


async def _control(hub: Hub, breaker_id: str, control: str, **order: Any) -> Any:
    body = {name: value for name, value in order.items() if value is not None}
    path = f"{CIRCUITS}/{segment(breaker_id)}/{control}"
    return await hub.call(create(path, body=body, about=("circuit breaker", breaker_id)))


async def open_circuit_breaker(
    hub: Hub, breaker_id: str, reason: str, *, seconds: float | None = None
) -> Any:
    """Refuse every call, for so many seconds or until another order. Raises: ValidationError."""
    return await _control(hub, breaker_id, "open", reason=reason, seconds=seconds)


async def close_circuit_breaker(hub: Hub, breaker_id: str, reason: str) -> Any:
    """Let calls through and count from zero. Raises: ValidationError."""
    return await _control(hub, breaker_id, "close", reason=reason)


async def disable_circuit_breaker(
    hub: Hub, breaker_id: str, reason: str, *, seconds: float | None = None
) -> Any:
    """Let every call through and count nothing meanwhile. Raises: ValidationError."""
    return await _control(hub, breaker_id, "disable", reason=reason, seconds=seconds)


async def reset_circuit_breaker(hub: Hub, breaker_id: str, reason: str) -> Any:
    """Let calls through and forget everything that was before. Raises: ValidationError."""
    return await _control(hub, breaker_id, "reset", reason=reason)
