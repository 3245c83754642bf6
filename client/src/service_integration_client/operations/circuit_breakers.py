"""Circuit breakers: seen, opened, closed, disabled, reset."""

from __future__ import annotations

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

CIRCUIT_BREAKERS = Collection("/health/circuit-breakers", "circuit breaker")


async def get_circuit_breakers(
    hub: Hub,
    state: str | None = None,
    *,
    service: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the circuit breakers, those that refuse calls first. Raises: ValidationError."""
    return await CIRCUIT_BREAKERS.call(hub, "GET", locals())


async def get_circuit_breaker(hub: Hub, breaker_id: str) -> JsonObject:
    """A breaker, by its id or that of what it guards. Raises: ResourceNotFoundError."""
    return await CIRCUIT_BREAKERS.call(hub, "GET /{breaker_id}", locals())


async def open_circuit_breaker(
    hub: Hub, breaker_id: str, reason: str, *, seconds: float | None = None
) -> JsonObject:
    """Refuse every call, for so many seconds or until another order. Raises: ValidationError."""
    return await CIRCUIT_BREAKERS.call(hub, "POST /{breaker_id}/open", locals())


async def close_circuit_breaker(hub: Hub, breaker_id: str, reason: str) -> JsonObject:
    """Let calls through and count from zero. Raises: ValidationError."""
    return await CIRCUIT_BREAKERS.call(hub, "POST /{breaker_id}/close", locals())


async def disable_circuit_breaker(
    hub: Hub, breaker_id: str, reason: str, *, seconds: float | None = None
) -> JsonObject:
    """Let every call through and count nothing meanwhile. Raises: ValidationError."""
    return await CIRCUIT_BREAKERS.call(hub, "POST /{breaker_id}/disable", locals())


async def reset_circuit_breaker(hub: Hub, breaker_id: str, reason: str) -> JsonObject:
    """Let calls through and forget everything that was before. Raises: ValidationError."""
    return await CIRCUIT_BREAKERS.call(hub, "POST /{breaker_id}/reset", locals())
