"""Services that the hub itself is: found as any other, and called within the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

# Answers a call that a client makes: the status and the output. Raises: CallError.
ServeCall = Callable[[Any, Any], Awaitable[tuple[int, Any]]]
_served: dict[str, ServeCall] = {}


def serve_calls_of(service_id: str, serve: ServeCall) -> None:
    """Have the calls of the service of that id answered here, and not where its instances are."""
    _served[service_id] = serve


def own_service(service_id: str) -> ServeCall | None:
    """Return what answers the calls of a service of the hub itself; None of all others."""
    return _served.get(service_id)
