"""Gives an event loop a client of its own, for what is called from the loop that was asked."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from registry.calls.client import ServiceClient

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, ServiceClient] = WeakKeyDictionary()


def client_of_loop() -> ServiceClient:
    """Return the client of the running loop; the first call makes it."""
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        client = _clients[loop] = ServiceClient()
    return client


async def close_client_of_loop() -> None:
    """Record what is still to be recorded, and close the connections of the running loop."""
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.close()
