"""Registers a service with the life of an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from service_integration_client.registration import ServiceRegistration

Application = Callable[[Any, Any, Any], Awaitable[Any]]


def registered(app: Application, registration: ServiceRegistration) -> Application:
    """Return the ASGI application, registered from its start to its shutdown.

    It answers the lifespan protocol itself, for applications that do not, such as Django's. A
    framework that has a lifespan of its own takes `ServiceRegistration.lifespan` instead.
    """

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _run_lifespan(registration, receive, send)
        else:
            await app(scope, receive, send)

    return application


async def _run_lifespan(registration: ServiceRegistration, receive: Any, send: Any) -> None:
    """Speak the lifespan protocol of ASGI; a registration that is refused stops the server."""
    await receive()
    try:
        await registration.__aenter__()
    except Exception as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await registration.__aexit__(None, None, None)
    await send({"type": "lifespan.shutdown.complete"})
